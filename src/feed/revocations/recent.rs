//! The last records that this gateway wrote or read, in case the log forgets them.
//!
//! Redis acknowledges a write before its replicas have it, so that a fail-over can lose what was
//! acknowledged a moment ago. Whoever knows of it writes it down again.

use std::collections::{HashMap, VecDeque};

use crate::gate::revocation::{Entry, Scope};
use crate::gate::time::{Moment, SteadyTime, UnixTime};
use crate::store::record::{Owner, Record};

/// How many are remembered: what a log can lose is seconds old.
const RECENT_MAX: usize = 10_000;

/// What makes two records the same: not the mark, which a record gets anew when it is written again.
type RecordIdentity = (u64, Entry, bool);

/// The last records.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<RecordIdentity>,
    /// Those that were acknowledged and not yet read, in the order in which they were.
    awaited: Vec<RecordIdentity>,
    records: HashMap<RecordIdentity, (Record, Presence)>,
    /// Those that were written down again and not read since.
    again: HashMap<RecordIdentity, Again>,
}

/// How often a record was written down again in vain, and when it may be next.
#[derive(Clone, Copy, Debug)]
struct Again {
    times: u32,
    next: SteadyTime,
}

/// The pauses between two times that a record is written down again, in milliseconds: the first, and
/// the longest. Where what is written is not what is read, it must not fill the log.
const AGAIN_FIRST_MS: u64 = 1_000;
const AGAIN_LONGEST_MS: u64 = 60_000;

/// Whether the log has a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It was read there.
    Found,
    /// It was acknowledged at this time, and a read that begins later must find it.
    Awaited(SteadyTime),
    /// It is being looked for.
    Sought,
    /// It was looked for in vain.
    Missing,
}

/// An issuer and a subject.
type OwnerKey = (Box<str>, Box<str>);

/// By whose they are: until when what had begun is cut off, and for how long.
#[derive(Debug, Default)]
struct Cuts(HashMap<OwnerKey, Vec<(UnixTime, UnixTime)>>);

impl Cuts {
    /// Whether one of them does what an entry of this owner does that expires then.
    fn cover(&self, owner: &Owner, expires: UnixTime) -> bool {
        let whose = (owner.issuer.clone(), owner.subject.clone());
        let covers =
            |(cut_off, until): &(UnixTime, UnixTime)| *cut_off >= owner.dated && *until >= expires;
        self.0.get(&whose).is_some_and(|cuts| cuts.iter().any(covers))
    }
}

fn identity(record: &Record) -> RecordIdentity {
    (record.written_us, record.entry.clone(), record.is_lift())
}

impl Recent {
    /// Remembers what the log acknowledged.
    pub(super) fn wrote(&mut self, record: Record, acknowledged_at: SteadyTime) {
        let identity = identity(&record);
        self.push(record, Presence::Awaited(acknowledged_at));
        self.awaited.push(identity);
    }

    /// Something was written on somebody's account that does what `record` would: that is not
    /// missing if it is not among what was written.
    pub(super) fn stands_for(&mut self, record: &Record, written: &[Record]) {
        if !written.iter().any(|written| identity(written) == identity(record))
            && let Some((_, presence)) = self.records.get_mut(&identity(record))
        {
            *presence = Presence::Found;
        }
    }

    /// Notes that a record that was missing was written down again: the next time has to wait, if it
    /// is not read before.
    pub(super) fn wrote_again(&mut self, record: &Record, now: SteadyTime) {
        let again = self.again.entry(identity(record)).or_insert(Again { times: 0, next: now });
        let pause_ms = AGAIN_FIRST_MS << again.times.min(16);
        again.times += 1;
        let next_ms = now.as_millis().saturating_add(pause_ms.min(AGAIN_LONGEST_MS));
        again.next = SteadyTime::from_millis(next_ms);
    }

    /// When the next record that is missing may be written down again.
    pub(super) fn next_again(&self, now: UnixTime) -> Option<SteadyTime> {
        let is_missing = |identity: &RecordIdentity| {
            self.records.get(identity).is_some_and(|(record, presence)| {
                *presence == Presence::Missing && !record.entry.is_spent(now)
            })
        };
        let waiting = self.again.iter().filter(|(identity, _)| is_missing(identity));
        waiting.map(|(_, again)| again.next).min()
    }

    /// Remembers what was read.
    pub(super) fn read(&mut self, record: Record) {
        self.again.remove(&identity(&record));
        self.push(record, Presence::Found);
    }

    fn push(&mut self, record: Record, presence: Presence) {
        let identity = identity(&record);
        let known = self.records.get_mut(&identity);
        if let Some((known, was)) = known {
            // What was read stays so, although the acknowledgement comes later.
            if *was != Presence::Found {
                *was = presence;
                *known = record;
            }
            return;
        }
        self.records.insert(identity.clone(), (record, presence));
        self.order.push_back(identity);
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.records.remove(&oldest);
            self.again.remove(&oldest);
        }
        // Where the log can be written and not be read, nothing else takes them off.
        if self.awaited.len() > RECENT_MAX {
            self.awaited.drain(..RECENT_MAX / 2);
        }
    }

    /// A snapshot is about to be taken: whatever was acknowledged must be in it.
    pub(super) fn begin_search(&mut self) {
        for (_, presence) in self.records.values_mut() {
            *presence = Presence::Sought;
        }
    }

    /// The snapshot was taken. How many records were not in it, but for those that were lifted.
    pub(super) fn end_search(&mut self, was_lifted: impl Fn(&Record) -> bool) -> usize {
        let mut missing = 0;
        let cuts = self.cuts();
        for (record, presence) in self.records.values_mut() {
            if *presence == Presence::Sought
                && (was_lifted(record)
                    || record
                        .owner
                        .as_ref()
                        .is_some_and(|owner| cuts.cover(owner, record.entry.expires)))
            {
                // It was lifted, or merged with others.
                *presence = Presence::Found;
            }
            if *presence == Presence::Sought {
                *presence = Presence::Missing;
                missing += 1;
            }
        }
        missing
    }

    /// The cut-offs that were found and stand for other records of their owner.
    fn cuts(&self) -> Cuts {
        let mut cuts = Cuts::default();
        for (Record { entry, owner, .. }, presence) in self.records.values() {
            let is_cut = matches!(entry.scope, Scope::Grants { .. } | Scope::Subject { .. });
            if let (Presence::Found, true, Some(owner)) = (presence, is_cut, owner) {
                let whose = (owner.issuer.clone(), owner.subject.clone());
                cuts.0.entry(whose).or_default().push((entry.cut_off, entry.expires));
            }
        }
        cuts
    }

    pub(super) fn found(&mut self, record: &Record) {
        if !self.records.is_empty()
            && let Some((known, presence)) = self.records.get_mut(&identity(record))
        {
            *presence = Presence::Found;
            known.mark = record.mark;
            self.again.remove(&identity(record));
        }
    }

    /// Whether this very record was read, and not one that was written in its place.
    pub(super) fn has_read(&self, record: &Record) -> bool {
        let known = self.records.get(&identity(record));
        known.is_some_and(|(known, presence)| {
            *presence == Presence::Found && known.mark == record.mark
        })
    }

    /// A record was lifted: it is not to be there any more.
    pub(super) fn was_lifted(&mut self, record: &Record) {
        if let Some((_, presence)) = self.records.get_mut(&identity(record)) {
            *presence = Presence::Found;
        }
    }

    pub(super) fn is_missing(&self, record: &Record) -> bool {
        let known = self.records.get(&identity(record));
        known.is_some_and(|(_, presence)| *presence == Presence::Missing)
    }

    /// The log was read to its end by a read that began at `asked_at`: what had been acknowledged
    /// by then and was not read is missing. How many records that is, of those that were not known
    /// to be.
    pub(super) fn was_read_to_the_end(&mut self, asked_at: SteadyTime) -> usize {
        let mut missing = 0;
        let Self { awaited, records, .. } = self;
        awaited.retain(|identity| match records.get_mut(identity) {
            Some((_, presence @ Presence::Awaited(_))) => {
                let is_overdue = matches!(presence, Presence::Awaited(at) if *at < asked_at);
                if is_overdue {
                    *presence = Presence::Missing;
                    missing += 1;
                }
                !is_overdue
            }
            None | Some((_, Presence::Found | Presence::Sought | Presence::Missing)) => false,
        });
        missing
    }

    /// What is missing, not spent, and may be written down now, in the order in which it came.
    pub(super) fn missing(&self, now: Moment) -> Vec<Record> {
        let is_due = |identity: &&RecordIdentity| {
            self.again.get(*identity).is_none_or(|again| again.next <= now.steady)
        };
        let due = self.order.iter().filter(is_due);
        let all = due.filter_map(|identity| self.records.get(identity));
        all.filter(|(record, presence)| {
            *presence == Presence::Missing && !record.entry.is_spent(now.wall)
        })
        .map(|(record, _)| record.clone())
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::revocation::Lifted;

    fn record(written_us: u64, expires: i64) -> Record {
        let entry = Entry {
            scope: Scope::Everything,
            cut_off: UnixTime::default(),
            expires: UnixTime::from_seconds(expires),
        };
        let mark = fastrand::u64(..);
        Record {
            entry,
            written_us,
            actor: "a".into(),
            reason: "r".into(),
            mark,
            owner: None,
            lifts: [].into(),
        }
    }

    fn at(milliseconds: u64) -> SteadyTime {
        SteadyTime::from_millis(milliseconds)
    }

    fn missing(recent: &Recent) -> Vec<u64> {
        let now =
            Moment { wall: UnixTime::from_seconds(10), steady: at(1_000), ..Moment::default() };
        let missing = recent.missing(now);
        missing.iter().map(|record| record.written_us).collect()
    }

    #[test]
    fn what_a_search_does_not_find_is_missing_unless_it_is_spent() {
        let mut recent = Recent::default();
        for number in 0..4 {
            recent.read(record(number, if number == 3 { 5 } else { 100 }));
        }
        assert!(missing(&recent).is_empty(), "nothing was searched for");
        recent.begin_search();
        recent.found(&record(1, 100));
        assert!(missing(&recent).is_empty(), "the search goes on");
        assert_eq!(recent.end_search(|_| false), 3);
        assert_eq!(missing(&recent), [0, 2]);
    }

    #[test]
    fn what_was_lifted_is_not_missing_and_its_lift_is() {
        let mut recent = Recent::default();
        let (one, two) = (record(1, 100), record(2, 100));
        let expires = two.entry.expires;
        // As if both had been made in the same moment.
        let lift = Record { lifts: [Lifted { id: two.id(), expires }].into(), ..two.clone() };
        for record in [&one, &two, &lift] {
            recent.read(record.clone());
        }
        recent.begin_search();
        let missing_now = recent.end_search(|record| !record.is_lift() && record.id() == two.id());
        assert_eq!(missing_now, 2);
        let now =
            Moment { wall: UnixTime::from_seconds(10), steady: at(1_000), ..Moment::default() };
        assert_eq!(recent.missing(now), [one.clone(), lift]);
        recent.was_lifted(&one);
        assert!(!recent.is_missing(&one));
    }

    #[test]
    fn acknowledged_record_is_missing_once_a_later_read_did_not_find_it() {
        let mut recent = Recent::default();
        recent.wrote(record(1, 100), at(50));
        recent.wrote(record(2, 100), at(60));
        assert_eq!(recent.was_read_to_the_end(at(50)), 0, "the read may have been too early");
        recent.read(record(2, 100));
        assert_eq!(recent.was_read_to_the_end(at(51)), 1);
        assert_eq!(recent.was_read_to_the_end(at(52)), 0, "that is told once");
        assert_eq!(missing(&recent), [1]);
        let again = record(1, 100);
        recent.wrote(again.clone(), at(60));
        assert!(missing(&recent).is_empty() && !recent.has_read(&again));
        recent.read(again.clone());
        assert_eq!(recent.was_read_to_the_end(at(99)), 0);
    }

    #[test]
    fn record_that_is_read_before_it_is_acknowledged_is_not_awaited() {
        let mut recent = Recent::default();
        recent.read(record(1, 100));
        recent.wrote(record(1, 100), at(50));
        assert_eq!(recent.was_read_to_the_end(at(99)), 0);
    }

    #[test]
    fn record_that_was_written_again_is_not_the_one_that_was_acknowledged() {
        let mut recent = Recent::default();
        let (first, again) = (record(1, 100), record(1, 100));
        recent.wrote(first.clone(), at(50));
        recent.read(first.clone());
        assert!(recent.has_read(&first) && !recent.has_read(&again));
        recent.begin_search();
        recent.end_search(|_| false);
        recent.wrote(again.clone(), at(60));
        recent.read(again.clone());
        assert!(!recent.has_read(&first));
    }

    /// An entry on the account of `a`, about something of this time.
    fn charged(written_us: u64, scope: Scope, dated: i64, expires: i64) -> Record {
        let (dated, until) = (UnixTime::from_seconds(dated), UnixTime::from_seconds(expires));
        let entry = Entry { scope, cut_off: dated, expires: until };
        let owner = Owner { issuer: "i".into(), subject: "a".into(), dated, until };
        Record { entry, owner: Some(owner), ..record(written_us, 0) }
    }

    #[test]
    fn what_was_merged_is_not_missing() {
        let session = |number: u64, dated, expires| {
            charged(number, Scope::Session(number.to_string().into()), dated, expires)
        };
        let grants = Scope::Grants { issuer: "i".into(), subject: "a".into() };
        let cut = charged(9, grants, 5, 100);
        let mut recent = Recent::default();
        for record in [session(1, 5, 100), session(2, 6, 100), session(3, 5, 101), cut.clone()] {
            recent.read(record);
        }
        recent.begin_search();
        recent.found(&cut);
        assert_eq!(recent.end_search(|_| false), 2, "it began later, or is remembered for longer");
        assert_eq!(missing(&recent), [2, 3]);
        // Written again, and the store had what stands for it.
        recent.stands_for(&session(2, 6, 100), &[]);
        recent.stands_for(&session(3, 5, 101), &[session(3, 5, 101)]);
        assert_eq!(missing(&recent), [3]);
        // A cut-off that is lost itself stands for nothing.
        recent.begin_search();
        assert_eq!(recent.end_search(|_| false), 4);
    }

    #[test]
    fn what_is_written_again_in_vain_waits_longer_and_longer() {
        let mut recent = Recent::default();
        let lost = record(1, 100);
        let wall = UnixTime::from_seconds(10);
        let mut now_ms = 0;
        let mut pauses = Vec::new();
        recent.wrote(lost.clone(), at(now_ms));
        for _ in 0..9 {
            assert_eq!(recent.was_read_to_the_end(at(now_ms + 1)), 1);
            let due = recent.next_again(wall).map_or(now_ms, SteadyTime::as_millis);
            let missing_at = |ms: u64| {
                recent.missing(Moment { wall, steady: at(ms), ..Moment::default() }).len()
            };
            assert!(due == 0 || missing_at(due - 1) == 0);
            assert_eq!(missing_at(due), 1);
            pauses.push((due - now_ms) / 1000);
            now_ms = due;
            recent.wrote(lost.clone(), at(now_ms));
            recent.wrote_again(&lost, at(now_ms));
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        // Once it is read it is as any other.
        recent.read(lost.clone());
        assert_eq!(recent.next_again(wall), None);
        recent.begin_search();
        recent.end_search(|_| false);
        assert_eq!(missing(&recent), [1]);
    }

    #[test]
    fn only_the_last_are_remembered() {
        let mut recent = Recent::default();
        for number in 0..RECENT_MAX as u64 + 1 {
            recent.read(record(number, 100));
            recent.read(record(number, 100));
        }
        recent.begin_search();
        recent.end_search(|_| false);
        let missing = missing(&recent);
        assert_eq!((missing.len(), missing[0]), (RECENT_MAX, 1));
        assert_eq!(recent.records.len(), RECENT_MAX);
    }
}

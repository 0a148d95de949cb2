//! Remembers the last records that this gateway wrote or read, in case the log forgets them.
//!
//! Redis acknowledges a write before its replicas have it, so a fail-over can lose recently
//! acknowledged records. Every gateway that knows of a lost record writes it again.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use crate::gate::revocation::{Entry, Scope};
use crate::gate::time::{Moment, SteadyTime, UnixTime};
use crate::store::record::{Owner, Record};

/// How many are remembered: what a log can lose is seconds old.
const RECENT_MAX: usize = 10_000;

/// The identity of a record. It excludes the mark, since a record that is written again has a new
/// one.
type RecordIdentity = (u64, Entry, bool);

/// The last records.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<RecordIdentity>,
    /// The records that were acknowledged and not yet read, in the order of acknowledgement.
    awaited: Vec<RecordIdentity>,
    records: HashMap<RecordIdentity, (Record, RecordPresence)>,
    /// The records that were written again and not read since.
    again: HashMap<RecordIdentity, Again>,
}

/// How often a record was written again in vain, and when the next attempt may be.
#[derive(Clone, Copy, Debug)]
struct Again {
    times: u32,
    next: SteadyTime,
}

/// The pauses between two attempts to write a record again, in milliseconds: the first and the
/// longest. If what is written cannot be read, the attempts must not fill the log.
const AGAIN_FIRST_MS: u64 = 1_000;
const AGAIN_LONGEST_MS: u64 = 60_000;

/// Whether the log has a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordPresence {
    /// It was read there.
    Found,
    /// It was acknowledged at this time. A read that begins later must return it.
    Awaited(SteadyTime),
    /// It is being looked for.
    Sought,
    /// It was looked for in vain.
    Missing,
}

/// The records that were written last, up to [`RECENT_MAX`].
#[derive(Debug, Default)]
pub(super) struct LatestRecords(Vec<Record>);

impl LatestRecords {
    /// Adds one.
    pub(super) fn add(&mut self, record: Record) {
        self.0.push(record);
        if self.0.len() >= 2 * RECENT_MAX {
            self.0.select_nth_unstable_by_key(RECENT_MAX - 1, |record| Reverse(record.written_us));
            self.0.truncate(RECENT_MAX);
        }
    }

    /// The latest first.
    fn latest_first(mut self) -> impl Iterator<Item = Record> {
        self.0.sort_unstable_by_key(|record| Reverse(record.written_us));
        self.0.into_iter().take(RECENT_MAX)
    }
}

/// An issuer and a subject.
type OwnerKey = (Box<str>, Box<str>);

/// For each owner: the cut-off times of their found revocations, and when these expire.
#[derive(Debug, Default)]
struct Cuts(HashMap<OwnerKey, Vec<(UnixTime, UnixTime)>>);

impl Cuts {
    /// Whether a revocation of this owner has the effect of an entry that expires at `expires`.
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
        self.push(record, RecordPresence::Awaited(acknowledged_at));
        self.awaited.push(identity);
    }

    /// A record on the owner's account was written that has the effect of `record`. If `record`
    /// itself was not written, it is not missing.
    pub(super) fn stands_for(&mut self, record: &Record, written: &[Record]) {
        if !written.iter().any(|written| identity(written) == identity(record))
            && let Some((_, presence)) = self.records.get_mut(&identity(record))
        {
            *presence = RecordPresence::Found;
        }
    }

    /// Notes that a missing record was written again. If it is not read, the next attempt has to
    /// wait.
    pub(super) fn wrote_again(&mut self, record: &Record, now: SteadyTime) {
        let again = self.again.entry(identity(record)).or_insert(Again { times: 0, next: now });
        let pause_ms = AGAIN_FIRST_MS << again.times.min(16);
        again.times += 1;
        let next_ms = now.as_millis().saturating_add(pause_ms.min(AGAIN_LONGEST_MS));
        again.next = SteadyTime::from_millis(next_ms);
    }

    /// When the next missing record may be written again.
    pub(super) fn next_again(&self, now: UnixTime) -> Option<SteadyTime> {
        let is_missing = |identity: &RecordIdentity| {
            self.records.get(identity).is_some_and(|(record, presence)| {
                *presence == RecordPresence::Missing && !record.entry.is_spent(now)
            })
        };
        let waiting = self.again.iter().filter(|(identity, _)| is_missing(identity));
        waiting.map(|(_, again)| again.next).min()
    }

    /// Remembers what was read.
    pub(super) fn read(&mut self, record: Record) {
        self.again.remove(&identity(&record));
        self.push(record, RecordPresence::Found);
    }

    fn push(&mut self, record: Record, presence: RecordPresence) {
        let identity = identity(&record);
        let known = self.records.get_mut(&identity);
        if let Some((known, was)) = known {
            // A record that was read stays found, even if its acknowledgement comes later.
            if *was != RecordPresence::Found {
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
        // If the log can be written but not read, nothing else removes them.
        if self.awaited.len() > RECENT_MAX {
            self.awaited.drain(..RECENT_MAX / 2);
        }
    }

    /// A snapshot is about to be taken: every acknowledged record must be in it.
    pub(super) fn begin_search(&mut self) {
        for (_, presence) in self.records.values_mut() {
            *presence = RecordPresence::Sought;
        }
    }

    /// The snapshot was taken. Returns how many records it lacked, except for lifted ones.
    pub(super) fn end_search(&mut self, was_lifted: impl Fn(&Record) -> bool) -> usize {
        let mut missing = 0;
        let cuts = self.cuts();
        for (record, presence) in self.records.values_mut() {
            if *presence == RecordPresence::Sought
                && (was_lifted(record)
                    || record
                        .owner
                        .as_ref()
                        .is_some_and(|owner| cuts.cover(owner, record.entry.expires)))
            {
                // It was lifted, or merged with others.
                *presence = RecordPresence::Found;
            }
            if *presence == RecordPresence::Sought {
                *presence = RecordPresence::Missing;
                missing += 1;
            }
        }
        missing
    }

    /// The revocations that were found and include other records of their owner.
    fn cuts(&self) -> Cuts {
        let mut cuts = Cuts::default();
        for (Record { entry, owner, .. }, presence) in self.records.values() {
            let is_cut = matches!(entry.scope, Scope::Grants { .. } | Scope::Subject { .. });
            if let (RecordPresence::Found, true, Some(owner)) = (presence, is_cut, owner) {
                let whose = (owner.issuer.clone(), owner.subject.clone());
                cuts.0.entry(whose).or_default().push((entry.cut_off, entry.expires));
            }
        }
        cuts
    }

    /// Notes that a record is in the log. Returns whether it is remembered.
    pub(super) fn found(&mut self, record: &Record) -> bool {
        let identity = identity(record);
        let Some((known, presence)) = self.records.get_mut(&identity) else { return false };
        *presence = RecordPresence::Found;
        known.mark = record.mark;
        self.again.remove(&identity);
        true
    }

    /// Remembers the records of a snapshot, as if they had been read before all others. If there
    /// are too many, the latest are kept.
    pub(super) fn loaded(&mut self, latest: LatestRecords) {
        for record in latest.latest_first() {
            let identity = identity(&record);
            if self.order.len() >= RECENT_MAX {
                return;
            }
            if !self.records.contains_key(&identity) {
                self.records.insert(identity.clone(), (record, RecordPresence::Found));
                self.order.push_front(identity);
            }
        }
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether this very record was read, not another with the same identity.
    pub(super) fn has_read(&self, record: &Record) -> bool {
        let known = self.records.get(&identity(record));
        known.is_some_and(|(known, presence)| {
            *presence == RecordPresence::Found && known.mark == record.mark
        })
    }

    /// A record was lifted, so it is not expected in the log any more.
    pub(super) fn was_lifted(&mut self, record: &Record) {
        if let Some((_, presence)) = self.records.get_mut(&identity(record)) {
            *presence = RecordPresence::Found;
        }
    }

    /// Whether a record was not found when it was sought.
    pub(super) fn is_missing(&self, record: &Record) -> bool {
        let known = self.records.get(&identity(record));
        known.is_some_and(|(_, presence)| *presence == RecordPresence::Missing)
    }

    /// The log was read to its end by a read that began at `asked_at`. What had been acknowledged
    /// by then and was not read is missing. Returns how many records are newly missing.
    pub(super) fn was_read_to_the_end(&mut self, asked_at: SteadyTime) -> usize {
        let mut missing = 0;
        let Self { awaited, records, .. } = self;
        awaited.retain(|identity| match records.get_mut(identity) {
            Some((_, presence @ RecordPresence::Awaited(_))) => {
                let is_overdue = matches!(presence, RecordPresence::Awaited(at) if *at < asked_at);
                if is_overdue {
                    *presence = RecordPresence::Missing;
                    missing += 1;
                }
                !is_overdue
            }
            None | Some((_, RecordPresence::Found | RecordPresence::Sought | RecordPresence::Missing)) => false,
        });
        missing
    }

    /// The missing records that have not expired and may be written now, in their order of arrival.
    pub(super) fn missing(&self, now: Moment) -> Vec<Record> {
        let is_due = |identity: &&RecordIdentity| {
            self.again.get(*identity).is_none_or(|again| again.next <= now.steady)
        };
        let due = self.order.iter().filter(is_due);
        let all = due.filter_map(|identity| self.records.get(identity));
        all.filter(|(record, presence)| {
            *presence == RecordPresence::Missing && !record.entry.is_spent(now.wall)
        })
        .map(|(record, _)| record.clone())
        .collect()
    }
}

#[cfg(test)]
mod tests;

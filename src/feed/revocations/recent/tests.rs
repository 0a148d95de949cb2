//! What the log has lost is missing, and what it has not is not.

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
        is_for_nobody: false,
        lifts: [].into(),
    }
}

fn at(milliseconds: u64) -> SteadyTime {
    SteadyTime::from_millis(milliseconds)
}

fn missing(recent: &Recent) -> Vec<u64> {
    let now = Moment { wall: UnixTime::from_seconds(10), steady: at(1_000), ..Moment::default() };
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
    let now = Moment { wall: UnixTime::from_seconds(10), steady: at(1_000), ..Moment::default() };
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
    // It was written again, and the store had an entry that includes it.
    recent.stands_for(&session(2, 6, 100), &[]);
    recent.stands_for(&session(3, 5, 101), &[session(3, 5, 101)]);
    assert_eq!(missing(&recent), [3]);
    // A revocation that is lost itself includes nothing.
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
        let missing_at =
            |ms: u64| recent.missing(Moment { wall, steady: at(ms), ..Moment::default() }).len();
        assert!(due == 0 || missing_at(due - 1) == 0);
        assert_eq!(missing_at(due), 1);
        pauses.push((due - now_ms) / 1000);
        now_ms = due;
        recent.wrote(lost.clone(), at(now_ms));
        recent.wrote_again(&lost, at(now_ms));
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    // Once it is read it is like any other.
    recent.read(lost.clone());
    assert_eq!(recent.next_again(wall), None);
    recent.begin_search();
    recent.end_search(|_| false);
    assert_eq!(missing(&recent), [1]);
}

/// What a snapshot held of these, in this order.
fn snapshot(numbers: impl Iterator<Item = u64>) -> LatestRecords {
    let mut latest = LatestRecords::default();
    numbers.for_each(|number| latest.add(record(number, 100)));
    latest
}

#[test]
fn what_was_loaded_is_missing_like_what_was_read() {
    let mut recent = Recent::default();
    assert!(!recent.found(&record(1, 100)) && recent.is_empty());
    recent.loaded(snapshot([2, 1, 3, 1].into_iter()));
    recent.read(record(4, 100));
    recent.begin_search();
    assert!(recent.found(&record(2, 100)));
    recent.end_search(|_| false);
    assert_eq!(missing(&recent), [1, 3, 4], "in the order in which it came");
}

#[test]
fn of_a_long_list_the_latest_are_remembered_and_none_instead_of_what_was_read() {
    let most = RECENT_MAX as u64;
    let mut recent = Recent::default();
    recent.read(record(0, 100));
    recent.loaded(snapshot((1..=5 * most).map(|number| number * 13 % (5 * most + 1))));
    recent.begin_search();
    recent.end_search(|_| false);
    let missing = missing(&recent);
    assert_eq!(missing.len(), RECENT_MAX);
    assert_eq!((missing[0], missing[RECENT_MAX - 2]), (4 * most + 2, 5 * most));
    assert_eq!(missing.last(), Some(&0));
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

//! What accounts end: both stores hold the bounds, answer alike, and nothing that ended comes back.

mod model;
mod steps;

use std::collections::BTreeMap;

use portcullis::store::account::ENTRIES_PER_SUBJECT_MAX;
use portcullis::store::family::{
    Exchange, Family, FamilyStore, Premise, Rotation, Successor, TokenDigest,
};
use portcullis::store::login_end::LoginEnd;
use portcullis::store::record::Owner;
use portcullis::store::session::SessionStore;
use portcullis::store::{AppendError, Charged};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tokio::runtime::Runtime;

use super::sessions::{ISSUER, id, in_file, in_redis, place, session};
use super::*;
use crate::harness::redis::RedisServer;

/// All that a store is here.
trait WholeStore: RevocationLog + SessionStore + FamilyStore {}

impl<S: RevocationLog + SessionStore + FamilyStore> WholeStore for S {}

/// How long an entry lives, in seconds.
const LIVES_S: i64 = 7200;

fn owner(subject: &str, dated: UnixTime, until: UnixTime) -> Option<Owner> {
    Some(Owner { issuer: ISSUER.into(), subject: subject.into(), dated, until })
}

/// The end of a session of a subject, which began at `created`.
fn end(number: u64, subject: &str, created: UnixTime, expires: UnixTime) -> Record {
    let entry = Entry {
        scope: Scope::Session(id(number).to_string().into()),
        cut_off: UnixTime::NEVER,
        expires,
    };
    Record { entry, owner: owner(subject, created, expires), ..record("") }
}

/// A subject logs out everywhere.
fn everywhere(subject: &str, now: UnixTime, expires: UnixTime) -> Record {
    let scope = Scope::Subject { issuer: Some(ISSUER.into()), subject: subject.into() };
    let entry = Entry { scope, cut_off: now, expires };
    Record { entry, owner: owner(subject, now, expires), ..record("") }
}

/// A session with a family.
async fn log_in(store: &dyn WholeStore, number: u64, subject: &str, created: UnixTime) {
    let session = session(subject, created);
    SessionStore::create(store, id(number), &session, None).await.expect("it is written");
    let family = Family {
        session: id(number),
        client: "app".into(),
        scopes: Vec::new(),
        created,
        ends: created.plus(500_000),
        idle_s: 400_000,
        key: [7; 32],
    };
    let first = TokenDigest { place: 0, digest: [1; 32] };
    assert_eq!(store.begin(&family, first).await, Ok(true));
}

/// Whether a session is there, and its family; always both or neither.
async fn is_there(store: &dyn WholeStore, number: u64) -> bool {
    let session = SessionStore::find(store, id(number)).await.expect("it answers").is_some();
    let family = FamilyStore::find(store, id(number)).await.expect("it answers").is_some();
    assert_eq!(session, family, "{number}: they end together");
    session
}

async fn charge(
    store: &dyn WholeStore,
    record: &Record,
    entries_max: u64,
) -> Result<Charged, AppendError> {
    let bounds = AppendBounds { entries_max, now: clock::now(), login_issuer: Some(ISSUER) };
    store.charge(record, bounds).await
}

async fn live(store: &dyn WholeStore) -> Vec<Entry> {
    let listing = store.list(0, 10_000, clock::now()).await.expect("it answers");
    listing.records.into_iter().map(|record| record.entry).collect()
}

of_both_stores! {
    entries_of_a_subject_are_merged_beyond_a_hundred
    session_ends_with_its_family_whatever_ends_it
    family_does_not_begin_without_its_session
    record_that_is_charged_again_after_it_was_merged_writes_nothing
}

async fn entries_of_a_subject_are_merged_beyond_a_hundred(store: &dyn WholeStore) {
    let begin = clock::now().plus(-1000);
    let max = ENTRIES_PER_SUBJECT_MAX as u64;
    let expires = clock::now().plus(LIVES_S);
    let of = |number: u64| end(number, "ada", begin.plus(number as i64), expires);
    for number in 1..=max {
        let charged = charge(store, &of(number), 10_000).await.expect("there is room");
        let written: Vec<_> = charged.written.iter().map(|record| &record.entry).collect();
        assert_eq!(written, [&of(number).entry]);
    }
    // One that is older than what is merged, and one that is not; and one of another subject.
    for (number, subject, created) in [(500, "ada", 2), (501, "ada", 3), (502, "bob", 1)] {
        log_in(store, number, subject, begin.plus(created)).await;
    }
    let charged = charge(store, &of(max + 1), 10_000).await.expect("there is room");
    let grants = |cut_off| Entry {
        scope: Scope::Grants { issuer: ISSUER.into(), subject: "ada".into() },
        cut_off: begin.plus(cut_off),
        expires,
    };
    assert_eq!(charged.written[1].entry, grants(2));
    assert_eq!(&*charged.written[1].reason, "merged");
    assert_eq!(live(store).await.len() as u64, max);
    assert_eq!(
        [is_there(store, 500).await, is_there(store, 501).await, is_there(store, 502).await],
        [false, true, true]
    );
    // The next one moves the cut-off by one.
    let charged = charge(store, &of(max + 2), 10_000).await.expect("there is room");
    assert_eq!(charged.written[1].entry, grants(3));
    assert_eq!(live(store).await.len() as u64, max);
    assert!(!is_there(store, 501).await);
    // Another's are counted apart.
    let charged = charge(store, &end(900, "bob", begin, expires), 10_000).await.expect("room");
    assert_eq!(charged.written.len(), 1);
}

async fn session_ends_with_its_family_whatever_ends_it(store: &dyn WholeStore) {
    let now = clock::now();
    let expires = now.plus(LIVES_S);
    let bounds = AppendBounds { login_issuer: Some(ISSUER), ..bounds() };
    let subject = |issuer: Option<&str>| Scope::Subject {
        issuer: issuer.map(Into::into),
        subject: "ada".into(),
    };
    let session = Scope::Session(id(1).to_string().into());
    for (number, scope) in [session, subject(None), subject(Some(ISSUER))].into_iter().enumerate() {
        // One of now, one that begins later.
        log_in(store, 1, "ada", now).await;
        log_in(store, 2, "ada", now.plus(1)).await;
        log_in(store, 3, "bob", now).await;
        let entry = Entry { scope, cut_off: now, expires };
        store.append(&Record { entry, ..record("") }, bounds).await.expect("it is appended");
        let left = [is_there(store, 1).await, is_there(store, 2).await, is_there(store, 3).await];
        assert_eq!(left, [false, true, true], "{number}");
        for number in [2, 3] {
            assert_eq!(store.delete(id(number)).await, Ok(true));
            assert!(!is_there(store, number).await);
        }
    }
    let elsewhere =
        Scope::Subject { issuer: Some("https://other.test".into()), subject: "ada".into() };
    for scope in [elsewhere, Scope::Client("app".into()), Scope::Session("no id".into())] {
        log_in(store, 1, "ada", now).await;
        let entry = Entry { scope, cut_off: now, expires };
        store.append(&Record { entry, ..record("") }, bounds).await.expect("it is appended");
        assert!(is_there(store, 1).await);
    }
    let charged = charge(store, &end(1, "ada", now, expires), 1000).await.expect("there is room");
    assert_eq!(charged.written.len(), 1);
    assert!(!is_there(store, 1).await);
    log_in(store, 1, "ada", now).await;
    log_in(store, 2, "ada", now.plus(1)).await;
    charge(store, &everywhere("ada", now, expires), 1000).await.expect("there is room");
    assert_eq!([is_there(store, 1).await, is_there(store, 2).await], [false, true]);
}

async fn family_does_not_begin_without_its_session(store: &dyn WholeStore) {
    let now = clock::now();
    log_in(store, 1, "ada", now).await;
    assert_eq!(store.delete(id(1)).await, Ok(true));
    let family = Family {
        session: id(1),
        client: "app".into(),
        scopes: Vec::new(),
        created: now,
        ends: now.plus(1000),
        idle_s: 1000,
        key: [7; 32],
    };
    let first = TokenDigest { place: 0, digest: [1; 32] };
    assert_eq!(store.begin(&family, first).await, Ok(false));
    assert!(!is_there(store, 1).await);
}

async fn record_that_is_charged_again_after_it_was_merged_writes_nothing(store: &dyn WholeStore) {
    let (begin, expires) = (clock::now().plus(-1000), clock::now().plus(LIVES_S));
    let first = end(1, "ada", begin, expires);
    for number in 1..=ENTRIES_PER_SUBJECT_MAX as u64 + 1 {
        let record = end(number, "ada", begin.plus(number as i64 - 1), expires);
        charge(store, &record, 10_000).await.expect("there is room");
    }
    let before = live(store).await;
    // A fail-over has lost its deletion, not its end.
    log_in(store, 1, "ada", begin).await;
    let charged = charge(store, &first, 10_000).await.expect("there is room");
    assert_eq!(charged.written, []);
    assert_eq!(charged.position.mark, None);
    assert_eq!(live(store).await, before);
    assert!(!is_there(store, 1).await);
}

// ---- both alike

/// Has a token be used twice; the store ends the session if it is there.
async fn reuse(store: &dyn WholeStore, number: u64, record: &Record, entries_max: u64) -> Rotation {
    let read = FamilyStore::find(store, id(number)).await.expect("it answers");
    let (current, read_ms) = match read {
        Some(read) => (read.current, read.read_ms),
        None => (TokenDigest { place: 0, digest: [1; 32] }, 0),
    };
    let now = clock::now();
    let exchange = Exchange {
        family: id(number),
        presented: TokenDigest { place: 0, digest: [2; 32] },
        successor: Successor { digest: TokenDigest { place: 1, digest: [3; 32] }, sealed: vec![1] },
        grace_ms: 0,
        now,
        premise: Premise { current, read_ms, waited_ms: 0 },
        end: Some(LoginEnd { record: record.clone(), entries_max, now }),
    };
    store.rotate(&exchange).await.expect("it answers")
}

/// What was written when a login ended; `None` if none did.
fn written(rotated: &Rotation) -> Option<Option<Vec<Entry>>> {
    let Rotation::Ended(charged) = rotated else { return None };
    Some(charged.as_ref().map(entries))
}

/// What was written, but for the marks.
fn entries(charged: &Charged) -> Vec<Entry> {
    charged.written.iter().map(|record| record.entry.clone()).collect()
}

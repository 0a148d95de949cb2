//! Families of refresh tokens: what both stores promise, and then what only one of them can break.

mod embedded;
mod late;
mod model;
mod redis;

use std::path::Path;
use std::sync::Arc;

use portcullis::clock;
use portcullis::gate::session::StoredSession;
use portcullis::gate::time::UnixTime;
use portcullis::store::StoreError;
use portcullis::store::embedded::Embedded;
use portcullis::store::family::{
    Exchange, Family, FamilyStore, Premise, Rotation, StoredFamily, Successor, TokenDigest,
};
use portcullis::store::one_time::OneTimeStore;
use portcullis::store::redis::Redis;
use portcullis::store::session::SessionStore;

use late::*;

use super::sessions::{found, id, in_file, in_redis, place, session};
use crate::harness::redis::{Cluster, Data, RedisOptions, RedisServer, Sentinels};

/// How long a family is kept after it could last be used.
const MARGIN_S: i64 = 3600;

/// How long families may rest.
const IDLE_S: i64 = 9000;

/// How long they live.
const LIFETIME_S: i64 = 100_000;

/// Longer than any test takes.
const GRACE_MS: u64 = 600_000;

/// Both that a store is: an exchange is about a family and its session.
trait FamilyAndSessionStore: FamilyStore + OneTimeStore + SessionStore {}

impl<S: FamilyStore + OneTimeStore + SessionStore> FamilyAndSessionStore for S {}

/// A token, different for each number.
fn token(number: u64) -> TokenDigest {
    let mut bytes = [0x5a; 32];
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    TokenDigest { place: 0, digest: bytes }
}

/// The same, of another place in its family.
fn at(place: u64, number: u64) -> TokenDigest {
    TokenDigest { place, ..token(number) }
}

/// What a token is exchanged for.
fn successor(number: u64) -> Successor {
    Successor { digest: token(number), sealed: sealed(number) }
}

/// A successor, sealed: any bytes.
fn sealed(number: u64) -> Vec<u8> {
    let mut sealed: Vec<u8> = (0..=u8::MAX).collect();
    sealed.extend(number.to_le_bytes());
    sealed
}

/// A family of the session of this number.
fn family(number: u64, created: UnixTime) -> Family {
    Family {
        session: id(number),
        client: "the \"client\"".into(),
        scopes: vec!["orders:read".into(), "ü\n".into()],
        created,
        ends: created.plus(LIFETIME_S),
        idle_s: IDLE_S,
        key: std::array::from_fn(|i| i as u8 ^ number as u8),
    }
}

/// Begins a family, and its session, with the token of number 0.
async fn begin(store: &dyn FamilyAndSessionStore, family: &Family) {
    let mut session = session("ada", family.created);
    session.record.ends = UnixTime::NEVER;
    session.record.idle_s = i64::MAX;
    let displaced = store.create(family.session, &session, None).await;
    assert_eq!(displaced, Ok(Vec::new()));
    assert_eq!(store.begin(family, token(0)).await, Ok(true));
}

/// What is found, whenever that is.
async fn kept(store: &dyn FamilyAndSessionStore, number: u64) -> Option<StoredFamily> {
    let found = FamilyStore::find(store, id(number)).await.expect("it answers");
    found.map(|found| StoredFamily { read_ms: 0, ..found })
}

/// A family as it is after it was last used then, for this token.
fn used(family: &Family, current: u64, used: UnixTime) -> StoredFamily {
    let (family, current) = (family.clone(), token(current));
    StoredFamily { family, current, used, is_dead: false, read_ms: 0 }
}

/// Exchanges one token for another, within a long grace.
async fn rotate(
    store: &dyn FamilyAndSessionStore,
    family: u64,
    from: u64,
    to: u64,
    now: UnixTime,
) -> Rotation {
    rotate_within(store, family, from, to, GRACE_MS, now).await
}

async fn rotate_within(
    store: &dyn FamilyAndSessionStore,
    family: u64,
    from: u64,
    to: u64,
    grace_ms: u64,
    now: UnixTime,
) -> Rotation {
    let rotated = exchange(store, family, token(from), &successor(to), grace_ms, now).await;
    rotated.expect("it answers")
}

/// Exchanges a token as a gateway does: it has just read the family.
async fn exchange(
    store: &dyn FamilyAndSessionStore,
    family: u64,
    presented: TokenDigest,
    successor: &Successor,
    grace_ms: u64,
    now: UnixTime,
) -> Result<Rotation, StoreError> {
    let premise = premise(store, family).await;
    let (family, successor) = (id(family), successor.clone());
    store
        .rotate(&Exchange { family, presented, successor, grace_ms, now, premise, end: None })
        .await
}

/// What a gateway knows of a family that it reads now; of one that it cannot read, nothing.
async fn premise(store: &dyn FamilyAndSessionStore, number: u64) -> Premise {
    match FamilyStore::find(store, id(number)).await {
        Ok(Some(StoredFamily { current, read_ms, .. })) => {
            Premise { current, read_ms, waited_ms: 0 }
        }
        Ok(None) | Err(_) => Premise { current: token(0), read_ms: 0, waited_ms: 0 },
    }
}

of_both_stores! {
    shared:
    family_is_found_as_it_was_written
    beginning_twice_is_beginning_once
    token_is_exchanged_for_the_next
    exchange_counts_as_use_and_never_makes_it_less_late
    exchange_within_the_grace_is_answered_as_before
    without_a_grace_nothing_is_answered_as_before
    exchange_that_is_asked_again_is_made_once
    exchange_that_is_asked_again_after_the_next_ends_nothing_within_the_grace
    token_within_its_grace_leads_on_however_far_the_family_has_gone
    family_that_is_exchanged_all_the_time_forgets_no_grace
    token_after_its_grace_kills_however_often_the_family_is_exchanged
    token_that_was_exchanged_since_it_was_presented_ends_nothing
    token_whose_successor_was_used_since_it_was_presented_ends_nothing
    token_that_waited_is_judged_by_when_it_was_presented
    exchange_that_arrives_too_late_is_not_made
    repeated_exchange_is_no_second_use
    token_that_was_made_up_kills
    token_that_the_store_has_forgotten_goes_on
    dead_family_stays_dead
    family_expires_when_it_rested_for_too_long
    family_expires_when_it_ends
    expired_family_does_not_die
    without_a_session_there_is_no_family
    ended_family_is_gone
    hundred_exchanges_at_once_are_one
    families_do_not_touch_each_other
    time_that_never_comes_is_a_time
    what_may_be_used_once_is_used_once
    what_is_used_fifty_times_at_once_is_used_once
}

async fn family_is_found_as_it_was_written(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    assert_eq!(kept(&*store, 1).await, None);
    let family = family(1, now);
    begin(&*store, &family).await;
    assert_eq!(kept(&*store, 1).await, Some(used(&family, 0, now)));
    assert_eq!(kept(&*store, 2).await, None);
}

async fn beginning_twice_is_beginning_once(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    let family = family(1, now.plus(-9));
    begin(&*store, &family).await;
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, Rotation::Rotated);
    assert_eq!(store.begin(&family, token(0)).await, Ok(true));
    let other = Family { client: "other".into(), ..family.clone() };
    assert_eq!(store.begin(&other, token(7)).await, Ok(true));
    assert_eq!(kept(&*store, 1).await, Some(used(&family, 1, now)));
}

async fn token_is_exchanged_for_the_next(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    let family = family(1, now);
    begin(&*store, &family).await;
    for number in 0..5 {
        assert_eq!(rotate_within(&*store, 1, number, number + 1, 0, now).await, Rotation::Rotated);
        assert_eq!(kept(&*store, 1).await, Some(used(&family, number + 1, now)));
    }
}

async fn exchange_counts_as_use_and_never_makes_it_less_late(
    store: Arc<dyn FamilyAndSessionStore>,
) {
    let begun = clock::now().plus(-500);
    let family = family(1, begun);
    begin(&*store, &family).await;
    for (number, after, last) in [(0, 5, 5), (1, 4, 5), (2, -100, 5), (3, 300, 300)] {
        let now = begun.plus(after);
        assert_eq!(rotate(&*store, 1, number, number + 1, now).await, Rotation::Rotated);
        assert_eq!(kept(&*store, 1).await, Some(used(&family, number + 1, begun.plus(last))));
        let session: StoredSession = found(&*store, 1).await.expect("it is there");
        assert_eq!(session.last_seen, begun.plus(last), "{after}");
    }
    // One that is answered as before is none.
    let now = begun.plus(400);
    assert!(matches!(rotate(&*store, 1, 3, 9, now).await, Rotation::Replayed(_)));
    assert_eq!(found(&*store, 1).await.map(|found| found.last_seen), Some(begun.plus(300)));
}

async fn exchange_within_the_grace_is_answered_as_before(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    let family = family(1, now);
    begin(&*store, &family).await;
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, Rotation::Rotated);
    for other in [5, 6, 7] {
        let replayed = rotate(&*store, 1, 0, other, now).await;
        assert_eq!(replayed, Rotation::Replayed(vec![sealed(1)]));
    }
    assert_eq!(kept(&*store, 1).await, Some(used(&family, 1, now)));
    assert_eq!(rotate(&*store, 1, 5, 6, now).await, Rotation::Reused, "it was never given");
}

async fn without_a_grace_nothing_is_answered_as_before(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    for number in 1..=20 {
        begin(&*store, &family(number, now)).await;
        assert_eq!(rotate_within(&*store, number, 0, 1, 0, now).await, Rotation::Rotated);
        // Not even in the same millisecond.
        assert_eq!(rotate_within(&*store, number, 0, 2, 0, now).await, Rotation::Reused);
        assert!(kept(&*store, number).await.expect("it is there").is_dead);
    }
}

async fn exchange_that_is_asked_again_is_made_once(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    let family = family(1, now.plus(-9));
    begin(&*store, &family).await;
    for later in [0, 5] {
        let rotated = rotate_within(&*store, 1, 0, 1, 0, now.plus(later)).await;
        assert_eq!(rotated, Rotation::Rotated);
        assert_eq!(kept(&*store, 1).await, Some(used(&family, 1, now)));
        assert_eq!(found(&*store, 1).await.map(|found| found.last_seen), Some(now));
    }
}

async fn token_that_was_made_up_kills(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    assert_eq!(rotate(&*store, 1, 99, 1, now).await, Rotation::Reused);
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, Rotation::Reused);
}

/// A fail-over lost that token 1 was exchanged for 2, and 2 for 3.
async fn token_that_the_store_has_forgotten_goes_on(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    let go = async |from, to: TokenDigest| {
        let successor = Successor { digest: to, sealed: sealed(to.place) };
        exchange(&*store, 1, from, &successor, GRACE_MS, now).await.expect("it answers")
    };
    begin(&*store, &family(1, now)).await;
    assert_eq!(go(at(0, 0), at(1, 1)).await, Rotation::Rotated);
    assert_eq!(go(at(3, 3), at(4, 4)).await, Rotation::Rotated);
    assert_eq!(go(at(3, 3), at(4, 44)).await, Rotation::Replayed(vec![sealed(4)]));
    assert_eq!(go(at(4, 4), at(5, 5)).await, Rotation::Rotated);
    // Who went on with token 1 while it was forgotten is at the same place as its holder.
    assert_eq!(go(at(5, 55), at(6, 6)).await, Rotation::Reused);
}

async fn dead_family_stays_dead(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    let family = family(1, now);
    begin(&*store, &family).await;
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, Rotation::Rotated);
    assert_eq!(rotate(&*store, 1, 99, 2, now).await, Rotation::Reused);
    for (from, to) in [(1, 2), (0, 2), (0, 1), (99, 2), (2, 3)] {
        assert_eq!(rotate(&*store, 1, from, to, now).await, Rotation::Reused, "{from}");
    }
    assert_eq!(store.begin(&family, token(7)).await, Ok(true));
    assert_eq!(rotate(&*store, 1, 7, 8, now).await, Rotation::Reused);
    let dead = StoredFamily { is_dead: true, ..used(&family, 1, now) };
    assert_eq!(kept(&*store, 1).await, Some(dead));
    let late = now.plus(LIFETIME_S);
    assert_eq!(rotate(&*store, 1, 1, 2, late).await, Rotation::Reused, "dead is not expired");
}

async fn family_expires_when_it_rested_for_too_long(store: Arc<dyn FamilyAndSessionStore>) {
    let begun = clock::now().plus(-5 * IDLE_S);
    for number in [1, 2] {
        begin(&*store, &family(number, begun)).await;
    }
    let mut now = begun.plus(IDLE_S);
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, Rotation::Expired);
    for number in 0..3 {
        now = begun.plus((IDLE_S - 1) * (1 + number as i64));
        assert_eq!(rotate(&*store, 2, number, number + 1, now).await, Rotation::Rotated);
    }
    // What is answered as before does not keep it alive.
    let late = now.plus(IDLE_S - 1);
    assert_eq!(rotate(&*store, 2, 2, 9, late).await, Rotation::Replayed(vec![sealed(3)]));
    for (from, to) in [(2, 9), (2, 3), (3, 4), (0, 1)] {
        assert_eq!(rotate(&*store, 2, from, to, now.plus(IDLE_S)).await, Rotation::Expired);
    }
    assert_eq!(rotate(&*store, 2, 3, 4, late).await, Rotation::Rotated);
}

async fn family_expires_when_it_ends(store: Arc<dyn FamilyAndSessionStore>) {
    let begun = clock::now().plus(-2500);
    let ends = begun.plus(2000);
    for number in [1, 2] {
        begin(&*store, &Family { ends, ..family(number, begun) }).await;
    }
    assert_eq!(rotate(&*store, 1, 0, 1, ends).await, Rotation::Expired);
    assert_eq!(rotate(&*store, 2, 0, 1, ends.plus(-2)).await, Rotation::Rotated);
    assert_eq!(rotate(&*store, 2, 1, 2, ends.plus(-1)).await, Rotation::Rotated);
    for (from, to) in [(2, 3), (1, 3), (1, 2)] {
        assert_eq!(rotate(&*store, 2, from, to, ends).await, Rotation::Expired, "{from}");
    }
}

async fn expired_family_does_not_die(store: Arc<dyn FamilyAndSessionStore>) {
    let begun = clock::now().plus(-2 * IDLE_S);
    let family = family(1, begun);
    begin(&*store, &family).await;
    let now = begun.plus(IDLE_S);
    for from in [0, 99] {
        assert_eq!(rotate(&*store, 1, from, 1, now).await, Rotation::Expired);
        assert_eq!(kept(&*store, 1).await, Some(used(&family, 0, begun)));
    }
}

async fn without_a_session_there_is_no_family(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    let family = family(1, now);
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, Rotation::Absent, "there is nothing");
    assert_eq!(store.begin(&family, token(0)).await, Ok(false), "there is no session");
    assert_eq!(kept(&*store, 1).await, None);
    begin(&*store, &family).await;
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, Rotation::Rotated);
    assert_eq!(store.delete(id(1)).await, Ok(true));
    for from in [1, 0, 99] {
        assert_eq!(rotate(&*store, 1, from, 2, now).await, Rotation::Absent, "{from}");
    }
    assert_eq!(kept(&*store, 1).await, None, "they end together");
}

async fn ended_family_is_gone(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    begin(&*store, &family(1, now)).await;
    begin(&*store, &family(2, now)).await;
    assert_eq!(rotate(&*store, 1, 0, 1, now).await, Rotation::Rotated);
    assert_eq!(store.delete(id(1)).await, Ok(true));
    assert_eq!(store.delete(id(1)).await, Ok(false));
    assert_eq!(store.delete(id(3)).await, Ok(false));
    assert_eq!(kept(&*store, 1).await, None);
    for from in [0, 1] {
        assert_eq!(rotate(&*store, 1, from, 2, now).await, Rotation::Absent);
    }
    assert!(found(&*store, 1).await.is_none(), "it ends with its session");
    assert_eq!(rotate(&*store, 2, 0, 1, now).await, Rotation::Rotated);
}

/// Exchanges one token a hundred times at once, each time for another.
async fn hundred_at_once(stores: &[Arc<dyn FamilyAndSessionStore>], number: u64) {
    let now = clock::now();
    begin(&*stores[0], &family(number, now)).await;
    let rotating = (1..=100_u64).map(|to| {
        let store = stores[to as usize % stores.len()].clone();
        tokio::spawn(async move { (to, rotate(&*store, number, 0, to, now).await) })
    });
    let (mut rotated, mut replayed) = (Vec::new(), Vec::new());
    for rotating in rotating.collect::<Vec<_>>() {
        match rotating.await.expect("no panic") {
            (to, Rotation::Rotated) => rotated.push(to),
            (_, Rotation::Replayed(sealed)) => replayed.push(sealed),
            (to, other) => panic!("{to}: {other:?}"),
        }
    }
    assert_eq!((rotated.len(), replayed.len()), (1, 99));
    assert!(replayed.iter().all(|way| *way == [sealed(rotated[0])]));
    let kept = kept(&*stores[0], number).await.expect("it is there");
    assert_eq!((kept.current, kept.is_dead), (token(rotated[0]), false));
}

async fn hundred_exchanges_at_once_are_one(store: Arc<dyn FamilyAndSessionStore>) {
    for number in 1..=5 {
        hundred_at_once(std::slice::from_ref(&store), number).await;
    }
}

async fn families_do_not_touch_each_other(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    for number in [1, 2] {
        begin(&*store, &family(number, now)).await;
    }
    assert_eq!(rotate(&*store, 1, 99, 1, now).await, Rotation::Reused);
    assert_eq!(rotate(&*store, 2, 0, 1, now).await, Rotation::Rotated);
    assert_eq!(rotate(&*store, 2, 0, 2, now).await, Rotation::Replayed(vec![sealed(1)]));
}

async fn time_that_never_comes_is_a_time(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    let eternal = Family { ends: UnixTime::NEVER, idle_s: i64::MAX, ..family(1, now) };
    begin(&*store, &eternal).await;
    assert_eq!(kept(&*store, 1).await, Some(used(&eternal, 0, now)));
    assert_eq!(rotate(&*store, 1, 0, 1, now.plus(1_000_000_000)).await, Rotation::Rotated);
    assert_eq!(SessionStore::prune(&*store, now.plus(i64::MAX - 1)).await, Ok(0));
    assert_eq!(kept(&*store, 1).await, Some(used(&eternal, 1, now.plus(1_000_000_000))));
}

async fn what_may_be_used_once_is_used_once(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    assert_eq!(store.spend("one", now.plus(60), now).await, Ok(true));
    for later in [0, 59, 1_000_000] {
        let until = now.plus(later + 60);
        assert_eq!(store.spend("one", until, now.plus(later)).await, Ok(false), "{later}");
    }
    assert_eq!(store.spend("two", now.plus(60), now).await, Ok(true));
    // By whose clock it is over already, by other clocks it may not be.
    for (key, until) in [("past", now.plus(-1_000_000)), ("never", UnixTime::NEVER)] {
        assert_eq!(store.spend(key, until, now).await, Ok(true), "{key}");
        assert_eq!(store.spend(key, until, now).await, Ok(false), "{key}");
    }
}

async fn what_is_used_fifty_times_at_once_is_used_once(store: Arc<dyn FamilyAndSessionStore>) {
    let now = clock::now();
    for key in 0..5 {
        let spending = (0..50).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.spend(&key.to_string(), now.plus(60), now).await })
        });
        let mut first = 0;
        for spending in spending.collect::<Vec<_>>() {
            first += u32::from(spending.await.expect("no panic").expect("it answers"));
        }
        assert_eq!(first, 1);
    }
}

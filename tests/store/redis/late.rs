//! Commands that the server comes to when nobody waits for them any more: what was said not to be done is not.

use std::time::Duration;

use portcullis::clock;
use portcullis::store::attempts::{
    Attempt, AttemptAccount, AttemptBudget, AttemptLedger, BudgetPace,
};
use portcullis::store::keyring::KeyRingStore;
use portcullis::store::one_time::OneTimeStore;
use portcullis::store::record::Owner;

use super::super::sessions::ISSUER;
use super::super::{append, bounds, record};
use super::*;
use portcullis::store::record::Record;
use portcullis::store::{AppendError, RevocationLog, StoreError};

/// An attempt, and then none for an hour.
fn account(key: &str) -> [AttemptAccount; 1] {
    let budget = AttemptBudget { attempts_max: 1, span_s: 3600 };
    [AttemptAccount { key: key.to_owned(), budget, pace: BudgetPace::Slowing }]
}

/// How many commands the server has found to be late.
fn late(server: &RedisServer) -> u64 {
    let told = server.cli(&["info", "errorstats"]);
    let count = told.lines().find_map(|line| line.trim().strip_prefix("errorstat_LATE:count="));
    count.map_or(0, |count| count.parse().expect("a number"))
}

fn owned(id: &str) -> Record {
    let record = record(id);
    let until = clock::now().plus(7200);
    let owner = Owner { issuer: ISSUER.into(), subject: "ada".into(), dated: clock::now(), until };
    Record { owner: Some(owner), ..record }
}

fn is_unavailable<T: std::fmt::Debug>(given_up: &Result<T, StoreError>) -> bool {
    matches!(given_up, Err(StoreError::Unavailable(_)))
}

fn is_given_up<T: std::fmt::Debug>(given_up: &Result<T, AppendError>) -> bool {
    matches!(given_up, Err(AppendError::Store(StoreError::Unavailable(_))))
}

#[tokio::test]
async fn what_was_given_up_is_not_done_when_the_server_comes_to_it() {
    let server = RedisServer::start();
    let store = open(&server);
    let now = clock::now();
    let (once, spent) = (account("a"), account("b"));
    // The server knows the scripts.
    append(&store, &["1"]).await;
    store.charge(&owned("2"), bounds()).await.expect("it is charged");
    assert_eq!(store.spend("one", now.plus(60), now).await, Ok(true));
    assert_eq!(store.replace_ring(None, b"one").await, Ok(true));
    assert_eq!(store.attempt(&spent, now).await, Ok(Attempt::Counted));
    store.absolve(&account("c"), &[]).await.expect("it is forgotten");
    let known = store.list(0, 9, now).await.expect("it answers");

    clock::share(clock::micros() / 1000, clock::steady());
    server.pause();
    let (plain, charged) = (record("3"), owned("4"));
    let given_up = tokio::join!(
        store.append(&plain, bounds()),
        store.charge(&charged, bounds()),
        store.spend("two", now.plus(60), now),
        store.replace_ring(Some(b"one"), b"two"),
        store.attempt(&once, now),
        store.absolve(&spent, &[]),
    );
    assert!(is_given_up(&given_up.0) && is_given_up(&given_up.1), "{given_up:?}");
    assert!(is_unavailable(&given_up.2) && is_unavailable(&given_up.3), "{given_up:?}");
    assert!(is_unavailable(&given_up.4) && is_unavailable(&given_up.5), "{given_up:?}");
    server.resume();
    let begun = std::time::Instant::now();
    while late(&server) < 6 {
        assert!(begun.elapsed() < crate::harness::PATIENCE, "{}", late(&server));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    assert_eq!(store.list(0, 9, now).await, Ok(known));
    assert_eq!(store.spend("two", now.plus(60), now).await, Ok(true));
    assert_eq!(store.ring().await, Ok(Some(b"one".to_vec())));
    assert_eq!(store.attempt(&once, now).await, Ok(Attempt::Counted));
    assert!(matches!(store.attempt(&spent, now).await, Ok(Attempt::Early(_))));
    // Whoever asks again in time is served.
    store.append(&plain, bounds()).await.expect("it is appended");
    store.charge(&charged, bounds()).await.expect("it is charged");
    assert_eq!(store.replace_ring(Some(b"one"), b"two").await, Ok(true));
    store.absolve(&spent, &[]).await.expect("it is forgotten");
    assert_eq!(store.attempt(&spent, now).await, Ok(Attempt::Counted));
}

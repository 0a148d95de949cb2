//! The ledger of attempts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::clock;
use portcullis::gate::time::UnixTime;
use portcullis::store::StoreError;
use portcullis::store::attempts::{
    Attempt, AttemptAccount, AttemptBudget, AttemptLedger, BudgetPace,
};
use portcullis::store::embedded::Embedded;
use portcullis::store::redis::Redis;
use portcullis::store::session::SessionStore;
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};

use super::sessions::{in_file, in_redis, place};
use crate::harness::redis::{Cluster, Data, RedisOptions, RedisServer};

/// The first two at once, the third a second later, and the tenth after 225 s.
const BUDGET: AttemptBudget = AttemptBudget { attempts_max: 10, span_s: 900 };

/// One attempt, and then none for an hour.
const ONCE: AttemptBudget = AttemptBudget { attempts_max: 1, span_s: 3600 };

fn account(key: &str, budget: AttemptBudget) -> AttemptAccount {
    AttemptAccount { key: key.to_owned(), budget, pace: BudgetPace::Slowing }
}

async fn attempt(ledger: &dyn AttemptLedger, account: &AttemptAccount, now: UnixTime) -> Attempt {
    ledger.attempt(std::slice::from_ref(account), now).await.expect("it answers")
}

/// The key of an account in Redis.
fn key(account: &str) -> String {
    format!("portcullis:{{revocations}}:attempts:{account}")
}

/// Has the server believe that so many attempts were made, the last one so long ago.
fn made(server: &RedisServer, account: &str, made: u32, ago_ms: i64) {
    let now_ms = i64::try_from(clock::micros() / 1000).expect("a time");
    let (made, last) = (made.to_string(), (now_ms - ago_ms).to_string());
    server.cli(&["hset", &key(account), "made", &made, "last_ms", &last]);
}

/// Budgets of all sorts, and how many attempts are looked at.
const BUDGETS: [(AttemptBudget, u32); 6] = [
    (BUDGET, 12),
    (ONCE, 3),
    (AttemptBudget { attempts_max: 0, span_s: 60 }, 2),
    (AttemptBudget { attempts_max: 5, span_s: 1_000_000 }, 7),
    (AttemptBudget { attempts_max: 40, span_s: u32::MAX }, 42),
    (AttemptBudget { attempts_max: u32::MAX, span_s: u32::MAX }, 3),
];

#[tokio::test]
async fn file_has_attempts_wait_as_long_as_the_budget_says() {
    let (_directory, path) = place();
    let ledger = in_file(&path);
    for (number, (budget, attempts)) in BUDGETS.into_iter().enumerate() {
        let account = account(&number.to_string(), budget);
        let mut now = UnixTime::from_seconds(1_700_000_000);
        assert_eq!(attempt(&ledger, &account, now).await, Attempt::Counted);
        for made in 1..attempts {
            let delay_s = budget.delay_s(made);
            if delay_s > 0 {
                assert_eq!(attempt(&ledger, &account, now).await, Attempt::Early(delay_s));
                now = now.plus(i64::from(delay_s) - 1);
                assert_eq!(attempt(&ledger, &account, now).await, Attempt::Early(1));
                now = now.plus(1);
            }
            assert_eq!(attempt(&ledger, &account, now).await, Attempt::Counted, "{made}");
            if delay_s == budget.span_s {
                // From the beginning.
                assert_eq!(budget.delay_s(1) == 0, budget.attempts_max > 9, "{budget:?}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn redis_has_attempts_wait_as_long_as_the_budget_says() {
    let server = RedisServer::start();
    let ledger = in_redis(&server);
    for (budget, attempts) in BUDGETS {
        for count in 1..attempts {
            let account = account(&format!("{}-{count}", budget.attempts_max), budget);
            let delay_s = budget.delay_s(count);
            made(&server, &account.key, count, 0);
            let told = attempt(&ledger, &account, clock::now()).await;
            if delay_s == 0 {
                assert_eq!(told, Attempt::Counted, "{budget:?} {count}");
                continue;
            }
            assert_eq!(told, Attempt::Early(delay_s), "{budget:?} {count}");
            let delay_ms = i64::from(delay_s) * 1000;
            made(&server, &account.key, count, delay_ms - 900);
            assert_eq!(attempt(&ledger, &account, clock::now()).await, Attempt::Early(1));
            made(&server, &account.key, count, delay_ms);
            assert_eq!(attempt(&ledger, &account, clock::now()).await, Attempt::Counted);
            let expected = if delay_s == budget.span_s { 1 } else { count + 1 };
            let counted = server.cli(&["hget", &key(&account.key), "made"]);
            assert_eq!(counted.trim(), expected.to_string(), "{budget:?}");
        }
    }
}

of_both_stores! {
    shared:
    attempt_is_counted_against_all_accounts_or_none
    attempts_at_once_are_as_many_as_may_be
    success_forgets_all_attempts
    attempt_that_was_not_made_is_returned
    nobody_waits_for_nothing
}

async fn attempt_is_counted_against_all_accounts_or_none(ledger: Arc<dyn AttemptLedger>) {
    let now = clock::now();
    let (spent, free) = (account("spent", ONCE), account("free", ONCE));
    assert_eq!(attempt(&*ledger, &spent, now).await, Attempt::Counted);
    for both in [[spent.clone(), free.clone()], [free.clone(), spent.clone()]] {
        let told = ledger.attempt(&both, now).await.expect("it answers");
        assert!(matches!(told, Attempt::Early(3590..=3600)), "{told:?}");
    }
    // The longest time is told.
    let longer = account("longer", AttemptBudget { attempts_max: 1, span_s: 7200 });
    assert_eq!(attempt(&*ledger, &longer, now).await, Attempt::Counted);
    let all = [spent.clone(), longer.clone(), free.clone()];
    let told = ledger.attempt(&all, now).await.expect("it answers");
    assert!(matches!(told, Attempt::Early(7190..=7200)), "{told:?}");
    assert_eq!(attempt(&*ledger, &free, now).await, Attempt::Counted);
    let both = [account("a", ONCE), account("b", ONCE)];
    assert_eq!(ledger.attempt(&both, now).await, Ok(Attempt::Counted));
    for account in &both {
        let told = attempt(&*ledger, account, now).await;
        assert!(matches!(told, Attempt::Early(_)), "{told:?}");
    }
}

/// Tries so often, all at once; how many were counted, and how long that took.
async fn burst(ledgers: &[Arc<dyn AttemptLedger>], key: &str, tries: usize) -> (usize, Duration) {
    let (begun, now) = (Instant::now(), clock::now());
    let trying = (0..tries).map(|number| {
        let ledger = ledgers[number % ledgers.len()].clone();
        let account = account(key, BUDGET);
        tokio::spawn(async move { attempt(&*ledger, &account, now).await })
    });
    let mut counted = 0;
    for trying in trying.collect::<Vec<_>>() {
        match trying.await.expect("no panic") {
            Attempt::Counted => counted += 1,
            Attempt::Early(seconds) => assert!(seconds > 0),
        }
    }
    (counted, begun.elapsed())
}

/// Holds a burst against what the budget gives at once. After a second it would give one more.
async fn burst_is_as_many_as_may_be(ledgers: &[Arc<dyn AttemptLedger>]) {
    let at_once = (0..).take_while(|made| BUDGET.delay_s(*made) == 0).count();
    for key in 0..10 {
        let (counted, took) = burst(ledgers, &key.to_string(), 100).await;
        if took < Duration::from_millis(900) {
            assert_eq!(counted, at_once);
            return;
        }
    }
    panic!("this machine is too busy");
}

async fn attempts_at_once_are_as_many_as_may_be(ledger: Arc<dyn AttemptLedger>) {
    burst_is_as_many_as_may_be(&[ledger]).await;
}

async fn success_forgets_all_attempts(ledger: Arc<dyn AttemptLedger>) {
    let now = clock::now();
    let accounts = ["a", "b", "c"].map(|key| account(key, BUDGET));
    let [a, b, c] = &accounts;
    let at_once = (0..).take_while(|made| BUDGET.delay_s(*made) == 0).count();
    for _ in 0..at_once {
        assert_eq!(ledger.attempt(&accounts, now).await, Ok(Attempt::Counted));
    }
    let forgotten = [a.clone(), b.clone(), account("nobody", BUDGET)];
    assert_eq!(ledger.absolve(&forgotten, &[]).await, Ok(()));
    for _ in 0..at_once {
        assert_eq!(attempt(&*ledger, a, now).await, Attempt::Counted);
        assert_eq!(attempt(&*ledger, b, now).await, Attempt::Counted);
    }
    assert_eq!(attempt(&*ledger, c, now).await, Attempt::Early(1));
}

async fn attempt_that_was_not_made_is_returned(ledger: Arc<dyn AttemptLedger>) {
    let now = clock::now();
    let few = account("few", AttemptBudget { attempts_max: 2, span_s: 4000 });
    let once = account("once", ONCE);
    assert_eq!(attempt(&*ledger, &few, now).await, Attempt::Counted);
    let waits = |told: Attempt| match told {
        Attempt::Early(seconds) => seconds.div_ceil(1000),
        Attempt::Counted => 0,
    };
    assert_eq!(waits(attempt(&*ledger, &few, now).await), 1, "a quarter of 4000 s");
    assert_eq!(ledger.absolve(&[], std::slice::from_ref(&few)).await, Ok(()));
    assert_eq!(attempt(&*ledger, &few, now).await, Attempt::Counted);
    // What is returned is one, and not what was counted before.
    let twice = account("twice", AttemptBudget { attempts_max: 3, span_s: 7 });
    for _ in 0..2 {
        assert_eq!(attempt(&*ledger, &twice, now).await, Attempt::Counted);
    }
    assert_eq!(
        ledger.absolve(std::slice::from_ref(&once), &[twice.clone(), once.clone()]).await,
        Ok(())
    );
    assert_eq!(attempt(&*ledger, &twice, now).await, Attempt::Counted);
    assert_eq!(attempt(&*ledger, &twice, now).await, Attempt::Early(1));
}

async fn nobody_waits_for_nothing(ledger: Arc<dyn AttemptLedger>) {
    assert_eq!(ledger.attempt(&[], clock::now()).await, Ok(Attempt::Counted));
    assert_eq!(ledger.absolve(&[], &[]).await, Ok(()));
}

// ---- clocks

#[tokio::test]
async fn clock_that_is_set_back_has_nobody_wait_longer_than_the_span() {
    let (_directory, path) = place();
    let ledger = in_file(&path);
    let account = account("a", ONCE);
    let ahead = UnixTime::from_seconds(2_000_000_000);
    assert_eq!(attempt(&ledger, &account, ahead).await, Attempt::Counted);
    let now = ahead.plus(-1_000_000);
    assert_eq!(attempt(&ledger, &account, now).await, Attempt::Early(3600));
    assert_eq!(attempt(&ledger, &account, now.plus(3599)).await, Attempt::Early(1));
    assert_eq!(attempt(&ledger, &account, now.plus(3600)).await, Attempt::Counted);
    // Nor does it give an attempt.
    assert_eq!(attempt(&ledger, &account, now.plus(10)).await, Attempt::Early(3600));
}

#[tokio::test]
async fn server_whose_clock_was_set_back_has_nobody_wait_longer_than_the_span() {
    let server = RedisServer::start();
    let ledger = in_redis(&server);
    let account = account("a", AttemptBudget { attempts_max: 1, span_s: 2 });
    made(&server, "a", 1, -1_000_000_000);
    assert_eq!(attempt(&ledger, &account, clock::now()).await, Attempt::Early(2));
    let begun = Instant::now();
    while attempt(&ledger, &account, clock::now()).await != Attempt::Counted {
        assert!(begun.elapsed() < Duration::from_secs(4), "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(1900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn clock_of_the_server_counts_and_not_ours() {
    let server = RedisServer::start();
    let ledger = in_redis(&server);
    let account = account("a", ONCE);
    let now = clock::now();
    assert_eq!(attempt(&ledger, &account, now).await, Attempt::Counted);
    for now in [now.plus(1_000_000), now.plus(-1_000_000)] {
        let told = attempt(&ledger, &account, now).await;
        assert!(matches!(told, Attempt::Early(3590..=3600)), "{told:?}");
    }
}

// ---- one store

#[tokio::test]
async fn attempts_survive_reopening_and_are_forgotten_when_they_are_spent() {
    let (_directory, path) = place();
    let now = clock::now();
    let (once, few) = (account("once", ONCE), account("few", BUDGET));
    let ledger = in_file(&path);
    for account in [&once, &few] {
        assert_eq!(attempt(&ledger, account, now).await, Attempt::Counted);
    }
    drop(ledger);
    let ledger = in_file(&path);
    assert_eq!(attempt(&ledger, &once, now).await, Attempt::Early(3600));
    drop(ledger);
    let entries = |ledger: Embedded| {
        drop(ledger);
        let database = Database::open(&path).expect("it is ours");
        let transaction = database.begin_read().expect("a transaction");
        let made = TableDefinition::<&str, (u32, i64, i64)>::new("attempts");
        let by_expiry = TableDefinition::<(i64, &str), ()>::new("attempts_by_expiry");
        let made = transaction.open_table(made).expect("a table").len();
        let by_expiry = transaction.open_table(by_expiry).expect("a table").len();
        (made.expect("a number"), by_expiry.expect("a number"))
    };
    for (after, left) in [(899, 2), (900, 1), (3599, 1), (3600, 0)] {
        let ledger = in_file(&path);
        assert_eq!(ledger.prune(now.plus(after)).await, Ok(0), "they are no sessions");
        assert_eq!(entries(ledger), (left, left), "{after}");
    }
}

#[tokio::test]
async fn attempts_expire_with_the_span() {
    let server = RedisServer::start();
    let ledger = in_redis(&server);
    assert_eq!(attempt(&ledger, &account("a", BUDGET), clock::now()).await, Attempt::Counted);
    let left: i64 = server.cli(&["ttl", &key("a")]).trim().parse().expect("a number");
    assert!((890..=900).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_share_a_budget() {
    let server = RedisServer::start();
    let ledgers = [0, 1].map(|_| Arc::new(in_redis(&server)) as Arc<dyn AttemptLedger>);
    burst_is_as_many_as_may_be(&ledgers).await;
}

#[tokio::test]
async fn acknowledged_attempts_survive_a_killed_server() {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let ledger = in_redis(&server);
    assert_eq!(attempt(&ledger, &account("a", ONCE), clock::now()).await, Attempt::Counted);
    server.restart(Data::Kept);
    let told = attempt(&ledger, &account("a", ONCE), clock::now()).await;
    assert!(matches!(told, Attempt::Early(_)), "{told:?}");
}

#[tokio::test]
async fn accounts_are_on_one_node_of_a_cluster() {
    let cluster = Cluster::start();
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    let ledger = Redis::open(&cluster.settings(&nodes)).expect("settings that can work");
    let accounts = ["a", "b", "c", "d"].map(|key| account(key, ONCE));
    assert_eq!(ledger.attempt(&accounts, clock::now()).await, Ok(Attempt::Counted));
    assert_eq!(ledger.absolve(&accounts[..2], &accounts[2..]).await, Ok(()));
    assert_eq!(ledger.attempt(&accounts, clock::now()).await, Ok(Attempt::Counted));
}

#[tokio::test]
async fn keys_of_another_program_are_unreadable() {
    let server = RedisServer::start();
    let ledger = in_redis(&server);
    server.cli(&["set", &key("a"), "x"]);
    let told = ledger.attempt(&[account("b", ONCE), account("a", ONCE)], clock::now()).await;
    assert!(matches!(told, Err(StoreError::Unreadable(_))), "{told:?}");
    assert_eq!(attempt(&ledger, &account("b", ONCE), clock::now()).await, Attempt::Counted);
}

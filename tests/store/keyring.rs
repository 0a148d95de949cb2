//! Where the signing keys are kept.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock;
use portcullis::store::keyring::KeyRingStore;
use portcullis::store::redis::Redis;
use portcullis::store::{Fleet, Knows, StoreError};

use super::sessions::{create, in_file, in_redis, place, session};
use crate::harness::PATIENCE;
use crate::harness::redis::{Cluster, Data, RedisOptions, RedisServer};

const RING: &str = "portcullis:{revocations}:keyring";

of_both_stores! {
    shared:
    ring_is_replaced_only_if_it_is_as_expected
    ring_is_any_bytes
    answer_that_was_lost_is_given_again
    one_of_many_writers_wins
}

async fn replace(store: &dyn KeyRingStore, expected: Option<&str>, ring: &str) -> bool {
    let replaced = store.replace_ring(expected.map(str::as_bytes), ring.as_bytes()).await;
    replaced.expect("it answers")
}

async fn ring(store: &dyn KeyRingStore) -> Option<String> {
    let ring = store.ring().await.expect("it answers");
    ring.map(|ring| String::from_utf8(ring).expect("a text"))
}

async fn ring_is_replaced_only_if_it_is_as_expected(store: Arc<dyn KeyRingStore>) {
    let store = &*store;
    assert_eq!(ring(store).await, None);
    assert!(!replace(store, Some("one"), "two").await, "there is none");
    assert!(!replace(store, Some(""), "two").await, "an empty one is not none");
    assert_eq!(ring(store).await, None);
    assert!(replace(store, None, "one").await);
    assert!(!replace(store, None, "two").await);
    assert!(!replace(store, Some("on"), "two").await);
    assert_eq!(ring(store).await.as_deref(), Some("one"));
    assert!(replace(store, Some("one"), "two").await);
    assert!(!replace(store, Some("one"), "three").await);
    assert_eq!(ring(store).await.as_deref(), Some("two"));
}

async fn ring_is_any_bytes(store: Arc<dyn KeyRingStore>) {
    let any: Vec<u8> = (0..=u8::MAX).collect();
    let large = vec![0xff; 100_000];
    assert_eq!(store.replace_ring(None, &any).await, Ok(true));
    assert_eq!(store.ring().await, Ok(Some(any.clone())));
    assert_eq!(store.replace_ring(Some(&any[..255]), &large).await, Ok(false));
    assert_eq!(store.replace_ring(Some(&any), &large).await, Ok(true));
    assert_eq!(store.replace_ring(Some(&large), b"").await, Ok(true));
    assert_eq!(store.ring().await, Ok(Some(Vec::new())));
}

async fn answer_that_was_lost_is_given_again(store: Arc<dyn KeyRingStore>) {
    let store = &*store;
    for _ in 0..2 {
        assert!(replace(store, None, "one").await);
    }
    for _ in 0..2 {
        assert!(replace(store, Some("one"), "two").await);
    }
    assert!(replace(store, Some("two"), "three").await);
    assert!(!replace(store, Some("one"), "two").await, "it is replaced since");
    assert_eq!(ring(store).await.as_deref(), Some("three"));
}

/// Replaces what is there by as many documents as there are stores, all at once; who won.
async fn race(stores: Vec<Arc<dyn KeyRingStore>>, expected: Option<String>, round: u32) -> String {
    let racing = stores.iter().cloned().enumerate().map(|(number, store)| {
        let expected = expected.clone();
        tokio::spawn(async move {
            let ring = format!("{round}-{number}");
            replace(&*store, expected.as_deref(), &ring).await.then_some(ring)
        })
    });
    let mut winners = Vec::new();
    for racing in racing.collect::<Vec<_>>() {
        winners.extend(racing.await.expect("no panic"));
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(ring(&*stores[0]).await.as_ref(), winners.first());
    winners.remove(0)
}

async fn one_of_many_writers_wins(store: Arc<dyn KeyRingStore>) {
    let mut expected = None;
    for round in 0..10 {
        expected = Some(race(vec![store.clone(); 20], expected, round).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gateways_wins() {
    let server = RedisServer::start();
    let stores: Vec<_> =
        (0..4).map(|_| Arc::new(in_redis(&server)) as Arc<dyn KeyRingStore>).collect();
    let mut expected = None;
    for round in 0..10 {
        expected = Some(race(stores.clone(), expected, round).await);
    }
}

#[tokio::test]
async fn acknowledged_ring_survives_a_killed_gateway_and_reopening() {
    let (directory, path) = place();
    let store = in_file(&path);
    assert!(replace(&store, None, "one").await);
    assert!(replace(&store, Some("one"), "two").await);
    // What is in the file now is what a gateway that is killed now leaves behind.
    let left = directory.path().join("left.redb");
    std::fs::copy(&path, &left).expect("a copy");
    assert_eq!(ring(&in_file(&left)).await.as_deref(), Some("two"));
    drop(store);
    assert_eq!(ring(&in_file(&path)).await.as_deref(), Some("two"));
}

#[tokio::test]
async fn acknowledged_ring_survives_a_killed_server() {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let store = in_redis(&server);
    assert!(replace(&store, None, "one").await);
    server.restart(Data::Kept);
    assert_eq!(ring(&store).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn ring_is_with_everything_else_in_a_cluster_and_does_not_expire() {
    let cluster = Cluster::start();
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    let store = Redis::open(&cluster.settings(&nodes)).expect("settings that can work");
    assert!(replace(&store, None, "one").await);
    assert!(replace(&store, Some("one"), "two").await);
    let home = cluster.home_of(RING);
    create(&store, 1, &session("ada", clock::now())).await;
    assert_eq!(home, cluster.home_of("portcullis:{revocations}:sessions"));
    assert_eq!(cluster.nodes()[home].cli(&["ttl", RING]).trim(), "-1");
}

#[tokio::test]
async fn ring_of_another_program_is_unreadable() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    server.cli(&["rpush", RING, "x"]);
    assert!(matches!(store.ring().await, Err(StoreError::Unreadable(_))));
    let replaced = store.replace_ring(None, b"one").await;
    assert!(matches!(replaced, Err(StoreError::Unreadable(_))), "{replaced:?}");
}

#[tokio::test]
async fn full_server_refuses_a_new_ring_and_tells_the_old_one() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    assert!(replace(&store, None, "one").await);
    server.cli(&["config", "set", "maxmemory", "1"]);
    let refused = store.replace_ring(Some(b"one"), b"two").await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(ring(&store).await.as_deref(), Some("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_the_tags_that_a_server_has_lost_comes_back_from_who_knows_it() {
    let mut server = RedisServer::start();
    let knows = in_redis(&server);
    assert_eq!(knows.keep_tag_key(b"one").await, Ok(b"one".to_vec()));
    server.restart(Data::Lost);
    let starts = in_redis(&server);
    assert_eq!(starts.tag_key().await, Ok(None));
    let early = starts.keep_tag_key(b"another").await;
    assert!(matches!(early, Err(StoreError::Unavailable(_))), "{early:?}");
    let back = async {
        loop {
            // It finds out that the server is another one, and that it knows no more than that.
            drop(knows.time_ms().await);
            drop(knows.ask_complete("knows", Knows::NoMore).await);
            if let Ok(Some(key)) = starts.tag_key().await {
                return key;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, back).await, Ok(b"one".to_vec()));
    assert_eq!(starts.keep_tag_key(b"another").await, Ok(b"one".to_vec()));
}

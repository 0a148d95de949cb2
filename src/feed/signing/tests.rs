mod given;
mod revoked;
mod sealing;
mod shared_store;

use std::collections::BTreeSet;

use futures_of::all;
use shared_store::*;

use super::*;
use crate::config::tokens::Signing;
use crate::gate::keys::Algorithm;
use crate::issuer::key_pairs::{KeyKind, generate};
use crate::issuer::ring::{CLOCKS_APART_S, FreshKey, Ring, Terms};

use BeginsTo::{SignAfterPublication, SignNow};

/// Runs futures at the same time.
mod futures_of {
    use std::future::Future;

    pub(super) async fn all<T: Send + 'static>(
        futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
    ) -> Vec<T> {
        let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
        let mut done = Vec::new();
        for task in tasks {
            done.push(task.await.expect("no panic"));
        }
        done
    }
}

fn unknown_id(number: usize) -> String {
    format!("{number:043}")
}

/// A ring whose keys were made so many seconds ago, each signing at once.
fn ring(ages_s: &[i64]) -> Ring {
    let mut ring = Ring::default();
    let terms = Terms {
        algorithm: Algorithm::EdDSA,
        reach_s: LIFETIME_S + SKEW_S,
        publish_before_s: 3600,
        rotate_every_s: None,
    };
    for age_s in ages_s {
        let fresh = FreshKey::generate(Algorithm::EdDSA).expect("a key");
        ring.rotate(&fresh, SignNow, &terms, clock::now().plus(-age_s)).expect("room");
    }
    ring
}

fn put(store: &Shared, ring: &Ring) {
    store.put(Some(&ring.encode(None).expect("a document")));
}

fn ids(ring: &Ring) -> Vec<String> {
    ring.keys().iter().map(|key| key.id().to_owned()).collect()
}

// ---- the first key

#[tokio::test]
async fn first_key_is_made_signs_at_once_and_is_published() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let id = gateway.signs().expect("a key that signs");
    assert_eq!(ids(&store.ring()), [&*id]);
    assert_eq!(gateway.jwks(), [&*id]);
    assert!(gateway.verifies(&id));
    assert!(!gateway.own_keys().is_fixed());
    let made = &gateway.feed.metrics.rotations;
    assert_eq!(made.with_label_values(&["first"]).get(), 1);
    assert_eq!(gateway.feed.metrics.keys.with_label_values(&["signing"]).get(), 1);
    // And it stays.
    gateway.upkeep().await;
    assert_eq!(gateway.signs(), Some(id));
}

#[tokio::test]
async fn gateways_that_start_together_have_one_key() {
    let store = Arc::<Shared>::default();
    let starts = (0..8).map(|_| {
        let store = store.clone();
        async move { Gateway::started(&store, kept()).await.signs() }
    });
    let signs: BTreeSet<_> = all(starts).await.into_iter().collect();
    assert_eq!(signs.len(), 1, "{signs:?}");
    assert_eq!(store.ring().keys().len(), 1);
}

#[tokio::test]
async fn gateway_without_tokens_asks_for_nothing() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::on(&store, None);
    gateway.feed.loaded().await;
    gateway.upkeep().await;
    assert_eq!((gateway.signs(), store.reads()), (None, 0));
    assert_eq!(gateway.seek(&unknown_id(0)).await, KeySearch::Absent);
    assert_eq!(gateway.feed.list().await, Err(Refused::NoTokens));
    assert_eq!(gateway.feed.rotate(SignNow).await, Err(Refused::NoTokens));
}

#[tokio::test(start_paused = true)]
async fn gateway_is_loaded_when_it_has_keys_and_not_before() {
    let store = Arc::<Shared>::default();
    store.go_away(true);
    let gateway = Gateway::on(&store, Some(kept()));
    let running = tokio::spawn(gateway.feed.clone().run());
    let loaded = tokio::time::timeout(Duration::from_secs(60), gateway.feed.loaded());
    assert!(loaded.await.is_err());
    assert!(store.reads() > 10, "it tries again");
    assert!(gateway.signs().is_none());
    assert!(matches!(gateway.feed.list().await, Err(Refused::Unavailable(_))));
    store.go_away(false);
    gateway.feed.loaded().await;
    assert!(gateway.signs().is_some());
    running.abort();
}

#[tokio::test]
async fn keys_can_be_cached_for_half_the_time_that_they_are_published_before() {
    for (publish_before_s, fresh_for_s) in
        [(1, 1), (5, 2), (3600, 1800), (7200, 3600), (7202, 3600)]
    {
        let publish_before = Duration::from_secs(publish_before_s);
        let signing = Signing { publish_before, ..kept() };
        let gateway = Gateway::started(&Arc::default(), signing).await;
        let set = gateway.feed.current().expect("keys");
        assert_eq!(set.fresh_for_s(), fresh_for_s, "{publish_before_s}");
    }
}

// ---- rotation

#[tokio::test]
async fn key_of_another_gateway_is_found_at_once_when_a_token_names_it() {
    let store = Arc::<Shared>::default();
    let one = Gateway::started(&store, kept()).await;
    let other = Gateway::started(&store, kept()).await;
    let old = one.signs().expect("a key");
    let new = one.rotate(SignNow).await;
    assert_eq!(one.signs(), Some(new.clone()));
    assert!(!other.verifies(&new));
    assert_eq!(other.seek(&new).await, KeySearch::Found);
    assert!(other.verifies(&new) && other.verifies(&old));
    assert_eq!(other.signs(), Some(new.clone()));
    assert_eq!(other.jwks(), [old, new]);
}

#[tokio::test]
async fn key_is_published_before_it_signs_unless_it_is_to_sign_now() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let first = gateway.signs().expect("a key");
    let next = gateway.rotate(SignAfterPublication).await;
    assert_eq!(gateway.signs().as_ref(), Some(&first));
    let states = [(first.clone(), KeyState::Signing), (next.clone(), KeyState::Next)];
    assert_eq!(gateway.states().await, states);
    assert!(gateway.verifies(&next));
    let now = gateway.rotate(SignNow).await;
    assert_eq!(gateway.signs().as_ref(), Some(&now));
    let states = [(first, KeyState::Retired), (now, KeyState::Signing), (next, KeyState::Next)];
    assert_eq!(gateway.states().await, states);
    for state in ["signing", "next", "retired"] {
        assert_eq!(gateway.feed.metrics.keys.with_label_values(&[state]).get(), 1, "{state}");
    }
    let made = &gateway.feed.metrics.rotations;
    assert_eq!(made.with_label_values(&["operator"]).get(), 2);
}

#[tokio::test]
async fn keys_that_are_made_at_the_same_time_are_all_there() {
    let store = Arc::<Shared>::default();
    let first = Gateway::started(&store, kept()).await;
    let gateways = (0..5).map(|_| {
        let store = store.clone();
        async move { Gateway::started(&store, kept()).await.rotate(SignNow).await }
    });
    let mut expected: BTreeSet<_> = all(gateways).await.into_iter().collect();
    expected.extend(first.signs());
    assert_eq!(expected.len(), 6);
    first.upkeep().await;
    assert_eq!(first.jwks().into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn schedule_makes_the_next_key_and_one_is_enough() {
    let store = Arc::<Shared>::default();
    let every = |rotate_every_s| {
        let rotate_every = Some(Duration::from_secs(rotate_every_s));
        Signing { rotate_every, publish_before: Duration::from_secs(1000), ..kept() }
    };
    put(&store, &ring(&[4000]));
    let gateway = Gateway::started(&store, every(5100)).await;
    assert_eq!(gateway.jwks().len(), 1, "a hundred seconds early");
    let gateway = Gateway::started(&store, every(4999)).await;
    gateway.upkeep().await;
    let keys = gateway.feed.list().await.expect("a list");
    assert_eq!(keys.len(), 2);
    let made = keys[1].created.expect("a time");
    assert_eq!(keys[1].signs_from, Some(made.plus(1000)));
    assert_eq!(keys[1].retires_at, None);
    let dropped = made.plus(1000 + LIFETIME_S + SKEW_S + 2 * CLOCKS_APART_S);
    assert_eq!(keys[0].retires_at, Some(dropped));
    let made = &gateway.feed.metrics.rotations;
    assert_eq!(made.with_label_values(&["schedule"]).get(), 1);
}

#[tokio::test]
async fn key_is_dropped_when_nothing_is_alive_that_it_signed() {
    let store = Arc::<Shared>::default();
    let reach_s = LIFETIME_S + SKEW_S + 2 * CLOCKS_APART_S;
    let known = ring(&[9000, reach_s + 1, reach_s - 60]);
    put(&store, &known);
    let gateway = Gateway::started(&store, kept()).await;
    assert_eq!(ids(&store.ring()), ids(&known)[1..]);
    assert_eq!(gateway.jwks(), ids(&known)[1..]);
}

#[tokio::test]
async fn another_algorithm_is_published_first() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let first = gateway.signs().expect("a key");
    let es256 = Signing { algorithm: Algorithm::ES256, ..kept() };
    gateway.reload(tokens(es256, LIFETIME_S)).await;
    assert_eq!(gateway.signs().as_ref(), Some(&first));
    let keys = gateway.feed.list().await.expect("a list");
    let algorithms: Vec<_> = keys.iter().map(|key| (key.algorithm, key.state)).collect();
    let expected = [(Algorithm::EdDSA, KeyState::Signing), (Algorithm::ES256, KeyState::Next)];
    assert_eq!(algorithms, expected);
    gateway.upkeep().await;
    assert_eq!(store.ring().keys().len(), 2);
}

#[tokio::test]
async fn ring_that_is_full_refuses_another_key_and_serves_on() {
    let store = Arc::<Shared>::default();
    let ages: Vec<_> = (0..KEYS_MAX as i64).rev().collect();
    put(&store, &ring(&ages));
    let gateway = Gateway::started(&store, kept()).await;
    let before = store.document();
    assert_eq!(gateway.feed.rotate(SignNow).await, Err(Refused::TooMany));
    assert_eq!(store.document(), before);
    assert!(gateway.signs().is_some());
}

// ---- longer tokens

#[tokio::test]
async fn longer_tokens_are_known_of_before_their_configuration_is_in_force() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let id = gateway.signs().expect("a key");
    let new = gateway.prepared(tokens(kept(), 7 * LIFETIME_S)).await;
    assert_eq!(store.ring().keys()[0].reach_s(), 7 * LIFETIME_S + SKEW_S);
    let cell = new.own_issuer().expect("tokens").keys();
    assert!(cell.knows(Some(&id)) && cell.is_usable(clock::now()));
    // A gateway with the old settings does not shorten it again.
    gateway.upkeep().await;
    assert_eq!(store.ring().keys()[0].reach_s(), 7 * LIFETIME_S + SKEW_S);
}

// ---- seeking

#[tokio::test]
async fn key_that_nobody_made_is_absent_and_asked_for_once() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    assert_eq!(gateway.seek(&unknown_id(1)).await, KeySearch::Absent);
    let reads = store.reads();
    for _ in 0..10 {
        assert_eq!(gateway.seek(&unknown_id(1)).await, KeySearch::Absent);
        assert_eq!(gateway.seek("no-thumbprint").await, KeySearch::Absent);
        assert_eq!(gateway.seek(&"x".repeat(44)).await, KeySearch::Absent);
    }
    assert_eq!(store.reads(), reads);
}

#[tokio::test]
async fn however_many_ask_the_ring_is_read_a_few_times() {
    let store = Arc::<Shared>::default();
    let gateway = Arc::new(Gateway::started(&store, kept()).await);
    let reads = store.reads();
    let asking = (0..500).map(|number| {
        let gateway = gateway.clone();
        async move { gateway.seek(&unknown_id(number)).await }
    });
    let sought = all(asking).await;
    assert!(sought.iter().all(|sought| *sought == KeySearch::Absent));
    let read = store.reads() - reads;
    assert!((1..=5).contains(&read), "{read} reads");
    // A later request is not answered from what was read before.
    let paced = Instant::now();
    for number in 500..503 {
        assert_eq!(gateway.seek(&unknown_id(number)).await, KeySearch::Absent);
    }
    assert!(paced.elapsed() > 2 * READS_APART, "{:?}", paced.elapsed());
}

#[tokio::test]
async fn key_that_cannot_be_looked_for_is_not_absent() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    store.go_away(true);
    assert_eq!(gateway.seek(&unknown_id(1)).await, KeySearch::Unavailable);
    let reads = store.reads();
    assert_eq!(gateway.seek(&unknown_id(2)).await, KeySearch::Unavailable, "nobody waits");
    assert_eq!(store.reads(), reads);
}

// ---- revocation

#[tokio::test]
async fn store_that_goes_away_stops_neither_signing_nor_verifying() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let id = gateway.signs().expect("a key");
    store.go_away(true);
    gateway.upkeep().await;
    assert_eq!(gateway.signs().as_ref(), Some(&id));
    assert!(gateway.verifies(&id));
    assert_eq!(gateway.states().await, [(id, KeyState::Signing)]);
    assert!(matches!(gateway.feed.rotate(SignNow).await, Err(Refused::Unavailable(_))));
}

#[tokio::test]
async fn keys_that_cannot_be_written_are_used_as_they_are() {
    let store = Arc::<Shared>::default();
    let known = ring(&[5]);
    put(&store, &known);
    store.take_no_writes();
    let longer = tokens(kept(), 9 * LIFETIME_S);
    let gateway = Gateway::on(&store, Some(kept()));
    gateway.reload(longer).await;
    assert_eq!(gateway.signs(), Some(ids(&known)[0].clone()));
}

#[tokio::test]
async fn what_the_store_has_lost_is_put_back() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let before = store.document();
    let new = gateway.rotate(SignNow).await;
    let after = store.document();
    // A fail-over that lacks the last write, and a server without its data. A question comes first.
    for lost in [before, None] {
        store.put(lost.as_deref());
        assert_eq!(gateway.seek(&unknown_id(lost.iter().count())).await, KeySearch::Absent);
        gateway.upkeep().await;
        assert_eq!(gateway.signs().as_ref(), Some(&new));
        assert_eq!(store.document(), after);
    }
}

fn given(count: usize) -> Signing {
    let kinds = [KeyKind::P256, KeyKind::Ed25519, KeyKind::Rsa];
    let pem = |kind| generate(kind).expect("a pair").private.as_bytes().to_vec();
    let files = kinds.into_iter().take(count).map(|kind| Secret::new(pem(kind)));
    Signing { keys: SigningKeys::Given(files.collect()), ..kept() }
}

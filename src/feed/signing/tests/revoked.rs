//! Keys that are revoked.

use super::*;

#[tokio::test]
async fn revoked_key_neither_signs_nor_is_published_nor_kept() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let thief = gateway.signs().expect("a key");
    gateway.revoke(&thief);
    gateway.upkeep().await;
    let new = gateway.signs().expect("a new key");
    assert_ne!(new, thief);
    assert_eq!(gateway.jwks(), [&*new]);
    assert!(!gateway.verifies(&thief) && gateway.verifies(&new));
    assert_eq!(ids(&store.ring()), [&*new]);
    let made = &gateway.feed.metrics.rotations;
    assert_eq!(made.with_label_values(&["revoked"]).get(), 1);
    assert_eq!(gateway.seek(&thief).await, KeySearch::Absent);
}

#[tokio::test]
async fn next_key_signs_when_the_one_that_signs_is_revoked() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let first = gateway.rotate(SignNow).await;
    let next = gateway.rotate(SignAfterPublication).await;
    gateway.revoke(&first);
    gateway.upkeep().await;
    assert_eq!(gateway.signs(), Some(next));
    assert_eq!(gateway.jwks().len(), 2, "none was made");
}

#[tokio::test]
async fn revoked_key_does_not_sign_while_the_store_is_away() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let first = gateway.signs().expect("a key");
    store.go_away(true);
    gateway.revoke(&first);
    gateway.upkeep().await;
    assert_eq!((gateway.signs(), gateway.jwks().len()), (None, 0));
    assert!(!gateway.verifies(&first));
    assert_eq!(gateway.states().await, [(first, KeyState::Revoked)]);
    store.go_away(false);
    gateway.upkeep().await;
    assert!(gateway.signs().is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_it_is_known_what_is_revoked() {
    let store = Arc::<Shared>::default();
    let known = ring(&[5]);
    put(&store, &known);
    let gateway = Gateway::without_revocations(&store, Some(kept()));
    let running = tokio::spawn(gateway.feed.clone().run());
    let loaded = tokio::time::timeout(Duration::from_secs(60), gateway.feed.loaded());
    assert!(loaded.await.is_err());
    assert_eq!((gateway.signs(), gateway.jwks().len()), (None, 0));
    gateway.revoke(&ids(&known)[0]);
    gateway.load_revocations();
    gateway.feed.loaded().await;
    assert_eq!(gateway.jwks().len(), 1);
    assert!(!gateway.verifies(&ids(&known)[0]));
    running.abort();
}

// ---- a store that fails

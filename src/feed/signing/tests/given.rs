//! Keys that the configuration gives.

use super::*;

#[tokio::test]
async fn of_given_keys_the_first_signs_and_all_are_published() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, given(3)).await;
    gateway.feed.loaded().await;
    let published = gateway.jwks();
    assert_eq!(published.len(), 3);
    assert_eq!(gateway.signs().as_ref(), Some(&published[0]));
    assert!(published.iter().all(|id| gateway.verifies(id)));
    assert_eq!(gateway.feed.current().expect("keys").fresh_for_s(), 300);
    assert_eq!(gateway.seek(&unknown_id(1)).await, KeySearch::Absent);
    assert_eq!(gateway.feed.rotate(SignNow).await, Err(Refused::Given));
    let states: Vec<_> = gateway.states().await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [KeyState::Signing, KeyState::Next, KeyState::Next]);
    assert_eq!((store.reads(), store.document()), (0, None));
}

#[tokio::test]
async fn revoked_key_of_those_given_leaves_the_others() {
    let gateway = Gateway::started(&Arc::default(), given(2)).await;
    let published = gateway.jwks();
    gateway.revoke(&published[0]);
    gateway.upkeep().await;
    assert_eq!(gateway.signs().as_ref(), Some(&published[1]));
    assert_eq!(gateway.jwks(), published[1..]);
    gateway.revoke(&published[1]);
    gateway.upkeep().await;
    assert_eq!(gateway.signs(), None);
}

#[tokio::test]
async fn reload_changes_from_kept_to_given_keys() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let kept = gateway.signs();
    gateway.reload(tokens(given(1), LIFETIME_S)).await;
    assert_ne!(gateway.signs(), kept);
    assert_eq!(gateway.jwks().len(), 1);
}

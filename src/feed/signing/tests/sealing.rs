//! The sealed ring in the store.

use super::*;

#[tokio::test]
async fn ring_is_sealed_if_there_is_a_key_for_that() {
    let store = Arc::<Shared>::default();
    let open = Gateway::started(&store, kept()).await;
    let gateway = Gateway::started(&store, sealed(1)).await;
    assert_eq!(gateway.signs(), open.signs(), "it takes over what is not sealed");
    let document = store.document().expect("a document");
    let text = String::from_utf8(document.clone()).expect("text");
    assert!(text.contains("sealed") && !text.contains("pkcs8"), "{text}");
    let again = Gateway::started(&store, sealed(1)).await;
    assert_eq!(again.signs(), gateway.signs());
    assert_eq!(store.document(), Some(document), "it is left as it is");
}

#[tokio::test]
async fn ring_that_cannot_be_read_is_left_alone() {
    let store = Arc::<Shared>::default();
    Gateway::started(&store, sealed(1)).await;
    let sealed_document = store.document();
    let later = br#"{"version":2,"keys":{}}"#;
    for (document, signing, why) in [
        (sealed_document.as_deref(), sealed(2), "another encryption key"),
        (sealed_document.as_deref(), kept(), "no encryption key"),
        (Some(later.as_slice()), kept(), "version 2"),
        (Some(b"rubbish".as_slice()), kept(), "damaged"),
    ] {
        store.put(document);
        let gateway = Gateway::started(&store, signing).await;
        assert_eq!((gateway.signs(), gateway.jwks().len()), (None, 0), "{why}");
        assert!(!*gateway.feed.has_keys.borrow(), "{why}");
        let rotated = gateway.feed.rotate(SignNow).await;
        let Err(Refused::Unavailable(told)) = rotated else { panic!("{rotated:?}") };
        assert!(told.contains(why), "{told}");
        assert_eq!(store.document().as_deref(), document, "{why}");
    }
}

#[tokio::test]
async fn ring_that_becomes_unreadable_leaves_the_keys_in_memory() {
    let store = Arc::<Shared>::default();
    let gateway = Gateway::started(&store, kept()).await;
    let id = gateway.signs();
    store.put(Some(br#"{"version":2}"#));
    gateway.upkeep().await;
    assert_eq!(gateway.signs(), id);
    // Nor for those who wait for the same read.
    let gateway = Arc::new(gateway);
    let asking = (0..5).map(|number| {
        let gateway = gateway.clone();
        async move { gateway.seek(&unknown_id(number)).await }
    });
    assert_eq!(all(asking).await, [KeySearch::Unavailable; 5]);
}

#[tokio::test]
async fn private_keys_are_not_shown() {
    let store = Arc::<Shared>::default();
    for signing in [kept(), given(1)] {
        let gateway = Gateway::started(&store, signing).await;
        let shown = format!("{:?}", gateway.feed);
        assert!(shown.contains(&gateway.signs().expect("a key")), "{shown}");
        // A document begins with a brace and a quotation mark, a file with five hyphens.
        assert!(!shown.contains("123, 34") && !shown.contains("45, 45, 45"), "{shown}");
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }
}

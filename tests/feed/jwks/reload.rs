//! What a reload does to keys that were fetched: as little as possible.

use super::*;

#[test]
fn reload_of_something_else_fetches_nothing() {
    let (issuer, clock) = (Issuer::start("idp"), Issuer::start("clock"));
    let upstream = Upstream::start();
    let issuers = [issuer.yaml("refresh: 1h"), clock.yaml("refresh: 300ms")];
    let text = configuration(&upstream, &issuers);
    let gateway = Gateway::start(&text);
    // Past everything that happens at the start.
    await_requests(&clock.jwks, 6);
    let before = issuer.jwks.requests();
    gateway.reload(&text.replace("path: /public", "path: /elsewhere"));
    await_requests(&clock.jwks, 6);
    assert_eq!(issuer.jwks.requests(), before);
}

#[test]
fn reload_of_something_else_keeps_the_keys_while_the_issuer_is_away() {
    let issuer = Issuer::start("idp");
    let upstream = Upstream::start();
    let text = configuration(&upstream, &[issuer.yaml("refresh: 1h")]);
    let gateway = Gateway::start(&text);
    issuer.jwks.serve(unavailable());
    gateway.reload(&text.replace("path: /public", "path: /elsewhere"));
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
}

#[test]
fn reload_of_the_other_rules_of_an_issuer_keeps_its_keys() {
    let issuer = Issuer::start("idp");
    let upstream = Upstream::start();
    let text = configuration(&upstream, &[issuer.yaml("refresh: 1h")]);
    let gateway = Gateway::start(&text);
    issuer.jwks.serve(unavailable());
    let audiences = format!("audiences: [{}]", tokens::AUDIENCE);
    let more = format!("audiences: [{}, another]", tokens::AUDIENCE);
    gateway.reload(&text.replace(&audiences, &more));
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
}

#[test]
fn reload_of_the_refresh_interval_keeps_the_keys_while_the_issuer_is_away() {
    let issuer = Issuer::start("idp");
    let upstream = Upstream::start();
    let text = configuration(&upstream, &[issuer.yaml("refresh: 1h")]);
    let gateway = Gateway::start(&text);
    issuer.jwks.serve(unavailable());
    gateway.reload(&text.replace("refresh: 1h", "refresh: 2h"));
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
}

#[test]
fn issuer_that_a_reload_adds_works_at_once() {
    let (first, second) = (Issuer::start("first"), Issuer::start("second"));
    let upstream = Upstream::start();
    let gateway = Gateway::start(&configuration(&upstream, &[first.yaml("refresh: 1h")]));
    assert_eq!(ask(&gateway, &second.token()), denied(401, "token_issuer"));
    let both = [first.yaml("refresh: 1h"), second.yaml("refresh: 1h")];
    gateway.reload(&configuration(&upstream, &both));
    assert_eq!(ask(&gateway, &second.token()), accepted());
}

#[test]
fn issuer_that_a_reload_removes_is_no_longer_asked() {
    let (staying, leaving) = (Issuer::start("staying"), Issuer::start("leaving"));
    let upstream = Upstream::start();
    let both = [staying.yaml("refresh: 300ms"), leaving.yaml("refresh: 300ms")];
    let gateway = Gateway::start(&configuration(&upstream, &both));
    await_requests(&leaving.jwks, 2);
    gateway.reload(&configuration(&upstream, &[staying.yaml("refresh: 300ms")]));
    // One fetch may be under way.
    await_requests(&staying.jwks, 2);
    let left = leaving.jwks.requests();
    await_requests(&staying.jwks, 6);
    assert_eq!(leaving.jwks.requests(), left);
}

#[test]
fn verified_tokens_of_an_issuer_that_a_reload_removes_are_refused() {
    let (staying, leaving) = (Issuer::start("staying"), Issuer::start("leaving"));
    let upstream = Upstream::start();
    let both = [staying.yaml("refresh: 1h"), leaving.yaml("refresh: 1h")];
    let gateway = Gateway::start(&configuration(&upstream, &both));
    let token = leaving.token();
    assert_eq!(ask(&gateway, &token), accepted());
    gateway.reload(&configuration(&upstream, &[staying.yaml("refresh: 1h")]));
    assert_eq!(ask(&gateway, &token), denied(401, "token_issuer"));
}

#[test]
fn age_of_keys_that_nobody_fetches_any_more_is_not_told() {
    let (staying, leaving) = (Issuer::start("staying"), Issuer::start("leaving"));
    let upstream = Upstream::start();
    let both = [staying.yaml("refresh: 1h"), leaving.yaml("refresh: 1h")];
    let gateway = Gateway::start(&configuration(&upstream, &both));
    let told = || gateway.metrics().contains("portcullis_key_set_age_seconds{issuer=\"leaving\"}");
    assert!(told());
    gateway.reload(&configuration(&upstream, &[staying.yaml("refresh: 1h")]));
    // It would stand still, and look young for ever.
    assert!(!told());
}

#[test]
fn issuer_that_moves_is_believed_at_its_new_place_only() {
    let (old, new) = (Issuer::start("idp"), Issuer::start("idp"));
    let upstream = Upstream::start();
    let gateway = Gateway::start(&configuration(&upstream, &[old.yaml("refresh: 1h")]));
    let token = old.token_by(&old.first);
    assert_eq!(ask(&gateway, &token), accepted());
    gateway.reload(&configuration(&upstream, &[new.yaml("refresh: 1h")]));
    assert_eq!(ask(&gateway, &new.token()), accepted());
    assert_eq!(ask(&gateway, &token), denied(401, "token_signature"));
}

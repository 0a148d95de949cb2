//! An issuer changes its keys while tokens by the old and the new ones are about.

use std::time::Duration;

use super::*;

#[test]
fn keys_are_there_when_the_gateway_is_ready() {
    let issuer = Issuer::silent("idp");
    // Whoever says "ready" first and fetches then has no key for half a second.
    issuer.jwks.serve(JwksReply::Slow(Duration::from_millis(500), vec![issuer.first.jwk.clone()]));
    let gateway = gateway(&issuer, "refresh: 1h");
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
}

#[test]
fn keys_that_were_just_fetched_are_left_alone_until_the_refresh() {
    let (rarely, often) = (Issuer::start("rarely"), Issuer::start("often"));
    let issuers = [rarely.yaml("refresh: 1h"), often.yaml("refresh: 300ms")];
    let _gateway = Gateway::start(&configuration(&Upstream::start(), &issuers));
    // The other issuer's fetches are the clock: these take two seconds and more.
    await_requests(&often.jwks, 7);
    assert_eq!(rarely.jwks.requests(), 1);
}

#[test]
fn keys_are_fetched_again_at_the_refresh_interval() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 200ms");
    let second = IssuerKey::new("second");
    issuer.publish(&[&issuer.first, &second]);
    await_requests(&issuer.jwks, 2);
    // From here on a request that needs the key could not fetch it.
    issuer.jwks.serve(unavailable());
    assert_eq!(ask(&gateway, &issuer.token_by(&second)), accepted());
}

#[test]
fn token_by_a_new_key_is_accepted_at_once() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
    let second = IssuerKey::new("second");
    issuer.publish(&[&issuer.first, &second]);
    assert_eq!(ask(&gateway, &issuer.token_by(&second)), accepted());
}

#[test]
fn new_key_is_fetched_once_however_many_tokens_follow() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let second = IssuerKey::new("second");
    issuer.publish(&[&issuer.first, &second]);
    let before = issuer.jwks.requests();
    for _ in 0..5 {
        assert_eq!(ask(&gateway, &issuer.token_by(&second)), accepted());
    }
    assert_eq!(issuer.jwks.requests(), before + 1);
}

#[test]
fn tokens_by_the_old_key_go_on_while_it_is_published() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let old = issuer.token();
    assert_eq!(ask(&gateway, &old), accepted());
    let second = IssuerKey::new("second");
    issuer.publish(&[&issuer.first, &second]);
    assert_eq!(ask(&gateway, &issuer.token_by(&second)), accepted());
    assert_eq!(ask(&gateway, &old), accepted());
}

#[test]
fn token_of_a_withdrawn_key_is_refused_although_it_was_verified_before() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let old = issuer.token();
    assert_eq!(ask(&gateway, &old), accepted());
    let second = IssuerKey::new("second");
    issuer.publish(&[&second]);
    assert_eq!(ask(&gateway, &issuer.token_by(&second)), accepted());
    assert_eq!(ask(&gateway, &old), denied(401, "token_key_unknown"));
}

#[test]
fn key_that_the_issuer_does_not_have_is_unknown() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let stranger = IssuerKey::new("stranger");
    let answer = gateway.get_as("/whoami", &issuer.token_by(&stranger));
    assert_eq!(outcome(&answer), denied(401, "token_key_unknown"));
    let challenge = answer.field("www-authenticate").expect("a challenge");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
}

#[test]
fn key_that_was_looked_for_in_vain_is_not_looked_for_again() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let stranger = IssuerKey::new("stranger");
    assert_eq!(ask(&gateway, &issuer.token_by(&stranger)), denied(401, "token_key_unknown"));
    let before = issuer.jwks.requests();
    assert_eq!(ask(&gateway, &issuer.token_by(&stranger)), denied(401, "token_key_unknown"));
    assert_eq!(issuer.jwks.requests(), before);
}

#[test]
fn key_that_is_known_to_be_absent_stays_so_while_the_issuer_is_away() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let stranger = IssuerKey::new("stranger");
    assert_eq!(ask(&gateway, &issuer.token_by(&stranger)), denied(401, "token_key_unknown"));
    issuer.jwks.serve(unavailable());
    assert_eq!(ask(&gateway, &issuer.token_by(&stranger)), denied(401, "token_key_unknown"));
}

#[test]
fn absent_key_that_a_refresh_brings_is_accepted() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 300ms");
    let second = IssuerKey::new("second");
    assert_eq!(ask(&gateway, &issuer.token_by(&second)), denied(401, "token_key_unknown"));
    issuer.publish(&[&issuer.first, &second]);
    eventually("the new key", || {
        (ask(&gateway, &issuer.token_by(&second)) == accepted()).then_some(())
    });
}

#[test]
fn token_that_names_no_key_makes_nobody_fetch() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let pair = generate(KeyKind::P256).expect("a key pair");
    let nameless = token_of(issuer.name, &tokens::signing_key(&pair, None));
    let before = issuer.jwks.requests();
    assert_eq!(ask(&gateway, &nameless), denied(401, "token_signature"));
    assert_eq!(issuer.jwks.requests(), before);
}

//! The issuer is away. What cannot be decided is told as such, and never as an invalid token.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn unknown_key_while_the_issuer_is_away_is_undecided() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    issuer.jwks.serve(unavailable());
    let second = IssuerKey::new("second");
    let answer = gateway.get_as("/whoami", &issuer.token_by(&second));
    assert_eq!(outcome(&answer), denied(503, "keys_unavailable"));
    assert_eq!(answer.field("retry-after"), Some("5"));
    assert_eq!(answer.field("www-authenticate"), None);
}

#[test]
fn unknown_key_while_the_issuer_hangs_up_is_undecided() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    issuer.jwks.serve(JwksReply::Hang(Duration::ZERO));
    let second = IssuerKey::new("second");
    assert_eq!(ask(&gateway, &issuer.token_by(&second)), denied(503, "keys_unavailable"));
}

#[test]
fn known_keys_serve_on_while_the_issuer_is_away() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 200ms");
    issuer.jwks.serve(unavailable());
    await_failure(&gateway, "idp");
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
}

#[test]
fn fetch_that_hangs_is_cut_by_its_timeout() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h, timeout: 300ms");
    issuer.jwks.serve(JwksReply::Hang(Duration::from_secs(30)));
    let begun = Instant::now();
    assert_eq!(ask(&gateway, &issuer.forged("absent")), denied(503, "keys_unavailable"));
    let took = begun.elapsed();
    assert!((300..2500).contains(&took.as_millis()), "it took {took:?}");
}

#[test]
fn requests_that_wait_for_a_hanging_issuer_hold_up_nobody_else() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h, timeout: 4s");
    issuer.jwks.serve(JwksReply::Hang(Duration::from_secs(30)));
    std::thread::scope(|scope| {
        let before = issuer.jwks.requests();
        let waiting = scope.spawn(|| at_once(&gateway, &vec![issuer.forged("absent"); 20]));
        eventually("the fetch", || (issuer.jwks.requests() > before).then_some(()));
        assert_eq!(ask(&gateway, &issuer.token()), accepted());
        assert_eq!(public(&gateway), 200);
        assert!(!waiting.is_finished(), "nobody waited");
        let outcomes = waiting.join().expect("answers");
        let unavailable = denied(503, "keys_unavailable");
        assert!(outcomes.iter().all(|outcome| *outcome == unavailable), "{outcomes:?}");
    });
}

#[test]
fn requests_that_wait_for_a_key_are_in_flight() {
    let issuer = Issuer::start("idp");
    let text = configuration(&Upstream::start(), &[issuer.yaml("refresh: 1h, timeout: 4s")]);
    let gateway = Gateway::start(&format!("{text}limits: {{ in_flight: 3 }}\n"));
    issuer.jwks.serve(JwksReply::Hang(Duration::from_secs(30)));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| at_once(&gateway, &vec![issuer.forged("absent"); 3]));
        eventually("three in flight", || {
            (gateway.metric("portcullis_requests_in_flight") == 3.0).then_some(())
        });
        let refused = client::exchange(gateway.address(), get("/public", &[]));
        assert_eq!(outcome(&refused), denied(503, "overloaded"));
        let outcomes = waiting.join().expect("answers");
        assert_eq!(outcomes, vec![denied(503, "keys_unavailable"); 3]);
    });
    eventually("places", || (public(&gateway) == 200).then_some(()));
}

#[test]
fn gateway_without_keys_becomes_ready_and_says_that_it_cannot_decide() {
    let issuer = Issuer::silent("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let answer = gateway.get_as("/whoami", &issuer.token());
    assert_eq!(outcome(&answer), denied(503, "keys_unavailable"));
    assert_eq!(answer.field("retry-after"), Some("5"));
}

#[test]
fn gateway_without_keys_serves_its_public_routes() {
    let issuer = Issuer::silent("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    assert_eq!(public(&gateway), 200);
}

#[test]
fn gateway_without_keys_serves_the_tokens_of_other_issuers() {
    let (away, there) = (Issuer::silent("away"), Issuer::start("there"));
    let issuers = [away.yaml("refresh: 1h"), there.yaml("refresh: 1h")];
    let gateway = Gateway::start(&configuration(&Upstream::start(), &issuers));
    assert_eq!(ask(&gateway, &there.token()), accepted());
}

#[test]
fn gateway_without_keys_becomes_ready_although_the_issuer_hangs() {
    let issuer = Issuer::silent("idp");
    issuer.jwks.serve(JwksReply::Hang(Duration::from_secs(60)));
    let gateway = gateway(&issuer, "refresh: 1h, timeout: 300ms");
    assert_eq!(ask(&gateway, &issuer.token()), denied(503, "keys_unavailable"));
}

#[test]
fn gateway_without_keys_recovers_by_itself() {
    let issuer = Issuer::silent("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let token = issuer.token();
    assert_eq!(ask(&gateway, &token), denied(503, "keys_unavailable"));
    issuer.recover();
    eventually("the keys", || match ask(&gateway, &token) {
        (200, _) => Some(()),
        undecided => {
            assert_eq!(undecided, denied(503, "keys_unavailable"));
            None
        }
    });
}

#[test]
fn keys_that_are_too_old_are_not_believed_even_for_verified_tokens() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1s, max_stale: 3s");
    let token = issuer.token();
    assert_eq!(ask(&gateway, &token), accepted());
    issuer.jwks.serve(unavailable());
    eventually("the end of the keys", || match ask(&gateway, &token) {
        (200, _) => None,
        refused => {
            assert_eq!(refused, denied(503, "keys_unavailable"));
            Some(())
        }
    });
}

#[test]
fn keys_that_were_too_old_are_believed_again_once_they_are_fetched() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 500ms, max_stale: 2s");
    let token = issuer.token();
    issuer.jwks.serve(unavailable());
    let becomes = |status| {
        eventually("another answer", || (ask(&gateway, &token).0 == status).then_some(()));
    };
    becomes(503);
    issuer.recover();
    becomes(200);
}

#[test]
fn age_of_the_keys_grows_while_the_issuer_is_away() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 500ms");
    let age = || gateway.metric("portcullis_key_set_age_seconds{issuer=\"idp\"}");
    issuer.jwks.serve(unavailable());
    eventually("older keys", || (age() >= 3.0).then_some(()));
    issuer.recover();
    eventually("young keys", || (age() <= 1.0).then_some(()));
}

#[test]
fn fetches_are_counted_by_issuer_and_result() {
    let (good, bad) = (Issuer::start("good"), Issuer::silent("bad"));
    let issuers = [good.yaml("refresh: 1h"), bad.yaml("refresh: 1h")];
    let gateway = Gateway::start(&configuration(&Upstream::start(), &issuers));
    let counted = |issuer, result| fetches(&gateway, issuer, result) >= 1.0;
    assert!(counted("good", "ok") && counted("bad", "failed"));
    assert!(!counted("good", "failed") && !counted("bad", "ok"));
}

#[test]
fn failed_fetch_is_logged_with_issuer_and_url() {
    let issuer = Issuer::silent("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let url = issuer.jwks.url();
    let told = |line: &String| {
        line.contains("WARN") && line.contains("idp") && line.contains(&url) && line.contains("503")
    };
    eventually("a warning", || gateway.errors().iter().any(told).then_some(()));
}

#[test]
fn password_in_the_url_of_the_keys_is_not_logged() {
    let issuer = Issuer::silent("idp");
    let entry = issuer.yaml("refresh: 1h").replace("http://", "http://me:hunter2@");
    let gateway = Gateway::start(&configuration(&Upstream::start(), &[entry]));
    let warned = eventually("a warning", || {
        gateway.errors().into_iter().find(|line| line.contains("WARN") && line.contains("idp"))
    });
    assert!(!warned.contains("hunter2"), "{warned}");
}

//! Many tokens that name keys which are not there: what the issuer gets to see of it.

use std::time::Duration;

use super::*;

/// What a flood may make us ask, beside a fetch that happens to be due.
const HANDFUL: usize = 5;

/// An issuer that takes its time, so that whoever comes meanwhile has to wait.
fn slow(issuer: &Issuer, pairs: &[&IssuerKey]) {
    let keys = pairs.iter().map(|pair| pair.jwk.clone()).collect();
    issuer.jwks.serve(JwksReply::Slow(Duration::from_millis(700), keys));
}

#[test]
fn fifty_tokens_by_one_new_key_at_once_make_one_fetch() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let second = IssuerKey::new("second");
    slow(&issuer, &[&issuer.first, &second]);
    let before = issuer.jwks.requests();
    let tokens: Vec<_> = (0..50).map(|_| issuer.token_by(&second)).collect();
    let outcomes = at_once(&gateway, &tokens);
    assert_eq!(issuer.jwks.requests(), before + 1);
    assert!(outcomes.iter().all(|outcome| *outcome == accepted()), "{outcomes:?}");
}

#[test]
fn fifty_tokens_by_one_absent_key_at_once_make_one_fetch() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    slow(&issuer, &[&issuer.first]);
    let before = issuer.jwks.requests();
    let outcomes = at_once(&gateway, &vec![issuer.forged("absent"); 50]);
    assert_eq!(issuer.jwks.requests(), before + 1);
    let unknown = denied(401, "token_key_unknown");
    assert!(outcomes.iter().all(|outcome| *outcome == unknown), "{outcomes:?}");
}

#[test]
fn fifty_tokens_by_different_absent_keys_at_once_make_one_fetch() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    slow(&issuer, &[&issuer.first]);
    let before = issuer.jwks.requests();
    let tokens: Vec<_> = (0..50).map(|number| issuer.forged(&format!("absent-{number}"))).collect();
    let outcomes = at_once(&gateway, &tokens);
    assert_eq!(issuer.jwks.requests(), before + 1);
    let unknown = denied(401, "token_key_unknown");
    assert!(outcomes.iter().all(|outcome| *outcome == unknown), "{outcomes:?}");
}

#[test]
fn flood_of_random_key_ids_makes_a_handful_of_fetches() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let before = issuer.jwks.requests();
    flood(&gateway, &issuer, 400);
    let fetched = issuer.jwks.requests() - before;
    assert!((1..=HANDFUL).contains(&fetched), "{fetched} fetches");
}

#[test]
fn fetches_that_fail_count_against_the_budget() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    issuer.jwks.serve(unavailable());
    let before = issuer.jwks.requests();
    flood(&gateway, &issuer, 400);
    let fetched = issuer.jwks.requests() - before;
    assert!((1..=HANDFUL).contains(&fetched), "{fetched} fetches");
}

#[test]
fn flood_from_many_connections_shares_one_budget() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let before = issuer.jwks.requests();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| flood(&gateway, &issuer, 50));
        }
    });
    let fetched = issuer.jwks.requests() - before;
    assert!((1..=HANDFUL).contains(&fetched), "{fetched} fetches");
}

#[test]
fn honest_tokens_keep_working_during_a_flood() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&gateway, &issuer, 400));
        let mut asked = 0;
        while !flooding.is_finished() || asked == 0 {
            // A token of its own each time: nothing comes from the cache.
            assert_eq!(ask(&gateway, &issuer.token()), accepted());
            asked += 1;
        }
    });
}

#[test]
fn what_the_budget_does_not_allow_to_ask_is_undecided() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    flood(&gateway, &issuer, 20);
    let answer = gateway.get_as("/whoami", &issuer.forged("one-more"));
    assert_eq!(outcome(&answer), denied(503, "keys_unavailable"));
    assert_eq!(answer.field("retry-after"), Some("5"));
}

#[test]
fn absent_keys_are_remembered_after_the_budget_is_used_up() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let absent = issuer.forged("absent");
    assert_eq!(ask(&gateway, &absent), denied(401, "token_key_unknown"));
    flood(&gateway, &issuer, 20);
    let outcomes = at_once(&gateway, &vec![absent; 20]);
    let unknown = denied(401, "token_key_unknown");
    assert!(outcomes.iter().all(|outcome| *outcome == unknown), "{outcomes:?}");
}

#[test]
fn flood_against_one_issuer_leaves_the_budget_of_another() {
    let (flooded, other) = (Issuer::start("flooded"), Issuer::start("other"));
    let issuers = [flooded.yaml("refresh: 1h"), other.yaml("refresh: 1h")];
    let gateway = Gateway::start(&configuration(&Upstream::start(), &issuers));
    flood(&gateway, &flooded, 20);
    let second = IssuerKey::new("second");
    other.publish(&[&second]);
    assert_eq!(ask(&gateway, &other.token_by(&second)), accepted());
}

/// Sends tokens whose key ids nobody has seen before. None gets in, none is answered otherwise
/// than "unknown" or "could not ask".
fn flood(gateway: &Gateway, issuer: &Issuer, tokens: usize) {
    let mut connection = Connection::open(gateway.address());
    for _ in 0..tokens {
        let token = bearer(&issuer.forged(&format!("{:032x}", fastrand::u128(..))));
        let outcome =
            outcome(&connection.exchange(get("/whoami", &[("Authorization", token.as_str())])));
        let expected = [denied(401, "token_key_unknown"), denied(503, "keys_unavailable")];
        assert!(expected.contains(&outcome), "{outcome:?}");
    }
}

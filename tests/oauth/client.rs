//! Clients that show who they are, and those that only say so.

use serde_json::json;

use crate::harness::oauth::{
    ASSERTION_TYPE, ISSUER, LONG, SECRET, TokenService, assert_error, assertion, basic,
    configuration,
};
use crate::harness::tokens::{key, now};
use crate::harness::upstream::Upstream;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn count(service: &TokenService, method: &str, result: &str) -> f64 {
    service.gateway.metric(&format!(
        "portcullis_client_authentications_total{{method=\"{method}\",result=\"{result}\"}}"
    ))
}

#[test]
fn secret_travels_in_the_header_or_in_the_body() {
    let service = TokenService::open();
    let body = [GRANT, ("client_id", "batch"), ("client_secret", SECRET)];
    assert_eq!(service.token(&body).status, 200);
    assert_eq!(service.token_as("batch", &[GRANT]).status, 200);
    assert_eq!(service.token_as("batch", &[GRANT, ("client_id", "batch")]).status, 200);
    assert_eq!((count(&service, "post", "ok"), count(&service, "basic", "ok")), (1.0, 2.0));
}

#[test]
fn wrong_secret_and_unknown_client_are_told_the_same() {
    let service = TokenService::open();
    let ask = |client: &str, secret: &str| {
        service.post("/auth/token", &[("Authorization", &basic(client, secret))], &[GRANT])
    };
    let wrong = ask("batch", "wrong");
    assert_error(&wrong, 401, "invalid_client");
    let challenge = wrong.field("www-authenticate").expect("a challenge");
    assert_eq!(challenge, "Basic realm=\"portcullis\", charset=\"UTF-8\"");
    // Those that are known by something else, too.
    for client in ["nobody", "mobile", "first-party", "reports"] {
        let answer = ask(client, SECRET);
        assert_eq!((answer.status, &answer.body), (401, &wrong.body), "{client}");
    }
    assert_eq!(count(&service, "basic", "refused"), 5.0);
    let logged = service.gateway.logged(|line| line["slug"] == "client_invalid");
    assert_eq!(logged["status"], 401);
}

#[test]
fn client_that_has_a_proof_must_show_it() {
    let service = TokenService::open();
    for client in ["batch", "reports", "nobody"] {
        let answer = service.token(&[GRANT, ("client_id", client)]);
        assert_error(&answer, 401, "invalid_client");
    }
    assert_eq!(count(&service, "none", "refused"), 3.0);
}

#[test]
fn two_ways_at_once_are_one_too_many() {
    let service = TokenService::open();
    let signed = assertion(json!({}));
    let in_body = [("client_id", "batch"), ("client_secret", SECRET)];
    let asserted = [ASSERTION_TYPE, ("client_assertion", &*signed)];
    for pairs in [&in_body[..], &asserted] {
        let answer = service.token_as("batch", &[&[GRANT], pairs].concat());
        assert_error(&answer, 400, "invalid_request");
    }
    let answer = service.token(&[&[GRANT], &in_body[..], &asserted].concat());
    assert_error(&answer, 400, "invalid_request");
    let answer = service.token_as("batch", &[GRANT, ("client_id", "other")]);
    assert_error(&answer, 400, "invalid_request");
    // The assertion was not used up by that.
    assert_eq!(service.token(&[&[GRANT], &asserted[..]].concat()).status, 200);
}

#[test]
fn assertion_is_good_once() {
    let service = TokenService::open();
    let ask =
        |assertion: &str| service.token(&[GRANT, ASSERTION_TYPE, ("client_assertion", assertion)]);
    let signed = assertion(json!({}));
    let answer = ask(&signed);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_error(&ask(&signed), 401, "invalid_client");
    // The id is what is used up, not the text.
    let same_id = json!({ "jti": "1", "exp": now() + 60 });
    assert_eq!(ask(&assertion(same_id.clone())).status, 200);
    assert_error(&ask(&assertion(same_id)), 401, "invalid_client");
    assert_eq!(count(&service, "private_key_jwt", "ok"), 2.0);
    assert_eq!(count(&service, "private_key_jwt", "refused"), 2.0);
}

#[test]
fn assertion_is_by_the_client_for_us_and_for_now() {
    let service = TokenService::open();
    let ask =
        |assertion: &str| service.token(&[GRANT, ASSERTION_TYPE, ("client_assertion", assertion)]);
    for good in [
        json!({ "aud": "https://gateway.test/auth/token" }),
        json!({ "aud": [ISSUER, "https://gateway.test/auth/token"] }),
        json!({ "exp": now() + 290, "iat": now(), "nbf": now() }),
    ] {
        let answer = ask(&assertion(good.clone()));
        assert_eq!(answer.status, 200, "{good}: {answer:?}");
    }
    for bad in [
        json!({ "iss": "batch" }),
        json!({ "sub": "batch" }),
        json!({ "iss": "mobile", "sub": "mobile" }),
        json!({ "sub": null }),
        json!({ "aud": "https://other.test" }),
        json!({ "aud": [ISSUER, "https://other.test"] }),
        json!({ "aud": null }),
        json!({ "exp": now() - 60 }),
        json!({ "exp": now() + 7200 }),
        json!({ "exp": null }),
        json!({ "nbf": now() + 120 }),
        json!({ "iat": now() + 120 }),
        json!({ "jti": null }),
    ] {
        assert_error(&ask(&assertion(bad.clone())), 401, "invalid_client");
    }
    // By a key that is not the client's, and by nobody.
    let claims = json!({
        "iss": "reports", "sub": "reports", "aud": ISSUER, "exp": now() + 60, "jti": "1",
    });
    let claims = claims.as_object().expect("an object");
    let forged = key().sign("JWT", claims).expect("a token");
    assert_error(&ask(&forged), 401, "invalid_client");
    let unsigned = crate::harness::tokens::forged(
        r#"{"alg":"none"}"#,
        &serde_json::Value::Object(claims.clone()).to_string(),
        b"",
    );
    assert_error(&ask(&unsigned), 401, "invalid_client");
    // Who is named beside it is the same.
    let signed = assertion(json!({}));
    let pairs = [GRANT, ASSERTION_TYPE, ("client_assertion", &signed), ("client_id", "batch")];
    assert_error(&service.token(&pairs), 401, "invalid_client");
    let pairs = [GRANT, ASSERTION_TYPE, ("client_assertion", &signed), ("client_id", "reports")];
    assert_eq!(service.token(&pairs).status, 200);
}

/// Guesses are budgeted by where they come from, and no client can be locked out by others.
#[test]
fn guesses_are_limited_by_address_and_lock_nobody_out() {
    let upstream = Upstream::start();
    let text = configuration(&upstream, LONG, "trusted_proxies: [127.0.0.1/32]\n");
    let text = text.replacen("per_address: 100000/1s", "per_address: 2/1d", 1);
    let service = TokenService::of(upstream, &text);
    let ask = |address: &str, secret: &str| {
        let authorization = basic("batch", secret);
        let fields = [("X-Forwarded-For", address), ("Authorization", &*authorization)];
        service.post("/auth/token", &fields, &[GRANT])
    };
    assert_eq!(ask("192.0.2.1", SECRET).status, 200);
    let mut guesses = (0..20).map(|number| ask("192.0.2.66", &format!("guess {number}")));
    let limited = guesses.find(|answer| answer.status != 401).expect("a limit");
    assert_error(&limited, 429, "temporarily_unavailable");
    assert!(count(&service, "basic", "limited") > 0.0);
    assert_error(&ask("192.0.2.66", "another guess"), 429, "temporarily_unavailable");
    // Others who come from there go on.
    let fresh = basic("other", SECRET);
    let fields = [("X-Forwarded-For", "192.0.2.66"), ("Authorization", &*fresh)];
    assert_eq!(service.post("/auth/token", &fields, &[GRANT]).status, 200);
    // A pair that was right a moment ago costs no attempt, wherever it comes from.
    assert_eq!(ask("192.0.2.66", SECRET).status, 200);
    assert_eq!(ask("192.0.2.2", SECRET).status, 200);
}

/// Each is kept for as long as it could be used again.
#[test]
fn assertions_of_a_client_are_budgeted_and_those_of_others_go_on() {
    let service = TokenService::open();
    let ask =
        || service.token(&[GRANT, ASSERTION_TYPE, ("client_assertion", &assertion(json!({})))]);
    for number in 0..600 {
        assert_eq!(ask().status, 200, "{number}");
    }
    let answer = ask();
    assert_eq!((answer.status, &answer.json()["slug"]), (429, &"rate_limited".into()));
    assert!(answer.field("retry-after").is_some(), "{answer:?}");
    // Who has a secret leaves nothing behind.
    let answer = service.token_as("batch", &[GRANT]);
    assert_eq!(answer.status, 200, "{answer:?}");
}

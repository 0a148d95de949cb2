//! Routes that take both carriers, and cookies that are none.

use http::header::{AUTHORIZATION, COOKIE};
use serde_json::json;

use super::*;
use crate::gate::{stranger_private, token, token_of};

fn authorization(value: &str) -> (HeaderName, String) {
    (AUTHORIZATION, value.to_owned())
}

fn own_cookie() -> (HeaderName, String) {
    cookie(&own())
}

#[test]
fn absent_bearer_leaves_the_request_to_the_cookie_and_the_other_way_round() {
    let gate = gatehouse().with_alice();
    let token = token(json!({"sub": "token-bearer"}));
    for path in ["/bearer-first", "/session-first"] {
        let verdict = gate.verdict(&GateRequest::logged_in(path));
        assert_eq!(subject(&verdict), Some("alice"), "{path}");
        assert_eq!(verdict.findings.carrier, Some(Carrier::Session), "{path}");
        let verdict = gate.verdict(&GateRequest::get(path).with(authorization(&bearer(&token))));
        assert_eq!(subject(&verdict), Some("token-bearer"), "{path}");
        assert_eq!(verdict.findings.carrier, Some(Carrier::Bearer), "{path}");
        assert!(verdict.findings.session.is_none() && wanted(&verdict).is_none(), "{path}");
    }
}

#[test]
fn of_two_good_credentials_the_first_carrier_of_the_route_counts() {
    let gate = gatehouse().with_alice();
    let token = bearer(&token(json!({"sub": "token-bearer"})));
    for (path, expected) in [("/bearer-first", "token-bearer"), ("/session-first", "alice")] {
        let asked = GateRequest::logged_in(path).with(authorization(&token));
        assert_eq!(subject(&gate.verdict(&asked)), Some(expected), "{path}");
    }
}

#[test]
fn no_credential_at_all_is_absent_on_every_route_that_wants_one() {
    let gate = gatehouse().with_alice();
    for path in ["/only/7", "/bearer-first", "/session-first", "/bearer-only"] {
        let verdict = gate.verdict(&GateRequest::get(path));
        assert_eq!(slug_of(&verdict), "credential_absent", "{path}");
        assert_eq!(verdict.findings.carrier, None, "{path}");
    }
}

/// Only an absent credential may try the next carrier: a stolen cookie beside a token that has
/// expired must not turn a refusal into leave to go on.
#[test]
fn bearer_that_is_refused_is_not_made_up_for_by_a_good_cookie() {
    let gate = gatehouse().with_alice();
    for (value, expected) in [
        ("Bearer\ta", "credential_malformed"),
        ("Bearer", "token_malformed"),
        ("Bearer a b", "token_malformed"),
        ("Bearer a.b.c.d.e", "token_malformed"),
        (&bearer(&token(json!({"iat": NOW - 600, "exp": NOW - 60}))), "token_expired"),
        (&bearer(&token(json!({"aud": "billing"}))), "token_audience"),
        (&bearer(&token_of("other", &stranger_private())), "token_issuer"),
    ] {
        let verdict =
            gate.verdict(&GateRequest::logged_in("/bearer-first").with(authorization(value)));
        assert_eq!(slug_of(&verdict), expected, "{value}");
        assert_eq!(verdict.findings.carrier, Some(Carrier::Bearer), "{value}");
        assert!(verdict.findings.session.is_none(), "{value}");
    }
}

#[test]
fn cookie_that_is_refused_is_not_made_up_for_by_a_good_bearer() {
    let gate = gatehouse();
    let good = authorization(&bearer(&good()));
    let broken =
        GateRequest::get("/session-first").with((COOKIE, format!("{NAME}=x"))).with(good.clone());
    let verdict = gate.verdict(&broken);
    assert_eq!(slug_of(&verdict), "credential_malformed");
    assert_eq!(verdict.findings.carrier, Some(Carrier::Session));
    // One that nobody knows has to be looked for, whatever stands beside it.
    let unknown = GateRequest::logged_in("/session-first").with(good.clone());
    let verdict = gate.verdict(&unknown);
    assert_eq!(slug_of(&verdict), "store_unavailable");
    assert!(wanted(&verdict).is_some());
    let mut rested = stored();
    rested.last_seen = UnixTime::from_seconds(NOW - IDLE_S);
    let expired = unknown.having_read(gate.read(&own(), &rested));
    assert_eq!(gate.slug_for(&expired), "session_expired");
    assert_eq!(gate.slug_for(&GateRequest::get("/session-first").with(good)), PERMITTED);
}

#[test]
fn route_reads_only_the_carriers_that_it_takes() {
    let gate = gatehouse().with_alice();
    let token = authorization(&bearer(&good()));
    assert_eq!(gate.slug_for(&GateRequest::get("/only/7").with(token)), "credential_absent");
    let broken = GateRequest::logged_in("/only/7").with(authorization("Basic YTpi"));
    assert_eq!(gate.slug_for(&broken), PERMITTED);
    assert_eq!(gate.slug_for(&GateRequest::logged_in("/bearer-only")), "credential_absent");
    let broken = GateRequest::get("/bearer-only").with((COOKIE, format!("{NAME}=x")));
    assert_eq!(gate.slug_for(&broken), "credential_absent");
}

/// An upstream could take the other one for the credential.
#[test]
fn second_authorization_header_is_refused_where_only_cookies_are_read() {
    let gate = gatehouse().with_alice();
    let twice = GateRequest::logged_in("/only/7")
        .with(authorization(&bearer(&good())))
        .with(authorization(&bearer(&good())));
    assert_eq!(gate.slug_for(&twice), "credential_malformed");
}

#[test]
fn cookie_that_is_not_one_secret_of_ours_is_malformed_wherever_cookies_are_read() {
    let gate = gatehouse().with_alice();
    let good = own().expose();
    let other = secret(8).expose();
    let fields: [&[String]; 10] = [
        &[format!("{NAME}=")],
        &[NAME.to_owned()],
        &[format!("{NAME}={}", &good[..42])],
        &[format!("{NAME}={good}A")],
        &[format!("{NAME}={good}=")],
        &[format!("{NAME}=\"{good}\"")],
        &[format!("{NAME}={good}; {NAME}={good}")],
        &[format!("{NAME}={good}"), format!("{NAME}={other}")],
        &[format!("{NAME} ={good}")],
        &[format!("{NAME}={good}"), format!("a=b;{NAME} = x")],
    ];
    for path in ["/only/7", "/bearer-first", "/session-first"] {
        for fields in fields {
            let asked = fields
                .iter()
                .fold(GateRequest::get(path), |asked, field| asked.with((COOKIE, field.clone())));
            let verdict = gate.verdict(&asked);
            assert_eq!(slug_of(&verdict), "credential_malformed", "{path} {fields:?}");
            assert_eq!(verdict.findings.carrier, Some(Carrier::Session), "{path} {fields:?}");
            assert!(wanted(&verdict).is_none(), "the store is not asked: {fields:?}");
        }
    }
}

#[test]
fn cookies_by_other_names_are_not_the_session() {
    let gate = gatehouse().with_alice();
    let good = own().expose();
    for field in [
        format!("session={good}"),
        format!("__host-session={good}"),
        format!("__Secure-session={good}"),
        format!("x__Host-session={good}"),
        format!("__Host-session2={good}"),
        "a=b; c".to_owned(),
        String::new(),
    ] {
        let asked = GateRequest::get("/only/7").with((COOKIE, field.clone()));
        assert_eq!(gate.slug_for(&asked), "credential_absent", "{field}");
        let beside = asked.with(own_cookie());
        assert_eq!(gate.slug_for(&beside), PERMITTED, "{field}");
    }
}

#[test]
fn cookie_goes_by_the_name_that_the_configuration_gives_it() {
    let gate = with(&["sessions: {cookie: {name: sid, domain: api.test}}"], "").with_alice();
    assert_eq!(gate.slug_for(&GateRequest::logged_in("/only/7")), "credential_absent");
    let named = GateRequest::get("/only/7").with((COOKIE, format!("sid={}", own().expose())));
    assert_eq!(gate.slug_for(&named), PERMITTED);
}

#[test]
fn public_route_does_not_look_at_cookies() {
    let gate = gatehouse().with_alice();
    for value in ["x", "", &format!("{}; {NAME}=again", own().expose())] {
        let asked = GateRequest::get("/public").with((COOKIE, format!("{NAME}={value}")));
        let verdict = gate.verdict(&asked);
        assert_eq!((slug_of(&verdict), verdict.findings.carrier), (PERMITTED, None), "{value}");
    }
    let verdict = gate.verdict(&GateRequest::logged_in("/public"));
    assert!(
        subject(&verdict).is_none() && verdict.findings.session.is_none(),
        "nobody was identified"
    );
    // Nor for where a request comes from.
    let foreign = GateRequest::logged_in("/public")
        .by(Method::POST)
        .with((HeaderName::from_static("sec-fetch-site"), "cross-site".to_owned()));
    assert_eq!(gate.slug_for(&foreign), PERMITTED);
}

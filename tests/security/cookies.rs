//! Cookies without a name: what a browser sends of them is read as a cookie with one (RFC 6265bis §5.6).

use serde_json::json;

use crate::harness::client::{get, request};
use crate::harness::gateway::Gateway;
use crate::harness::login::{COOKIE, Login};
use crate::harness::oauth;
use crate::harness::upstream::{Behaviour, Upstream};

const REFRESH: &str = "__Host-refresh";

/// The name that it once had, which some browsers still send.
const OLD: &str = "__Secure-refresh";

/// A gateway where people log in, which also gives out refresh tokens.
fn start(upstream: &Upstream) -> Gateway {
    let text = oauth::configuration(upstream, oauth::LONG, "");
    Gateway::start_in(oauth::directory(), &text)
}

/// What reaches a client of these `Set-Cookie` fields of an upstream.
fn passed_on(gateway: &Gateway, upstream: &Upstream, set: &[String]) -> Vec<String> {
    let set: String = set.iter().map(|set| format!("Set-Cookie:{set}\r\n")).collect();
    let answer = format!("HTTP/1.1 200 OK\r\n{set}Content-Length: 2\r\n\r\nok");
    upstream.behave(Behaviour::Bytes(answer));
    let answer = gateway.exchange(get("/public/a", &[]));
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookies = answer.fields.iter().filter(|(name, _)| name == "set-cookie");
    cookies.map(|(_, value)| value.clone()).collect()
}

#[test]
fn upstream_cannot_set_a_cookie_of_ours_without_naming_it() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    for name in [COOKIE, REFRESH, OLD] {
        for set in [
            format!("{name}=x"),
            format!("={name}=x"),
            format!(" ={name}=x"),
            format!(" = {name}=x; Path=/; Secure"),
            format!("=\t{name} = x"),
            format!("\t=\t{name}\t=x"),
            format!("=={name}=x"),
            format!("= = {name}=x"),
            format!("={name}"),
            format!(" {name}"),
            format!("{name};"),
            format!("={name};Max-Age=0"),
            format!("{name} =x"),
        ] {
            let kept = passed_on(&gateway, &upstream, &[set.clone(), " a=1".to_owned()]);
            assert_eq!(kept, ["a=1"], "{set:?}");
        }
    }
}

#[test]
fn cookie_that_no_browser_sends_as_ours_is_passed_on() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    for set in [
        format!("a={COOKIE}=x"),
        format!("=x{COOKIE}=x"),
        format!("={COOKIE}x=x"),
        format!("={COOKIE}x"),
        format!("=a; {COOKIE}=x"),
        format!("x={COOKIE}"),
        // Names are compared as they are written, by browsers and by us.
        format!("={}=x", COOKIE.to_uppercase()),
        "=".to_owned(),
        "=a".to_owned(),
        "; Path=/".to_owned(),
    ] {
        assert_eq!(passed_on(&gateway, &upstream, std::slice::from_ref(&set)), [&*set]);
    }
}

/// A browser sends the value of a nameless cookie and no `=` before it. Whoever does send one means a
/// cookie with an empty name.
#[test]
fn nameless_cookie_of_a_request_is_nobodys_session() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let alice = Login::new(gateway.address(), "alice");
    let asked = |cookie: &str| gateway.exchange(get("/pages", &[("Cookie", cookie)]));
    assert_eq!(asked(&alice.cookie).status, 200);
    assert_eq!(asked(&format!("=; ={}; {}", alice.cookie, alice.cookie)).status, 200);
    for cookie in [
        format!("={}", alice.cookie),
        format!(" = {}", alice.cookie),
        format!("=={}", alice.cookie),
        format!("={}", alice.secret()),
        alice.secret().to_owned(),
        format!("a={}", alice.cookie),
    ] {
        let answer = asked(&cookie);
        assert_eq!((answer.status, answer.slug().as_str()), (401, "credential_absent"), "{cookie}");
    }
    let answer = asked(COOKIE);
    assert_eq!((answer.status, answer.slug().as_str()), (400, "credential_malformed"));
    // The same of a refresh token, which is a live one.
    let browser = ("Sec-Fetch-Site", "same-origin");
    let deliver = json!({ "deliver": "tokens" });
    let answer = oauth::log_in(&gateway, "bob", &[browser], deliver);
    let set = oauth::cookies(&answer)[0].split(';').next().expect("a pair").to_owned();
    assert!(set.starts_with(REFRESH), "{set}");
    let exchange = |cookie: &str| {
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        let fields = [("Cookie", cookie), form, browser];
        gateway.exchange(request("POST", "/auth/token", &fields, "grant_type=refresh_token"))
    };
    for cookie in [format!("={set}"), format!("=={set}"), format!("a={set}")] {
        let answer = exchange(&cookie);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &"invalid_request".into()));
    }
    assert_eq!(exchange(&set).status, 200);
}

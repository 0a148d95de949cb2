//! What passes through beside the session: cookies of others, in both directions, and caching.

use crate::harness::client::{self, get};
use crate::harness::login::COOKIE;
use crate::harness::sessions::SessionFleet;
use crate::harness::upstream::Behaviour;

/// The `Cookie` fields that the upstream gets for these.
fn forwarded(site: &SessionFleet, path: &str, cookies: &[&str]) -> Vec<String> {
    let fields: Vec<_> = cookies.iter().map(|cookie| ("Cookie", *cookie)).collect();
    let answer = site.gateway(1).exchange(get(path, &fields));
    assert_eq!(answer.status, 200, "{cookies:?}: {answer:?}");
    site.upstream.last().values("cookie").into_iter().map(str::to_owned).collect()
}

#[test]
fn other_cookies_are_forwarded_without_ours() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let ours = &*alice.cookie;
    for (sent, wanted) in [
        (ours.to_owned(), None),
        (format!("a=b; {ours}"), Some("a=b")),
        (format!("{ours}; a=b"), Some("a=b")),
        (format!("a=b; {ours}; c=d"), Some("a=b; c=d")),
        (format!("a=b;{ours};c=\"d e\""), Some("a=b; c=\"d e\"")),
        (format!("x{ours}; {ours}"), Some(&*format!("x{ours}"))),
        (format!("{ours}; v={}", alice.id), Some(&*format!("v={}", alice.id))),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(str::to_owned).collect();
        assert_eq!(forwarded(&site, "/home/x", &[&sent]), wanted, "{sent}");
    }
    assert_eq!(forwarded(&site, "/home/x", &["a=b", ours, "c=d"]), ["a=b; c=d"]);
    assert_eq!(forwarded(&site, "/home/x", &[ours, "a=b"]), ["a=b"]);
}

#[test]
fn cookie_is_kept_from_the_upstreams_of_public_routes_and_of_bearers_too() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let ours = &*alice.cookie;
    assert_eq!(forwarded(&site, "/public/x", &[ours]), [""; 0]);
    assert_eq!(forwarded(&site, "/public/x", &[&format!("a=b; {ours}")]), ["a=b"]);
    // What is refused elsewhere as ambiguous goes nowhere either.
    assert_eq!(forwarded(&site, "/public/x", &[&format!("{ours}; a=b; {ours}")]), ["a=b"]);
    assert_eq!(forwarded(&site, "/public/x", &[ours, "a=b", ours]), ["a=b"]);
    assert_eq!(forwarded(&site, "/public/x", &[&format!("{COOKIE}; a=b; {COOKIE} =x")]), ["a=b"]);
    let token = crate::harness::tokens::token(serde_json::json!({}));
    let token = crate::harness::tokens::bearer(&token);
    let fields = [("Authorization", &*token), ("Cookie", ours)];
    assert_eq!(site.gateway(1).exchange(get("/whoami", &fields)).status, 200);
    assert_eq!(site.upstream.last().values("cookie"), [""; 0]);
}

#[test]
fn route_that_keeps_credentials_forwards_the_cookie() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let whole = format!("a=b; {}", alice.cookie);
    assert_eq!(forwarded(&site, "/kept", &[&whole]), [&*whole]);
}

/// What the gate did not look at must not arrive as if it had.
#[test]
fn route_that_keeps_credentials_forwards_only_the_one_that_opened_it() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let fields = [("Authorization", "Bearer nobody.looked.at-this"), ("Cookie", &*alice.cookie)];
    assert_eq!(site.gateway(1).exchange(get("/kept", &fields)).status, 200);
    let last = site.upstream.last();
    assert_eq!(last.values("authorization"), [""; 0]);
    assert_eq!(last.values("cookie"), [&*alice.cookie]);
}

#[test]
fn named_cookie_is_the_one_that_is_kept_back() {
    let site = SessionFleet::embedded("sessions: { cookie: { name: sid } }\n");
    let alice = site.log_in("alice");
    assert!(alice.cookie.starts_with("sid="), "{alice:?}");
    let whole = format!("sidx=1; {}; xsid=2; {COOKIE}=3", alice.cookie);
    let wanted = format!("sidx=1; xsid=2; {COOKIE}=3");
    assert_eq!(forwarded(&site, "/home/x", &[&whole]), [wanted]);
}

/// The values of a field of an answer, in order.
fn values<'a>(answer: &'a client::Answer, name: &str) -> Vec<&'a str> {
    let fields = answer.fields.iter().filter(|(field, _)| field == name);
    fields.map(|(_, value)| value.as_str()).collect()
}

fn answer_with(site: &SessionFleet, fields: &str) {
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
    site.upstream.behave(Behaviour::Bytes(answer));
}

#[test]
fn upstream_cannot_set_nor_take_the_session_cookie() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let planted = format!("{COOKIE}={}; Path=/; Secure", alice.secret());
    answer_with(
        &site,
        &format!(
            "Set-Cookie: a=1; Path=/\r\nSet-Cookie: {planted}\r\nSet-Cookie: b=2\r\n\
             Set-Cookie: {COOKIE}=; Max-Age=0\r\nset-cookie:  {COOKIE} =x\r\nSet-Cookie: {COOKIE}\r\n\
             Set-Cookie: x{COOKIE}=3\r\nSet-Cookie: c=\"{COOKIE}=4\"\r\n"
        ),
    );
    let wanted = ["a=1; Path=/", "b=2", "x__Host-session=3", "c=\"__Host-session=4\""];
    let address = site.gateway(1).address();
    assert_eq!(values(&alice.ask(address, "/home/x"), "set-cookie"), wanted);
    assert_eq!(values(&alice.ask(address, "/kept"), "set-cookie"), wanted);
    let public = client::exchange(address, get("/public/x", &[]));
    assert_eq!(values(&public, "set-cookie"), wanted);
}

#[test]
fn answers_to_a_session_are_not_stored_unless_they_say_so() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let address = site.gateway(1).address();
    let token =
        crate::harness::tokens::bearer(&crate::harness::tokens::token(serde_json::json!({})));
    let caching = |answer: client::Answer| -> Vec<String> {
        assert_eq!(answer.status, 200, "{answer:?}");
        values(&answer, "cache-control").into_iter().map(str::to_owned).collect()
    };
    let by_session = |path: &str| caching(alice.ask(address, path));
    let others = || {
        let fields = [("Cookie", &*alice.cookie), ("Authorization", &*token)];
        let paths = ["/public/x", "/whoami", "/bearer-first"];
        paths.map(|path| caching(client::exchange(address, get(path, &fields))))
    };
    answer_with(&site, "");
    assert_eq!(by_session("/home/x"), ["no-store"]);
    assert_eq!(by_session("/session-first"), ["no-store"]);
    assert_eq!(others(), [[""; 0]; 3]);
    for own in ["private, max-age=60", "public", ""] {
        answer_with(&site, &format!("Cache-Control: {own}\r\n"));
        assert_eq!(by_session("/home/x"), [own]);
        assert_eq!(others(), [[own]; 3]);
    }
    // Each of several stays.
    answer_with(&site, "Cache-Control: private\r\nCache-Control: max-age=1\r\n");
    assert_eq!(by_session("/home/x"), ["private", "max-age=1"]);
}

#[test]
fn error_answers_of_the_upstream_are_kept_from_caches_too() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    site.upstream.behave(Behaviour::Bytes(bytes.to_owned()));
    let answer = alice.ask(site.gateway(1).address(), "/home/x");
    assert_eq!((answer.status, answer.field("cache-control")), (404, Some("no-store")));
}

#[test]
fn upstream_that_is_away_takes_no_cookie() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    site.upstream.behave(Behaviour::HangUp);
    let answer = alice.ask(site.gateway(1).address(), "/home/x");
    assert_eq!(crate::harness::sessions::told(&answer), (502, "upstream_unavailable".to_owned()));
    site.upstream.behave(Behaviour::Answer);
    assert_eq!(site.ask(1, &alice), crate::harness::outcome::accepted());
}

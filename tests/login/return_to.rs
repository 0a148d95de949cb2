//! `return_to`: wherever a login leads, it does not lead to another host.

use serde_json::json;
use url::Url;

use crate::harness::client;
use crate::harness::login::PASSWORD;
use crate::harness::password_login::{
    LoginGateway, MANY, assert_refused, encoded, hidden_return_to,
};

/// Places to which a login must not lead.
const EVIL: [&str; 52] = [
    "//evil.test",
    "///evil.test",
    "////evil.test",
    "/\\evil.test",
    "\\/evil.test",
    "\\\\evil.test",
    "/a\\..\\..\\evil.test",
    "/\t/evil.test",
    "/\n/evil.test",
    "/\r\n/evil.test",
    "\t//evil.test",
    " //evil.test",
    " /a",
    "/a b",
    "/%09/evil.test",
    "/%0a/evil.test",
    "/%0d%0aSet-Cookie:x=y",
    "/a\r\nSet-Cookie: x=y",
    "/%2f/evil.test",
    "/%2F/evil.test",
    "/%2fevil.test",
    "/%5cevil.test",
    "/%5Cevil.test",
    "/%255cevil.test",
    "/%252fevil.test",
    "/.//evil.test",
    "/..//evil.test",
    "/a/..//evil.test",
    "/%2e//evil.test",
    "/a%00",
    "/\u{2044}/evil.test",
    "/\u{ff0f}evil.test",
    "https:evil.test",
    "https:/evil.test",
    "https://evil.test",
    "http://gateway.test/",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,x",
    "evil.test",
    "@evil.test",
    "?x",
    "#x",
    "/a#b",
    "https://app.test.evil.test/",
    "https://app.test@evil.test/",
    "https://app.test:pw@evil.test/",
    "https://app.test:8443/",
    "https://app.test\\@evil.test/",
    "http://app.test/",
    "https://APP.test/",
];

fn open() -> LoginGateway {
    LoginGateway::open_with("", &format!("return_to: [https://app.test]\n  {MANY}"))
}

#[test]
fn place_elsewhere_is_refused_with_the_login() {
    let site = open();
    for place in EVIL {
        let pairs = [("username", "alice"), ("password", PASSWORD), ("return_to", place)];
        let answer = site.form(&pairs);
        assert_eq!((answer.status, answer.field("location")), (400, None), "{place:?}: {answer:?}");
        assert_eq!(answer.field("set-cookie"), None, "{place:?}");
        assert!(!answer.body.contains("evil"), "{answer:?}");
        let body = json!({ "username": "alice", "password": PASSWORD, "return_to": place });
        assert_refused(&site.json(&body), 400, "request_body");
    }
}

#[test]
fn place_elsewhere_is_left_out_of_the_page() {
    let site = open();
    let shown = |query: &str| {
        let answer = site.gateway.exchange(client::get(&format!("/auth/login?{query}"), &[]));
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        hidden_return_to(&answer.body)
    };
    for place in EVIL {
        assert_eq!(shown(&encoded(&[("return_to", place)])), "/", "{place:?}");
    }
    for query in [
        "",
        "return_to",
        "return_to=",
        "return_to=/a&return_to=/b",
        "return_to=/a&return%5fto=//evil.test",
        "return_to=%zz",
        "return_to=/a&x=%",
        "Return_to=/a",
    ] {
        assert_eq!(shown(query), "/", "{query}");
    }
    assert_eq!(shown("x=y&return_to=/a%3Fb%3D%2522"), "/a?b=%22");
}

#[test]
fn own_pages_of_the_gateway_are_no_place_to_return_to() {
    let site = open();
    for place in
        ["/auth", "/auth/login", "/auth/login?return_to=/a", "/auth/logout", "/%61uth/login"]
    {
        let pairs = [("username", "alice"), ("password", PASSWORD), ("return_to", place)];
        let answer = site.form(&pairs);
        assert_eq!((answer.status, answer.field("set-cookie")), (400, None), "{place}");
    }
    // But for the one that there is to see.
    let pairs = [("username", "alice"), ("password", PASSWORD), ("return_to", "/auth/sessions")];
    assert_eq!(site.form(&pairs).field("location"), Some("/auth/sessions"));
    for place in [
        "/auth/sessions/",
        "/auth/session",
        "/auth/sessions/x",
        "/auth/%73essions",
        "/auth/sessions/../login",
    ] {
        let pairs = [("username", "alice"), ("password", PASSWORD), ("return_to", place)];
        assert_eq!(site.form(&pairs).status, 400, "{place}");
    }
}

#[test]
fn places_that_are_listed_and_paths_of_our_own_are_returned_to() {
    let site = open();
    let base = Url::parse("http://gateway.test/auth/login").expect("a URL");
    for place in [
        "/",
        "/a",
        "/a?b=c&d=%2f%5c//e",
        "/?next=https://evil.test",
        "/@evil.test",
        "/:80/evil",
        "/a//b",
        "/a%20b",
        "/%e2%82%ac",
        "/authority",
        "/a?<script>",
        "https://app.test",
        "https://app.test/",
        "https://app.test/a?b=c",
    ] {
        let pairs = [("username", "alice"), ("password", PASSWORD), ("return_to", place)];
        let answer = site.form(&pairs);
        assert_eq!((answer.status, answer.field("location")), (303, Some(place)), "{answer:?}");
        let told =
            site.json(&json!({ "username": "alice", "password": PASSWORD, "return_to": place }));
        assert_eq!(told.json()["return_to"], place);
        // As browsers read it.
        let url = base.join(place).expect("a URL");
        let origin = url.origin().ascii_serialization();
        assert!(["http://gateway.test", "https://app.test"].contains(&&*origin), "{place}: {url}");
    }
}

#[test]
fn place_is_up_to_2048_bytes_long() {
    let site = open();
    let longest = format!("/{}", "a".repeat(2047));
    let pairs = [("username", "alice"), ("password", PASSWORD), ("return_to", &*longest)];
    assert_eq!(site.form(&pairs).field("location"), Some(&*longest));
    let longer = longest + "a";
    let pairs = [("username", "alice"), ("password", PASSWORD), ("return_to", &*longer)];
    assert_eq!(site.form(&pairs).status, 400);
}

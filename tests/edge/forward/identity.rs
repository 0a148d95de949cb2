//! Identity headers are stripped, then set; the credential stays at the gateway.

use serde_json::json;

use super::{ForwardingGateway, mentions, spellings};
use crate::harness::client::{get, request};
use crate::harness::tokens::{ISSUER, bearer, token};

/// The headers that the standard configuration owns.
const OWNED: [&str; 7] = [
    "X-Auth-Subject",
    "X-Auth-Issuer",
    "X-Auth-Scopes",
    "X-Auth-Roles",
    "X-Auth-Session",
    "X-Auth-Email",
    "X-Auth-Tenant",
];

/// Each owned header in each of its spellings, one request for each header.
fn for_each_spoof(mut forward: impl FnMut(&str, &[(&str, &str)])) {
    for name in OWNED {
        let spellings = spellings(name);
        let fields: Vec<_> = spellings.iter().map(|name| (name.as_str(), "mallory")).collect();
        forward(name, &fields);
    }
}

#[test]
fn spoofed_identity_header_is_stripped_in_every_spelling() {
    let forwarding = ForwardingGateway::start();
    for_each_spoof(|name, fields| {
        let received = forwarding.get_as("/orders/7", &token(json!({})), fields);
        assert!(!mentions(&received, "mallory"), "{name} in {}", received.head);
    });
}

#[test]
fn spoofed_identity_header_is_stripped_on_public_routes_too() {
    let forwarding = ForwardingGateway::start();
    for_each_spoof(|name, fields| {
        let received = forwarding.forward(get("/public/a", fields));
        assert!(!mentions(&received, "mallory"), "{name} in {}", received.head);
    });
}

#[test]
fn repeated_identity_header_is_stripped_each_time() {
    let forwarding = ForwardingGateway::start();
    let fields = ["X-Auth-Subject", "x-auth-subject"].map(|name| (name, "mallory")).repeat(2);
    let received = forwarding.get_as("/orders/7", &token(json!({})), &fields);
    assert_eq!(received.values("x-auth-subject"), ["alice"]);
    let received = forwarding.forward(get("/public/a", &fields));
    assert!(received.values("x-auth-subject").is_empty(), "{}", received.head);
}

/// RFC 9112 §7.1.2: a trailer field may end up among the header fields of the next server.
#[test]
fn spoofed_identity_header_in_a_trailer_is_not_forwarded() {
    let forwarding = ForwardingGateway::start();
    let head = "POST /public/a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\
                Trailer: X-Auth-Subject\r\n\r\n";
    let body = "5\r\nhello\r\n0\r\nX-Auth-Subject: mallory\r\n\r\n";
    let received = forwarding.forward(format!("{head}{body}"));
    assert!(!mentions(&received, "mallory") && !received.body.contains("mallory"));
    assert!(received.body.contains("hello"), "the body itself arrives: {}", received.body);
}

#[test]
fn headers_that_only_look_like_ours_are_left_alone() {
    let forwarding = ForwardingGateway::start();
    let alike = ["X-Auth-Subjects", "XX-Auth-Subject", "X-Auth", "XAuthSubject", "X-Auth--Subject"];
    let fields = alike.map(|name| (name, "client"));
    let received = forwarding.get_as("/orders/7", &token(json!({})), &fields);
    for name in alike {
        assert_eq!(received.values(name), ["client"], "{name}");
    }
}

#[test]
fn identity_is_told_once_and_in_full() {
    let forwarding = ForwardingGateway::start();
    let claims = json!({
        "scope": "orders:read orders:list",
        "roles": ["clerk", "admin"],
        "email": "alice@example.test",
        "tenant": "acme",
    });
    let received = forwarding.get_as("/orders/7", &token(claims), &[]);
    for (name, expected) in [
        ("x-auth-subject", "alice"),
        ("x-auth-issuer", ISSUER),
        ("x-auth-scopes", "orders:read orders:list"),
        ("x-auth-roles", "clerk,admin"),
        ("x-auth-email", "alice@example.test"),
        ("x-auth-tenant", "acme"),
    ] {
        assert_eq!(received.values(name), [expected], "{name}");
    }
}

#[test]
fn what_a_token_does_not_say_is_not_told() {
    let forwarding = ForwardingGateway::start();
    let spoof = OWNED.map(|name| (name, "mallory"));
    let bare = token(json!({"scope": null, "roles": null}));
    let received = forwarding.get_as("/whoami", &bare, &spoof);
    for name in ["x-auth-scopes", "x-auth-roles", "x-auth-session", "x-auth-email"] {
        assert!(received.values(name).is_empty(), "{name} in {}", received.head);
    }
}

#[test]
fn nobody_is_named_on_a_public_route_even_if_a_good_token_is_sent() {
    let forwarding = ForwardingGateway::start();
    let received = forwarding.get_as("/public/a", &token(json!({})), &[]);
    assert!(!mentions(&received, "alice"), "{}", received.head);
}

/// Pingora deletes what `Connection` names before it calls the filter that sets these headers; set
/// any earlier, a client could have them deleted.
#[test]
fn nomination_by_connection_cannot_erase_the_identity() {
    let forwarding = ForwardingGateway::start();
    for name in ["X-Auth-Subject", "x-auth-subject", "X_Auth_Subject"] {
        let nominated = format!("keep-alive, {name}");
        let spoof = [("Connection", nominated.as_str()), (name, "mallory")];
        let received = forwarding.get_as("/orders/7", &token(json!({})), &spoof);
        assert_eq!(received.values("x-auth-subject"), ["alice"], "{nominated}");
        assert!(!mentions(&received, "mallory"), "{}", received.head);
    }
}

#[test]
fn text_beyond_visible_ascii_is_percent_encoded() {
    let forwarding = ForwardingGateway::start();
    for (text, expected) in [
        ("Zoë", "Zo%C3%AB"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("a b", "a%20b"),
        ("a%20b", "a%2520b"),
        ("a\r\nX-Auth-Roles: admin", "a%0D%0AX-Auth-Roles:%20admin"),
        ("a\u{0}\u{7f}", "a%00%7F"),
        ("a,b;c=\"d\"", "a,b;c=\"d\""),
    ] {
        let received =
            forwarding.get_as("/whoami", &token(json!({"sub": text, "email": text})), &[]);
        assert_eq!(received.values("x-auth-subject"), [expected], "{text:?}");
        assert_eq!(received.values("x-auth-email"), [expected], "{text:?}");
        assert_eq!(received.values("x-auth-roles"), ["clerk"], "{text:?}");
    }
}

/// Otherwise one role with a comma in its name would be two.
#[test]
fn separators_within_list_items_are_encoded() {
    let forwarding = ForwardingGateway::start();
    let claims = json!({"roles": ["clerk,admin", "a b"], "scope": ["orders:read", "x,y"]});
    let received = forwarding.get_as("/whoami", &token(claims), &[]);
    assert_eq!(received.values("x-auth-roles"), ["clerk%2Cadmin,a%20b"]);
    assert_eq!(received.values("x-auth-scopes"), ["orders:read x%2Cy"]);
}

#[test]
fn claims_are_told_as_text_and_those_that_have_none_are_not() {
    let forwarding = ForwardingGateway::start();
    for (value, expected) in [
        (json!("acme"), Some("acme")),
        (json!(7), Some("7")),
        (json!(1.5), Some("1.5")),
        (json!(true), Some("true")),
        (json!(["acme", "globex", 7]), Some("acme,globex,7")),
        (json!({"id": "acme"}), None),
        (json!(["acme", {"id": "globex"}]), None),
    ] {
        let received = forwarding.get_as("/whoami", &token(json!({ "tenant": value })), &[]);
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(received.values("x-auth-tenant"), expected, "{value}");
    }
}

#[test]
fn headers_are_told_under_the_configured_names_and_only_those_are_owned() {
    let forwarding = ForwardingGateway::start_with(|standard| {
        let names = "identity_headers: { subject: X-User, claims: { /org/id: X-Org } }";
        let line = standard.lines().find(|line| line.starts_with("identity_headers:"));
        standard.replace(line.expect("the line"), names)
    });
    let token = token(json!({"org": {"id": "acme"}}));
    let spoof = [("x.user", "mallory"), ("X_Org", "mallory"), ("X-Auth-Subject", "client")];
    let received = forwarding.get_as("/whoami", &token, &spoof);
    assert_eq!(received.values("x-user"), ["alice"]);
    assert_eq!(received.values("x-org"), ["acme"]);
    assert_eq!(received.values("x-auth-subject"), ["client"], "nobody's name any more");
    assert!(!mentions(&received, "mallory"), "{}", received.head);
}

// ---- the credential

#[test]
fn credential_stays_at_the_gateway() {
    let forwarding = ForwardingGateway::start();
    let received = forwarding.get_as("/orders/7", &token(json!({})), &[]);
    assert!(received.values("authorization").is_empty(), "{}", received.head);
}

#[test]
fn credential_stays_at_the_gateway_on_public_routes_too() {
    let forwarding = ForwardingGateway::start();
    for value in [&bearer(&token(json!({}))), "Basic YWxpY2U6c2VjcmV0", "Bearer"] {
        let received = forwarding.forward(get("/public/a", &[("Authorization", value)]));
        assert!(received.values("authorization").is_empty(), "{}", received.head);
    }
}

#[test]
fn credential_is_forwarded_where_the_route_keeps_it() {
    let forwarding = ForwardingGateway::start_with(|standard| {
        standard.replace(
            "match: { path: /whoami }",
            "match: { path: /whoami }\n    forward: { credential: keep }",
        )
    });
    let token = token(json!({}));
    let received = forwarding.get_as("/whoami", &token, &[]);
    assert_eq!(received.values("authorization"), [bearer(&token)]);
    assert_eq!(received.values("x-auth-subject"), ["alice"]);
    let received = forwarding.get_as("/orders/7", &token, &[]);
    assert!(received.values("authorization").is_empty(), "other routes strip it all the same");
}

#[test]
fn cookies_of_the_application_pass() {
    let forwarding = ForwardingGateway::start();
    let received =
        forwarding.get_as("/orders/7", &token(json!({})), &[("Cookie", "theme=dark; a=b")]);
    assert_eq!(received.values("cookie"), ["theme=dark; a=b"]);
}

#[test]
fn identity_is_told_whatever_the_method() {
    let forwarding = ForwardingGateway::start();
    let bearer = bearer(&token(json!({})));
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
        let fields = [("Authorization", bearer.as_str()), ("x_auth_subject", "mallory")];
        let received = forwarding.forward(request(method, "/whoami", &fields, ""));
        assert_eq!(received.values("x-auth-subject"), ["alice"], "{method}");
        assert!(received.line().starts_with(method), "{}", received.line());
        assert!(!mentions(&received, "mallory"), "{method}");
    }
}

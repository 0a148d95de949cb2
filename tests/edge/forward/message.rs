//! The message itself arrives as it was sent; what belonged to the connection does not.

use serde_json::json;

use super::ForwardingGateway;
use crate::harness::client::{Connection, get, request};
use crate::harness::tokens::{bearer, token};
use crate::harness::upstream::{Behaviour, Received};

#[test]
fn path_and_query_arrive_byte_for_byte() {
    let forwarding = ForwardingGateway::start();
    for target in [
        "/public/",
        "/public/a/",
        "/public/%C3%A9/%c3%a9/a%20b?c=%e9",
        "/public/~-._!$&'()*+,=:@",
        "/public/a?",
        "/public/a?b=c&b=c&=&&",
        "/public/a?x=%2f..%2F%00%zz%&y=../..;//",
        "/public/a?b?c/d",
        "/public/a?q={}|^[]",
        "/public/...",
    ] {
        let received = forwarding.forward(get(target, &[]));
        assert_eq!(received.line(), format!("GET {target} HTTP/1.1"));
    }
}

/// What the gate looked at is what the upstream gets: nothing is cut off, nothing is rewritten. A
/// target that cannot be passed on like that is refused, under a slug; but for three characters that
/// clients leave in queries as they are and servers want escaped, where both read the same.
#[test]
fn every_visible_character_arrives_as_sent_or_is_refused() {
    let forwarding = ForwardingGateway::start();
    let mut wrong = Vec::new();
    for byte in b'!'..=b'~' {
        for place in ["path", "query"] {
            let target = match place {
                "path" => format!("/public/a{}b", byte as char),
                _ => format!("/public/a?b{}c", byte as char),
            };
            let passed_on = match (place, byte) {
                ("query", b'"' | b'<' | b'>') => format!("/public/a?b%{byte:02X}c"),
                _ => target.clone(),
            };
            let before = forwarding.upstream.received().len();
            let answer = forwarding.gateway.exchange(get(&target, &[]));
            let received = forwarding.upstream.received().into_iter().nth(before);
            let is_as_sent = received.as_ref().map(|received| {
                answer.status == 200 && received.line() == format!("GET {passed_on} HTTP/1.1")
            });
            let is_refused = answer.status == 400 && answer.body.contains("\"request_target\"");
            if !is_as_sent.unwrap_or(is_refused) {
                let line = received.map(|received| received.line().to_owned());
                wrong.push(format!("{target}: {} {line:?}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn target_in_absolute_form_arrives_in_origin_form() {
    let forwarding = ForwardingGateway::start();
    for (target, expected) in [
        ("http://gateway.test/public/a?b=c", "/public/a?b=c"),
        ("HTTP://gateway.test/public/%C3%A9", "/public/%C3%A9"),
    ] {
        let received = forwarding.forward(get(target, &[]));
        assert_eq!(received.line(), format!("GET {expected} HTTP/1.1"));
    }
}

#[test]
fn ordinary_headers_arrive_as_they_were_sent() {
    let forwarding = ForwardingGateway::start();
    let long = "v".repeat(4000);
    let fields = [
        ("Accept", "text/html;q=0.8, */*"),
        ("X-Custom", "  a  b  "),
        ("X-Repeated", "one"),
        ("X-Repeated", "two"),
        ("X-Empty", ""),
        ("X-Long", &long),
    ];
    let received = forwarding.forward(get("/public/a", &fields));
    assert_eq!(received.values("accept"), ["text/html;q=0.8, */*"]);
    assert_eq!(received.values("x-custom"), ["a  b"]);
    assert_eq!(received.values("x-repeated"), ["one", "two"]);
    assert_eq!(received.values("x-empty"), [""]);
    assert_eq!(received.values("x-long"), [long]);
}

/// RFC 9113 §8.2.3 lets HTTP/2 clients send a cookie in crumbs; HTTP/1.1 has one line for it.
#[test]
fn crumbs_of_a_cookie_arrive_as_one() {
    let forwarding = ForwardingGateway::start();
    let fields = [("Cookie", "a=b"), ("X-Between", "x"), ("cookie", "c=d; e=f")];
    let received = forwarding.forward(get("/public/a", &fields));
    assert_eq!(received.values("cookie"), ["a=b; c=d; e=f"]);
}

/// RFC 9110 §7.6.1.
#[test]
fn headers_of_the_connection_stay_on_their_side() {
    let forwarding = ForwardingGateway::start();
    let fields = [
        ("Connection", "keep-alive, X-Private, TE"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic YTpi"),
        ("Proxy-Authenticate", "Basic"),
        ("TE", "trailers"),
        ("Trailer", "X-Checksum"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ("X-Private", "secret"),
        ("X-Other", "kept"),
    ];
    let received = forwarding.forward(get("/public/a", &fields));
    for (name, _) in &fields[..10] {
        assert!(received.values(name).is_empty(), "{name} in {}", received.head);
    }
    assert_eq!(received.values("x-other"), ["kept"]);
}

/// 200 KiB in which no two places look alike.
fn large() -> String {
    (0..25_600).map(|line| format!("{line:07}\n")).collect()
}

#[test]
fn body_of_known_length_arrives_intact() {
    let forwarding = ForwardingGateway::start();
    for body in ["a", "GET / HTTP/1.1\r\n\r\n", &large()] {
        let received = forwarding.forward(request("POST", "/public/a", &[], body));
        assert_eq!(received.values("content-length"), [body.len().to_string()]);
        assert!(received.body == body, "{} bytes of {}", received.body.len(), body.len());
    }
}

/// The body of a message, whether it was sent in chunks or not.
fn body_of(received: &Received) -> String {
    if received.values("transfer-encoding").is_empty() {
        return received.body.clone();
    }
    let mut rest = received.body.as_str();
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a chunk");
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        if size == 0 {
            return body;
        }
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").expect("the end of a chunk");
    }
}

#[test]
fn body_in_chunks_arrives_intact() {
    let forwarding = ForwardingGateway::start();
    let large = large();
    for chunks in [&[][..], &["a"], &["hello, ", "GET / HTTP/1.1\r\n\r\n", "!"], &[&large, "end"]] {
        let mut message = request("POST", "/public/a", &[("Transfer-Encoding", "chunked")], "");
        for chunk in chunks {
            message.push_str(&format!("{:x};ext=1\r\n{chunk}\r\n", chunk.len()));
        }
        let received = forwarding.forward(message + "0\r\n\r\n");
        assert!(body_of(&received) == chunks.concat(), "{} bytes", received.body.len());
    }
}

#[test]
fn requests_on_one_connection_arrive_one_by_one() {
    let forwarding = ForwardingGateway::start();
    let mut connection = Connection::open(forwarding.gateway.address());
    for number in 0..5 {
        let body = format!("body {number}");
        let target = format!("/public/{number}");
        assert_eq!(connection.exchange(request("POST", &target, &[], &body)).status, 200);
        let received = forwarding.upstream.last();
        assert_eq!(received.line(), format!("POST {target} HTTP/1.1"));
        assert_eq!(received.body, body);
    }
}

/// What one request was told must not be told to the next on the same connections.
#[test]
fn identity_of_one_request_is_not_left_for_the_next() {
    let forwarding = ForwardingGateway::start();
    let mut connection = Connection::open(forwarding.gateway.address());
    let bearer = bearer(&token(json!({})));
    for _ in 0..3 {
        connection.exchange(get("/orders/7", &[("Authorization", &bearer)]));
        assert_eq!(forwarding.upstream.last().values("x-auth-subject"), ["alice"]);
        connection.exchange(get("/public/a", &[]));
        assert!(forwarding.upstream.last().values("x-auth-subject").is_empty());
    }
}

#[test]
fn answer_of_the_upstream_arrives_as_it_was_sent() {
    let forwarding = ForwardingGateway::start();
    let head = "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 5\r\nSet-Cookie: a=b; HttpOnly\r\n\
                Set-Cookie: c=d\r\nWWW-Authenticate: Custom realm=\"behind\"\r\n\r\n";
    forwarding.upstream.behave(Behaviour::Bytes(format!("{head}short")));
    let answer = forwarding.gateway.exchange(get("/public/a", &[]));
    assert_eq!((answer.status, answer.body.as_str()), (418, "short"));
    let cookies = answer.fields.iter().filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<_> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["a=b; HttpOnly", "c=d"]);
    assert_eq!(answer.field("www-authenticate"), Some("Custom realm=\"behind\""));
}

#[test]
fn answer_in_chunks_arrives_intact() {
    let forwarding = ForwardingGateway::start();
    let large = large();
    let chunks = format!("5\r\nhello\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    forwarding.upstream.behave(Behaviour::Bytes(format!("{head}{chunks}")));
    let answer = forwarding.gateway.exchange(get("/public/a", &[]));
    assert!(answer.body == format!("hello{large}"), "{} bytes", answer.body.len());
}

// ---- WebSockets, RFC 6455

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn upgrade(forwarding: &ForwardingGateway, path: &str, more: &[(&str, &str)]) -> Connection {
    forwarding.upstream.behave(Behaviour::Upgrade);
    let mut connection = Connection::open(forwarding.gateway.address());
    let answer = connection.exchange(get(path, &[&UPGRADE, more].concat()));
    assert_eq!(answer.status, 101, "{answer:?}");
    connection
}

#[test]
fn websocket_carries_bytes_both_ways() {
    let forwarding = ForwardingGateway::start();
    let mut connection = upgrade(&forwarding, "/public/a", &[]);
    for bytes in [&b"\x81\x05hello"[..], b"\0\r\n\r\n\xff", b"GET / HTTP/1.1\r\n\r\n"] {
        connection.send(bytes);
        assert_eq!(connection.receive(bytes.len()), bytes);
    }
    let large = large();
    connection.send(&large);
    assert!(connection.receive(large.len()) == large.as_bytes());
}

#[test]
fn websocket_is_told_who_it_is_like_any_request() {
    let forwarding = ForwardingGateway::start();
    let bearer = bearer(&token(json!({})));
    let more = [("Authorization", bearer.as_str()), ("x_auth_subject", "mallory")];
    upgrade(&forwarding, "/orders/7", &more);
    let received = forwarding.upstream.last();
    assert_eq!(received.values("x-auth-subject"), ["alice"]);
    assert_eq!(received.values("upgrade"), ["websocket"]);
    assert_eq!(received.values("sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="]);
    assert!(received.values("authorization").is_empty());
    assert!(!received.head.contains("mallory"), "{}", received.head);
}

#[test]
fn websocket_without_a_credential_is_denied() {
    let forwarding = ForwardingGateway::start();
    forwarding.upstream.behave(Behaviour::Upgrade);
    let answer = forwarding.gateway.exchange(get("/orders/7", &UPGRADE));
    assert_eq!((answer.status, answer.slug().as_str()), (401, "credential_absent"));
    assert!(forwarding.upstream.received().is_empty());
}

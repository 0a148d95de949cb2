//! Answers of upstreams that a client could not find the end of.

use std::io::{Read, Write};

use super::in_front_of;
use crate::harness::client::{Connection, get, request};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::script::script;
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::Http2;
use crate::harness::upstream::{Behaviour, Upstream};

fn site() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    (upstream, gateway)
}

fn bytes(upstream: &Upstream, text: &str) {
    upstream.behave(Behaviour::Bytes(text.to_owned()));
}

/// All bytes that come until the gateway closes the connection.
fn until_close(gateway: &Gateway, request: &str) -> String {
    let mut stream = Connection::open(gateway.address()).into_stream();
    stream.write_all(request.as_bytes()).expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer that ends in order");
    text
}

// ---- RFC 9112 §6.1, RFC 9110 §8.6

#[test]
fn answer_that_has_no_content_says_nothing_of_its_framing() {
    let (upstream, gateway) = site();
    for (status, framing) in [
        ("204 No Content", "Transfer-Encoding: chunked"),
        ("204 No Content", "Transfer-Encoding: gzip, chunked"),
        ("204 No Content", "Content-Length: 5"),
        ("204 No Content", "Content-Length: 0"),
        ("304 Not Modified", "Transfer-Encoding: chunked"),
    ] {
        bytes(&upstream, &format!("HTTP/1.1 {status}\r\nX-Kept: kept\r\n{framing}\r\n\r\n"));
        let mut connection = Connection::open(gateway.address());
        let answer = connection.exchange(get("/public/a", &[]));
        assert_eq!(answer.field("x-kept"), Some("kept"));
        for name in ["transfer-encoding", "content-length"] {
            assert_eq!(answer.field(name), None, "{status} with {framing}");
        }
        upstream.behave(Behaviour::Mirror);
        let next = connection.exchange(get("/public/next", &[]));
        assert_eq!(next.body, "GET /public/next HTTP/1.1", "{status} with {framing}");
    }
    // How long the content would be.
    bytes(&upstream, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(gateway.exchange(get("/public/a", &[])).field("content-length"), Some("5"));
}

#[test]
fn answer_to_head_says_how_long_the_content_would_be_and_nothing_else() {
    let (upstream, gateway) = site();
    for (framing, length) in
        [("Transfer-Encoding: chunked", None), ("Content-Length: 5", Some("5")), ("X: y", None)]
    {
        bytes(&upstream, &format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        let mut connection = Connection::open(gateway.address());
        connection.send(request("HEAD", "/public/a", &[], ""));
        let answer = connection.head_answer();
        assert_eq!(answer.field("transfer-encoding"), None, "{framing}");
        assert_eq!(answer.field("content-length"), length, "{framing}");
        upstream.behave(Behaviour::Mirror);
        let next = connection.exchange(get("/public/next", &[]));
        assert_eq!(next.body, "GET /public/next HTTP/1.1", "{framing}");
    }
}

#[test]
fn interim_answer_says_nothing_of_its_framing() {
    let (upstream, gateway) = site();
    for framing in ["Transfer-Encoding: chunked", "Content-Length: 5"] {
        bytes(
            &upstream,
            &format!(
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n{framing}\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            ),
        );
        let text = until_close(&gateway, &get("/public/a", &[("Connection", "close")]));
        let (interim, rest) = text.split_once("\r\n\r\n").expect("an interim answer");
        assert!(interim.starts_with("HTTP/1.1 103") && interim.contains("Link: </a>"), "{text}");
        let interim = interim.to_ascii_lowercase();
        assert!(!interim.contains("transfer-encoding"), "{text}");
        assert!(!interim.contains("content-length"), "{text}");
        assert!(rest.starts_with("HTTP/1.1 200") && rest.ends_with("\r\n\r\nok"), "{text}");
    }
}

#[test]
fn answer_without_content_ends_its_stream_over_http2() {
    let site = TlsGateway::open();
    bytes(&site.upstream, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n");
    let client = Http2::connect(site.gateway.address(), &site.authority);
    let answer = client.get("/public/a", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(answer.field("content-length"), None);
}

// ---- HTTP/1.0, which knows no chunks

/// A `GET` of HTTP/1.0 with these lines.
fn get_1_0(lines: &str) -> String {
    format!("GET /public/a HTTP/1.0\r\nHost: gateway.test\r\n{lines}\r\n")
}

#[track_caller]
fn assert_ends_with_connection(answer: &str, expected: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let head = head.to_ascii_lowercase();
    assert!(!head.contains("transfer-encoding"), "{answer}");
    assert!(head.contains("connection: close"), "{answer}");
    assert_eq!(body, expected);
}

#[test]
fn client_of_http_1_0_gets_no_chunks_but_the_end_of_the_connection() {
    let (upstream, gateway) = site();
    for lines in ["", "Connection: keep-alive\r\n", "Connection: close\r\n", "TE: chunked\r\n"] {
        bytes(
            &upstream,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\n, a\r\n0\r\n\r\n",
        );
        let text = until_close(&gateway, &get_1_0(lines));
        assert_ends_with_connection(&text, "hello, a");
    }
    let endless = script(|_, mut line| {
        line.read_head();
        line.send("HTTP/1.1 200 OK\r\n\r\nhello, a");
    });
    let endless = Gateway::start(&in_front_of(endless)(standard(&upstream)));
    let text = until_close(&endless, &get_1_0("Connection: keep-alive\r\n"));
    assert_ends_with_connection(&text, "hello, a");
    // What has a length needs no end of the connection.
    upstream.behave(Behaviour::Mirror);
    let mut connection = Connection::open(gateway.address());
    for _ in 0..2 {
        let answer = connection.exchange(get_1_0("Connection: keep-alive\r\n"));
        assert_eq!(answer.body, "GET /public/a HTTP/1.1");
    }
    // And a client that knows chunks gets them.
    bytes(
        &upstream,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let answer = connection.exchange(get("/public/a", &[]));
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.body, "hello");
}

/// RFC 9110 §15.2.
#[test]
fn client_of_http_1_0_gets_no_interim_answer() {
    let (upstream, gateway) = site();
    bytes(
        &upstream,
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let text = until_close(&gateway, &get_1_0(""));
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\nok"), "{text}");
    let text = until_close(&gateway, &get("/public/a", &[("Connection", "close")]));
    assert!(text.starts_with("HTTP/1.1 103"), "{text}");
}

// ---- how much of a head is read

#[test]
fn answer_with_more_fields_than_are_read_is_502_and_the_log_says_why() {
    let (upstream, gateway) = site();
    let answer = |fields: usize| {
        let fields: String =
            (1..fields).map(|number| format!("X-{number}: {number}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")
    };
    bytes(&upstream, &answer(256));
    let most = gateway.exchange(get("/public/most", &[]));
    assert_eq!((most.status, most.field("x-255")), (200, Some("255")));
    for fields in [257, 300] {
        bytes(&upstream, &answer(fields));
        let path = format!("/public/{fields}");
        let refused = gateway.exchange(get(&path, &[]));
        assert_eq!((refused.status, refused.slug().as_str()), (502, "upstream_unavailable"));
        let line = gateway.logged(|line| line["path"] == path.as_str());
        let reason = line["reason"].as_str().expect("a reason");
        assert!(reason.contains("too many headers") && reason.contains("256"), "{reason}");
    }
}

//! Chunks of an answer that a client could read differently (RFC 9112 §7.1), in both lanes and over HTTP/2.

use std::io::{Read, Write};

use super::chunks::PAIRS;
use crate::harness::client::{Connection, get};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, request};
use crate::harness::upstream::{Behaviour, Upstream};

const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn behave(upstream: &Upstream, body: &str) {
    upstream.behave(Behaviour::Bytes(format!("{HEAD}{body}")));
}

/// All bytes that come until the gateway closes the connection.
fn until_close(gateway: &Gateway) -> String {
    let mut stream = Connection::open(gateway.address()).into_stream();
    let sent = get("/public/a", &[("Connection", "close")]);
    stream.write_all(sent.as_bytes()).expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a connection that ends in order");
    text
}

#[test]
fn well_formed_chunks_of_an_answer_are_passed_on_and_malformed_ones_end_it() {
    let upstream = Upstream::start();
    for lane in ["fast", "pingora"] {
        let text =
            standard(&upstream).replacen("server: {", &format!("server: {{ lane: {lane},"), 1);
        let gateway = Gateway::start(&text);
        for (good, bad) in PAIRS {
            behave(&upstream, good);
            let whole = until_close(&gateway);
            assert!(whole.ends_with("0\r\n\r\n"), "{lane}: {good:?} became {whole:?}");
            behave(&upstream, bad);
            let cut = until_close(&gateway);
            assert!(!cut.ends_with("0\r\n\r\n"), "{lane}: {bad:?} became {cut:?}");
        }
    }
}

#[test]
fn malformed_chunks_of_an_answer_reset_its_stream_over_http2() {
    let site = TlsGateway::open();
    let client = Http2::connect(site.gateway.address(), &site.authority);
    for (good, bad) in PAIRS {
        behave(&site.upstream, good);
        assert_eq!(client.get("/public/a", &[]).status, 200, "{good:?}");
        behave(&site.upstream, bad);
        let cut = client.try_exchange(request("GET", "/public/a", &[]), None, None);
        let is_refused = cut.as_ref().map_or(true, |answer| answer.status == 502);
        assert!(is_refused, "{bad:?} became {cut:?}");
    }
}

#[test]
fn malformed_chunk_of_an_answer_is_logged_with_what_is_wrong() {
    let upstream = Upstream::start();
    for lane in ["fast", "pingora"] {
        let text =
            standard(&upstream).replacen("server: {", &format!("server: {{ lane: {lane},"), 1);
        let gateway = Gateway::start(&text);
        behave(&upstream, "5;\r\nhello\r\n0\r\n\r\n");
        until_close(&gateway);
        let line = gateway.logged(|line| line["slug"] == "upstream_unavailable");
        let reason = "the answer is malformed: a chunk extension is malformed";
        assert_eq!(line["reason"], reason, "{lane}: {line}");
    }
}

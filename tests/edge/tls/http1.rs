//! HTTP/1.1 behind TLS.

use serde_json::json;

use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{VERSIONS, connect, exchange1, get_once, settings};
use crate::harness::tokens::{bearer, token};

#[test]
fn both_versions_of_tls_serve_http1() {
    let site = TlsGateway::open();
    for version in VERSIONS {
        for protocols in [&[][..], &["http/1.1"]] {
            let settings = settings(&site.authority, &[version], protocols);
            let mut stream = connect(site.gateway.address(), settings).expect("a handshake");
            assert_eq!(stream.conn.protocol_version(), Some(version.version));
            assert_eq!(stream.conn.alpn_protocol(), protocols.first().map(|name| name.as_bytes()));
            let answer = exchange1(&mut stream, &get_once("/public/x", &[]));
            assert_eq!(answer.body, "GET /public/x HTTP/1.1");
        }
    }
}

#[test]
fn request_behind_tls_is_forwarded_as_https() {
    let site = TlsGateway::open();
    let settings = settings(&site.authority, &VERSIONS, &["http/1.1"]);
    let mut stream = connect(site.gateway.address(), settings).expect("a handshake");
    let spoofed = [("X-Forwarded-Proto", "http"), ("Forwarded", "proto=http")];
    assert_eq!(exchange1(&mut stream, &get_once("/public/x", &spoofed)).status, 200);
    assert_eq!(site.upstream.last().values("x-forwarded-proto"), ["https"]);
    let forwarded = site.upstream.last().values("forwarded").join(";");
    assert!(
        !forwarded.contains("proto=http;") && !forwarded.ends_with("proto=http"),
        "{forwarded}"
    );
}

#[test]
fn identity_is_forwarded_and_denials_have_slugs() {
    let site = TlsGateway::open();
    let settings = settings(&site.authority, &VERSIONS, &[]);
    let connect = || connect(site.gateway.address(), settings.clone()).expect("a handshake");
    let token = bearer(&token(json!({})));
    let fields = [("Authorization", &*token), ("X-Auth-Subject", "mallory")];
    assert_eq!(exchange1(&mut connect(), &get_once("/orders/7", &fields)).status, 200);
    assert_eq!(site.upstream.last().values("x-auth-subject"), ["alice"]);
    let answer = exchange1(&mut connect(), &get_once("/orders/7", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (401, "credential_absent"));
}

#[test]
fn framing_is_read_as_strictly_behind_tls() {
    let site = TlsGateway::open();
    let settings = settings(&site.authority, &VERSIONS, &["http/1.1"]);
    for head in [
        "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /public/x HTTP/1.1\nHost: gateway.test\n\n",
        "GET /public/x HTTP/1.1\r\nHost : gateway.test\r\n\r\n",
    ] {
        let mut stream = connect(site.gateway.address(), settings.clone()).expect("a handshake");
        let answer = exchange1(&mut stream, head);
        assert_eq!((answer.status, answer.slug().as_str()), (400, "request_framing"));
    }
    assert!(site.upstream.received().is_empty());
}

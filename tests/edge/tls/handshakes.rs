//! Before the first request: handshakes that fail, stall, or never were any.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::certificates::Authority;
use crate::harness::client::get;
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, VERSIONS, connect, exchange1, get_once, settings};
use crate::harness::{PATIENCE, eventually};

/// Sends bytes, and returns how long it took until the gateway closed the connection, and what it
/// said.
fn until_closed(site: &TlsGateway, bytes: &[u8]) -> (Duration, Vec<u8>) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(site.gateway.address()).expect("the gateway accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(bytes).expect("the bytes");
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the gateway waits for ever")
        }
        // Closed in order or not.
        Ok(_) | Err(_) => {}
    }
    (begun.elapsed(), said)
}

#[test]
fn plain_http_on_the_tls_port_is_closed_at_once_and_reaches_nobody() {
    let site = TlsGateway::open();
    let (took, said) = until_closed(&site, get("/public/x", &[]).as_bytes());
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert!(!said.starts_with(b"HTTP/1.1 200"), "{said:?}");
    assert!(site.upstream.received().is_empty());
}

#[test]
fn garbage_on_the_tls_port_is_closed_at_once() {
    let site = TlsGateway::open();
    for garbage in [&[0; 1024][..], &[0xff; 1024], b"\x15\x03\x01\0\x02\x02\x28"] {
        let (took, _) = until_closed(&site, garbage);
        assert!(took < Duration::from_secs(5), "it took {took:?}");
    }
    let settings = settings(&site.authority, &VERSIONS, &[]);
    let mut stream = connect(site.gateway.address(), settings).expect("a handshake");
    assert_eq!(exchange1(&mut stream, &get_once("/public/x", &[])).status, 200);
}

#[test]
fn handshake_that_stalls_is_cut_and_its_place_given_back() {
    let site = TlsGateway::open();
    // Half a record.
    let (took, _) = until_closed(&site, b"\x16\x03\x01\x02\x00\x01");
    let timeout = Duration::from_secs(10);
    assert!(took >= timeout - Duration::from_secs(1) && took < timeout * 2, "it took {took:?}");
    eventually("no connection", || {
        (site.gateway.metric("portcullis_connections_open") == 0.0).then_some(())
    });
}

#[test]
fn stalled_handshakes_keep_nobody_else_waiting() {
    let site = TlsGateway::open();
    let _stalled: Vec<_> = (0..50)
        .map(|_| {
            let mut stream =
                TcpStream::connect(site.gateway.address()).expect("the gateway accepts");
            stream.write_all(b"\x16\x03\x01").expect("the bytes");
            stream
        })
        .collect();
    let begun = Instant::now();
    let client = Http2::connect(site.gateway.address(), &site.authority);
    assert_eq!(client.get("/public/x", &[]).status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}

#[test]
fn client_that_does_not_trust_the_certificate_does_no_harm() {
    let site = TlsGateway::open();
    for _ in 0..5 {
        let settings = settings(&Authority::new(), &VERSIONS, &["h2", "http/1.1"]);
        assert!(connect(site.gateway.address(), settings).is_err());
    }
    let client = Http2::connect(site.gateway.address(), &site.authority);
    assert_eq!(client.get("/public/x", &[]).status, 200);
}

#[test]
fn protocols_that_are_not_spoken_are_refused_in_the_handshake() {
    let site = TlsGateway::open();
    for protocols in [&["h3"][..], &["http/1.0"], &["acme-tls/1"], &["spdy/3", "x"]] {
        let settings = settings(&site.authority, &VERSIONS, protocols);
        // RFC 7301 §3.2.
        let error = connect(site.gateway.address(), settings).err();
        let error = error.unwrap_or_else(|| panic!("{protocols:?} was accepted"));
        assert!(error.to_string().contains("NoApplicationProtocol"), "{protocols:?}: {error}");
    }
}

#[test]
fn connections_behind_tls_count_against_the_limits_from_the_first_byte() {
    let site = TlsGateway::open_with("limits: { connections: 2 }\n");
    let held: Vec<_> = (0..2)
        .map(|_| TcpStream::connect(site.gateway.address()).expect("the gateway accepts"))
        .collect();
    eventually("both connections", || {
        (site.gateway.metric("portcullis_connections_open") == 2.0).then_some(())
    });
    let settings = settings(&site.authority, &VERSIONS, &[]);
    assert!(connect(site.gateway.address(), settings.clone()).is_err(), "a third was let in");
    drop(held);
    eventually("a place", || connect(site.gateway.address(), settings.clone()).ok());
}

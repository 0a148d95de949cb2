//! HTTP/2 messages that RFC 9113 §8 calls malformed: their stream is reset, and no upstream hears of them.

use super::frames::{
    END_HEADERS, END_STREAM, HEADERS, PSEUDO, RST_STREAM, RawConnection, block, frame, with,
};
use crate::harness::tls::TlsGateway;

const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

/// The code with which the gateway resets the stream of a request; `None` if it answers.
fn reset_by(site: &TlsGateway, fields: &[(&str, &str)]) -> Option<Vec<u8>> {
    let mut wire = RawConnection::open(site);
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields)));
    loop {
        let (kind, _, payload) = wire.frame().expect("the connection stays open");
        match kind {
            RST_STREAM => return Some(payload),
            HEADERS => return None,
            _ => {}
        }
    }
}

#[test]
fn value_that_starts_or_ends_with_white_space_resets_its_stream() {
    let site = TlsGateway::open();
    for value in ["", "a", "a b", "a\tb"] {
        assert_eq!(reset_by(&site, &with(&[("x", value)])), None, "{value:?}");
    }
    let served = site.upstream.received().len();
    for value in [" a", "a ", "\ta", "a\t", " ", "\t"] {
        for name in ["x", "authorization", "cookie", "x-forwarded-for", "content-type", "te"] {
            let reset = reset_by(&site, &with(&[(name, value)]));
            assert_eq!(reset.as_deref(), Some(&PROTOCOL_ERROR[..]), "{name}: {value:?}");
        }
    }
    assert_eq!(site.upstream.received().len(), served, "it was forwarded");
    let line = site.gateway.logged(|line| line["slug"] == "request_framing");
    assert_eq!(line["status"], 400);
    let reason = line["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("starts or ends with white space"), "{reason}");
}

#[test]
fn other_streams_of_the_connection_go_on() {
    let site = TlsGateway::open();
    let mut wire = RawConnection::open(&site);
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&with(&[("x", " a")]))));
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&PSEUDO)));
    let mut is_reset = false;
    let mut is_answered = false;
    while !(is_reset && is_answered) {
        let (kind, _, _) = wire.frame().expect("the connection stays open");
        is_reset |= kind == RST_STREAM;
        is_answered |= kind == HEADERS;
    }
}

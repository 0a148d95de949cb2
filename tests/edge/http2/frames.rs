//! HTTP/2 that no library would send: frames by hand.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::harness::eventually;
use crate::harness::tls::client::{Http2, Tls, VERSIONS, connect, settings};
use crate::harness::tls::{NAME, TlsGateway};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum StreamOutcome {
    /// It is answered, with this body.
    Answered(String),
    /// Its stream, or its connection, is ended.
    Ended,
}

/// An HTTP/2 connection without a library.
pub(super) struct RawConnection(Tls);

impl RawConnection {
    pub(super) fn open(site: &TlsGateway) -> Self {
        let mut wire = Self::mute(site);
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
        wire.send(frame(SETTINGS, 0, 0, &[]));
        wire
    }

    /// A connection on which HTTP/2 was agreed, and nothing said yet.
    fn mute(site: &TlsGateway) -> Self {
        let settings = settings(&site.authority, &VERSIONS, &["h2"]);
        Self(connect(site.gateway.address(), settings).expect("a handshake"))
    }

    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        // A gateway that hung up is noticed when its answer is read.
        let _ = self.0.write_all(&bytes);
    }

    /// Reads one frame: kind, flags, payload. `None` if the connection ends.
    pub(super) fn frame(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.read(&mut payload)?;
        Some((head[3], head[4], payload))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.0.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the gateway says nothing")
            }
            Err(_) => None,
        }
    }

    /// Reads until it is clear what became of the only request.
    fn fate(&mut self) -> StreamOutcome {
        let mut body = Vec::new();
        let mut answered = false;
        while let Some((kind, flags, payload)) = self.frame() {
            match kind {
                HEADERS => answered = true,
                DATA => body.extend_from_slice(&payload),
                RST_STREAM if answered => break,
                RST_STREAM | GOAWAY => return StreamOutcome::Ended,
                SETTINGS if flags & ACK == 0 => self.send(frame(SETTINGS, ACK, 0, &[])),
                PING if flags & ACK == 0 => self.send(frame(PING, ACK, 0, &payload)),
                _ => {}
            }
            if answered && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                break;
            }
        }
        if answered {
            StreamOutcome::Answered(String::from_utf8_lossy(&body).into_owned())
        } else {
            StreamOutcome::Ended
        }
    }

    /// Waits until the gateway ends the connection.
    pub(super) fn wait_for_the_end(&mut self) {
        while self.frame().is_some() {}
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block of literal fields, without indexing (RFC 7541 §6.2.2).
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            // A prefix of seven bits (§5.1), and no Huffman coding.
            let mut length = text.len();
            if length < 127 {
                bytes.push(length as u8);
            } else {
                bytes.push(127);
                length -= 127;
                while length >= 128 {
                    bytes.push((length % 128) as u8 | 128);
                    length /= 128;
                }
                bytes.push(length as u8);
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

pub(super) const PSEUDO: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":path", "/public/x"), (":authority", NAME)];

/// The usual fields, with these in their place or added.
pub(super) fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = PSEUDO.to_vec();
    for change in changes {
        match fields.iter_mut().find(|(name, _)| name == &change.0 && name.starts_with(':')) {
            Some(field) => *field = *change,
            None => fields.push(*change),
        }
    }
    fields
}

/// Sends one request, and returns what becomes of it.
pub(super) fn fate_of(
    site: &TlsGateway,
    fields: &[(&str, &str)],
    body: Option<&str>,
) -> StreamOutcome {
    let mut wire = RawConnection::open(site);
    let flags = if body.is_some() { END_HEADERS } else { END_HEADERS | END_STREAM };
    wire.send(frame(HEADERS, flags, 1, &block(fields)));
    if let Some(body) = body {
        wire.send(frame(DATA, END_STREAM, 1, body.as_bytes()));
    }
    wire.fate()
}

#[test]
fn plain_request_by_hand_is_answered() {
    let site = TlsGateway::open();
    match fate_of(&site, &with(&[]), None) {
        StreamOutcome::Answered(body) => assert_eq!(body, "GET /public/x HTTP/1.1"),
        StreamOutcome::Ended => panic!("it was not answered"),
    }
    match fate_of(&site, &with(&[(":path", "/orders/7")]), None) {
        StreamOutcome::Answered(body) => assert!(body.contains("credential_absent"), "{body}"),
        StreamOutcome::Ended => panic!("it was not answered"),
    }
}

#[test]
fn malformed_requests_never_reach_the_upstream() {
    let site = TlsGateway::open();
    let smuggled = "/public/x HTTP/1.1\r\nHost: gateway.test\r\n\r\nGET /public/smuggled";
    for fields in [
        // Header fields that end lines, or are none.
        with(&[("x", "a\r\nx-auth-subject: admin")]),
        with(&[("x", "a\nx-auth-subject: admin")]),
        with(&[("x", "a\rb")]),
        with(&[("x", "a\0b")]),
        with(&[("x: y\r\nx-auth-subject", "admin")]),
        with(&[("x\n", "y")]),
        with(&[("x y", "z")]),
        with(&[("x:", "y")]),
        with(&[("X-Upper", "y")]),
        with(&[("", "y")]),
        // Targets.
        with(&[(":path", smuggled)]),
        with(&[(":path", "/public/x y")]),
        with(&[(":path", "/public/x\ty")]),
        with(&[(":path", "/public/x\0")]),
        with(&[(":path", "")]),
        with(&[(":path", "public/x")]),
        with(&[(":path", "*")]),
        with(&[(":path", "https://other.test/public/x")]),
        with(&[(":path", "//other.test/public/x")]),
        with(&[(":path", "/public/\\x")]),
        with(&[(":path", "/public/../orders/7")]),
        // Methods.
        with(&[(":method", "GET /public/smuggled HTTP/1.1\r\nx: y\r\n\r\nGET")]),
        with(&[(":method", "GET /")]),
        with(&[(":method", "")]),
        with(&[(":method", "G\0T")]),
        // Authorities.
        with(&[(":authority", "")]),
        with(&[(":authority", "user@gateway.test")]),
        with(&[(":authority", "gateway.test/orders/7?")]),
        with(&[(":authority", "gateway.test\r\nx: y")]),
        with(&[(":authority", "gateway.test other.test")]),
        with(&[(":authority", "gateway.test,other.test")]),
        with(&[(":authority", "gateway.test:x")]),
        with(&[("host", "other.test")]),
        with(&[("host", NAME), ("host", NAME)]),
        // Pseudo-header fields.
        PSEUDO[1..].to_vec(),
        [&PSEUDO[..2], &PSEUDO[3..]].concat(),
        PSEUDO[..3].to_vec(),
        [&PSEUDO[..], &[(":path", "/public/y")]].concat(),
        [&PSEUDO[..], &[(":authority", "other.test")]].concat(),
        [&PSEUDO[..], &[(":method", "POST")]].concat(),
        [&PSEUDO[..], &[(":status", "200")]].concat(),
        [&PSEUDO[..], &[(":unknown", "x")]].concat(),
        [&[("x", "y")], &PSEUDO[..]].concat(),
        [&PSEUDO[..3], &[("x", "y"), PSEUDO[3]]].concat(),
        // Lengths.
        with(&[("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "5")]),
        with(&[("content-length", "-1")]),
        with(&[("content-length", "+0")]),
        with(&[("content-length", "0, 0")]),
        with(&[("content-length", "x")]),
    ] {
        let fate = fate_of(&site, &fields, None);
        if let StreamOutcome::Answered(body) = &fate {
            assert!(!body.starts_with("GET "), "{fields:?} was forwarded: {body}");
        }
        let received = site.upstream.received();
        assert!(received.is_empty(), "{fields:?} was forwarded as {received:?}");
    }
}

#[test]
fn length_that_is_not_the_bodys_smuggles_nothing() {
    let site = TlsGateway::open();
    let smuggled = "GET /public/smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    let client = Http2::connect(site.gateway.address(), &site.authority);
    for length in ["0", "1", "4", "52", "54", "1000"] {
        let fields = with(&[(":method", "POST"), ("content-length", length)]);
        if let StreamOutcome::Answered(body) = fate_of(&site, &fields, Some(smuggled)) {
            assert!(!body.starts_with("POST "), "{length} was served");
        }
        assert_eq!(client.get("/public/next", &[]).body, "GET /public/next HTTP/1.1");
    }
    for received in site.upstream.received() {
        assert!(!received.line().contains("/smuggled"), "{received:?}");
        // A request of length 0 is complete before its body turns out to be a lie.
        let is_empty = received.values("content-length") == ["0"] && received.body.is_empty();
        assert!(received.line().starts_with("GET ") || is_empty, "{received:?}");
    }
}

#[test]
fn connection_specific_fields_are_refused_or_left_behind() {
    let site = TlsGateway::open();
    let smuggled = "0\r\n\r\nGET /public/smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("connection", "close"),
        ("connection", "content-length"),
        ("connection", "x-auth-subject"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        ("te", "gzip"),
        ("te", "trailers"),
        ("te", "chunked"),
    ] {
        let fields = with(&[(":method", "POST"), (name, value)]);
        let _ = fate_of(&site, &fields, Some(smuggled));
        for received in site.upstream.received() {
            assert_eq!(received.line(), "POST /public/x HTTP/1.1", "{name}: {value}");
            // Only the framing that the gateway chose itself.
            for left in
                ["connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "te"]
            {
                assert_eq!(received.values(left), [""; 0], "{name}: {value}");
            }
            assert_eq!(received.values("transfer-encoding"), ["chunked"], "{name}: {value}");
            assert!(received.body.contains(smuggled), "{name}: {value}");
        }
    }
}

#[test]
fn endless_header_block_is_cut_off() {
    let site = TlsGateway::open();
    let mut wire = RawConnection::open(&site);
    wire.send(frame(HEADERS, END_STREAM, 1, &block(&PSEUDO)));
    let piece = block(&[("x", &"a".repeat(16_000))]);
    for _ in 0..1000 {
        wire.send(frame(CONTINUATION, 0, 1, &piece));
    }
    wire.wait_for_the_end();
    assert!(site.upstream.received().is_empty());
}

#[test]
fn header_block_of_empty_pieces_is_cut_off() {
    let site = TlsGateway::open_with("limits: { header_timeout: 1s, keepalive_timeout: 2s }\n");
    let mut wire = RawConnection::open(&site);
    wire.send(frame(HEADERS, END_STREAM, 1, &block(&PSEUDO)));
    for _ in 0..20_000 {
        wire.send(frame(CONTINUATION, 0, 1, &[]));
    }
    wire.wait_for_the_end();
    assert!(site.upstream.received().is_empty());
}

#[test]
fn bomb_of_indexed_fields_is_refused() {
    let site = TlsGateway::open();
    let mut wire = RawConnection::open(&site);
    let mut payload = block(&PSEUDO);
    // One large field into the dynamic table (RFC 7541 §6.2.1), and then again and again.
    payload.push(0x40);
    payload.extend_from_slice(&block(&[("x", &"a".repeat(3000))])[1..]);
    payload.extend(std::iter::repeat_n(0xbe, 10_000));
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &payload));
    let _ = wire.fate();
    assert!(site.upstream.received().is_empty(), "30 MB of fields were forwarded");
}

#[test]
fn connection_without_a_preface_is_closed_after_the_header_timeout() {
    let site = TlsGateway::open_with("limits: { header_timeout: 600ms, keepalive_timeout: 1s }\n");
    let begun = Instant::now();
    let mut wire = RawConnection::mute(&site);
    wire.wait_for_the_end();
    assert!(begun.elapsed() < Duration::from_secs(6), "it took {:?}", begun.elapsed());
}

#[test]
fn half_a_preface_is_closed_after_the_header_timeout() {
    let site = TlsGateway::open_with("limits: { header_timeout: 600ms, keepalive_timeout: 1s }\n");
    let begun = Instant::now();
    let mut wire = RawConnection::mute(&site);
    wire.send(b"PRI * HTTP/2.0\r\n".to_vec());
    wire.wait_for_the_end();
    assert!(begun.elapsed() < Duration::from_secs(6), "it took {:?}", begun.elapsed());
}

#[test]
fn idle_connection_is_closed_after_the_keepalive_timeout() {
    let site = TlsGateway::open_with("limits: { header_timeout: 600ms, keepalive_timeout: 1s }\n");
    let mut wire = RawConnection::open(&site);
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&PSEUDO)));
    assert!(matches!(wire.fate(), StreamOutcome::Answered(_)));
    let begun = Instant::now();
    wire.wait_for_the_end();
    let took = begun.elapsed();
    let timeout = Duration::from_secs(1);
    assert!(took >= timeout / 2 && took < timeout * 6, "it took {took:?}");
}

#[test]
fn half_a_header_block_does_not_hold_its_connection_open() {
    let site = TlsGateway::open_with("limits: { header_timeout: 600ms, keepalive_timeout: 1s }\n");
    let mut wire = RawConnection::open(&site);
    wire.send(frame(HEADERS, END_STREAM, 1, &block(&PSEUDO)));
    let begun = Instant::now();
    wire.wait_for_the_end();
    assert!(begun.elapsed() < Duration::from_secs(6), "it took {:?}", begun.elapsed());
}

#[test]
fn frames_without_end_do_not_keep_an_idle_connection_open() {
    let site = TlsGateway::open_with("limits: { header_timeout: 600ms, keepalive_timeout: 1s }\n");
    let mut wire = RawConnection::open(&site);
    wire.0.sock.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(8), "it is still open");
        wire.send(frame(PING, 0, 0, &[0; 8]));
        let mut buffer = [0; 1024];
        match wire.0.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
}

#[test]
fn garbage_instead_of_frames_ends_the_connection() {
    let site = TlsGateway::open();
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"[..],
        &[0xff; 64],
        &[0; 64],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        let mut wire = RawConnection::mute(&site);
        wire.send(garbage.to_vec());
        wire.wait_for_the_end();
    }
    eventually("no connection", || {
        (site.gateway.metric("portcullis_connections_open") == 0.0).then_some(())
    });
}

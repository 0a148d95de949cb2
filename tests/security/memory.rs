//! What one exchange costs in memory while its client does nothing: bounded, and little.

use std::net::SocketAddr;
use std::time::Duration;

use crate::harness::certificates::Authority;
use crate::harness::client::Connection;
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, standard};
use crate::harness::login;
use crate::harness::script::script;
use crate::harness::tls::client::{Http2, OpenRequest, request};
use crate::harness::tls::{NAME, configuration, install};
use crate::harness::upstream::Upstream;

/// What one connection holds at once.
const STREAMS: usize = 32;

/// Nothing of what is held here ends by itself.
const LIMITS: &str = "limits: { in_flight: 3000, in_flight_per_client: 3000, body_timeout: 120s, send_timeout: 120s }\n";

/// A gateway behind TLS with this upstream.
struct MeasuredGateway {
    authority: Authority,
    gateway: Gateway,
}

impl MeasuredGateway {
    fn open(upstream: SocketAddr) -> Self {
        let stand_in = Upstream::start();
        let (authority, directory) = (Authority::new(), login::directory());
        install(&directory, &authority.issue(NAME));
        let text = configuration(&stand_in)
            .replace(&stand_in.address().to_string(), &upstream.to_string());
        let text = format!("{text}{LIMITS}{}", login::SECTION);
        Self { authority, gateway: Gateway::start_in(directory, &text) }
    }

    fn connect(&self) -> Http2 {
        Http2::connect(self.gateway.address(), &self.authority)
    }
}

/// What the process holds, in KiB, once that has stopped growing.
fn memory(gateway: &Gateway) -> f64 {
    let mut last = 0.0;
    eventually("memory that grows no more", || {
        let now = gateway.metric("process_resident_memory_bytes") / 1024.0;
        let has_grown = now > last + 64.0;
        last = now;
        std::thread::sleep(Duration::from_millis(200));
        (!has_grown).then_some(now)
    })
}

/// What each of the exchanges of so many rounds costs, in KiB. A first round does not count: it fills what stays
/// with the process.
fn cost<T>(gateway: &Gateway, rounds: usize, mut hold: impl FnMut() -> T) -> f64 {
    let mut held = Vec::new();
    let mut more = || {
        held.push(hold());
        let in_flight = (held.len() * STREAMS) as f64;
        eventually("all of them", || {
            (gateway.metric("portcullis_requests_in_flight") == in_flight).then_some(())
        });
    };
    more();
    let before = memory(gateway);
    (0..rounds).for_each(|_| more());
    (memory(gateway) - before) / (rounds * STREAMS) as f64
}

/// A connection of as many streams as there may be, of whose bodies only `first` comes.
fn begin(place: &MeasuredGateway, path: &str, first: &'static [u8]) -> (Http2, Vec<OpenRequest>) {
    let client = place.connect();
    let begun = (0..STREAMS)
        .map(|_| client.begin(request("POST", path, &[]), first).expect("a stream"))
        .collect();
    (client, begun)
}

/// An upstream that reads heads, and says nothing.
fn silent() -> SocketAddr {
    script(|_, mut line| drop(line.read_to_end()))
}

/// 24 KiB, or 41 on a busy machine; with a buffer for each body 48 at least.
#[test]
fn logins_without_a_body_cost_next_to_nothing() {
    let place = MeasuredGateway::open(silent());
    let each = cost(&place.gateway, 8, || begin(&place, "/auth/login", b""));
    assert!(each < 46.0, "{each:.1} KiB for each");
}

#[test]
fn slow_bodies_cost_no_more_than_what_is_bounded() {
    let place = MeasuredGateway::open(silent());
    let each = cost(&place.gateway, 8, || begin(&place, "/public/x", b"x"));
    assert!(each < 80.0, "{each:.1} KiB for each stream");
    let stand_in = Upstream::start();
    let text = standard(&stand_in) + LIMITS;
    let gateway =
        Gateway::start(&text.replace(&stand_in.address().to_string(), &silent().to_string()));
    let head = "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 9\r\n\r\n";
    let begin = || {
        let mut connection = Connection::open(gateway.address());
        connection.send(format!("{head}x"));
        connection
    };
    let each = cost(&gateway, 8, || (0..STREAMS).map(|_| begin()).collect::<Vec<_>>());
    assert!(each < 80.0, "{each:.1} KiB for each connection");
}

#[test]
fn streams_that_nobody_reads_cost_no_more_than_what_is_bounded() {
    let talkative = script(|_, mut line| {
        while line.read_head().is_some() {
            line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 20 << 20));
            let piece = [b'x'; 64 << 10];
            for _ in 0..320 {
                line.send(piece);
            }
        }
    });
    let place = MeasuredGateway::open(talkative);
    let each = cost(&place.gateway, 2, || {
        let client = Http2::connect_without_window(place.gateway.address(), &place.authority);
        for _ in 0..STREAMS {
            assert_eq!(client.hold_answer(request("GET", "/public/x", &[])), 200);
        }
        client
    });
    assert!(each < 150.0, "{each:.1} KiB for each");
}

//! Requests in flight: as many as are allowed are served, the next is refused, and each place is given
//! back.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use serde_json::json;

use crate::harness::client::{Connection, get, request};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, standard};
use crate::harness::script::script;
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::Http2;
use crate::harness::tokens::{bearer, now, token};
use crate::harness::upstream::{Behaviour, Upstream};

const TRUSTING: &str = "trusted_proxies: [127.0.0.1]\n";

/// A gateway with these sections, whose upstream answers each request when it is told to.
fn holding(change: impl FnOnce(String) -> String) -> (Gateway, Sender<()>) {
    let (go_on, told) = channel();
    let told = Mutex::new(told);
    let address = script(move |_, mut line| {
        while line.read_head().is_some() {
            if told.lock().expect("the receiver").recv().is_err() {
                return;
            }
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let upstream = Upstream::start();
    let text = standard(&upstream).replace(&upstream.address().to_string(), &address.to_string());
    (Gateway::start(&change(text)), go_on)
}

/// Sends a request, and waits until it is being served.
fn hold(gateway: &Gateway, client: &str) -> Connection {
    let before = gateway.metric("portcullis_requests_in_flight");
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/x", &[("X-Forwarded-For", client)]));
    eventually("one more", || {
        (gateway.metric("portcullis_requests_in_flight") == before + 1.0).then_some(())
    });
    connection
}

/// Asserts that a request of `client` is refused for this reason, on a connection that stays open.
fn assert_refused(gateway: &Gateway, client: &str, reason: &str) {
    let mut connection = Connection::open(gateway.address());
    for _ in 0..2 {
        let answer = connection.exchange(get("/public/x", &[("X-Forwarded-For", client)]));
        assert_eq!((answer.status, answer.slug().as_str()), (503, "overloaded"), "{answer:?}");
        assert_eq!(answer.field("retry-after"), Some("5"));
        let id = answer.json()["request_id"].clone();
        let line = gateway.logged(|line| line["request_id"] == id);
        assert_eq!(line["reason"], reason, "{line}");
    }
}

#[test]
fn requests_are_served_up_to_each_bound_and_refused_beyond() {
    let limits = |limits: &'static str| {
        move |text: String| format!("{text}{TRUSTING}limits: {{ {limits} }}\n")
    };
    type Change = Box<dyn FnOnce(String) -> String>;
    let cases: [(Change, [&str; 3], &str); 3] = [
        (
            Box::new(limits("in_flight: 2")),
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
            "in flight already: 2 of all clients (limits.in_flight)",
        ),
        (
            Box::new(limits("in_flight_per_client: 2")),
            ["2001:db8::1", "2001:db8::2", "2001:db8::3"],
            "in flight already: 2 of this client (limits.in_flight_per_client)",
        ),
        (
            Box::new(|text: String| {
                let text = text.replace("peers: [", "limits: { in_flight: 2 }, peers: [");
                format!("{text}{TRUSTING}")
            }),
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
            "in flight already: 2 of this upstream (upstreams.behind.limits.in_flight)",
        ),
    ];
    for (change, [first, second, third], reason) in cases {
        let (gateway, go_on) = holding(change);
        let mut held = hold(&gateway, first);
        let _other = hold(&gateway, second);
        assert_refused(&gateway, third, reason);
        go_on.send(()).expect("the upstream listens");
        eventually("a place", || {
            (gateway.metric("portcullis_requests_in_flight") == 1.0).then_some(())
        });
        drop(held.answer());
        let _next = hold(&gateway, third);
        assert_refused(&gateway, first, reason);
    }
}

#[test]
fn client_beyond_its_share_leaves_room_for_another() {
    let (gateway, _go_on) =
        holding(|text| format!("{text}{TRUSTING}limits: {{ in_flight_per_client: 1 }}\n"));
    let _first = hold(&gateway, "192.0.2.1");
    assert_refused(
        &gateway,
        "192.0.2.1",
        "in flight already: 1 of this client (limits.in_flight_per_client)",
    );
    let _another = hold(&gateway, "192.0.2.2");
}

#[test]
fn every_place_is_given_back_however_a_request_ends() {
    let upstream = Upstream::start();
    let text = standard(&upstream);
    let slow = text
        .replace("peers: [", "timeouts: { read: 200ms }, peers: [")
        .replace("    algorithms:", "    clock_skew: 1s\n    algorithms:");
    let gateway = Gateway::start(&format!("{slow}limits: {{ in_flight: 2 }}\n"));
    let expiring = || bearer(&token(json!({"exp": now() + 1})));
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    for (behaviour, request) in [
        (Behaviour::Answer, get("/public/x", &[])),
        (Behaviour::HangUp, get("/public/x", &[])),
        (Behaviour::Silent, get("/public/x", &[])),
        (Behaviour::Answer, get("/orders/7", &[])),
        (Behaviour::Answer, request("POST", "/public/x", &[], "hello")),
        (Behaviour::Bytes("nonsense".to_owned()), get("/public/x", &[])),
        (Behaviour::Upgrade, get("/public/x", &upgrade)),
        (
            Behaviour::Upgrade,
            get("/whoami", &[&upgrade[..], &[("Authorization", &expiring())]].concat()),
        ),
    ] {
        upstream.behave(behaviour.clone());
        // More than there are places; most clients leave without a word.
        for _ in 0..3 {
            let mut connection = Connection::open(gateway.address());
            connection.send(&request);
            if !matches!(behaviour, Behaviour::Silent) {
                // The sweep ends it, where the credential expires.
                drop(connection.first_line());
            }
            drop(connection);
            eventually("a place", || {
                (gateway.metric("portcullis_requests_in_flight") == 0.0).then_some(())
            });
        }
    }
}

#[test]
fn upstream_has_half_of_all_unless_it_is_the_only_one() {
    let limits = format!("{TRUSTING}limits: {{ in_flight: 80, in_flight_per_client: 80 }}\n");
    let (alone, _go_on) = holding(|text| text + &limits);
    let _held: Vec<_> = (0..80).map(|_| hold(&alone, "192.0.2.1")).collect();
    assert_refused(&alone, "192.0.2.2", "in flight already: 80 of all clients (limits.in_flight)");

    let another = "upstreams:\n  other: { peers: ['127.0.0.1:1'] }";
    let (shared, _go_on) = holding(|text| text.replace("upstreams:", another) + &limits);
    let _held: Vec<_> = (0..40).map(|_| hold(&shared, "192.0.2.1")).collect();
    let reason = "in flight already: 40 of this upstream (upstreams.behind.limits.in_flight)";
    assert_refused(&shared, "192.0.2.2", reason);
}

#[test]
fn principal_that_lapses_gives_its_place_back() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let text = standard(&upstream)
        .replace("peers: [", "limits: { in_flight: 1 }, peers: [")
        .replace("    algorithms:", "    clock_skew: 1s\n    algorithms:");
    let gateway = Gateway::start(&text);
    let expiring = bearer(&token(json!({"exp": now() + 2})));
    let mut held = Connection::open(gateway.address());
    held.send(get("/whoami", &[("Authorization", &expiring)]));
    eventually("the request", || (!upstream.received().is_empty()).then_some(()));
    upstream.behave(Behaviour::Answer);
    assert_eq!(gateway.exchange(get("/public/x", &[])).slug(), "overloaded");
    eventually("the end of the token", || {
        (gateway.exchange(get("/public/x", &[])).status == 200).then_some(())
    });
    eventually("an empty house", || {
        (gateway.metric("portcullis_requests_in_flight") == 0.0).then_some(())
    });
}

#[test]
fn websocket_counts_for_as_long_as_it_is_open() {
    let upstream = Upstream::start_with(Behaviour::Upgrade);
    let gateway = Gateway::start(&(standard(&upstream) + "limits: { in_flight: 1 }\n"));
    let mut socket = Connection::open(gateway.address());
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    assert_eq!(socket.exchange(get("/public/x", &upgrade)).status, 101);
    assert_eq!(gateway.exchange(get("/public/x", &[])).slug(), "overloaded");
    drop(socket);
    upstream.behave(Behaviour::Answer);
    eventually("a place", || (gateway.exchange(get("/public/x", &[])).status == 200).then_some(()));
}

#[test]
fn http2_connection_has_32_streams_unless_it_is_allowed_more() {
    for (sections, streams) in [("", 32), ("limits: { http2_streams: 100 }\n", 100)] {
        let site = TlsGateway::open_with(sections);
        let connection = Http2::connect(site.gateway.address(), &site.authority);
        assert_eq!(connection.streams_max(), streams);
    }
}

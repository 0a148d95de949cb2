//! Stopping without losing a request.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::client::{self, Connection, get};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::{SLACK, eventually};

/// A gateway whose grace is long, so that nothing ends only because it is over.
fn patient(upstream: &Upstream) -> Gateway {
    Gateway::start(&standard(upstream).replace("shutdown_grace: 10s", "shutdown_grace: 60s"))
}

fn readiness(gateway: &Gateway) -> u16 {
    client::exchange(gateway.admin(), get("/readyz", &[])).status
}

/// A connection whose request has arrived at the upstream.
fn in_flight(gateway: &Gateway, upstream: &Upstream) -> Connection {
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/slow", &[]));
    eventually("the request", || (!upstream.received().is_empty()).then_some(()));
    connection
}

#[test]
fn idle_gateway_stops_at_once_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let upstream = Upstream::start();
        let mut gateway = patient(&upstream);
        assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
        let begun = Instant::now();
        gateway.signal(signal);
        assert_eq!(gateway.wait().code(), Some(0), "{signal}");
        assert!(begun.elapsed() < SLACK, "it took {:?}", begun.elapsed());
    }
}

#[test]
fn request_in_flight_is_finished_before_the_gateway_stops() {
    let upstream = Upstream::start_with(Behaviour::Slow(Duration::from_secs(1)));
    let mut gateway = patient(&upstream);
    let mut slow = in_flight(&gateway, &upstream);
    let begun = Instant::now();
    gateway.signal("TERM");
    let answer = slow.answer().expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "from behind!"));
    assert!(slow.is_closed_within(SLACK), "the connection stayed open");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(1) + SLACK, "it took {:?}", begun.elapsed());
    // The last lines of the log are written before the end.
    gateway.logged(|line| line["path"] == "/public/slow" && line["status"] == 200);
}

#[test]
fn stopping_gateway_is_not_ready_but_alive() {
    let upstream = Upstream::start_with(Behaviour::Slow(Duration::from_secs(2)));
    let gateway = patient(&upstream);
    let _slow = in_flight(&gateway, &upstream);
    assert_eq!(readiness(&gateway), 200);
    gateway.signal("TERM");
    eventually("it is not ready", || (readiness(&gateway) == 503).then_some(()));
    assert_eq!(client::exchange(gateway.admin(), get("/livez", &[])).status, 200);
    assert!(gateway.metrics().contains("portcullis_connections_open 1"));
}

#[test]
fn stopping_gateway_refuses_new_connections() {
    let upstream = Upstream::start_with(Behaviour::Slow(Duration::from_secs(2)));
    let gateway = patient(&upstream);
    let mut slow = in_flight(&gateway, &upstream);
    gateway.signal("TERM");
    // A connection that meets the socket while it closes is reset; every later one is refused.
    eventually("a refusal", || {
        let refused = TcpStream::connect(gateway.address()).err()?;
        (refused.kind() == ErrorKind::ConnectionRefused).then_some(())
    });
    assert_eq!(slow.answer().expect("an answer").status, 200);
}

#[test]
fn stopping_gateway_closes_idle_connections() {
    let upstream = Upstream::start_with(Behaviour::Slow(Duration::from_secs(3)));
    let mut gateway = patient(&upstream);
    let mut silent = Connection::open(gateway.address());
    let mut idle = Connection::open(gateway.address());
    assert_eq!(idle.exchange(get("/nowhere", &[])).status, 404);
    eventually("both connections", || {
        (gateway.metric("portcullis_connections_open") == 2.0).then_some(())
    });
    let mut slow = in_flight(&gateway, &upstream);
    let begun = Instant::now();
    gateway.signal("TERM");
    assert!(idle.is_closed_within(SLACK), "an idle connection stayed open");
    assert!(silent.is_closed_within(SLACK), "a silent connection stayed open");
    assert!(begun.elapsed() < Duration::from_millis(2500), "they waited for the slow request");
    assert_eq!(slow.answer().expect("an answer").status, 200);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn body_that_is_on_its_way_is_taken_to_its_end_while_stopping() {
    let upstream = Upstream::start();
    let mut gateway = patient(&upstream);
    let mut connection = Connection::open(gateway.address());
    connection
        .send("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\nhello");
    eventually("the connection to the upstream", || (upstream.connections() > 0).then_some(()));
    gateway.signal("TERM");
    eventually("it is not ready", || (readiness(&gateway) == 503).then_some(()));
    connection.send("world");
    assert_eq!(connection.answer().expect("an answer").status, 200);
    assert_eq!(upstream.last().body, "helloworld");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn gateway_stops_when_its_grace_is_over_though_a_request_hangs() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let mut gateway =
        Gateway::start(&standard(&upstream).replace("shutdown_grace: 10s", "shutdown_grace: 1s"));
    let _hanging = in_flight(&gateway, &upstream);
    let begun = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(1) + SLACK, "{took:?}");
    let told = gateway.errors().join("\n");
    assert!(told.contains("connections still open"), "{told}");
}

#[test]
fn second_signal_stops_the_gateway_at_once() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let mut gateway = patient(&upstream);
    let _hanging = in_flight(&gateway, &upstream);
    gateway.signal("TERM");
    eventually("it is not ready", || (readiness(&gateway) == 503).then_some(()));
    let begun = Instant::now();
    gateway.signal("TERM");
    gateway.wait();
    assert!(begun.elapsed() < SLACK, "it took {:?}", begun.elapsed());
}

#[test]
fn reload_while_stopping_does_not_revive_the_gateway() {
    let upstream = Upstream::start_with(Behaviour::Slow(Duration::from_secs(2)));
    let mut gateway = patient(&upstream);
    let mut slow = in_flight(&gateway, &upstream);
    gateway.signal("TERM");
    eventually("it is not ready", || (readiness(&gateway) == 503).then_some(()));
    let failed = gateway.metric("portcullis_config_generation");
    std::fs::write(gateway.file(), standard(&upstream) + "# again\n").expect("a file");
    gateway.signal("HUP");
    eventually("a reload", || {
        (gateway.metric("portcullis_config_generation") > failed).then_some(())
    });
    assert_eq!(readiness(&gateway), 503);
    assert_eq!(slow.answer().expect("an answer").status, 200);
    assert_eq!(gateway.wait().code(), Some(0));
}

//! How long a connection may take, and how many there may be.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::client::{self, Connection, connect_from, get};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::{SLACK, eventually};

const HEADER_TIMEOUT: Duration = Duration::from_millis(600);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Sends bytes one at a time until the gateway closes the connection. Returns what it answered and
/// how long it took.
fn drip(mut stream: TcpStream, bytes: &[u8]) -> (String, Duration) {
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let begun = Instant::now();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let mut left = bytes.iter();
    while begun.elapsed() < crate::harness::PATIENCE {
        if let Some(byte) = left.next() {
            // A gateway that hung up is noticed when its answer is read.
            let _ = stream.write_all(&[*byte]);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed()),
            Ok(bytes) => answer.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("the connection broke: {error}"),
        }
    }
    panic!("the gateway waited for ever");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_nodelay(true).expect("no delay");
    stream
}

fn impatient(upstream: &Upstream) -> Gateway {
    Gateway::start(
        &(standard(upstream) + "limits: { header_timeout: 600ms, keepalive_timeout: 1500ms }\n"),
    )
}

/// More of a head than can be dripped in time.
fn long_head() -> String {
    format!("GET /public/x HTTP/1.1\r\nHost: gateway.test\r\nX: {}\r\n\r\n", "a".repeat(4000))
}

#[test]
fn slow_head_is_cut_at_its_deadline_however_steadily_it_drips() {
    let upstream = Upstream::start();
    let gateway = impatient(&upstream);
    let (answer, took) = drip(connect(gateway.address()), long_head().as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert!(answer.contains("\"slug\":\"request_timeout\""), "{answer:?}");
    assert!(took >= HEADER_TIMEOUT && took < HEADER_TIMEOUT + SLACK, "it took {took:?}");
    assert!(upstream.received().is_empty());
}

#[test]
fn slow_head_is_cut_on_a_reused_connection_too() {
    let upstream = Upstream::start();
    let gateway = impatient(&upstream);
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(get("/public/x", &[])).status, 200);
    let (answer, took) = drip(connection.into_stream(), long_head().as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert!(took >= HEADER_TIMEOUT && took < HEADER_TIMEOUT + SLACK, "it took {took:?}");
}

#[test]
fn slow_head_is_counted_and_logged() {
    let upstream = Upstream::start();
    let gateway = impatient(&upstream);
    drip(connect(gateway.address()), long_head().as_bytes());
    let line = gateway.logged(|line| line["slug"] == "request_timeout");
    assert_eq!((&line["status"], &line["path"]), (&408.into(), &"/public/x".into()));
    let series = "portcullis_decisions_total{carrier=\"none\",outcome=\"denied\",route=\"\",slug=\"request_timeout\"}";
    assert_eq!(gateway.metric(series), 1.0);
}

#[test]
fn head_that_arrives_in_pieces_in_time_is_served() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let head = "GET /public/x HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n";
    let (answer, _) = drip(connect(gateway.address()), head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
}

#[test]
fn connection_that_says_nothing_is_closed_without_a_word() {
    let upstream = Upstream::start();
    let gateway = impatient(&upstream);
    let (answer, took) = drip(connect(gateway.address()), b"");
    assert_eq!(answer, "");
    assert!(took >= HEADER_TIMEOUT && took < HEADER_TIMEOUT + SLACK, "it took {took:?}");
    // Nobody asked anything: there is nothing to log.
    assert_eq!(client::exchange(gateway.address(), get("/public/x", &[])).status, 200);
    gateway.logged(|line| line["status"] == 200);
    assert_eq!(gateway.log().len(), 1, "{:?}", gateway.log());
}

#[test]
fn idle_reused_connection_is_closed_after_the_keepalive_timeout() {
    let upstream = Upstream::start();
    let gateway = impatient(&upstream);
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(get("/public/x", &[])).status, 200);
    let begun = Instant::now();
    assert!(connection.is_closed_within(KEEPALIVE_TIMEOUT + SLACK));
    // Not after the deadline for a head, which is shorter here.
    assert!(begun.elapsed() >= KEEPALIVE_TIMEOUT - Duration::from_millis(100));
}

#[test]
fn slow_body_is_not_cut_at_the_deadline_for_heads() {
    let upstream = Upstream::start();
    let gateway = impatient(&upstream);
    let mut connection = Connection::open(gateway.address());
    connection.send("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\r\n");
    // Time itself is the subject.
    for byte in b"hello" {
        std::thread::sleep(HEADER_TIMEOUT / 3);
        connection.send([*byte]);
    }
    assert_eq!(connection.answer().expect("an answer").status, 200);
    assert_eq!(upstream.last().body, "hello");
}

#[test]
fn connection_beyond_the_limit_is_refused_and_its_place_is_given_back() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&(standard(&upstream) + "limits: { connections: 2 }\n"));
    let mut first = held(&gateway);
    let second = held(&gateway);
    let mut third = Connection::open(gateway.address());
    assert!(third.is_closed_within(SLACK), "a third connection was let in");
    assert_eq!(gateway.metric("portcullis_connections_refused_total"), 1.0);
    assert_eq!(gateway.metric("portcullis_connections_open"), 2.0);
    // Those that are in are served still.
    assert_eq!(first.exchange(get("/public/x", &[])).status, 200);
    drop(second);
    eventually("a place", || {
        let mut connection = Connection::open(gateway.address());
        connection.send(get("/public/x", &[]));
        connection.answer().filter(|answer| answer.status == 200)
    });
}

#[test]
fn every_place_is_given_back_however_a_connection_ends() {
    let upstream = Upstream::start_with(Behaviour::HangUp);
    let gateway = Gateway::start(&(standard(&upstream) + "limits: { connections: 8 }\n"));
    for round in 0..4 {
        for request in [
            get("/public/x", &[]),
            get("/orders/x", &[]),
            get("/public/../x", &[]),
            "nonsense\r\n\r\n".to_owned(),
            "GET /public/x HTTP/1.1\r\n".to_owned(),
            String::new(),
        ] {
            eventually("a place", || {
                let mut connection = Connection::open(gateway.address());
                // Refused connections are closed at once; others wait for a request.
                (!connection.is_closed_within(Duration::from_millis(20))).then(|| {
                    connection.send(&request);
                })
            });
        }
        eventually(&format!("an empty house in round {round}"), || {
            (gateway.metric("portcullis_connections_open") == 0.0).then_some(())
        });
    }
}

#[test]
fn connections_of_one_address_do_not_take_the_places_of_another() {
    let upstream = Upstream::start();
    let limits = "limits: { connections_per_address: 1 }\n";
    let gateway = Gateway::start(&(standard(&upstream) + limits));
    let first = held(&gateway);
    let mut second = Connection::open(gateway.address());
    assert!(second.is_closed_within(SLACK), "a second connection was let in");
    let mut other = Connection::over(connect_from([127, 0, 0, 2].into(), gateway.address()));
    assert_eq!(other.exchange(get("/public/x", &[])).status, 200);
    drop(first);
    eventually("a place", || {
        let mut connection = Connection::open(gateway.address());
        connection.send(get("/public/x", &[]));
        connection.answer().filter(|answer| answer.status == 200)
    });
}

#[test]
fn address_has_a_quarter_of_all_connections() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&(standard(&upstream) + "limits: { connections: 160 }\n"));
    let (one, other) = ([127, 0, 0, 2], [127, 0, 0, 3]);
    let mut held: Vec<_> = (0..40).map(|_| held_from(one, &gateway).expect("a place")).collect();
    assert!(held_from(one, &gateway).is_none(), "more than a quarter");
    assert!(held_from(other, &gateway).is_some(), "another address has no place");
    assert_eq!(gateway.metric("portcullis_connections_refused_total"), 1.0);
    held.pop();
    eventually("a place that was given back", || held_from(one, &gateway));
    let told = gateway.errors().join("\n");
    assert!(told.contains("connections=160 connections_per_address=40 "), "{told}");
}

#[test]
fn trusted_proxy_may_use_all_connections_whatever_an_address_may() {
    let upstream = Upstream::start();
    let proxy = [127, 0, 0, 2];
    for more in ["", ", connections_per_address: 1"] {
        let limits = format!("limits: {{ connections: 160{more} }}\n");
        let text = standard(&upstream) + &limits + "trusted_proxies: [127.0.0.2]\n";
        let gateway = Gateway::start(&text);
        let held: Vec<_> = (0..160)
            .map(|number| held_from(proxy, &gateway).unwrap_or_else(|| panic!("{number}{more}")))
            .collect();
        assert!(held_from(proxy, &gateway).is_none(), "more than all");
        drop(held);
    }
}

/// A connection from this address, if it was let in.
fn held_from(source: [u8; 4], gateway: &Gateway) -> Option<Connection> {
    let mut connection = Connection::over(connect_from(source.into(), gateway.address()));
    connection.send(get("/public/x", &[]));
    let answer = connection.answer()?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Some(connection)
}

/// A connection that was let in and served.
fn held(gateway: &Gateway) -> Connection {
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(get("/public/x", &[])).status, 200);
    connection
}

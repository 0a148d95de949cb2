//! Peers: which one is asked, and what happens when it cannot be.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{gateway, peers};
use crate::harness::client::{Connection, get, request};
use crate::harness::script::script;
use crate::harness::upstream::{Behaviour, Upstream, refusing_address};
use crate::harness::{SLACK, eventually};

#[test]
fn peer_that_refuses_connections_is_answered_502_at_once() {
    let gateway = gateway(&peers(&[refusing_address()]));
    let begun = Instant::now();
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream_unavailable"));
    assert!(begun.elapsed() < Duration::from_millis(900), "it took {:?}", begun.elapsed());
}

#[test]
fn unavailable_upstream_is_counted_and_logged_as_unavailable() {
    let gateway = gateway(&peers(&[refusing_address()]));
    gateway.exchange(get("/public/x", &[]));
    let line = gateway.logged(|line| line["status"] == 502);
    assert_eq!(
        (&line["slug"], &line["outcome"]),
        (&"upstream_unavailable".into(), &"unavailable".into())
    );
    assert_eq!(line["route"], "public");
    let series = "portcullis_decisions_total{carrier=\"none\",outcome=\"unavailable\",route=\"public\",slug=\"upstream_unavailable\"}";
    assert_eq!(gateway.metric(series), 1.0);
}

#[test]
fn upstream_error_leaves_the_client_connection_open_or_says_that_it_does_not() {
    let gateway = gateway(&peers(&[refusing_address()]));
    let mut connection = Connection::open(gateway.address());
    for _ in 0..3 {
        let answer = connection.exchange(get("/public/x", &[]));
        assert_eq!(answer.slug(), "upstream_unavailable");
        if answer.field("connection") == Some("close") {
            assert!(connection.is_closed_within(SLACK));
            return;
        }
    }
}

#[test]
fn upstream_that_hangs_up_before_its_answer_is_answered_502() {
    let upstream = Upstream::start_with(Behaviour::HangUp);
    let gateway = gateway(&peers(&[upstream.address()]));
    for method in ["GET", "POST"] {
        let answer = gateway.exchange(request(method, "/public/x", &[], "hello"));
        assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream_unavailable"));
    }
}

#[test]
fn silent_upstream_is_answered_504_after_the_read_timeout() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let gateway =
        gateway(&format!("{}, timeouts: {{ read: 500ms }}", peers(&[upstream.address()])));
    let begun = Instant::now();
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (504, "upstream_timeout"));
    let took = begun.elapsed();
    let timeout = Duration::from_millis(500);
    assert!(took >= timeout && took < timeout + SLACK, "it took {took:?}");
    // It was sent once, and may have been obeyed: it is not sent again.
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn upstream_that_falls_silent_within_its_head_is_answered_504() {
    let address = script(|_, mut line| {
        line.read_head();
        line.send("HTTP/1.1 200 OK\r\nContent-Le");
        line.read_to_end();
    });
    let gateway = gateway(&format!("{}, timeouts: {{ read: 500ms }}", peers(&[address])));
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (504, "upstream_timeout"));
}

#[test]
fn peer_that_does_not_take_the_connection_is_answered_within_the_connect_timeout() {
    let hole = BlackHole::open();
    let settings =
        format!("{}, retries: 0, timeouts: {{ connect: 400ms }}", peers(&[hole.address]));
    let gateway = gateway(&settings);
    let begun = Instant::now();
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (504, "upstream_timeout"));
    let took = begun.elapsed();
    let timeout = Duration::from_millis(400);
    assert!(took >= timeout && took < timeout + SLACK, "it took {took:?}");
}

#[test]
fn peer_that_does_not_take_the_connection_is_to_blame_while_a_body_is_on_its_way() {
    let hole = BlackHole::open();
    let settings =
        format!("{}, retries: 0, timeouts: {{ connect: 400ms }}", peers(&[hole.address]));
    let gateway = gateway(&settings);
    let mut connection = Connection::open(gateway.address());
    connection
        .send("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\nhello");
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.slug().as_str()), (504, "upstream_timeout"));
}

#[test]
fn every_request_succeeds_with_one_retry_though_one_of_two_peers_is_dead() {
    let upstream = Upstream::start();
    let dead = refusing_address();
    for addresses in [[upstream.address(), dead], [dead, upstream.address()]] {
        let gateway = gateway(&format!("{}, retries: 1", peers(&addresses)));
        for _ in 0..8 {
            assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
            // Nothing was sent to the dead one, so a POST may be tried elsewhere too.
            let answer = gateway.exchange(request("POST", "/public/x", &[], "hello"));
            assert_eq!(answer.status, 200);
            assert_eq!(upstream.last().body, "hello");
        }
    }
    assert_eq!(upstream.received().len(), 32);
}

#[test]
fn nothing_is_tried_again_with_retries_0() {
    let upstream = Upstream::start();
    let gateway =
        gateway(&format!("{}, retries: 0", peers(&[upstream.address(), refusing_address()])));
    let statuses: Vec<_> = (0..6).map(|_| gateway.exchange(get("/public/x", &[])).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 3, "{statuses:?}");
}

#[test]
fn one_retry_is_one_retry() {
    let upstream = Upstream::start();
    let addresses = [refusing_address(), refusing_address(), upstream.address()];
    let gateway = gateway(&format!("{}, retries: 1", peers(&addresses)));
    let statuses: Vec<_> = (0..6).map(|_| gateway.exchange(get("/public/x", &[])).status).collect();
    assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
}

#[test]
fn round_robin_takes_turns() {
    let upstreams = [Upstream::start(), Upstream::start(), Upstream::start()];
    let addresses: Vec<_> = upstreams.iter().map(Upstream::address).collect();
    let gateway = gateway(&format!("{}, balance: round_robin", peers(&addresses)));
    for round in 1..=4 {
        for _ in 0..3 {
            assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
        }
        let received: Vec<_> = upstreams.iter().map(|upstream| upstream.received().len()).collect();
        assert_eq!(received, [round; 3]);
    }
}

#[test]
fn post_that_was_sent_is_not_sent_again_to_another_peer() {
    let breaking = Upstream::start_with(Behaviour::HangUp);
    let other = Upstream::start();
    let settings = format!("{}, retries: 3", peers(&[breaking.address(), other.address()]));
    let gateway = gateway(&settings);
    let answer = gateway.exchange(request("POST", "/public/x", &[], "pay"));
    assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream_unavailable"));
    assert_eq!((breaking.received().len(), other.received().len()), (1, 0));
}

#[test]
fn post_that_was_sent_on_a_reused_connection_is_not_sent_again() {
    let upstream = Upstream::start();
    let gateway = gateway(&format!("{}, retries: 3", peers(&[upstream.address()])));
    for method in ["POST", "PATCH", "LOCK"] {
        upstream.behave(Behaviour::Answer);
        assert_eq!(gateway.exchange(get("/public/first", &[])).status, 200);
        upstream.behave(Behaviour::HangUp);
        let before = upstream.received().len();
        let answer = gateway.exchange(request(method, "/public/pay", &[], "pay"));
        assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream_unavailable"));
        assert_eq!(upstream.received().len(), before + 1, "{method} was sent twice");
    }
}

#[test]
fn connection_that_the_upstream_closed_while_idle_costs_no_request() {
    // Each connection answers once and is then closed, without saying so before.
    let address = script(|_, mut line| {
        line.read_head();
        line.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = gateway(&format!("{}, retries: 1", peers(&[address])));
    for _ in 0..20 {
        assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
    }
}

#[test]
fn name_of_a_peer_is_resolved() {
    let upstream = Upstream::start();
    let gateway =
        gateway(&format!("peers: ['localhost:{}'], retries: 1", upstream.address().port()));
    for _ in 0..4 {
        assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
    }
}

#[test]
fn name_that_does_not_resolve_is_answered_502_and_the_gateway_starts_nevertheless() {
    let gateway = gateway("peers: ['no-such-host.invalid:80']");
    let begun = Instant::now();
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream_unavailable"));
    assert!(begun.elapsed() < Duration::from_millis(900), "it took {:?}", begun.elapsed());
    let told = eventually("a warning", || {
        gateway
            .errors()
            .into_iter()
            .find(|line| line.contains("the name of a peer cannot be resolved"))
    });
    assert!(told.contains("no-such-host.invalid"), "{told}");
}

#[test]
fn name_that_does_not_resolve_does_not_keep_the_other_peers_from_serving() {
    let upstream = Upstream::start();
    let gateway = gateway(&format!("peers: ['no-such-host.invalid:80', '{}']", upstream.address()));
    for _ in 0..4 {
        assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
    }
}

/// A port that takes no more connections, and does not say so.
struct BlackHole {
    address: SocketAddr,
    _socket: tokio::net::TcpListener,
    _held: Vec<std::net::TcpStream>,
    _runtime: tokio::runtime::Runtime,
}

impl BlackHole {
    fn open() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let socket = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
            socket.listen(1).expect("a socket")
        });
        let address = socket.local_addr().expect("an address");
        // Nobody accepts: once the queue is full, further ones are not even answered.
        let mut held = Vec::new();
        while let Ok(stream) =
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))
        {
            held.push(stream);
            assert!(held.len() < 64, "the queue does not fill");
        }
        Self { address, _socket: socket, _held: held, _runtime: runtime }
    }
}

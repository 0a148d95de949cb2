//! `Upgrade` is a wish: until an upstream has switched, its deadlines are those of any other request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::client::{Connection, get};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::script::{Line, script};
use crate::harness::upstream::Upstream;

const TIMEOUT: Duration = Duration::from_millis(400);

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(10);

/// A gateway with short deadlines whose upstream does this on each connection.
fn gateway(play: impl Fn(usize, Line) + Send + Sync + 'static) -> Gateway {
    let address = script(play);
    let upstream = Upstream::start();
    let text = standard(&upstream)
        .replace(&upstream.address().to_string(), &address.to_string())
        .replace("peers: [", "timeouts: { read: 400ms, write: 400ms }, peers: [")
        + "limits: { body_timeout: 2s }\n";
    Gateway::start(&text)
}

/// Only a WebSocket is passed on; of any other protocol upstreams are not told.
const PROTOCOLS: [&str; 3] = ["anything", "h2c", "websocket"];

fn upgrade(path: &str, protocol: &str) -> String {
    get(path, &[("Connection", "Upgrade"), ("Upgrade", protocol)])
}

#[test]
fn upstream_that_does_not_answer_an_upgrade_is_given_up() {
    let gateway = gateway(|_, mut line| drop(line.read_to_end()));
    let upgrades = PROTOCOLS.map(|protocol| upgrade("/public/x", protocol));
    for request in upgrades.into_iter().chain([get("/public/x", &[])]) {
        let begun = Instant::now();
        let answer = gateway.exchange(&request);
        assert_eq!((answer.status, answer.slug().as_str()), (504, "upstream_timeout"), "{request}");
        let took = begun.elapsed();
        assert!(took >= TIMEOUT && took < TIMEOUT + SLACK, "it took {took:?}");
    }
}

#[test]
fn upstream_that_does_not_take_the_body_of_an_upgrade_is_given_up() {
    for protocol in PROTOCOLS {
        give_up_upstream_that_takes_no_body(protocol);
    }
}

fn give_up_upstream_that_takes_no_body(protocol: &str) {
    let gateway = gateway(|_, mut line| {
        line.read_head();
        std::thread::sleep(2 * SLACK);
    });
    let length = 64 << 20;
    let head = upgrade("/public/x", protocol).replacen("GET", "POST", 1);
    let head = head.replacen("\r\n\r\n", &format!("\r\nContent-Length: {length}\r\n\r\n"), 1);
    let stream = Connection::open(gateway.address()).into_stream();
    let mut sending = stream.try_clone().expect("a socket");
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        // Not all of it will be taken.
        let _ = sending.write_all(head.as_bytes());
        let _ = sending.write_all(&vec![b'b'; length]);
    });
    let line = gateway.logged(|line| line["path"] == "/public/x");
    assert_eq!(line["slug"], "upstream_timeout", "{line}");
    drop(stream);
    sender.join().expect("the sender ends");
}

#[test]
fn upgrade_that_is_answered_otherwise_keeps_its_deadlines() {
    let gateway = gateway(|_, mut line| {
        line.read_head();
        line.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        line.read_to_end();
    });
    for protocol in PROTOCOLS {
        let mut connection = Connection::open(gateway.address());
        let begun = Instant::now();
        connection.send(upgrade("/public/x", protocol));
        connection.read_through("hello");
        assert!(connection.is_closed_within(TIMEOUT + SLACK), "it goes on waiting");
        assert!(begun.elapsed() >= TIMEOUT, "it took {:?}", begun.elapsed());
        assert_eq!(gateway.metric("portcullis_requests_in_flight"), 0.0);
    }
}

#[test]
fn answers_to_upgrades_that_are_refused_leave_the_connection_to_the_client_open() {
    let gateway = gateway(|_, mut line| {
        while line.read_head().is_some() {
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    let mut connection = Connection::open(gateway.address());
    for path in ["/public/1", "/public/2", "/public/3"] {
        assert_eq!(connection.exchange(upgrade(path, "anything")).body, "hello");
        assert_eq!(connection.exchange(get(path, &[])).body, "hello");
    }
}

#[test]
fn protocol_that_was_switched_to_may_be_silent() {
    let gateway = gateway(|_, mut line| {
        line.read_head();
        line.switch();
        while let Some(message) = line.read_until("!") {
            line.send(format!("<{message}>"));
        }
    });
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(upgrade("/public/x", "websocket")).status, 101);
    for message in ["one!", "two!"] {
        // Time itself is the subject.
        std::thread::sleep(3 * TIMEOUT);
        connection.send(message);
        connection.read_through(&format!("<{message}>"));
    }
}

/// What the upstream was not asked for it cannot agree to: the client's word alone lifts no deadline.
#[test]
fn protocol_that_no_upstream_was_asked_for_is_not_switched_to() {
    let gateway = gateway(|_, mut line| {
        line.read_head();
        line.switch();
        line.read_to_end();
    });
    for protocol in ["anything", "h2c", "websocket, h2c"] {
        let answer = gateway.exchange(upgrade("/public/x", protocol));
        let told = (answer.status, answer.slug());
        assert_eq!(told, (502, "upstream_unavailable".to_owned()), "{protocol}");
    }
}

#[test]
fn upgrade_that_no_upstream_is_told_of_takes_a_connection_of_the_pool() {
    let lines = Arc::new(AtomicUsize::new(0));
    let opened = lines.clone();
    let gateway = gateway(move |_, mut line| {
        opened.fetch_add(1, Ordering::SeqCst);
        while line.read_head().is_some() {
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    let mut connection = Connection::open(gateway.address());
    for number in 0..5 {
        assert_eq!(connection.exchange(upgrade(&format!("/public/{number}"), "h2c")).body, "hello");
    }
    assert_eq!(lines.load(Ordering::SeqCst), 1);
}

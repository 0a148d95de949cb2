//! `Upgrade` is a wish: until an upstream has switched, its deadlines are those of any other request.

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
        .replace("peers: [", "timeouts: { read: 400ms, write: 400ms }, peers: [");
    Gateway::start(&text)
}

fn upgrade(path: &str) -> String {
    get(path, &[("Connection", "Upgrade"), ("Upgrade", "anything")])
}

#[test]
fn upstream_that_does_not_answer_an_upgrade_is_given_up() {
    let gateway = gateway(|_, mut line| drop(line.read_to_end()));
    for request in [upgrade("/public/x"), get("/public/x", &[])] {
        let begun = Instant::now();
        let answer = gateway.exchange(&request);
        assert_eq!((answer.status, answer.slug().as_str()), (504, "upstream_timeout"), "{request}");
        let took = begun.elapsed();
        assert!(took >= TIMEOUT && took < TIMEOUT + SLACK, "it took {took:?}");
    }
}

#[test]
fn upstream_that_does_not_take_the_body_of_an_upgrade_is_given_up() {
    let gateway = gateway(|_, mut line| {
        line.read_head();
        std::thread::sleep(2 * SLACK);
    });
    let length = 64 << 20;
    let head = upgrade("/public/x").replacen("GET", "POST", 1);
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
    let mut connection = Connection::open(gateway.address());
    let begun = Instant::now();
    connection.send(upgrade("/public/x"));
    connection.read_through("hello");
    assert!(connection.is_closed_within(TIMEOUT + SLACK), "it goes on waiting");
    assert!(begun.elapsed() >= TIMEOUT, "it took {:?}", begun.elapsed());
    assert_eq!(gateway.metric("portcullis_requests_in_flight"), 0.0);
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
        assert_eq!(connection.exchange(upgrade(path)).body, "hello");
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
    let websocket = upgrade("/public/x").replace("anything", "websocket");
    assert_eq!(connection.exchange(websocket).status, 101);
    for message in ["one!", "two!"] {
        // Time itself is the subject.
        std::thread::sleep(3 * TIMEOUT);
        connection.send(message);
        connection.read_through(&format!("<{message}>"));
    }
}

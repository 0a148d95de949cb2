//! Streams: what comes is passed on as it comes.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::{gateway, peers};
use crate::harness::client::{Connection, get};
use crate::harness::eventually;
use crate::harness::script::script;
use crate::harness::upstream::{Behaviour, Upstream};

#[test]
fn pieces_of_an_answer_of_unknown_length_are_passed_on_as_they_come() {
    for framing in ["Transfer-Encoding: chunked", "Connection: close"] {
        assert_streamed(framing);
    }
}

#[test]
fn pieces_of_an_answer_of_known_length_are_passed_on_as_they_come() {
    assert_streamed("Content-Length: 9");
}

/// Asserts that a client sees each piece of an answer before the upstream sends the next.
fn assert_streamed(framing: &'static str) {
    let (go_on, told) = channel();
    let told = Mutex::new(told);
    let address = script(move |_, mut line| {
        line.read_head();
        line.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        let told = told.lock().expect("the receiver");
        for piece in ["one", "two", "six"] {
            if framing.contains("chunked") {
                line.send(format!("3\r\n{piece}\r\n"));
            } else {
                line.send(piece);
            }
            // Not before the client has seen this one.
            if told.recv().is_err() {
                return;
            }
        }
        if framing.contains("chunked") {
            line.send("0\r\n\r\n");
        }
    });
    let gateway = gateway(&peers(&[address]));
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/x", &[]));
    for piece in ["one", "two", "six"] {
        connection.read_through(piece);
        go_on.send(()).expect("the script listens");
    }
}

#[test]
fn head_of_an_answer_is_passed_on_before_its_body() {
    let (go_on, told) = channel();
    let told = Mutex::new(told);
    let address = script(move |_, mut line| {
        line.read_head();
        line.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        if told.lock().expect("the receiver").recv().is_ok() {
            line.send("hello");
        }
    });
    let gateway = gateway(&peers(&[address]));
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/x", &[]));
    connection.read_through("\r\n\r\n");
    go_on.send(()).expect("the script listens");
    connection.read_through("hello");
}

#[test]
fn pieces_of_a_request_are_passed_on_as_they_come() {
    let (tells, seen) = channel();
    let tells = Mutex::new(tells);
    let address = script(move |_, mut line| {
        line.read_head();
        let tells = tells.lock().expect("the sender");
        while let Some(_piece) = line.read_until("\r\n") {
            if tells.send(()).is_err() {
                return;
            }
        }
    });
    let gateway = gateway(&peers(&[address]));
    let mut connection = Connection::open(gateway.address());
    connection.send(
        "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for piece in ["3\r\none\r\n", "3\r\ntwo\r\n", "3\r\nsix\r\n"] {
        connection.send(piece);
        for _line in piece.split_terminator("\r\n") {
            seen.recv_timeout(crate::harness::PATIENCE).expect("the piece arrives");
        }
    }
}

#[test]
fn client_that_leaves_is_logged_as_499_and_does_no_harm_to_the_next_request() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let gateway = gateway(&peers(&[upstream.address()]));
    let mut leaving = Connection::open(gateway.address());
    leaving.send(get("/public/left", &[]));
    eventually("the request", || (!upstream.received().is_empty()).then_some(()));
    drop(leaving);
    let line = gateway.logged(|line| line["path"] == "/public/left");
    assert_eq!(line["status"], 499, "{line}");
    upstream.behave(Behaviour::Mirror);
    for _ in 0..3 {
        let answer = gateway.exchange(get("/public/next", &[]));
        assert_eq!(answer.body, "GET /public/next HTTP/1.1");
    }
    eventually("one connection less", || {
        (gateway.metric("portcullis_connections_open") == 0.0).then_some(())
    });
}

#[test]
fn client_that_leaves_within_an_answer_does_no_harm_to_the_next_request() {
    let body = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".repeat(200_000);
    let address = script(move |_, mut line| {
        while let Some(head) = line.read_head() {
            let first = head.split("\r\n").next().unwrap_or_default();
            let body = if first.contains("/large") { &body } else { first };
            line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    });
    let gateway = gateway(&peers(&[address]));
    for number in 0..5 {
        let mut leaving = Connection::open(gateway.address());
        leaving.send(get("/public/large", &[]));
        leaving.read_through("evil");
        drop(leaving);
        let path = format!("/public/{number}");
        assert_eq!(gateway.exchange(get(&path, &[])).body, format!("GET {path} HTTP/1.1"));
    }
}

#[test]
fn websocket_passes_bytes_both_ways_after_its_permit() {
    let address = script(|_, mut line| {
        let head = line.read_head().unwrap_or_default();
        if !head.to_ascii_lowercase().contains("upgrade: websocket") {
            return;
        }
        line.switch();
        while let Some(message) = line.read_until("!") {
            line.send(format!("<{message}>"));
        }
    });
    let gateway = gateway(&peers(&[address]));
    let mut connection = Connection::open(gateway.address());
    let upgrade = |path: &str| {
        get(
            path,
            &[
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ],
        )
    };
    let denied = connection.exchange(upgrade("/orders/x"));
    assert_eq!(denied.slug(), "credential_absent");
    // What follows may be meant for the protocol that was not switched to.
    assert_eq!(denied.field("connection"), Some("close"));
    assert!(connection.answer().is_none());
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(upgrade("/public/x")).status, 101);
    for message in ["one!", "two!"] {
        connection.send(message);
        connection.read_through(&format!("<{message}>"));
    }
}

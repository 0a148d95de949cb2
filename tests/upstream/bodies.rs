//! Bodies: how large, how they arrive, and when they are asked for.

use std::time::{Duration, Instant};

use super::{configuration, gateway, peers};
use crate::harness::client::{Connection, get, request};
use crate::harness::gateway::Gateway;
use crate::harness::script::script;
use crate::harness::upstream::{Behaviour, Upstream};

fn limited(upstream: &Upstream) -> Gateway {
    let settings = peers(&[upstream.address()]);
    Gateway::start(&configuration(&settings, ", limits: { body: 1KiB }"))
}

/// A request with a chunked body of this many bytes, in chunks of up to this size.
fn chunked(path: &str, mut bytes: usize, size: usize) -> String {
    let mut text =
        format!("POST {path} HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    while bytes > 0 {
        let chunk = bytes.min(size);
        text.push_str(&format!("{chunk:x}\r\n{}\r\n", "b".repeat(chunk)));
        bytes -= chunk;
    }
    text + "0\r\n\r\n"
}

#[test]
fn announced_body_is_accepted_at_the_limit_and_refused_beyond() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream);
    let body = |bytes: usize| request("POST", "/public/x", &[], &"b".repeat(bytes));
    assert_eq!(gateway.exchange(body(1024)).status, 200);
    let answer = gateway.exchange(body(1025));
    assert_eq!((answer.status, answer.slug().as_str()), (413, "body_too_large"));
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn announced_body_beyond_the_limit_is_refused_before_it_is_sent() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream);
    for length in ["1025", "1048576", "9999999999999999999"] {
        let mut connection = Connection::open(gateway.address());
        let begun = Instant::now();
        connection.send(format!(
            "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n"
        ));
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, answer.slug().as_str()), (413, "body_too_large"));
        assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn chunked_body_is_accepted_at_the_limit_and_refused_beyond() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream);
    for size in [2000, 1024, 100, 1] {
        assert_eq!(gateway.exchange(chunked("/public/x", 1024, size)).status, 200, "{size}");
        let reached = upstream.received().len();
        let answer = gateway.exchange(chunked("/public/x", 1025, size));
        assert_eq!((answer.status, answer.slug().as_str()), (413, "body_too_large"), "{size}");
        // It was cut off, not cut short: no upstream takes the beginning for the whole.
        assert_eq!(upstream.received().len(), reached, "{size}");
    }
}

#[test]
fn chunked_body_beyond_the_limit_is_logged_under_its_slug() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream);
    gateway.exchange(chunked("/public/x", 5000, 100));
    let line = gateway.logged(|line| line["slug"] == "body_too_large");
    assert_eq!((&line["status"], &line["outcome"]), (&413.into(), &"denied".into()));
    let series = "portcullis_decisions_total{carrier=\"none\",outcome=\"denied\",route=\"public\",slug=\"body_too_large\"}";
    assert_eq!(gateway.metric(series), 1.0);
}

#[test]
fn endless_chunked_body_is_cut_off() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream);
    let mut connection = Connection::open(gateway.address());
    connection.send(chunked("/public/x", 16 << 20, 64 << 10));
    if let Some(answer) = connection.answer() {
        assert_eq!((answer.status, answer.slug().as_str()), (413, "body_too_large"));
    }
    assert!(upstream.received().is_empty());
    let line = gateway.logged(|line| line["slug"] == "body_too_large");
    assert!(line["bytes_in"].as_u64().expect("a number") < 1 << 20, "{line}");
}

#[test]
fn denied_request_is_answered_before_its_large_body() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream);
    let answer = gateway.exchange(request("POST", "/orders/x", &[], &"b".repeat(5000)));
    assert_eq!((answer.status, answer.slug().as_str()), (401, "credential_absent"));
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn denied_request_that_waits_for_100_continue_is_answered_without_its_body() {
    let upstream = Upstream::start();
    let gateway = limited(&upstream);
    for (path, length, slug) in [
        ("/orders/x", 10, "credential_absent"),
        ("/nowhere", 10, "route_unknown"),
        ("/public/x", 1025, "body_too_large"),
    ] {
        let mut connection = Connection::open(gateway.address());
        let begun = Instant::now();
        connection.send(format!(
            "POST {path} HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        ));
        let text = connection.first_line();
        assert!(!text.contains(" 100 "), "{path} was told to go on: {text}");
        assert_eq!(connection.answer().expect("an answer").slug(), slug);
        assert!(begun.elapsed() < Duration::from_millis(1500), "it took {:?}", begun.elapsed());
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn permitted_request_that_waits_for_100_continue_is_told_to_go_on() {
    let address = script(|_, mut line| {
        let head = line.read_head().unwrap_or_default();
        if head.to_ascii_lowercase().contains("expect: 100-continue") {
            line.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let body = line.read_exactly(5).unwrap_or_default();
        line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}"));
    });
    let gateway = gateway(&peers(&[address]));
    let mut connection = Connection::open(gateway.address());
    connection.send(
        "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert!(connection.first_line().contains(" 100 "));
    connection.send("hello");
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
}

#[test]
fn large_bodies_arrive_whole_in_both_directions() {
    const BYTES: usize = 10 << 20;
    let address = script(|_, mut line| {
        line.read_head();
        let body = line.read_exactly(BYTES).unwrap_or_default();
        line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        line.read_to_end();
    });
    let gateway = gateway(&peers(&[address]));
    // No two stretches of it are alike.
    let body: String = (0..BYTES / 8).map(|number| format!("{number:08x}")).collect();
    let stream = Connection::open(gateway.address()).into_stream();
    let mut sending = stream.try_clone().expect("a socket");
    let text = request("POST", "/public/x", &[], &body);
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        sending.write_all(text.as_bytes()).expect("the gateway reads");
    });
    let answer = Connection::over(stream).answer().expect("an answer");
    sender.join().expect("the body was sent");
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "the body changed on its way");
    let line = gateway.logged(|line| line["status"] == 200);
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&BYTES.into(), &BYTES.into()));
}

#[test]
fn large_chunked_body_arrives_whole() {
    let upstream = Upstream::start();
    let gateway = gateway(&peers(&[upstream.address()]));
    let answer = gateway.exchange(chunked("/public/x", 2 << 20, 7919));
    assert_eq!(answer.status, 200);
    let body = upstream.last().body;
    assert_eq!(body.bytes().filter(|byte| *byte == b'b').count(), {
        // Hexadecimal sizes of chunks hold that letter too.
        let sizes = body.split("\r\n").step_by(2);
        (2 << 20) + sizes.flat_map(str::bytes).filter(|byte| *byte == b'b').count()
    });
}

#[test]
fn client_that_leaves_within_its_body_does_no_harm_to_the_next_request() {
    let upstream = Upstream::start_with(Behaviour::Mirror);
    let gateway = gateway(&peers(&[upstream.address()]));
    for number in 0..10 {
        let mut connection = Connection::open(gateway.address());
        connection.send(
            "POST /public/broken HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100\r\n\r\nGET ",
        );
        drop(connection);
        let path = format!("/public/{number}");
        assert_eq!(gateway.exchange(get(&path, &[])).body, format!("GET {path} HTTP/1.1"));
    }
    let lines = crate::harness::eventually("the log", || {
        Some(gateway.log()).filter(|lines| lines.len() == 20)
    });
    for line in lines.iter().filter(|line| line["path"] == "/public/broken") {
        assert_eq!(line["status"], 499, "{line}");
    }
}

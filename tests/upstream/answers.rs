//! Answers that are none, or two.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::{gateway, peers};
use crate::harness::client::{Connection, get, request};
use crate::harness::script::script;
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::{PATIENCE, eventually};

#[test]
fn garbage_is_answered_502() {
    let upstream = Upstream::start();
    let gateway = gateway(&peers(&[upstream.address()]));
    for garbage in [
        "garbage\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 OK 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 -20 OK\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX y\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX\0: y\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
    ] {
        upstream.behave(Behaviour::Bytes(garbage.to_owned()));
        let answer = gateway.exchange(get("/public/x", &[]));
        assert_eq!(answer.status, 502, "{garbage:?} became {answer:?}");
        assert_eq!(answer.slug(), "upstream_unavailable", "{garbage:?}");
    }
    upstream.behave(Behaviour::Answer);
    assert_eq!(gateway.exchange(get("/public/x", &[])).body, "from behind!");
}

#[test]
fn oversized_head_of_an_answer_is_answered_502() {
    let upstream = Upstream::start();
    let gateway = gateway(&peers(&[upstream.address()]));
    for head in [
        format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(2 << 20)),
        format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(1000)),
        "a".repeat(2 << 20),
    ] {
        upstream.behave(Behaviour::Bytes(head));
        let answer = gateway.exchange(get("/public/x", &[]));
        assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream_unavailable"));
    }
}

#[test]
fn answer_with_two_framings_reaches_the_client_with_one_and_ends_the_connection_behind() {
    for (fields, body) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let upstream = Upstream::start();
        let gateway = gateway(&peers(&[upstream.address()]));
        upstream.behave(Behaviour::Bytes(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")));
        let answer = gateway.exchange(get("/public/x", &[]));
        if answer.status == 502 {
            assert_eq!(answer.slug(), "upstream_unavailable");
        } else {
            assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{fields}");
            let framed =
                |name: &str| answer.fields.iter().filter(|(field, _)| field == name).count();
            let framings = framed("content-length") + framed("transfer-encoding");
            assert_eq!(framings, 1, "{fields} became {answer:?}");
        }
        upstream.behave(Behaviour::Mirror);
        let answer = gateway.exchange(get("/public/next", &[]));
        assert_eq!(answer.body, "GET /public/next HTTP/1.1", "after {fields}");
    }
}

#[test]
fn repeated_content_length_of_an_answer_reaches_the_client_once() {
    for fields in ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5"] {
        let upstream = Upstream::start();
        let gateway = gateway(&peers(&[upstream.address()]));
        upstream.behave(Behaviour::Bytes(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello")));
        let mut stream = Connection::open(gateway.address()).into_stream();
        let request = get("/public/x", &[("Connection", "close")]);
        stream.write_all(request.as_bytes()).expect("a request");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        if text.starts_with("HTTP/1.1 502") {
            continue;
        }
        // RFC 9112 §6.3: what a client could read in two ways must be made good before.
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let lengths: Vec<_> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value)
            .collect();
        assert_eq!((&lengths[..], body), (&["5"][..], "hello"), "{fields}");
    }
}

#[test]
fn surplus_behind_an_answer_is_never_the_next_requests_answer() {
    let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for first in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{surplus}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{surplus}"
        ),
        format!("HTTP/1.1 204 No Content\r\n\r\n{surplus}"),
        format!("HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\n{surplus}"),
        format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n{surplus}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{surplus}"),
    ] {
        let upstream = Upstream::start();
        let gateway = gateway(&peers(&[upstream.address()]));
        upstream.behave(Behaviour::Bytes(first.clone()));
        let answer = gateway.exchange(get("/public/first", &[]));
        assert!(matches!(answer.status, 200 | 204 | 304), "{answer:?}");
        assert!(!answer.body.contains("evil"), "{answer:?}");
        upstream.behave(Behaviour::Mirror);
        for number in 0..3 {
            let path = format!("/public/{number}");
            let answer = gateway.exchange(get(&path, &[]));
            assert_eq!(answer.body, format!("GET {path} HTTP/1.1"), "after {first:?}");
        }
    }
}

#[test]
fn surplus_behind_the_answer_to_head_is_never_the_next_requests_answer() {
    let upstream = Upstream::start();
    let gateway = gateway(&peers(&[upstream.address()]));
    // A body, although there may be none.
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    upstream.behave(Behaviour::Bytes(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{evil}",
        evil.len()
    )));
    let mut connection = Connection::open(gateway.address());
    connection.send(request("HEAD", "/public/first", &[], ""));
    assert_eq!(connection.head_answer().status, 200);
    upstream.behave(Behaviour::Mirror);
    let answer = connection.exchange(get("/public/next", &[]));
    assert_eq!(answer.body, "GET /public/next HTTP/1.1");
    let answer = gateway.exchange(get("/public/other", &[]));
    assert_eq!(answer.body, "GET /public/other HTTP/1.1");
}

#[test]
fn late_surplus_on_an_idle_connection_is_never_the_next_requests_answer() {
    let (go_on, told) = channel();
    let (tells, sent) = channel();
    let (told, tells) = (Mutex::new(told), Mutex::new(tells));
    let address = script(move |number, mut line| {
        let head = line.read_head().unwrap_or_default();
        let first = head.split("\r\n").next().unwrap_or_default();
        line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{first}", first.len()));
        if number == 0 {
            // Once the connection is idle.
            let _ = told.lock().expect("the receiver").recv();
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
            let _ = tells.lock().expect("the sender").send(());
        }
        line.read_to_end();
    });
    let gateway = gateway(&peers(&[address]));
    assert_eq!(gateway.exchange(get("/public/first", &[])).body, "GET /public/first HTTP/1.1");
    gateway.logged(|line| line["path"] == "/public/first");
    go_on.send(()).expect("the script listens");
    sent.recv_timeout(PATIENCE).expect("the script sent it");
    let answer = gateway.exchange(get("/public/next", &[]));
    assert_eq!(answer.body, "GET /public/next HTTP/1.1");
}

/// An upstream that answers any request with a tunnel, and speaks through it.
fn digger() -> std::net::SocketAddr {
    script(|_, mut line| {
        line.read_head();
        line.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        while line.read_head().is_some() {
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntunnel");
        }
    })
}

#[test]
fn tunnel_that_nobody_asked_for_leads_nowhere() {
    let gateway = gateway(&peers(&[digger()]));
    for extra in [&[][..], &[("Connection", "upgrade")], &[("Upgrade", "x")]] {
        let mut connection = Connection::open(gateway.address());
        connection.send(get("/public/x", extra));
        let _ = connection.answer();
        connection.send(get("/orders/secret", &[]));
        if let Some(answer) = connection.answer() {
            assert_eq!(answer.slug(), "credential_absent", "{extra:?}");
        }
    }
}

#[test]
fn switch_of_protocols_that_nobody_asked_for_is_answered_502() {
    let gateway = gateway(&peers(&[digger()]));
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.slug(), "upstream_unavailable");
}

#[test]
fn answer_without_an_end_is_passed_on_to_the_end_of_its_connection() {
    let upstream = script(|_, mut line| {
        line.read_head();
        line.send("HTTP/1.0 200 OK\r\n\r\nhello");
    });
    let gateway = gateway(&peers(&[upstream]));
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
}

#[test]
fn answer_that_breaks_off_is_not_passed_on_as_complete() {
    for (head, body) in [
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhel"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\nzz\r\n"),
        ("Content-Length: 10", "hello"),
    ] {
        let address = script(move |_, mut line| {
            line.read_head();
            line.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"));
        });
        let gateway = gateway(&peers(&[address]));
        let mut stream = Connection::open(gateway.address()).into_stream();
        let mut text = String::new();
        stream.write_all(get("/public/x", &[]).as_bytes()).expect("a request");
        // Either way the connection ends.
        let _ = stream.read_to_string(&mut text);
        if text.starts_with("HTTP/1.1 200") {
            let (sent, rest) = text.split_once("\r\n\r\n").expect("a head");
            let complete = if sent.to_ascii_lowercase().contains("chunked") {
                rest.ends_with("0\r\n\r\n")
            } else {
                !sent.to_ascii_lowercase().contains("content-length: 10") || rest.len() >= 10
            };
            assert!(!complete, "{head} {body:?} became {text:?}");
        } else {
            // Or nothing at all: then nobody takes it for an answer either.
            assert!(text.is_empty() || text.starts_with("HTTP/1.1 502"), "{text:?}");
        }
        gateway.logged(|line| line["slug"] == "upstream_unavailable");
    }
}

#[test]
fn interim_answers_do_not_stand_for_the_final_one() {
    let upstream = Upstream::start();
    let gateway = gateway(&peers(&[upstream.address()]));
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
    ] {
        upstream.behave(Behaviour::Bytes(format!(
            "{interim}HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\ndone"
        )));
        let mut connection = Connection::open(gateway.address());
        for _ in 0..2 {
            let answer = connection.exchange(get("/public/x", &[]));
            assert_eq!((answer.status, answer.body.as_str()), (201, "done"), "{interim:?}");
        }
    }
}

#[test]
fn upstreams_wish_to_close_its_connection_is_not_passed_on() {
    let upstream = Upstream::start_with(Behaviour::Bytes(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_owned(),
    ));
    let gateway = gateway(&peers(&[upstream.address()]));
    let mut connection = Connection::open(gateway.address());
    for _ in 0..3 {
        let answer = connection.exchange(get("/public/x", &[]));
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
        assert_ne!(answer.field("connection"), Some("close"));
    }
}

#[test]
fn hop_by_hop_fields_of_an_answer_stay_behind() {
    let upstream = Upstream::start_with(Behaviour::Bytes(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Internal\r\nKeep-Alive: timeout=5\r\n\
         X-Internal: secret\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\n\
         Content-Length: 2\r\n\r\nok"
            .to_owned(),
    ));
    let gateway = gateway(&peers(&[upstream.address()]));
    let answer = gateway.exchange(get("/public/x", &[]));
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    // RFC 9110 §7.6.1.
    for name in ["keep-alive", "x-internal", "proxy-connection", "upgrade"] {
        assert_eq!(answer.field(name), None, "{name} was passed on");
    }
}

#[test]
fn answers_with_any_status_are_passed_on() {
    let upstream = Upstream::start();
    let gateway = gateway(&peers(&[upstream.address()]));
    for status in [200, 201, 301, 400, 401, 403, 404, 418, 429, 500, 502, 503, 504, 599] {
        upstream.behave(Behaviour::Bytes(format!(
            "HTTP/1.1 {status} x\r\nContent-Length: 6\r\n\r\nbehind"
        )));
        let answer = gateway.exchange(get("/public/x", &[]));
        assert_eq!((answer.status, answer.body.as_str()), (status, "behind"));
        // It is the upstream's answer, not a denial of ours.
        let line = gateway.logged(|line| line["status"] == status);
        assert_eq!((line["slug"].as_str(), &line["outcome"]), (None, &"permitted".into()));
    }
    eventually("no denial", || (!gateway.metrics().contains("outcome=\"denied\"")).then_some(()));
}

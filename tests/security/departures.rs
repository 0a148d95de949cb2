//! Clients that leave: nobody denied them anything.

use std::io::Write;
use std::net::SocketAddr;

use super::in_front_of;
use crate::harness::client::{Connection, get};
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::login;
use crate::harness::oauth;
use crate::harness::script::script;
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, request as request2};
use crate::harness::upstream::{Behaviour, Upstream};

/// An upstream whose answers are larger than whatever lies between it and a client.
fn large() -> SocketAddr {
    let body = "0123456789abcdef".repeat(1 << 20);
    script(move |_, mut line| {
        while line.read_head().is_some() {
            line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    })
}

#[track_caller]
fn assert_left(gateway: &Gateway, path: &str) {
    let line = gateway.logged(|line| line["path"] == path);
    assert_eq!((&line["status"], &line["outcome"]), (&499.into(), &"permitted".into()), "{line}");
    assert!(line.get("slug").is_none(), "{line}");
    let metrics = gateway.metrics();
    let denied = |line: &&str| {
        line.starts_with("portcullis_decisions_total{") && !line.contains("outcome=\"permitted\"")
    };
    assert_eq!(metrics.lines().find(denied), None);
    let answered = "portcullis_requests_total{route=\"public\",status_class=\"4xx\"}";
    eventually("one more request", || (gateway.metric(answered) >= 1.0).then_some(()));
}

#[test]
fn http2_client_that_resets_its_stream_within_the_answer_is_permitted_and_499() {
    let site = TlsGateway::open_changed(in_front_of(large()));
    let client = Http2::connect(site.gateway.address(), &site.authority);
    assert_eq!(client.leave_within_answer(request2("GET", "/public/left", &[])), 200);
    assert_left(&site.gateway, "/public/left");
    // The connection goes on.
    assert_eq!(client.leave_within_answer(request2("GET", "/public/again", &[])), 200);
}

/// The gateway itself was asked, and said nothing yet.
#[test]
fn http2_client_that_resets_its_login_within_the_body_is_499_and_not_denied() {
    let login = "login: { handoff: { upstream: behind, path: /verify, subject: /id } }";
    let site = TlsGateway::open_changed(|text| format!("{text}{login}\n"));
    let client = Http2::connect(site.gateway.address(), &site.authority);
    let login = request2("POST", "/auth/login", &[("content-type", "application/json")]);
    client.leave_within_body(login, "{", || {
        eventually("a body that is awaited", || {
            (site.gateway.metric("portcullis_requests_in_flight") == 1.0).then_some(())
        });
    });
    let line = site.gateway.logged(|line| line["path"] == "/auth/login");
    assert_eq!(line["status"], 499, "{line}");
    assert!(line.get("slug").is_none(), "{line}");
}

#[test]
fn http2_client_that_resets_its_stream_before_the_answer_is_permitted_and_499() {
    let site = TlsGateway::open();
    site.upstream.behave(Behaviour::Silent);
    let client = Http2::connect(site.gateway.address(), &site.authority);
    let waiting = client.start_all(vec![request2("GET", "/public/left", &[])]);
    eventually("the request", || (!site.upstream.received().is_empty()).then_some(()));
    drop(waiting);
    drop(client);
    assert_left(&site.gateway, "/public/left");
}

#[test]
fn http2_client_that_ends_its_connection_within_the_answer_is_permitted_and_499() {
    let site = TlsGateway::open_changed(in_front_of(large()));
    let client = Http2::connect(site.gateway.address(), &site.authority);
    let status = client.hold_answer(request2("GET", "/public/left", &[]));
    assert_eq!(status, 200);
    drop(client);
    assert_left(&site.gateway, "/public/left");
}

#[test]
fn http1_client_that_leaves_within_the_answer_is_permitted_and_499() {
    let text = in_front_of(large())(crate::harness::gateway::standard(&Upstream::start()));
    let gateway = Gateway::start(&text);
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/left", &[]));
    connection.read_through("0123456789abcdef");
    drop(connection);
    assert_left(&gateway, "/public/left");
}

/// It has no other way to end.
#[test]
fn client_that_ends_its_websocket_was_answered() {
    let upstream = Upstream::start_with(Behaviour::Upgrade);
    let gateway = Gateway::standard(&upstream);
    let fields = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(get("/public/left", &fields)).status, 101);
    connection.send("hello");
    assert_eq!(connection.receive(5), b"hello");
    drop(connection);
    let line = gateway.logged(|line| line["path"] == "/public/left");
    assert_eq!((&line["status"], &line["outcome"]), (&101.into(), &"permitted".into()), "{line}");
}

/// What was decided stands, whether or not anybody hears of it.
#[test]
fn client_that_leaves_before_it_is_refused_finds_no_defect() {
    let upstream = Upstream::start();
    let text = oauth::configuration(&upstream, oauth::LONG, "");
    let gateway = Gateway::start_in(oauth::directory(), &text);
    for _ in 0..20 {
        let mut stream = Connection::open(gateway.address()).into_stream();
        stream.write_all(get("/public/a", &[]).as_bytes()).expect("a request");
        // An answer that nobody reads makes the end of the connection a reset.
        stream.peek(&mut [0]).expect("an answer");
        stream.write_all(login::request("alice", "wrong", &[]).as_bytes()).expect("a request");
    }
    eventually("the end of the connections", || {
        (gateway.metric("portcullis_connections_open") == 0.0).then_some(())
    });
    gateway.logged(|line| line["path"] == "/auth/login");
    for line in gateway.log().iter().filter(|line| line["path"] == "/auth/login") {
        // Guesses may come faster than a name may be guessed at.
        let decided = [&line["slug"] == "login_failed", &line["slug"] == "rate_limited"];
        assert!(decided.contains(&true), "{line}");
    }
}

#[test]
fn http2_client_that_resets_its_stream_within_its_body_is_permitted_and_499() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = script(move |_, mut line| {
        if line.read_until("hello").is_some() {
            let _ = tell.lock().expect("the sender").send(());
        }
        line.read_to_end();
    });
    let site = TlsGateway::open_changed(in_front_of(upstream));
    let client = Http2::connect(site.gateway.address(), &site.authority);
    let arrived = || told.recv_timeout(crate::harness::PATIENCE).expect("the body arrives");
    client.leave_within_body(request2("POST", "/public/left", &[]), "hello", arrived);
    assert_left(&site.gateway, "/public/left");
}

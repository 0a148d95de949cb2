//! Clients that do not take what they are sent: given up in time, and bounded in what they cost.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::client::{Connection, get, request as request1};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::script::script;
use crate::harness::tls::client::{Http2, request};
use crate::harness::tls::{NAME, configuration, install};
use crate::harness::upstream::Upstream;

const TIMEOUT: Duration = Duration::from_millis(1000);

/// More than sockets hold.
const LARGE: usize = 20 << 20;

const REASON: &str = "the client did not take its answer in time";

/// An upstream that sends much below `/public/large`, and otherwise a piece, a pause and a piece.
fn talkative() -> SocketAddr {
    script(|_, mut line| {
        while let Some(head) = line.read_head() {
            if head.contains(" /public/large") {
                line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                line.send(vec![b'x'; LARGE]);
            } else {
                line.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
                std::thread::sleep(3 * TIMEOUT);
                line.send("two");
            }
        }
    })
}

fn with(text: &str, upstream: &Upstream, address: SocketAddr, limits: &str) -> String {
    let text = text.replace(&upstream.address().to_string(), &address.to_string());
    format!("{text}limits: {{ {limits} }}\n")
}

fn gateway(address: SocketAddr, limits: &str) -> Gateway {
    let upstream = Upstream::start();
    Gateway::start(&with(&standard(&upstream), &upstream, address, limits))
}

/// Asserts that a request was given up because of its client, and holds nothing any more.
fn assert_given_up(gateway: &Gateway) {
    let line = gateway.logged(|line| line["path"] == "/public/large");
    assert_eq!((&line["status"], &line["reason"]), (&499.into(), &REASON.into()), "{line}");
    assert_eq!((&line["outcome"], line.get("slug")), (&"permitted".into(), None), "{line}");
    eventually("an empty house", || {
        (gateway.metric("portcullis_requests_in_flight") == 0.0).then_some(())
    });
}

#[test]
fn http1_client_that_does_not_read_is_given_up() {
    let gateway = gateway(talkative(), "send_timeout: 1s");
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/large", &[]));
    assert_given_up(&gateway);
}

#[test]
fn http1_client_that_pauses_for_less_is_served() {
    let gateway = gateway(talkative(), "send_timeout: 10s");
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/large", &[]));
    // Time itself is the subject.
    std::thread::sleep(TIMEOUT);
    assert_eq!(connection.answer().expect("an answer").body.len(), LARGE);
}

#[test]
fn http1_client_that_reads_a_trickle_is_given_up() {
    use std::io::Read;
    let gateway = gateway(talkative(), "send_timeout: 1s, send_rate: 1GiB/s");
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/large", &[]));
    let mut stream = connection.into_stream();
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 128 << 10];
        // Until the gateway has had enough.
        while matches!(stream.read(&mut buffer), Ok(1..)) {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_given_up(&gateway);
    reader.join().expect("the reader ends");
}

#[test]
fn client_that_waits_for_a_silent_upstream_is_served() {
    let gateway = gateway(talkative(), "send_timeout: 1s");
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(get("/public/x", &[])).body, "onetwo");
}

#[test]
fn http2_client_that_opens_no_window_is_given_up() {
    let upstream = Upstream::start();
    let (authority, directory) = (crate::harness::certificates::Authority::new(), directory());
    install(&directory, &authority.issue(NAME));
    let text = with(&configuration(&upstream), &upstream, talkative(), "send_timeout: 1s");
    let gateway = Gateway::start_in(directory, &text);
    let connection = Http2::connect(gateway.address(), &authority);
    // The window that a stream begins with holds less than the answer.
    let begun = connection.begin(request("POST", "/public/large", &[]), b"x");
    assert_given_up(&gateway);
    // What it did not read goes back to the window of the connection, whose other streams go on.
    drop(begun);
    assert_eq!(connection.get("/public/x", &[]).body, "onetwo");
}

#[test]
fn stalled_exchanges_cost_no_more_than_what_is_bounded() {
    const EXCHANGES: usize = 100;
    let holding = script(|_, mut line| {
        line.read_head();
        std::thread::sleep(Duration::from_secs(60));
    });
    let memory = |gateway: &Gateway| gateway.metric("process_resident_memory_bytes");
    let upload = request1("POST", "/public/upload", &[], &"b".repeat(2 << 20));
    // KiB for each: an upload of which the upstream takes nothing, and an answer that nobody reads.
    for (address, sent, most) in
        [(holding, upload, 250.0), (talkative(), get("/public/large", &[]), 220.0)]
    {
        let gateway = gateway(address, "send_timeout: 60s");
        gateway.exchange(get("/nowhere", &[]));
        let before = memory(&gateway);
        let held: Vec<_> = (0..EXCHANGES)
            .map(|_| {
                let stream = TcpStream::connect(gateway.address()).expect("a connection");
                let mut sending = stream.try_clone().expect("a socket");
                let sent = sent.clone();
                std::thread::spawn(move || {
                    use std::io::Write;
                    let _ = sending.write_all(sent.as_bytes());
                });
                stream
            })
            .collect();
        eventually("all of them", || {
            let in_flight = gateway.metric("portcullis_requests_in_flight");
            (in_flight == EXCHANGES as f64).then_some(())
        });
        // Time for buffers to fill.
        std::thread::sleep(Duration::from_secs(2));
        let each = (memory(&gateway) - before) / EXCHANGES as f64 / 1024.0;
        assert!(each < most, "{each:.0} KiB for each, and not {most} at most");
        for stream in held {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

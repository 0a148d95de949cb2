//! Bodies that stall, trickle or never end: 408, and never longer than is borne.

use std::time::{Duration, Instant};

use crate::harness::client::{Answer, Connection};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::script::script;
use crate::harness::upstream::{Behaviour, Upstream};

const LENGTH: &str =
    "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100000\r\n\r\n";
const CHUNKED: &str =
    "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A gateway with these limits, and an upstream that may be silent for this long.
fn gateway(upstream: &Upstream, limits: &str, read: &str) -> Gateway {
    let peers = format!("peers: ['{}']", upstream.address());
    let patient = format!("{peers}, timeouts: {{ read: {read} }}");
    let configuration = standard(upstream).replace(&peers, &patient);
    assert!(configuration.contains(&patient), "{configuration}");
    Gateway::start(&format!("{configuration}limits: {{ {limits} }}\n"))
}

#[track_caller]
fn assert_late(answer: Option<Answer>) {
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, answer.slug().as_str()), (408, "request_timeout"));
    assert_eq!(answer.field("connection"), Some("close"));
}

/// Sends so many bytes of a body every `pause` until the gateway says something.
fn trickle(gateway: &Gateway, bytes: usize, pause: Duration) -> (Option<Answer>, Duration) {
    let mut connection = Connection::open(gateway.address());
    let begun = Instant::now();
    connection.send(LENGTH);
    let stream = connection.into_stream();
    let mut sending = stream.try_clone().expect("a socket");
    let answer = std::thread::spawn(move || Connection::over(stream).answer());
    while !answer.is_finished() && begun.elapsed() < Duration::from_secs(30) {
        use std::io::Write;
        let _ = sending.write_all(&vec![b'b'; bytes]);
        std::thread::sleep(pause);
    }
    let answer = answer.join().expect("an answer or none");
    (answer, begun.elapsed())
}

#[test]
fn stalled_body_is_a_timeout_of_the_request() {
    let upstream = Upstream::start();
    // Shorter than the client's time: it must not be the upstream that is blamed.
    let gateway = gateway(&upstream, "body_timeout: 1s", "200ms");
    for sent in [
        LENGTH.to_owned(),
        format!("{LENGTH}hello"),
        CHUNKED.to_owned(),
        format!("{CHUNKED}5\r\nhel"),
        format!("{CHUNKED}5\r\nhello\r\n0\r\n"),
    ] {
        let mut connection = Connection::open(gateway.address());
        let begun = Instant::now();
        connection.send(&sent);
        assert_late(connection.answer());
        assert!(begun.elapsed() >= Duration::from_secs(1), "{sent:?}: {:?}", begun.elapsed());
        assert!(connection.answer().is_none());
    }
    assert!(upstream.received().is_empty(), "the beginning was taken for the whole");
    let line = gateway.logged(|line| line["slug"] == "request_timeout");
    assert_eq!((&line["status"], &line["outcome"]), (&408.into(), &"denied".into()));
    assert_eq!(line["reason"], "the body did not arrive in time");
}

/// `Upgrade` is a wish: until it is granted, a body is a body.
#[test]
fn stalled_body_of_an_upgrade_is_a_timeout_of_the_request() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "body_timeout: 3s", "2s");
    let begun = Instant::now();
    let open = |protocol: &str, body: String| {
        let mut connection = Connection::open(gateway.address());
        connection.send(upgrade(&body, protocol));
        connection
    };
    let stalled = ["websocket", "h2c"].map(|protocol| {
        [format!("{LENGTH}hello"), format!("{CHUNKED}5\r\nhel")].map(|body| open(protocol, body))
    });
    for mut connection in stalled.into_iter().flatten() {
        assert_late(connection.answer());
        assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}

#[test]
fn pause_of_the_body_of_an_upgrade_is_borne_longer_than_the_upstream_may_be_silent() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "body_timeout: 20s", "1s");
    let mut connection = Connection::open(gateway.address());
    connection.send(upgrade(&LENGTH.replace("100000", "10"), "websocket") + "hello");
    // Time itself is the subject.
    std::thread::sleep(Duration::from_millis(1500));
    connection.send("world");
    assert_eq!(connection.answer().expect("an answer").status, 200);
}

/// The same request, and the wish for another protocol.
fn upgrade(request: &str, protocol: &str) -> String {
    let wish = format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
    request.replacen("\r\n\r\n", &format!("\r\n{wish}"), 1)
}

#[test]
fn pause_within_the_time_is_borne_longer_than_the_upstream_may_be_silent() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "body_timeout: 20s", "100ms");
    for (first, rest) in [
        (LENGTH.replace("100000", "10") + "hello", "world"),
        (format!("{CHUNKED}5\r\nhello\r\n5\r\n"), "world\r\n0\r\n\r\n"),
    ] {
        let mut connection = Connection::open(gateway.address());
        connection.send(first);
        std::thread::sleep(Duration::from_millis(600));
        connection.send(rest);
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn upstream_that_has_the_whole_body_has_its_own_time() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let gateway = gateway(&upstream, "body_timeout: 20s", "1s");
    let length = LENGTH.replace("100000", "10");
    for (first, rest) in [
        (length.clone() + "hello", "world"),
        (CHUNKED.to_owned(), "5\r\nhello\r\n0\r\n\r\n"),
        (upgrade(&(length + "hello"), "websocket"), "world"),
    ] {
        let mut connection = Connection::open(gateway.address());
        connection.send(&first);
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        connection.send(rest);
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, answer.slug().as_str()), (504, "upstream_timeout"));
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    }
}

#[test]
fn trickle_is_cut_off_and_a_body_at_the_rate_is_not() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "body_timeout: 1s, body_rate: 1000B/s", "30s");
    // A tenth of the rate.
    let (answer, took) = trickle(&gateway, 20, Duration::from_millis(200));
    assert_late(answer);
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
    // Faster than the rate, until all of it is there.
    let (answer, took) = trickle(&gateway, 5000, Duration::from_millis(100));
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    assert_eq!(answer.expect("an answer").status, 200);
}

#[test]
fn body_that_does_not_end_is_cut_off_at_its_deadline() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "body_timeout: 1s, body_rate: 0B/s, body_deadline: 2s", "30s");
    let (answer, took) = trickle(&gateway, 10, Duration::from_millis(100));
    assert_late(answer);
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn slow_upstream_is_not_the_clients_fault() {
    const BYTES: usize = 16 << 20;
    let address = script(|_, mut line| {
        line.read_head();
        // More than the buffers hold waits for this.
        std::thread::sleep(Duration::from_millis(1500));
        let length = line.read_exactly(BYTES).map_or(0, |body| body.len());
        line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Length: {length}\r\n\r\n"));
    });
    let stand_in = Upstream::start();
    let limits = "limits: { body_timeout: 500ms, body_rate: 64KiB/s }\n";
    let configuration =
        standard(&stand_in).replace(&stand_in.address().to_string(), &address.to_string()) + limits;
    let gateway = Gateway::start(&configuration);
    let stream = Connection::open(gateway.address()).into_stream();
    let mut sending = stream.try_clone().expect("a socket");
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        let head = LENGTH.replace("100000", &BYTES.to_string());
        sending.write_all(head.as_bytes()).expect("the gateway reads");
        sending.write_all(&vec![b'b'; BYTES]).expect("the gateway reads");
    });
    let answer = Connection::over(stream).answer().expect("an answer");
    assert_eq!(answer.field("x-length"), Some(&*BYTES.to_string()), "{answer:?}");
    sender.join().expect("it was sent");
}

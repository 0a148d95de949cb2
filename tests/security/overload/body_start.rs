//! A request whose body does not begin holds nothing of an upstream.

use std::time::Duration;

use crate::harness::client::{Connection, get};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, standard};
use crate::harness::script::script;
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, request};
use crate::harness::upstream::{Behaviour, Upstream};

/// Waits until so many requests are being served.
fn await_in_flight(gateway: &Gateway, count: f64) {
    eventually("requests in flight", || {
        (gateway.metric("portcullis_requests_in_flight") == count).then_some(())
    });
}

#[test]
fn http1_upstream_is_dialled_once_the_body_has_begun() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for (framing, before, first, rest) in [
        ("Content-Length: 5", "", "h", "ello"),
        ("Content-Length: 5", "", "hello", ""),
        ("Transfer-Encoding: chunked", "5\r\n", "h", "ello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0", "\r\n\r\n", ""),
        ("Transfer-Encoding: chunked", "", "0\r\n\r\n", ""),
    ] {
        // Nothing of a round is left for the next one.
        let upstream = Upstream::start();
        let gateway = Gateway::standard(&upstream);
        let mut connection = Connection::open(gateway.address());
        connection
            .send(format!("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\n{framing}\r\n\r\n"));
        connection.send(before);
        await_in_flight(&gateway, 1.0);
        // Time enough to dial.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(upstream.connections(), 0, "{framing}, {before:?}");
        connection.send(first);
        eventually("a connection to the upstream", || (upstream.connections() == 1).then_some(()));
        connection.send(rest);
        assert_eq!(connection.answer().expect("an answer").status, 200, "{framing}, {first:?}");
        assert_eq!(upstream.received().len(), 1);
        let letters =
            |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>();
        assert_eq!(letters(&upstream.last().body), letters(&format!("{first}{rest}")));
    }
    // Without a body there is nothing to wait for.
    assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
}

#[test]
fn http2_upstream_is_dialled_once_the_body_has_begun() {
    let site = TlsGateway::open();
    site.upstream.behave(Behaviour::Answer);
    let connection = Http2::connect(site.gateway.address(), &site.authority);
    let mut waiting: Vec<_> = (0..20)
        .map(|_| connection.begin(request("POST", "/public/x", &[]), b"").expect("a stream"))
        .collect();
    await_in_flight(&site.gateway, 20.0);
    // A frame without a byte is no beginning.
    for begun in &mut waiting {
        begun.stream.send_data("".into(), false).expect("a frame");
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(site.upstream.connections(), 0);
    for (number, mut begun) in waiting.into_iter().enumerate() {
        begun.stream.send_data(format!("hello {number}").into(), true).expect("a frame");
        assert_eq!(begun.status_within(crate::harness::PATIENCE), Some(200));
        assert!(site.upstream.last().body.contains(&format!("hello {number}")));
    }
    // The end is as good as a byte.
    let answer = connection.try_exchange(request("POST", "/public/x", &[]), Some(Vec::new()), None);
    assert_eq!(answer.expect("an answer").status, 200);
}

#[test]
fn client_that_asks_whether_to_go_on_is_told_to_by_the_gateway() {
    let address = script(|_, mut line| {
        // It was asked for already.
        while let Some(head) = line.read_head().filter(|head| !head.contains("100-continue")) {
            let body = line.read_exactly(5).unwrap_or_default();
            assert!(head.starts_with("POST "), "{head}");
            line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}"));
        }
    });
    let upstream = Upstream::start();
    let text = standard(&upstream).replace(&upstream.address().to_string(), &address.to_string());
    let gateway = Gateway::start(&text);
    let head = "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n";
    let mut connection = Connection::open(gateway.address());
    for _ in 0..2 {
        connection.send(format!("{head}Expect: 100-continue\r\n\r\n"));
        assert!(connection.first_line().contains(" 100 "));
        connection.send("hello");
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    }
    // Who does not wait is not told.
    connection.send(format!("{head}Expect: 100-continue\r\n\r\nhello"));
    assert!(connection.first_line().contains(" 200 "));
}

#[test]
fn large_body_loses_nothing_of_its_beginning() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for length in [1, 100, 4096, 65_535, 65_536, 65_537, 1 << 20] {
        let body: String = (0..length).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        let answer = gateway.exchange(format!(
            "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(answer.status, 200, "{length}");
        assert!(upstream.last().body == body, "{length}");
    }
}

//! Bodies over HTTP/2 that stall or trickle.

use std::time::{Duration, Instant};

use crate::harness::client::Answer;
use crate::harness::script::script;
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, request};
use crate::harness::{PATIENCE, eventually};

const LIMITS: &str = "limits: { body_timeout: 1s, body_rate: 1000B/s }\n";

/// A gateway whose upstream may be silent for a moment only.
fn site() -> TlsGateway {
    TlsGateway::open_changed(|text| {
        let hasty = text.replace("peers: [", "timeouts: { read: 200ms }, peers: [");
        assert_ne!(hasty, text);
        hasty + LIMITS
    })
}

fn slowly(site: &TlsGateway, pieces: &[(Duration, &'static str)], ends: bool) -> Answer {
    let client = Http2::connect(site.gateway.address(), &site.authority);
    client.exchange_slowly(request("POST", "/public/x", &[]), pieces, ends).expect("an answer")
}

#[track_caller]
fn assert_late(answer: &Answer) {
    assert_eq!((answer.status, answer.slug().as_str()), (408, "request_timeout"));
}

#[test]
fn stalled_body_is_a_timeout_of_the_request() {
    let site = site();
    for pieces in [&[][..], &[(Duration::ZERO, "hello")]] {
        let begun = Instant::now();
        assert_late(&slowly(&site, pieces, false));
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    assert!(site.upstream.received().is_empty(), "the beginning was taken for the whole");
    let line = site.gateway.logged(|line| line["slug"] == "request_timeout");
    assert_eq!((&line["status"], &line["outcome"]), (&408.into(), &"denied".into()));
}

#[test]
fn pause_within_the_time_is_borne_longer_than_the_upstream_may_be_silent() {
    let pieces = [(Duration::ZERO, "hello"), (Duration::from_millis(500), "world")];
    assert_eq!(slowly(&site(), &pieces, true).status, 200);
}

#[test]
fn trickle_is_cut_off() {
    let pieces = [(Duration::from_millis(200), "ten bytes!"); 100];
    let begun = Instant::now();
    assert_late(&slowly(&site(), &pieces, true));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn body_that_does_not_end_is_cut_off_at_its_deadline() {
    let limits = "limits: { body_timeout: 20s, body_rate: 0B/s, body_deadline: 2s }\n";
    let site = TlsGateway::open_with(limits);
    let pieces = [(Duration::from_millis(100), "ten bytes!"); 300];
    let begun = Instant::now();
    assert_late(&slowly(&site, &pieces, true));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
}

/// An upload that its upstream does not take holds the window of its stream, not of its connection.
#[test]
fn upload_that_no_upstream_takes_leaves_room_for_the_others_of_its_connection() {
    let address = script(|_, mut line| {
        // A connection may be used again.
        while let Some(head) = line.read_head() {
            if head.contains(" /public/deaf") {
                std::thread::sleep(PATIENCE);
                return;
            }
            if line.read_until("\r\n0\r\n\r\n").is_some() {
                line.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
            }
        }
    });
    let site = TlsGateway::open_changed(|text| {
        let upstream = text.split("peers: ['").nth(1).and_then(|rest| rest.split('\'').next());
        text.replace(upstream.expect("a peer"), &address.to_string())
    });
    let client = Http2::connect(site.gateway.address(), &site.authority);
    // More than sockets and the gateway hold.
    let large = vec![b'x'; 32 << 20].leak();
    let _deaf = client.begin(request("POST", "/public/deaf", &[]), large).expect("a stream");
    eventually("an upload", || {
        (site.gateway.metric("portcullis_requests_in_flight") == 1.0).then_some(())
    });
    // The first of them may come before it is.
    for _ in 0..20 {
        let body = Some(vec![b'y'; 300 << 10]);
        let answer = client.try_exchange(request("POST", "/public/x", &[]), body, None);
        assert_eq!(answer.expect("an answer").body, "hello");
    }
}

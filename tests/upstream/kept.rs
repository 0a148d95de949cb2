//! Connections to upstreams that were kept, and turn out to be dead. Both lanes share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::client::{get, request};
use crate::harness::gateway::Gateway;
use crate::harness::script::script;

use super::{configuration, peers};

const LANES: [&str; 2] = ["fast", "pingora"];

/// A gateway before an upstream that answers the first request on its first connection, and to the second
/// one there says this and hangs up. Other connections are answered. Also how many requests came.
fn dying(lane: &str, last_words: &'static str) -> (Gateway, Arc<AtomicUsize>) {
    let requests = Arc::<AtomicUsize>::default();
    let seen = requests.clone();
    let address = script(move |number, mut line| {
        let mut before = 0;
        while let Some(head) = line.read_head() {
            let length = head.split_once("Content-Length: ").map_or(0, |(_, rest)| {
                let digits = rest.split("\r\n").next().unwrap_or_default();
                digits.parse().expect("a length")
            });
            let body = line.read_exactly(length).unwrap_or_default();
            seen.fetch_add(1, Ordering::SeqCst);
            if number == 0 && before == 1 {
                line.send(last_words);
                return;
            }
            before += 1;
            let first = head.split("\r\n").next().unwrap_or_default();
            let length = first.len() + body.len();
            line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{first}{body}"));
        }
    });
    // No other try is allowed.
    let text = configuration(&format!("{}, retries: 0", peers(&[address])), "");
    let text = text.replacen("server: {", &format!("server: {{ lane: {lane},"), 1);
    let gateway = Gateway::start(&text);
    assert_eq!(gateway.exchange(get("/public/first", &[])).body, "GET /public/first HTTP/1.1");
    (gateway, requests)
}

#[test]
fn request_that_a_dead_connection_lost_is_sent_once_more() {
    for lane in LANES {
        let (gateway, requests) = dying(lane, "");
        let answer = gateway.exchange(get("/public/next", &[]));
        assert_eq!((answer.status, &*answer.body), (200, "GET /public/next HTTP/1.1"), "{lane}");
        assert_eq!(requests.load(Ordering::SeqCst), 3, "{lane}");
    }
}

#[test]
fn request_with_a_short_body_is_sent_once_more_with_it() {
    for lane in LANES {
        let (gateway, requests) = dying(lane, "");
        let answer = gateway.exchange(request("PUT", "/public/next", &[], " and a body"));
        assert_eq!((answer.status, &*answer.body), (200, "PUT /public/next HTTP/1.1 and a body"));
        assert_eq!(requests.load(Ordering::SeqCst), 3, "{lane}");
        let line = gateway.logged(|line| line["method"] == "PUT");
        assert_eq!(line["bytes_in"], 11, "{lane}: {line}");
    }
}

#[test]
fn request_that_may_not_be_repeated_is_sent_once() {
    for (lane, body) in LANES.into_iter().flat_map(|lane| [(lane, ""), (lane, "a body")]) {
        let (gateway, requests) = dying(lane, "");
        let answer = gateway.exchange(request("POST", "/public/next", &[], body));
        assert_eq!((answer.status, &*answer.slug()), (502, "upstream_unavailable"), "{answer:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 2, "{lane}");
        assert_eq!(gateway.exchange(request("POST", "/public/a", &[], "")).status, 200);
    }
}

#[test]
fn request_of_which_something_was_answered_is_sent_once() {
    let words = ["HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200"];
    for (lane, last_words) in LANES.into_iter().flat_map(|lane| words.map(|words| (lane, words))) {
        let (gateway, requests) = dying(lane, last_words);
        let answer = gateway.exchange(get("/public/next", &[]));
        assert_eq!((answer.status, &*answer.slug()), (502, "upstream_unavailable"), "{answer:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 2, "{lane}: {last_words:?}");
    }
}

//! Several requests on one connection: each is judged by itself.

use super::{GuardedUpstream, PROMPTLY, SMUGGLED};
use crate::harness::client::get;
use crate::harness::tokens::{bearer, token};

#[test]
fn second_pipelined_request_does_not_ride_on_the_first_ones_permit() {
    let guarded = GuardedUpstream::build();
    let good = bearer(&token(serde_json::json!({})));
    for first in [
        get("/public/first", &[]),
        get("/orders/first", &[("Authorization", &good)]),
        "POST /public/first HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        "POST /public/first HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
    ] {
        let reached = guarded.upstream.received().len();
        let mut connection = guarded.connect();
        connection.send(first.clone() + &get("/orders/second", &[]));
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.status, 200, "{first:?}");
        assert!(answer.body.contains("/first "), "{answer:?}");
        let second = connection.answer().expect("an answer");
        assert_eq!((second.status, second.slug().as_str()), (401, "credential_absent"));
        let received = guarded.upstream.received();
        assert_eq!(received.len(), reached + 1, "{received:?}");
    }
}

#[test]
fn pipelined_request_with_ambiguous_framing_is_refused_like_any_other() {
    let guarded = GuardedUpstream::build();
    let second = format!(
        "POST /public/second HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
    );
    let mut connection = guarded.connect();
    connection.send(get("/public/first", &[]) + &second);
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.body, "GET /public/first HTTP/1.1");
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.slug().as_str()), (400, "request_framing"));
    assert!(connection.answer().is_none());
    assert_eq!(guarded.upstream.received().len(), 1);
}

#[test]
fn request_behind_a_refused_head_is_not_answered() {
    let guarded = GuardedUpstream::build();
    let mut connection = guarded.connect();
    connection.send(format!("GET /public/x HTTP/1.1\r\nHost : gateway.test\r\n\r\n{SMUGGLED}"));
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.slug().as_str()), (400, "request_framing"));
    assert!(connection.answer().is_none());
    guarded.kept_out();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let guarded = GuardedUpstream::build();
    let mut connection = guarded.connect();
    let requests: String = (0..8).map(|number| get(&format!("/public/{number}"), &[])).collect();
    connection.send(requests);
    for number in 0..8 {
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.body, format!("GET /public/{number} HTTP/1.1"));
    }
    assert_eq!(guarded.upstream.received().len(), 8);
}

#[test]
fn bytes_after_a_request_that_closes_are_not_a_request() {
    let guarded = GuardedUpstream::build();
    for first in [
        get("/public/first", &[("Connection", "close")]),
        "GET /public/first HTTP/1.0\r\nHost: gateway.test\r\n\r\n".to_owned(),
    ] {
        let mut connection = guarded.connect();
        connection.send(first + SMUGGLED);
        assert_eq!(
            connection.answer().expect("an answer").body.split(' ').nth(1),
            Some("/public/first")
        );
        assert!(connection.answer().is_none());
        guarded.kept_out();
    }
}

#[test]
fn requests_that_wait_for_their_answer_share_one_connection() {
    let guarded = GuardedUpstream::build();
    let mut connection = guarded.connect();
    for number in 0..20 {
        let path = format!("/public/{number}");
        let answer = connection.exchange(get(&path, &[]));
        assert_eq!(answer.body, format!("GET {path} HTTP/1.1"));
    }
    assert!(!connection.is_closed_within(PROMPTLY / 50));
}

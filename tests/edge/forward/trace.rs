//! The names by which a request is found again, from the client's log to the upstream's.

use serde_json::json;

use super::ForwardingGateway;
use crate::harness::client::{Answer, get};
use crate::harness::tokens::token;
use crate::harness::upstream::Received;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn only<'r>(received: &'r Received, name: &str) -> &'r str {
    let values = received.values(name);
    let [value] = values[..] else { panic!("{name}: {values:?}") };
    value
}

fn is_ours(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

// ---- the request id

#[test]
fn request_id_is_made_where_there_is_none_and_is_another_each_time() {
    let forwarding = ForwardingGateway::start();
    let first = forwarding.forward(get("/public/a", &[]));
    let second = forwarding.forward(get("/public/a", &[]));
    let (first, second) = (only(&first, "x-request-id"), only(&second, "x-request-id"));
    assert!(is_ours(first) && is_ours(second) && first != second, "{first} {second}");
}

#[test]
fn harmless_request_id_of_the_client_is_kept() {
    let forwarding = ForwardingGateway::start();
    let longest = "a".repeat(128);
    for id in ["7", "a-b_c.d~e:f/g+h=i@j", "0af7651916cd43dd8448eb211c80319c", &longest] {
        let received = forwarding.forward(get("/public/a", &[("X-Request-Id", id)]));
        assert_eq!(only(&received, "x-request-id"), id);
    }
}

#[test]
fn harmful_request_id_is_replaced() {
    let forwarding = ForwardingGateway::start();
    let too_long = "a".repeat(129);
    for id in ["", "a b", "a,b", "<script>", "\"a\"", "{a}", "a;b", "${jndi:a}", "é", &too_long] {
        let received = forwarding.forward(get("/public/a", &[("X-Request-Id", id)]));
        assert!(is_ours(only(&received, "x-request-id")), "{id}: {}", received.head);
    }
}

#[test]
fn two_request_ids_are_replaced_by_one() {
    let forwarding = ForwardingGateway::start();
    let fields = [("X-Request-Id", "one"), ("x-request-id", "two")];
    let received = forwarding.forward(get("/public/a", &fields));
    assert!(is_ours(only(&received, "x-request-id")), "{}", received.head);
}

#[test]
fn request_id_that_the_upstream_sees_is_the_one_that_is_logged() {
    let forwarding = ForwardingGateway::start();
    for fields in [&[][..], &[("X-Request-Id", "from-the-client")]] {
        let received = forwarding.forward(get("/public/a", fields));
        let id = only(&received, "x-request-id").to_owned();
        let line = forwarding.gateway.logged(|line| line["request_id"] == json!(id));
        assert_eq!(line["path"], "/public/a");
    }
}

#[test]
fn request_id_of_the_client_is_told_in_a_denial() {
    let forwarding = ForwardingGateway::start();
    let denied: Answer =
        forwarding.gateway.exchange(get("/orders/7", &[("X-Request-Id", "tell-me")]));
    assert_eq!(denied.json()["request_id"], "tell-me");
    let line = forwarding.gateway.logged(|line| line["request_id"] == "tell-me");
    assert_eq!(line["slug"], "credential_absent");
}

/// Pingora deletes what `Connection` names; the upstream must be given the id all the same, or its
/// log cannot be held against ours.
#[test]
fn nomination_by_connection_cannot_erase_the_request_id() {
    let forwarding = ForwardingGateway::start();
    let fields = [("X-Request-Id", "from-the-client"), ("Connection", "x-request-id")];
    let received = forwarding.forward(get("/public/a", &fields));
    assert_eq!(received.values("x-request-id"), ["from-the-client"]);
}

// ---- the trace context, W3C Trace Context §3.2

#[test]
fn trace_context_is_passed_on_with_its_state() {
    let forwarding = ForwardingGateway::start();
    for traceparent in [
        TRACEPARENT,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-adds",
    ] {
        let fields = [("traceparent", traceparent), ("tracestate", "vendor=state")];
        let received = forwarding.get_as("/orders/7", &token(json!({})), &fields);
        assert_eq!(received.values("traceparent"), [traceparent]);
        assert_eq!(received.values("tracestate"), ["vendor=state"], "{traceparent}");
    }
}

#[track_caller]
fn assert_made(received: &Received) {
    let parts: Vec<_> = only(received, "traceparent").split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { panic!("{parts:?}") };
    assert_eq!((version, flags), ("00", "00"), "{parts:?}");
    assert_eq!((trace.len(), parent.len()), (32, 16), "{parts:?}");
    assert!(!trace.bytes().all(|b| b == b'0') && !parent.bytes().all(|b| b == b'0'), "{parts:?}");
    assert!(received.values("tracestate").is_empty(), "state without its context");
}

#[test]
fn trace_context_is_made_where_there_is_none() {
    let forwarding = ForwardingGateway::start();
    assert_made(&forwarding.forward(get("/public/a", &[])));
    assert_made(&forwarding.forward(get("/public/a", &[("tracestate", "vendor=state")])));
}

#[test]
fn invalid_trace_context_is_replaced_and_its_state_dropped() {
    let forwarding = ForwardingGateway::start();
    for traceparent in [
        "",
        "garbage",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
    ] {
        let fields = [("traceparent", traceparent), ("tracestate", "vendor=state")];
        let received = forwarding.forward(get("/public/a", &fields));
        assert_made(&received);
    }
}

#[test]
fn two_trace_contexts_are_replaced_by_one() {
    let forwarding = ForwardingGateway::start();
    let fields = [("traceparent", TRACEPARENT), ("Traceparent", TRACEPARENT)];
    let received = forwarding.forward(get("/public/a", &fields));
    assert_made(&received);
}

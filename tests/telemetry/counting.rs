//! Metrics: which families there are, and that each counts what it says.

mod labels;

use std::collections::BTreeSet;

use portcullis::gate::denial::Slug;
use portcullis::gate::revocation::ScopeKind;
use portcullis::store::session_end::SessionEnd;
use serde_json::json;

use super::BusyGateway;
use crate::harness::client::{Connection, get, request};
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::tokens::{bearer, forged, token};
use crate::harness::upstream::Upstream;

/// What the contract and the reference promise.
const FAMILIES: [(&str, &str, &[&str]); 53] = [
    ("portcullis_decisions_total", "counter", &["route", "carrier", "outcome", "slug"]),
    ("portcullis_decision_seconds", "histogram", &["carrier", "cache"]),
    ("portcullis_tokens_verified_total", "counter", &["issuer", "result"]),
    ("portcullis_token_cache_hits_total", "counter", &[]),
    ("portcullis_token_cache_misses_total", "counter", &[]),
    ("portcullis_token_cache_evictions_total", "counter", &[]),
    ("portcullis_token_cache_entries", "gauge", &[]),
    ("portcullis_key_set_age_seconds", "gauge", &["issuer"]),
    ("portcullis_key_set_fetches_total", "counter", &["issuer", "result"]),
    ("portcullis_signing_keys", "gauge", &["state"]),
    ("portcullis_signing_key_rotations_total", "counter", &["cause"]),
    ("portcullis_revocation_entries", "gauge", &[]),
    ("portcullis_revocation_entries_max", "gauge", &[]),
    ("portcullis_revocation_nearly_full", "gauge", &[]),
    ("portcullis_revocation_staleness_seconds", "gauge", &[]),
    ("portcullis_revocation_propagation_seconds", "histogram", &[]),
    ("portcullis_revocation_snapshots_total", "counter", &["cause"]),
    ("portcullis_revocations_applied_total", "counter", &["scope"]),
    ("portcullis_clock_ahead_seconds", "gauge", &[]),
    ("portcullis_revocation_records", "gauge", &[]),
    ("portcullis_revocations_pending", "gauge", &[]),
    ("portcullis_session_cache_hits_total", "counter", &[]),
    ("portcullis_session_cache_misses_total", "counter", &[]),
    ("portcullis_session_cache_entries", "gauge", &[]),
    ("portcullis_sessions_created_total", "counter", &["method"]),
    ("portcullis_sessions_ended_total", "counter", &["cause"]),
    ("portcullis_logins_total", "counter", &["method", "result"]),
    ("portcullis_refreshes_total", "counter", &["method", "result"]),
    ("portcullis_tokens_issued_total", "counter", &["kind", "grant"]),
    ("portcullis_client_authentications_total", "counter", &["method", "result"]),
    ("portcullis_signing_keys", "gauge", &["state"]),
    ("portcullis_signing_key_rotations_total", "counter", &["cause"]),
    ("portcullis_streams_ended_total", "counter", &["cause"]),
    ("portcullis_store_operations_seconds", "histogram", &["operation", "result"]),
    ("portcullis_store_up", "gauge", &[]),
    ("portcullis_store_server_changes_total", "counter", &[]),
    ("portcullis_requests_total", "counter", &["route", "status_class"]),
    ("portcullis_request_seconds", "histogram", &["route"]),
    ("portcullis_upstream_seconds", "histogram", &["route"]),
    ("portcullis_connections_open", "gauge", &[]),
    ("portcullis_connections_max", "gauge", &[]),
    ("portcullis_connections_refused_total", "counter", &[]),
    ("portcullis_requests_in_flight", "gauge", &[]),
    ("portcullis_requests_in_flight_max", "gauge", &[]),
    ("portcullis_requests_in_flight_own", "gauge", &[]),
    ("portcullis_config_reloads_total", "counter", &["result"]),
    ("portcullis_config_generation", "gauge", &[]),
    ("portcullis_dangerous_options", "gauge", &["option"]),
    ("portcullis_access_log_dropped_total", "counter", &[]),
    ("portcullis_build_info", "gauge", &["version"]),
    ("process_cpu_seconds_total", "counter", &[]),
    ("process_resident_memory_bytes", "gauge", &[]),
    ("process_open_fds", "gauge", &[]),
];

#[test]
fn promised_families_are_exposed_with_their_kind_and_labels() {
    let busy = BusyGateway::start();
    let exposition = busy.gateway.exposition();
    let all = exposition.labels();
    for (family, kind, labels) in FAMILIES {
        assert_eq!(exposition.kinds.get(family).map(String::as_str), Some(kind), "{family}");
        let series = if kind == "histogram" { format!("{family}_sum") } else { family.to_owned() };
        let expected: BTreeSet<_> = labels.iter().copied().collect();
        assert_eq!(all.get(series.as_str()), Some(&expected), "{family}");
    }
}

#[test]
fn no_family_of_ours_is_exposed_that_was_not_promised() {
    let busy = BusyGateway::start();
    for family in busy.gateway.exposition().kinds.keys() {
        let is_promised = FAMILIES.iter().any(|(promised, ..)| promised == family);
        assert!(is_promised || family.starts_with("process_"), "{family}");
    }
}

#[test]
fn build_is_told() {
    let gateway = Gateway::standard(&Upstream::start());
    let series = format!("portcullis_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(gateway.metric(&series), 1.0);
}

#[test]
fn each_request_is_one_decision_and_one_answer() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let good = bearer(&token(json!({})));
    let requests = [
        get("/public/a", &[]),
        get("/orders/7", &[]),
        get("/orders/7", &[("Authorization", &good)]),
        get("/nowhere", &[]),
        "GET /public/a HTTP/1.1\r\n\r\n".to_owned(),
    ];
    for request in &requests {
        gateway.exchange(request);
    }
    gateway.settle(requests.len());
    let exposition = gateway.exposition();
    for family in [
        "portcullis_decisions_total",
        "portcullis_requests_total",
        "portcullis_decision_seconds_count",
        "portcullis_request_seconds_count",
    ] {
        assert_eq!(exposition.sum(family, &[]), requests.len() as f64, "{family}");
    }
    // Two of them were permitted.
    assert_eq!(exposition.sum("portcullis_upstream_seconds_count", &[]), 2.0);
}

#[test]
fn permitted_request_is_counted_under_its_route_and_carrier() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    gateway.get_as("/orders/7", &token(json!({})));
    gateway.exchange(get("/public/a", &[]));
    gateway.settle(2);
    let exposition = gateway.exposition();
    for (route, carrier) in [("orders", "bearer"), ("public", "none")] {
        let labels =
            [("route", route), ("carrier", carrier), ("outcome", "permitted"), ("slug", "")];
        assert_eq!(exposition.sum("portcullis_decisions_total", &labels), 1.0, "{route}");
        let answered = [("route", route), ("status_class", "2xx")];
        assert_eq!(exposition.sum("portcullis_requests_total", &answered), 1.0, "{route}");
        let timed = exposition.sum("portcullis_upstream_seconds_count", &[("route", route)]);
        assert_eq!(timed, 1.0, "{route}");
    }
    assert_eq!(exposition.sum("portcullis_decisions_total", &[]), 2.0);
}

#[test]
fn cache_counts_hits_misses_and_entries() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let (one, other) = (token(json!({})), token(json!({})));
    for token in [&one, &one, &other, &one] {
        gateway.get_as("/orders/7", token);
    }
    // What is refused was looked for too.
    gateway.get_as("/orders/7", &token(json!({"aud": "billing"})));
    gateway.settle(5);
    let exposition = gateway.exposition();
    assert_eq!(exposition.sum("portcullis_token_cache_hits_total", &[]), 2.0);
    assert_eq!(exposition.sum("portcullis_token_cache_misses_total", &[]), 3.0);
    for (cache, count) in [("hit", 2.0), ("miss", 3.0)] {
        let labels = [("carrier", "bearer"), ("cache", cache)];
        let counted = exposition.sum("portcullis_decision_seconds_count", &labels);
        assert_eq!(counted, count, "{cache}");
    }
}

/// The number is kept up to date in the background.
#[test]
fn cache_entries_are_told_in_the_end() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    eventually("the entries", || {
        gateway.get_as("/orders/7", &token(json!({})));
        (gateway.metric("portcullis_token_cache_entries") >= 2.0).then_some(())
    });
}

#[test]
fn scrapes_do_not_count_the_same_hits_twice() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = token(json!({}));
    for _ in 0..3 {
        gateway.get_as("/orders/7", &token);
    }
    for _ in 0..3 {
        assert_eq!(gateway.metric("portcullis_token_cache_hits_total"), 2.0);
    }
}

#[test]
fn tokens_are_counted_by_issuer_and_result_when_they_are_verified() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let good = token(json!({}));
    gateway.get_as("/orders/7", &good);
    gateway.get_as("/orders/7", &good);
    gateway.get_as("/orders/7", &token(json!({"aud": "billing"})));
    // An issuer that is not ours is not told: its name comes from the request.
    gateway.get_as("/orders/7", &token(json!({"iss": "https://other.test"})));
    gateway.settle(4);
    let exposition = gateway.exposition();
    let count = |result: &str| {
        let labels = [("issuer", "test"), ("result", result)];
        exposition.sum("portcullis_tokens_verified_total", &labels)
    };
    assert_eq!((count("ok"), count("token_audience")), (1.0, 1.0));
    assert_eq!(exposition.sum("portcullis_tokens_verified_total", &[]), 2.0);
}

#[test]
fn answers_are_counted_by_the_class_of_their_status() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    use crate::harness::upstream::Behaviour;
    for (status, class) in [(204, "2xx"), (304, "3xx"), (404, "4xx"), (503, "5xx")] {
        let bytes = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
        upstream.behave(Behaviour::Bytes(bytes));
        assert_eq!(gateway.exchange(get("/public/a", &[])).status, status);
        let series =
            format!("portcullis_requests_total{{route=\"public\",status_class=\"{class}\"}}");
        eventually("the count", || (gateway.metric(&series) == 1.0).then_some(()));
    }
}

#[test]
fn open_connections_are_counted_up_and_down() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let open = || gateway.metric("portcullis_connections_open");
    let connections: Vec<_> = (0..3).map(|_| Connection::open(gateway.address())).collect();
    eventually("three connections", || (open() == 3.0).then_some(()));
    drop(connections);
    eventually("none", || (open() == 0.0).then_some(()));
}

#[test]
fn dangerous_option_in_use_is_told() {
    let busy = BusyGateway::start();
    let series = "portcullis_dangerous_options{option=\"dangerous_path\"}";
    assert_eq!(busy.gateway.metric(series), 1.0);
}

#[test]
fn fetched_keys_are_told_with_their_age() {
    let busy = BusyGateway::start();
    let exposition = busy.gateway.exposition();
    let fetches = [("issuer", "fetched"), ("result", "ok")];
    assert!(exposition.sum("portcullis_key_set_fetches_total", &fetches) >= 1.0);
    let age = exposition.sum("portcullis_key_set_age_seconds", &[("issuer", "fetched")]);
    assert!((0.0..60.0).contains(&age), "{age}");
    // Keys from a file have no age.
    let issuers = exposition.values("portcullis_key_set_age_seconds", "issuer");
    assert_eq!(issuers, BTreeSet::from(["fetched"]));
}

//! Labels: their values come from what is configured and enumerated, never from a request.

use super::*;
use crate::harness::gateway;

/// Whoever could choose a label could fill the memory of whatever collects them.
#[test]
fn no_label_value_comes_from_a_request() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let mark = "xyzzy";
    let alg = format!("{{\"alg\":\"{mark}\",\"typ\":\"{mark}\",\"kid\":\"{mark}\"}}");
    let marked = [
        get(&format!("/{mark}"), &[]),
        get(&format!("/public/{mark}?{mark}"), &[("Host", &format!("{mark}.test"))]),
        request(&mark.to_uppercase(), "/public/a", &[], ""),
        request(mark, "/orders/7", &[], ""),
        get("/orders/7", &[("Authorization", &format!("{mark} {mark}"))]),
        get("/orders/7", &[("Authorization", &bearer(&forged(&alg, "{}", b"")))]),
        get("/orders/7", &[("Authorization", &bearer(&token(json!({ "iss": mark }))))]),
        get("/orders/7", &[("Authorization", &bearer(&token(json!({ "aud": mark }))))]),
        get("/orders/7", &[("Authorization", &bearer(&token(json!({ "sub": mark }))))]),
        get("/public/a", &[("X-Request-Id", mark), ("User-Agent", mark), (mark, mark)]),
        get("/public/a", &[("Cookie", &format!("__Host-session={mark}; {mark}={mark}"))]),
        format!("{mark} {mark} {mark}\r\n\r\n"),
    ];
    for request in &marked {
        gateway.exchange(request);
    }
    gateway.settle(marked.len());
    let metrics = gateway.metrics().to_lowercase();
    assert!(!metrics.contains(mark), "{metrics}");
}

#[test]
fn request_without_a_route_counts_under_an_empty_name() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for path in ["/nowhere", "/nowhere/else", "/ordersx"] {
        gateway.exchange(get(path, &[]));
    }
    gateway.settle(3);
    let exposition = gateway.exposition();
    let labels = [("route", ""), ("slug", "route_unknown")];
    assert_eq!(exposition.sum("portcullis_decisions_total", &labels), 3.0);
    // What the gateway answers itself has a name of its own.
    let expected = BTreeSet::from(["", "public", "orders", "whoami", "gateway:own"]);
    assert_eq!(exposition.values("portcullis_decisions_total", "route"), expected);
}

#[test]
fn of_many_routes_those_in_use_have_series() {
    let upstream = Upstream::start();
    let more = (0..500).map(|number| {
        format!(
            "  - {{ name: many-{number}, match: {{ path: /many/{number} }}, upstream: behind, public: true }}\n"
        )
    });
    let routes = format!("routes:\n{}", more.collect::<String>());
    let text = gateway::standard(&upstream).replacen("routes:\n", &routes, 1);
    let gateway = Gateway::start(&text);
    gateway.exchange(get("/many/7", &[]));
    gateway.settle(1);
    for family in ["portcullis_decisions_total", "portcullis_requests_total"] {
        let routes = gateway.exposition();
        assert_eq!(routes.values(family, "route"), BTreeSet::from(["", "many-7"]), "{family}");
        assert_eq!(routes.sum(family, &[("route", "many-7")]), 1.0, "{family}");
    }
}

#[test]
fn labels_take_their_values_from_what_is_enumerated() {
    let busy = BusyGateway::start();
    let exposition = busy.gateway.exposition();
    let slugs = Slug::ALL.iter().map(|slug| slug.as_str());
    let slugs: BTreeSet<_> = slugs.chain(["", "ok"]).collect();
    let results: BTreeSet<_> = slugs.iter().copied().chain(["failed"]).collect();
    let scopes: BTreeSet<_> =
        ScopeKind::ALL.iter().map(|kind| kind.as_str()).chain(["lift"]).collect();
    let ends: BTreeSet<_> = SessionEnd::ALL.iter().map(|cause| cause.as_str()).collect();
    let methods = BTreeSet::from(["password", "handoff"]);
    let refreshes = BTreeSet::from([
        "ok",
        "replayed",
        "reuse_detected",
        "expired",
        "revoked",
        "unknown",
        "wrong_client",
        "client_refused",
        "forged",
        "limited",
        "malformed",
        "refused",
        "unavailable",
    ]);
    for (series, label, allowed) in [
        ("portcullis_decisions_total", "slug", &slugs),
        ("portcullis_tokens_verified_total", "result", &slugs),
        ("portcullis_key_set_fetches_total", "result", &results),
        ("portcullis_config_reloads_total", "result", &results),
        (
            "portcullis_decisions_total",
            "carrier",
            &BTreeSet::from(["bearer", "session", "api_key", "none"]),
        ),
        ("portcullis_sessions_created_total", "method", &methods),
        ("portcullis_sessions_ended_total", "cause", &ends),
        ("portcullis_logins_total", "method", &methods),
        (
            "portcullis_logins_total",
            "result",
            &BTreeSet::from(["ok", "refused", "limited", "malformed", "unavailable"]),
        ),
        (
            "portcullis_decisions_total",
            "outcome",
            &BTreeSet::from(["permitted", "denied", "unavailable"]),
        ),
        ("portcullis_decision_seconds_count", "cache", &BTreeSet::from(["hit", "miss", "none"])),
        (
            "portcullis_requests_total",
            "status_class",
            &BTreeSet::from(["1xx", "2xx", "3xx", "4xx", "5xx"]),
        ),
        ("portcullis_dangerous_options", "option", &BTreeSet::from(["dangerous_path"])),
        ("portcullis_revocations_applied_total", "scope", &scopes),
        (
            "portcullis_revocation_snapshots_total",
            "cause",
            &BTreeSet::from(["start", "trimmed", "went_backwards"]),
        ),
        ("portcullis_streams_ended_total", "cause", &BTreeSet::from(["revoked", "expired"])),
        (
            "portcullis_store_operations_seconds_count",
            "operation",
            &BTreeSet::from([
                "append",
                "list",
                "snapshot",
                "announce",
                "time",
                "roster",
                "prune",
                "create_session",
                "find_session",
                "list_sessions",
                "touch_sessions",
                "delete_session",
                "prune_sessions",
                "list_api_keys",
                "read_keys",
                "read_tag_key",
                "replace_keys",
                "begin_family",
                "find_family",
                "rotate_family",
                "delete_family",
                "spend_assertion",
            ]),
        ),
        ("portcullis_refreshes_total", "method", &BTreeSet::from(["body", "cookie"])),
        ("portcullis_refreshes_total", "result", &refreshes),
        (
            "portcullis_tokens_issued_total",
            "kind",
            &BTreeSet::from(["access", "refresh", "internal"]),
        ),
        (
            "portcullis_tokens_issued_total",
            "grant",
            &BTreeSet::from(["login", "refresh_token", "client_credentials", "none"]),
        ),
        (
            "portcullis_client_authentications_total",
            "method",
            &BTreeSet::from(["basic", "post", "private_key_jwt", "none"]),
        ),
        (
            "portcullis_client_authentications_total",
            "result",
            &BTreeSet::from(["ok", "refused", "limited", "malformed", "unavailable"]),
        ),
        ("portcullis_store_operations_seconds_count", "result", &results),
    ] {
        let found = exposition.values(series, label);
        assert!(!found.is_empty() && found.is_subset(allowed), "{series} {label}: {found:?}");
    }
}

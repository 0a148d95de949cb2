//! Methods that no route takes, whatever it says.

use crate::harness::client::{Answer, get, request};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, request as request2};
use crate::harness::tokens::{bearer, token};
use crate::harness::upstream::Upstream;

/// What is told of a path that takes any method.
const ANY: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

#[track_caller]
fn assert_not_allowed(answer: &Answer, allow: &str, what: &str) {
    assert_eq!(answer.status, 405, "{what}: {answer:?}");
    assert_eq!(answer.slug(), "method_not_allowed", "{what}");
    assert_eq!(answer.field("allow"), Some(allow), "{what}");
}

/// The standard configuration, and a path with a route for one method and another for the rest.
fn told_apart(upstream: &Upstream) -> String {
    let routes = "
  - { name: remove, match: { path: /docs, methods: [DELETE] }, upstream: behind, authenticate: [bearer] }
  - { name: docs, match: { path: /docs }, upstream: behind, public: true }
";
    standard(upstream).trim_end().to_owned() + routes
}

/// An echo of the request, which is what `TRACE` asks for, would tell what the gateway wrote into it
/// (RFC 9110 §9.3.8).
#[test]
fn trace_and_track_are_refused_on_every_route() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&told_apart(&upstream));
    let bearer = bearer(&token(serde_json::json!({})));
    for method in ["TRACE", "TRACK", "trace", "Track"] {
        for (path, allow) in
            [("/public/a", ANY), ("/orders/7", "GET, HEAD, POST"), ("/whoami", ANY), ("/docs", ANY)]
        {
            for fields in [&[][..], &[("Authorization", bearer.as_str())]] {
                let answer = gateway.exchange(request(method, path, fields, ""));
                assert_not_allowed(&answer, allow, &format!("{method} {path}"));
            }
        }
        let answer = gateway.exchange(request(method, "/nowhere", &[], ""));
        assert_eq!(answer.slug(), "route_unknown", "{method}");
    }
    assert!(upstream.received().is_empty());
    for method in ["OPTIONS", "PROPFIND", "TRACES", "DEBUG"] {
        assert_eq!(gateway.exchange(request(method, "/public/a", &[], "")).status, 200, "{method}");
    }
}

/// Methods are case-sensitive (RFC 9110 §9.1), and there are frameworks that read them in upper case:
/// `delete` would meet the route for the rest and do what the route for `DELETE` protects.
#[test]
fn method_with_lower_case_letters_is_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&told_apart(&upstream));
    for method in ["delete", "Delete", "DELETe", "get", "Get", "propfind", "x"] {
        for (path, allow) in [("/docs", ANY), ("/public/a", ANY), ("/orders/7", "GET, HEAD, POST")]
        {
            let answer = gateway.exchange(request(method, path, &[], ""));
            assert_not_allowed(&answer, allow, &format!("{method} {path}"));
        }
    }
    assert!(upstream.received().is_empty());
    let answer = gateway.exchange(request("DELETE", "/docs", &[], ""));
    assert_eq!(answer.slug(), "credential_absent");
    for method in ["GET", "X", "VERSION-CONTROL", "M-SEARCH"] {
        assert_eq!(gateway.exchange(request(method, "/docs", &[], "")).status, 200, "{method}");
    }
}

#[test]
fn methods_are_judged_alike_over_http2() {
    let site = TlsGateway::open();
    let client = Http2::connect(site.gateway.address(), &site.authority);
    for method in ["TRACE", "TRACK", "trace", "get"] {
        for (path, allow) in [("/public/a", ANY), ("/orders/7", "GET, HEAD, POST")] {
            let answer = client.exchange(request2(method, path, &[]));
            assert_not_allowed(&answer, allow, &format!("{method} {path}"));
        }
    }
    assert!(site.upstream.received().is_empty());
    assert_eq!(client.get("/public/a", &[]).status, 200);
}

#[test]
fn refused_method_leaves_the_connection_open() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let mut connection = crate::harness::client::Connection::open(gateway.address());
    assert_eq!(connection.exchange(request("TRACE", "/public/a", &[], "")).status, 405);
    assert_eq!(connection.exchange(get("/public/a", &[])).status, 200);
}

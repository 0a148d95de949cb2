//! HTTP/2: the same judgement on every stream.

use std::time::Duration;

use http::{HeaderMap, Request};
use serde_json::json;

use crate::harness::client::Answer;
use crate::harness::eventually;
use crate::harness::tls::client::{Http2, VERSIONS, request, settings};
use crate::harness::tls::{NAME, TlsGateway};
use crate::harness::tokens::{bearer, token};
use crate::harness::upstream::Behaviour;

impl TlsGateway {
    fn http2(&self) -> Http2 {
        Http2::connect(self.gateway.address(), &self.authority)
    }
}

#[track_caller]
fn assert_denied(answer: &Answer, status: u16, slug: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.slug(), slug);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[test]
fn both_versions_of_tls_serve_http2() {
    let site = TlsGateway::open();
    for version in VERSIONS {
        for protocols in [&["h2"][..], &["h2", "http/1.1"], &["http/1.1", "h2"]] {
            let settings = settings(&site.authority, &[version], protocols);
            let client = Http2::connect_with(site.gateway.address(), settings);
            assert_eq!(client.get("/public/x", &[]).body, "GET /public/x HTTP/1.1");
        }
    }
}

#[test]
fn identity_is_forwarded_and_spoofed_headers_are_stripped() {
    let site = TlsGateway::open();
    let client = site.http2();
    let token = bearer(&token(json!({"email": "a@example.test"})));
    let fields = [
        ("authorization", &*token),
        ("x-auth-subject", "mallory"),
        ("x_auth_subject", "mallory"),
        ("x-auth-roles", "root"),
        ("x-auth.roles", "root"),
        ("x-auth-tenant", "evil"),
        ("x-forwarded-for", "192.0.2.66"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=192.0.2.66"),
    ];
    assert_eq!(client.get("/orders/7", &fields).status, 200);
    let received = site.upstream.last();
    assert_eq!(received.values("x-auth-subject"), ["alice"]);
    assert_eq!(received.values("x-auth-email"), ["a@example.test"]);
    assert_eq!(received.values("x-auth-roles"), ["clerk"]);
    assert_eq!(received.values("x-forwarded-proto"), ["https"]);
    assert_eq!(received.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.values("host"), [NAME]);
    assert_eq!(received.values("authorization"), [""; 0]);
    for text in ["mallory", "root", "evil", "192.0.2.66"] {
        assert!(!received.head.contains(text), "{text} is in {}", received.head);
    }
}

#[test]
fn denials_are_problem_details_with_their_challenge() {
    let site = TlsGateway::open();
    let client = site.http2();
    let answer = client.get("/orders/7", &[]);
    assert_denied(&answer, 401, "credential_absent");
    assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"portcullis\""));
    assert_denied(&client.get("/nowhere", &[]), 404, "route_unknown");
    let answer = client.exchange(request("DELETE", "/orders/7", &[]));
    assert_denied(&answer, 405, "method_not_allowed");
    assert_eq!(answer.field("allow"), Some("GET, HEAD, POST"));
    let weak = bearer(&token(json!({"scope": ""})));
    assert_denied(&client.get("/orders/7", &[("authorization", &weak)]), 403, "scope_missing");
    // All of it on one connection, which serves on.
    assert_eq!(client.get("/public/x", &[]).status, 200);
    assert_eq!(site.upstream.received().len(), 1);
}

#[test]
fn denials_over_http2_are_logged_and_counted() {
    let site = TlsGateway::open();
    site.http2().get("/orders/7?secret", &[]);
    let line = site.gateway.logged(|line| line["slug"] == "credential_absent");
    assert_eq!((&line["status"], &line["path"]), (&401.into(), &"/orders/7".into()));
    assert_eq!((&line["host"], &line["client"]), (&NAME.into(), &"127.0.0.1".into()));
}

#[test]
fn authority_and_host_that_differ_are_refused() {
    let site = TlsGateway::open();
    let client = site.http2();
    for host in ["other.test", "gateway.test:443", "GATEWAY.TEST", "u@gateway.test", ""] {
        let answer = client.get("/public/x", &[("host", host)]);
        assert_eq!(answer.status, 400, "{host}: {answer:?}");
    }
    assert!(site.upstream.received().is_empty());
    // The same twice is no contradiction.
    assert_eq!(client.get("/public/x", &[("host", NAME)]).status, 200);
    assert_eq!(site.upstream.last().values("host"), [NAME]);
}

#[test]
fn authority_with_an_empty_label_is_refused() {
    let site = TlsGateway::open();
    let client = site.http2();
    let exchange = |host: &str| {
        let request = Request::builder().version(http::Version::HTTP_2);
        client
            .exchange(request.uri(format!("https://{host}/public/x")).body(()).expect("a request"))
    };
    for host in ["gateway.test", "gateway.test.", "GATEWAY.test.:443"] {
        assert_eq!(exchange(host).status, 200, "{host}");
    }
    for host in ["gateway.test..", ".gateway.test", "gateway..test", ".", "..:443"] {
        assert_denied(&exchange(host), 400, "host_missing");
    }
}

#[test]
fn repeated_authorization_is_refused() {
    let site = TlsGateway::open();
    let client = site.http2();
    let token = bearer(&token(json!({})));
    for path in ["/public/x", "/orders/7"] {
        let fields = [("authorization", &*token), ("authorization", &*token)];
        assert_denied(&client.get(path, &fields), 400, "credential_malformed");
    }
}

#[test]
fn ambiguous_paths_are_refused() {
    let site = TlsGateway::open();
    let client = site.http2();
    for path in [
        "/public/%2e%2e/orders/7",
        "/public/../orders/7",
        "/public//x",
        "/public/x%2fy",
        "/public/x;y",
        "/public/%2561",
        "/public/x%00",
        "/%70ublic/x",
        "//public/x",
    ] {
        assert_denied(&client.get(path, &[]), 400, "request_target");
    }
    assert!(site.upstream.received().is_empty());
}

#[test]
fn streams_of_one_connection_do_not_wait_for_one_another() {
    let site = TlsGateway::open();
    let client = site.http2();
    let pause = Duration::from_millis(500);
    site.upstream.behave(Behaviour::Slow(pause));
    let begun = std::time::Instant::now();
    let paths: Vec<_> = (0..20).map(|number| format!("/public/{number}")).collect();
    let requests = paths.iter().map(|path| request("GET", path, &[])).collect();
    for answer in client.exchange_all(requests) {
        assert_eq!((answer.status, answer.body.as_str()), (200, "from behind!"));
    }
    assert!(begun.elapsed() < pause * 10, "it took {:?}", begun.elapsed());
    assert_eq!(site.gateway.metric("portcullis_connections_open"), 1.0);
}

#[test]
fn every_stream_gets_its_own_answer_and_its_own_judgement() {
    let site = TlsGateway::open();
    let client = site.http2();
    let alice = bearer(&token(json!({})));
    let bob = bearer(&token(json!({"sub": "bob"})));
    let mut requests = Vec::new();
    for number in 0..30 {
        let fields = match number % 3 {
            0 => vec![("authorization", &*alice)],
            1 => vec![("authorization", &*bob)],
            _ => vec![],
        };
        requests.push(request("GET", &format!("/whoami?{number}"), &fields));
    }
    for (number, answer) in client.exchange_all(requests).into_iter().enumerate() {
        if number % 3 == 2 {
            assert_denied(&answer, 401, "credential_absent");
        } else {
            assert_eq!(answer.body, format!("GET /whoami?{number} HTTP/1.1"));
        }
    }
    for received in site.upstream.received() {
        let number = received.line().split(['?', ' ']).nth(2).expect("a number");
        let number: usize = number.parse().expect("a number");
        let subject = ["alice", "bob", "nobody"][number % 3];
        assert_eq!(received.values("x-auth-subject"), [subject], "{number}");
    }
}

#[test]
fn body_is_forwarded_whole_with_and_without_a_length() {
    let site = TlsGateway::open();
    let client = site.http2();
    let body = "b".repeat(10_000);
    let length = body.len().to_string();
    let announced = request("POST", "/public/x", &[("content-length", &length)]);
    let answer = client.try_exchange(announced, Some(body.clone().into()), None);
    assert_eq!(answer.expect("an answer").status, 200);
    assert_eq!(site.upstream.last().body, body);
    let unannounced = request("POST", "/public/x", &[]);
    let answer = client.try_exchange(unannounced, Some(body.clone().into()), None);
    assert_eq!(answer.expect("an answer").status, 200);
    let received = site.upstream.last();
    assert_eq!(received.values("transfer-encoding"), ["chunked"]);
    assert_eq!(received.body.bytes().filter(|byte| *byte == b'b').count(), body.len());
}

#[test]
fn body_beyond_the_limit_is_refused() {
    let site = TlsGateway::open_changed(|text| {
        text.replacen("public: true", "public: true, limits: { body: 1KiB }", 1)
    });
    let client = site.http2();
    let send = |bytes: usize, fields: &[(&str, &str)]| {
        let request = request("POST", "/public/x", fields);
        client.try_exchange(request, Some(vec![b'b'; bytes]), None).expect("an answer")
    };
    assert_eq!(send(1024, &[]).status, 200);
    assert_eq!(send(1024, &[("content-length", "1024")]).status, 200);
    assert_denied(&send(1025, &[("content-length", "1025")]), 413, "body_too_large");
    assert_denied(&send(1025, &[]), 413, "body_too_large");
    assert_eq!(site.upstream.received().len(), 2);
    assert_eq!(client.get("/public/x", &[]).status, 200);
}

#[test]
fn header_bytes_beyond_the_limit_are_refused() {
    let site = TlsGateway::open_with("limits: { header_bytes: 2KiB }\n");
    let client = site.http2();
    let long = "a".repeat(3000);
    assert_eq!(client.get("/public/x", &[("x", &long[..1000])]).status, 200);
    assert_eq!(client.get("/public/x", &[("x", &long)]).status, 431);
    assert_eq!(client.get("/public/x", &[]).status, 200);
    assert_eq!(site.upstream.received().len(), 2);
}

#[test]
fn header_count_beyond_the_limit_is_refused() {
    let site = TlsGateway::open_with("limits: { header_count: 12 }\n");
    let client = site.http2();
    let names: Vec<_> = (0..20).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "y")).collect();
    assert_eq!(client.get("/public/x", &many[..8]).status, 200);
    assert_denied(&client.get("/public/x", &many), 431, "headers_too_large");
}

#[test]
fn trailers_do_not_smuggle_identity() {
    let site = TlsGateway::open();
    let client = site.http2();
    let token = bearer(&token(json!({})));
    for name in ["x-auth-subject", "x_auth_subject", "x-auth-roles", "authorization", "host", "x-t"]
    {
        let mut trailers = HeaderMap::new();
        let name: http::HeaderName = name.parse().expect("a name");
        trailers.insert(name, "mallory".parse().expect("a value"));
        let fields = [("authorization", &*token), ("te", "trailers")];
        let request = request("POST", "/orders/7", &fields);
        let answer = client.try_exchange(request, Some(b"hello".to_vec()), Some(trailers));
        // Refused, or forwarded without them.
        if let Ok(answer) = answer {
            assert!(matches!(answer.status, 200 | 400), "{answer:?}");
        }
    }
    let received = site.upstream.received();
    for received in &received {
        assert_eq!(received.values("x-auth-subject"), ["alice"]);
        let text = format!("{received:?}").to_ascii_lowercase();
        assert!(!text.contains("mallory"), "{text}");
        assert_eq!(received.body, "5\r\nhello\r\n0\r\n\r\n");
    }
    assert!(!received.is_empty(), "not one was forwarded");
    // What was sent as trailers is not found by the next request.
    assert_eq!(client.get("/public/next", &[]).body, "GET /public/next HTTP/1.1");
}

#[test]
fn crumbs_of_a_cookie_are_put_together_for_the_upstream() {
    let site = TlsGateway::open();
    let crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")];
    assert_eq!(site.http2().get("/public/x", &crumbs).status, 200);
    // RFC 9113 §8.2.3.
    assert_eq!(site.upstream.last().values("cookie"), ["a=1; b=2; c=3"]);
}

#[test]
fn head_over_http2_is_answered_without_a_body() {
    let site = TlsGateway::open();
    let client = site.http2();
    let answer = client.exchange(request("HEAD", "/orders/7", &[]));
    assert_eq!((answer.status, answer.body.as_str()), (401, ""));
    assert_eq!(client.get("/public/x", &[]).status, 200);
}

#[test]
fn connect_over_http2_is_refused() {
    let site = TlsGateway::open();
    let client = site.http2();
    let tunnel = Request::builder()
        .method("CONNECT")
        .version(http::Version::HTTP_2)
        .uri("gateway.test:443")
        .body(())
        .expect("a request");
    if let Ok(answer) = client.try_exchange(tunnel, None, None) {
        assert!(matches!(answer.status, 400 | 405 | 501), "{answer:?}");
    }
    assert_eq!(site.upstream.connections(), 0);
    assert_eq!(site.http2().get("/public/x", &[]).status, 200);
}

#[test]
fn upstream_errors_end_their_stream_only() {
    let site = TlsGateway::open();
    let client = site.http2();
    site.upstream.behave(Behaviour::HangUp);
    assert_denied(&client.get("/public/x", &[]), 502, "upstream_unavailable");
    site.upstream.behave(Behaviour::Mirror);
    assert_eq!(client.get("/public/x", &[]).status, 200);
}

#[test]
fn client_that_resets_its_stream_is_logged_as_499() {
    let site = TlsGateway::open();
    let client = site.http2();
    site.upstream.behave(Behaviour::Silent);
    let waiting = client.start_all(vec![request("GET", "/public/left", &[])]);
    eventually("the request", || (!site.upstream.received().is_empty()).then_some(()));
    drop(waiting);
    drop(client);
    let line = site.gateway.logged(|line| line["path"] == "/public/left");
    assert_eq!(line["status"], 499, "{line}");
}

#[test]
fn flood_of_reset_streams_does_no_harm_to_others() {
    let site = TlsGateway::open();
    let client = site.http2();
    // The gateway may end the connection at any time.
    for number in 0..5000 {
        if client.open_and_reset(request("GET", &format!("/public/{number}"), &[])).is_err() {
            break;
        }
    }
    drop(client);
    assert_eq!(site.http2().get("/public/x", &[]).body, "GET /public/x HTTP/1.1");
    eventually("one connection less", || {
        (site.gateway.metric("portcullis_connections_open") == 0.0).then_some(())
    });
}

#[test]
fn reload_is_in_force_for_the_next_stream() {
    let site = TlsGateway::open();
    let client = site.http2();
    assert_eq!(client.get("/public/x", &[]).status, 200);
    let moved = crate::harness::tls::configuration(&site.upstream)
        .replace("/public/{*rest}", "/moved/{*rest}");
    std::fs::write(site.gateway.file(), moved).expect("a file");
    site.gateway.signal("HUP");
    eventually("the new route", || (client.get("/moved/x", &[]).status == 200).then_some(()));
    assert_denied(&client.get("/public/x", &[]), 404, "route_unknown");
}

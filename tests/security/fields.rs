//! Field names that a recipient folds, reads twice, or takes for another request line.

use http::HeaderMap;

use crate::harness::client::{Answer, get, request};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, request as request2};
use crate::harness::upstream::{Behaviour, Received, Upstream};

const FRAMING: &str = "request_framing";

/// What may stand in a field name and is neither letter nor digit (RFC 9110 §5.6.2), but for the hyphen.
const SEPARATORS: &str = "!#$%&'*+.^_`|~";

/// The spellings of `name` that some recipient takes for it, but for its own.
fn aliases(name: &str) -> Vec<String> {
    let mut aliases = vec![
        format!("{name}-"),
        format!("-{name}"),
        name.replace('-', "--"),
        name.to_uppercase().replace('-', "_"),
    ];
    if name.contains('-') {
        aliases.push(name.replace('-', ""));
    }
    for separator in SEPARATORS.chars() {
        aliases.push(name.replace('-', &separator.to_string()));
        aliases.push(format!("{name}{separator}"));
        aliases.push(format!("{separator}{name}"));
    }
    aliases.retain(|alias| !alias.eq_ignore_ascii_case(name));
    aliases
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, slug: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.slug(), slug, "{what}");
}

/// Sends a request that must arrive, and returns how.
fn forward(gateway: &Gateway, upstream: &Upstream, bytes: impl AsRef<[u8]>) -> Received {
    let answer = gateway.exchange(bytes);
    assert_eq!(answer.status, 200, "{answer:?}");
    upstream.last()
}

fn http2(site: &TlsGateway) -> Http2 {
    Http2::connect(site.gateway.address(), &site.authority)
}

// ---- RFC 9110 §17.10

#[test]
fn name_that_folds_to_a_framing_field_is_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for (name, value) in
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Host", "evil.test")]
    {
        for alias in aliases(name) {
            let answer = gateway.exchange(get("/public/a", &[(&alias, value)]));
            assert_refused(&answer, 400, FRAMING, &alias);
            assert_eq!(answer.field("connection"), Some("close"), "{alias}");
        }
    }
    assert!(upstream.received().is_empty());
    let line = gateway.logged(|line| line["slug"] == FRAMING);
    let reason = line["reason"].as_str().expect("a reason");
    assert!(reason.contains("content-length"), "{reason}");
    for name in ["X-Content-Length", "Content-Lengths", "Transfer-Encodings", "Hosts", "X-Host"] {
        let received = forward(&gateway, &upstream, get("/public/a", &[(name, "5")]));
        assert_eq!(received.values(name), ["5"], "{name}");
    }
    let received = forward(&gateway, &upstream, request("POST", "/public/a", &[], "hello"));
    assert_eq!(received.values("content-length"), ["5"]);
}

#[test]
fn name_that_folds_to_a_framing_field_is_refused_over_http2() {
    let site = TlsGateway::open();
    for (name, value) in
        [("content-length", "5"), ("transfer-encoding", "chunked"), ("host", "evil.test")]
    {
        for alias in aliases(name) {
            // Each on its own connection: what is refused may count against one.
            let answer = http2(&site).get("/public/a", &[(&alias.to_lowercase(), value)]);
            assert_refused(&answer, 400, FRAMING, &alias);
        }
    }
    assert!(site.upstream.received().is_empty());
    assert_eq!(http2(&site).get("/public/a", &[("x-content-length", "5")]).status, 200);
    assert_eq!(site.upstream.last().values("x-content-length"), ["5"]);
}

// ---- RFC 9110 §8.6

fn post2(site: &TlsGateway, lengths: &[&str]) -> Result<Answer, h2::Error> {
    let fields: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
    let request = request2("POST", "/public/a", &fields);
    http2(site).try_exchange(request, Some(b"abc".to_vec()), None::<HeaderMap>)
}

#[test]
fn content_length_over_http2_arrives_once_and_canonical_or_not_at_all() {
    let site = TlsGateway::open();
    for lengths in [&["3", "3"][..], &["3", "03"], &["03", "3"], &["3", "3", "3"]] {
        let answer = post2(&site, lengths).expect("an answer");
        assert_refused(&answer, 400, FRAMING, &format!("{lengths:?}"));
    }
    // RFC 9113 §8.1.1: a stream error.
    for length in ["3, 3", "3,3", "+3", "-3", "3.0", "", "0x3", "4", "2"] {
        match post2(&site, &[length]) {
            Ok(answer) => assert_eq!(answer.status, 400, "{length}: {answer:?}"),
            Err(error) => assert!(error.is_reset(), "{length}: {error}"),
        }
    }
    for received in site.upstream.received() {
        assert_ne!(received.body, "abc", "{}", received.head);
    }
    for length in ["3", "03", "0000003"] {
        assert_eq!(post2(&site, &[length]).expect("an answer").status, 200, "{length}");
        let received = site.upstream.last();
        assert_eq!((received.values("content-length"), &*received.body), (vec!["3"], "abc"));
    }
}

/// Leading zeros are allowed, and an upstream that reads them as octal would read another length.
#[test]
fn content_length_with_leading_zeros_arrives_without_them() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for (length, canonical) in
        [("010", "10"), ("0000000000000000010", "10"), ("10", "10"), ("00", "0"), ("0", "0")]
    {
        let body = "0123456789".get(..canonical.parse().expect("a length")).expect("a body");
        let head = "POST /public/a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: ";
        let received = forward(&gateway, &upstream, format!("{head}{length}\r\n\r\n{body}"));
        assert_eq!(received.values("content-length"), [canonical], "{length}");
        assert_eq!(received.body, body, "{length}");
    }
}

// ---- RFC 9110 §5.3

#[test]
fn field_that_may_come_once_and_is_repeated_is_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for (name, one, other) in [
        ("Content-Type", "application/json", "text/xml"),
        ("Content-Type", "application/json", "application/json"),
        ("Content-Location", "/a", "/b"),
        ("Content-Range", "bytes 0-1/2", "bytes 1-1/2"),
        ("Range", "bytes=0-1", "bytes=2-3"),
        ("If-Range", "\"a\"", "\"b\""),
        ("If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:01 GMT"),
        ("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:01 GMT"),
        ("Origin", "https://a.test", "https://b.test"),
        ("Referer", "https://a.test/", "https://b.test/"),
    ] {
        for path in ["/public/a", "/whoami", "/nowhere"] {
            let answer = gateway.exchange(get(path, &[(name, one), (&name.to_lowercase(), other)]));
            assert_refused(&answer, 400, FRAMING, name);
        }
        let received = forward(&gateway, &upstream, get("/public/a", &[(name, one)]));
        assert_eq!(received.values(name), [one]);
    }
    let line = gateway.logged(|line| line["slug"] == FRAMING);
    assert_eq!(line["reason"], "`content-type` is repeated");
    for name in ["Accept", "Content-Encoding", "If-Match", "X-Custom", "Via"] {
        let fields = [(name, "one"), (name, "two")];
        let received = forward(&gateway, &upstream, get("/public/a", &fields));
        assert_eq!(received.values(name), ["one", "two"], "{name}");
    }
}

#[test]
fn repeated_content_type_is_refused_over_http2() {
    let site = TlsGateway::open();
    let kinds = [("content-type", "application/json"), ("content-type", "text/xml")];
    let answer = http2(&site).get("/public/a", &kinds);
    assert_refused(&answer, 400, FRAMING, "two");
    assert!(site.upstream.received().is_empty());
    assert_eq!(http2(&site).get("/public/a", &kinds[..1]).status, 200);
}

// ---- another target than was judged

/// Fields that some recipient believes more than the request line, or than `Host`.
const REWRITES: [&str; 18] = [
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Original-URI",
    "X-Original-Path",
    "X-Original-Method",
    "X-Original-Host",
    "X-Override-URL",
    "X-Proxy-URL",
    "X-Script-Name",
    "X-Http-Destinationurl",
    "X-Http-Host-Override",
    "X-Waws-Unencoded-Url",
    "X-Envoy-Original-Path",
    "X-Envoy-Original-Dst-Host",
    "X-Forwarded-Uri",
    "Script-Name",
    "Path-Info",
    "Proxy",
];

/// `name` as it is, in another case, and with each separator that a recipient may fold.
fn spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![name.to_owned(), name.to_lowercase(), name.to_uppercase()];
    let folded = SEPARATORS.chars().map(|separator| name.replace('-', &separator.to_string()));
    spellings.extend(folded);
    spellings
}

#[test]
fn field_that_rewrites_the_target_stays_behind_whoever_sends_it() {
    let upstream = Upstream::start();
    let untrusting = Gateway::standard(&upstream);
    let trusting =
        Gateway::start(&format!("trusted_proxies: [127.0.0.0/8]\n{}", standard(&upstream)));
    for gateway in [&untrusting, &trusting] {
        for name in REWRITES {
            for spelling in spellings(name) {
                let fields = [(spelling.as_str(), "/orders/rewritten"), ("X-Kept", "kept")];
                let received = forward(gateway, &upstream, get("/public/a", &fields));
                assert!(!received.head.contains("rewritten"), "{spelling} in {}", received.head);
                assert_eq!(received.values("x-kept"), ["kept"]);
            }
        }
    }
    for name in ["X-Original", "X-Original-URLs", "X-Original-Filename", "X-Rewrite", "Proxy-X"] {
        let received = forward(&untrusting, &upstream, get("/public/a", &[(name, "kept")]));
        assert_eq!(received.values(name), ["kept"], "{name}");
    }
}

#[test]
fn field_that_rewrites_the_target_stays_behind_over_http2() {
    let site = TlsGateway::open();
    for name in REWRITES.map(str::to_lowercase) {
        let fields = [(name.as_str(), "/orders/rewritten")];
        assert_eq!(http2(&site).get("/public/a", &fields).status, 200);
        let head = site.upstream.last().head;
        assert!(!head.contains("rewritten"), "{name} in {head}");
    }
}

// ---- another method than was judged

const OVERRIDES: [&str; 3] = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];

/// Two routes of one path, told apart by their methods, and one that takes any.
fn told_apart(upstream: &Upstream) -> Gateway {
    let routes = "
  - { name: write, match: { path: /docs, methods: [POST] }, upstream: behind, public: true }
  - { name: other, match: { path: /docs }, upstream: behind, public: true }
  - { name: named, match: { path: '/named/{*rest}', methods: [GET, POST] }, upstream: behind, public: true }
  - { name: rest, match: { path: '/{*rest}' }, upstream: behind, public: true }
  - name: aware
    match: { path: '/NAMED/{*rest}', dangerous_path: [case, trailing_slash, trailing_dot] }
    upstream: behind
    public: true
";
    Gateway::start(&(standard(upstream).trim_end().to_owned() + routes))
}

#[test]
fn method_override_stays_behind_where_a_route_of_the_path_names_methods() {
    let upstream = Upstream::start();
    let gateway = told_apart(&upstream);
    let overridden = |method: &str, path: &str, name: &str| {
        let received =
            forward(&gateway, &upstream, request(method, path, &[(name, "DELETE")], "a"));
        received.head.contains("DELETE")
    };
    for name in OVERRIDES {
        for spelling in spellings(name) {
            for (method, path) in [
                ("POST", "/docs"),
                ("PUT", "/docs"),
                ("POST", "/named/a"),
                ("POST", "/named/a?b=c"),
                // A write that looks like a read is judged as a read.
                ("GET", "/public/a"),
            ] {
                assert!(!overridden(method, path, &spelling), "{method} {path} {spelling}");
            }
            for path in ["/public/a", "/elsewhere/a", "/Elsewhere/a."] {
                assert!(overridden("POST", path, &spelling), "{path} {spelling}");
            }
            // Some upstreams take these for a path whose routes are told apart by method.
            for path in
                ["/Named/a", "/named./a", "/named%20/a", "/named::$DATA/a", "/Docs", "/docs/"]
            {
                assert!(!overridden("POST", path, &spelling), "{path} {spelling}");
            }
            // The upstream of this one does not.
            assert!(overridden("POST", "/NAMED/a", &spelling), "{spelling}");
        }
    }
    assert!(overridden("POST", "/named/a", "X-HTTP-Methods"));
}

#[test]
fn method_override_stays_behind_over_http2() {
    let site = TlsGateway::open();
    for name in OVERRIDES.map(str::to_lowercase) {
        let fields = [(name.as_str(), "DELETE")];
        assert_eq!(http2(&site).get("/public/a", &fields).status, 200);
        assert!(!site.upstream.last().head.contains("DELETE"), "{name}");
    }
    site.upstream.behave(Behaviour::Mirror);
}

//! Who sent a request: believed from trusted proxies, overwritten for everybody else.

use super::{ForwardingGateway, mentions, spellings, with};
use crate::harness::client::get;
use crate::harness::upstream::Received;

/// What clients claim under these names is nobody's word but their own.
const CLAIMED: [(&str, &str); 10] = [
    ("X-Forwarded-For", "198.51.100.66"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "spoofed.test"),
    ("X-Forwarded-Port", "spoofed"),
    ("X-Forwarded-Prefix", "/spoofed"),
    ("X-Forwarded-User", "spoofed"),
    ("Forwarded", "for=198.51.100.66;proto=https;host=spoofed.test"),
    ("X-Real-IP", "198.51.100.66"),
    ("X-Client-IP", "198.51.100.66"),
    ("True-Client-IP", "198.51.100.66"),
];

#[test]
fn untrusted_word_on_forwarding_is_overwritten_in_every_spelling() {
    let forwarding = ForwardingGateway::start();
    for (name, value) in CLAIMED {
        let spellings = spellings(name);
        let mut fields: Vec<_> = spellings.iter().map(|name| (name.as_str(), value)).collect();
        fields.push((name, value));
        let received = forwarding.forward(get("/public/a", &fields));
        assert!(!mentions(&received, value), "{name} in {}", received.head);
        assert_eq!(received.values("x-forwarded-for"), ["127.0.0.1"], "{name}");
        assert_eq!(received.values("x-forwarded-proto"), ["http"], "{name}");
        assert_ours_or_none(&received, "x-forwarded-host", "gateway.test");
        let forwarded = "for=127.0.0.1;proto=http;host=\"gateway.test\"";
        assert_ours_or_none(&received, "forwarded", forwarded);
    }
}

/// What says nothing that other headers do not may be left out, but is never anybody else's.
#[track_caller]
fn assert_ours_or_none(received: &Received, name: &str, expected: &str) {
    let values = received.values(name);
    assert!(values.is_empty() || values == [expected], "{name}: {values:?}");
}

#[test]
fn untrusted_host_and_forwarded_are_replaced_by_ours() {
    let received = ForwardingGateway::start().forward(get("/public/a", &CLAIMED));
    assert_eq!(received.values("x-forwarded-host"), ["gateway.test"]);
    let expected = ["for=127.0.0.1;proto=http;host=\"gateway.test\""];
    assert_eq!(received.values("forwarded"), expected);
}

#[test]
fn everybody_is_untrusted_unless_listed() {
    let forwarding =
        ForwardingGateway::start_with(with("trusted_proxies: [10.0.0.0/8, 127.0.0.2]"));
    let received = forwarding.forward(get("/public/a", &CLAIMED));
    assert!(!mentions(&received, "198.51.100.66") && !mentions(&received, "spoofed.test"));
    let line = forwarding.gateway.logged(|line| line["path"] == "/public/a");
    assert_eq!(line["client"], "127.0.0.1");
}

fn trusting() -> ForwardingGateway {
    ForwardingGateway::start_with(with("trusted_proxies: [127.0.0.0/8]"))
}

#[test]
fn trusted_word_on_forwarding_is_continued() {
    let fields = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.test"),
        // It is written anew from the others, which the proxy in front is known to set.
        ("Forwarded", "for=198.51.100.66"),
    ];
    let received = trusting().forward(get("/public/a", &fields));
    assert_eq!(received.values("x-forwarded-for"), ["203.0.113.9, 127.0.0.1"]);
    assert_eq!(received.values("x-forwarded-proto"), ["https"]);
    assert_eq!(received.values("x-forwarded-host"), ["shop.test"]);
    assert_eq!(received.values("forwarded"), ["for=203.0.113.9;proto=https;host=\"shop.test\""]);
}

/// Only it knows at which port and below which path it is reached; `Host` may say neither.
#[test]
fn trusted_word_on_port_and_prefix_is_passed_on() {
    let forwarding = trusting();
    for (port, prefix) in [("8443", "/shop"), ("1", "/"), ("65535", "/a/b-c_d.e~f/")] {
        let fields = [("X-Forwarded-Port", port), ("X-Forwarded-Prefix", prefix)];
        let received = forwarding.forward(get("/public/a", &fields));
        assert_eq!(received.values("x-forwarded-port"), [port]);
        assert_eq!(received.values("x-forwarded-prefix"), [prefix]);
    }
    for port in ["", "0", "65536", "+80", "80, 443", "http", "-1"] {
        let received = forwarding.forward(get("/public/a", &[("X-Forwarded-Port", port)]));
        assert_eq!(received.values("x-forwarded-port"), [""; 0], "{port}");
    }
    for prefix in ["", "shop", "//evil.test", "/a, /b", "/a?b", r"/a\b", "/a%2fb", "https://a.test"]
    {
        let received = forwarding.forward(get("/public/a", &[("X-Forwarded-Prefix", prefix)]));
        assert_eq!(received.values("x-forwarded-prefix"), [""; 0], "{prefix}");
    }
    for (name, value) in [("X-Forwarded-Port", "80"), ("X-Forwarded-Prefix", "/a")] {
        let received = forwarding.forward(get("/public/a", &[(name, value), (name, value)]));
        assert_eq!(received.values(name), [""; 0], "{name}");
        let received = ForwardingGateway::start().forward(get("/public/a", &[(name, value)]));
        assert_eq!(received.values(name), [""; 0], "{name}");
    }
}

#[test]
fn trusted_proxy_that_says_nothing_is_the_client_itself() {
    let received = trusting().forward(get("/public/a", &[]));
    assert_eq!(received.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.values("x-forwarded-proto"), ["http"]);
    assert_ours_or_none(&received, "x-forwarded-host", "gateway.test");
}

#[test]
fn hops_on_several_lines_are_joined_in_order() {
    let fields = [("X-Forwarded-For", "203.0.113.9"), ("x-forwarded-for", "127.0.0.7, 127.0.0.8")];
    let received = trusting().forward(get("/public/a", &fields));
    let expected = ["203.0.113.9, 127.0.0.7, 127.0.0.8, 127.0.0.1"];
    assert_eq!(received.values("x-forwarded-for"), expected);
}

/// What stands left of the last untrusted hop was written by that hop, not by a proxy of ours.
#[test]
fn client_is_the_last_hop_that_no_trusted_proxy_vouches_for() {
    let forwarding = trusting();
    for (path, hops, client) in [
        ("/public/1", "198.51.100.66, 203.0.113.9", "203.0.113.9"),
        ("/public/2", "198.51.100.66, 203.0.113.9, 127.0.0.7", "203.0.113.9"),
        ("/public/3", "203.0.113.9, nonsense", "127.0.0.1"),
        ("/public/4", "[2001:db8::7]:4711", "2001:db8::7"),
    ] {
        forwarding.forward(get(path, &[("X-Forwarded-For", hops)]));
        assert_eq!(
            forwarding.gateway.logged(|line| line["path"] == path)["client"],
            client,
            "{hops}"
        );
    }
}

#[test]
fn trusted_word_in_other_spellings_and_other_headers_is_still_dropped() {
    let forwarding = trusting();
    for (name, value) in CLAIMED {
        let ours = !["X-Forwarded-User", "Forwarded"].contains(&name) && name.starts_with("X-F");
        let spellings = spellings(name);
        // The real name, in whatever case, is read.
        let others = spellings.iter().filter(|other| !(ours && other.eq_ignore_ascii_case(name)));
        let fields: Vec<_> = others.map(|name| (name.as_str(), value)).collect();
        let received = forwarding.forward(get("/public/a", &fields));
        assert!(!mentions(&received, value), "{name} in {}", received.head);
    }
}

#[test]
fn trusted_word_that_is_no_protocol_is_replaced() {
    let forwarding = trusting();
    for proto in ["ftp", "HTTPS, http", "", "https;a"] {
        let received = forwarding.forward(get("/public/a", &[("X-Forwarded-Proto", proto)]));
        assert_eq!(received.values("x-forwarded-proto"), ["http"], "{proto}");
    }
}

#[test]
fn host_that_was_asked_for_is_told_as_it_was_sent() {
    let forwarding = ForwardingGateway::start();
    let received = forwarding.forward(get("/public/a", &[("Host", "Shop.TEST:8080")]));
    assert_eq!(received.values("host"), ["Shop.TEST:8080"]);
    assert_ours_or_none(&received, "x-forwarded-host", "Shop.TEST:8080");
}

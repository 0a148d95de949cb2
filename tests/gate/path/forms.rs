//! The forms of a target: `CONNECT`, authority, asterisk, and absolute.

use super::*;

#[test]
fn connect_is_refused_with_a_slug_in_every_form() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for target in ["gateway.test:443", "gateway.test", "127.0.0.1:22", "*"] {
        guarded.cuts_off(line("CONNECT", target), 400, TARGET);
    }
    for target in ["/x", "/", "http://gateway.test/x", "http://gateway.test"] {
        let mut connection = guarded.connect();
        let answer = connection.exchange(line("CONNECT", target));
        assert!(matches!(answer.status, 400 | 405 | 501), "{target}: {answer:?}");
        assert!(guarded.upstream.received().is_empty(), "{target} was forwarded");
        // Contract, "Denials": the same slug stands in body, log and metric.
        let slug = answer.slug();
        guarded.gateway.logged(|line| line["slug"] == slug.as_str() && line["method"] == "CONNECT");
    }
}

#[test]
fn targets_in_authority_asterisk_and_opaque_form_are_refused() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for method in ["GET", "POST", "OPTIONS"] {
        for target in [
            "gateway.test:80",
            "gateway.test",
            "*",
            "*/",
            "foo:bar",
            "mailto:a@b.test",
            "javascript:alert(1)",
            "x",
            "x/y",
            "?x=y",
            "../x",
            "./x",
            "%2fadmin/x",
            ":/x",
            "://gateway.test/x",
            "//",
            "ftp://gateway.test/x",
            "file:///x",
            "ws://gateway.test/x",
            "httpx://gateway.test/x",
            "http:x",
            "http:/x",
            "http:gateway.test/x",
            "http://",
            "http:///x",
            "http://?x",
            "http:\\\\gateway.test\\x",
        ] {
            guarded.denies(line(method, target), 400, TARGET);
        }
    }
}

#[test]
fn absolute_form_with_the_same_host_is_forwarded_in_origin_form() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for (target, forwarded) in [
        ("http://gateway.test/x", "/x"),
        ("http://gateway.test/x?y=http://z", "/x?y=http://z"),
        ("HTTP://gateway.test/x", "/x"),
        ("https://gateway.test/x/", "/x/"),
        ("http://gateway.test/", "/"),
        ("http://gateway.test", "/"),
        ("http://gateway.test?x=/y", "/?x=/y"),
    ] {
        guarded.forwards(line("GET", target));
        let received = guarded.upstream.last();
        assert_eq!(received.line(), format!("GET {forwarded} HTTP/1.1"), "{target}");
        assert_eq!(received.values("host"), ["gateway.test"], "{target}");
    }
}

#[test]
fn absolute_form_does_not_lead_around_the_policy() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for target in [
        "http://gateway.test/admin/x",
        "https://gateway.test/admin/",
        "HTTP://gateway.test/admin/x?/open",
    ] {
        guarded.denies(line("GET", target), 401, "credential_absent");
    }
    for target in [
        "http://gateway.test//admin/x",
        "http://gateway.test/x/../admin/y",
        "http://gateway.test/%61dmin/x",
    ] {
        guarded.denies(line("GET", target), 400, TARGET);
    }
}

#[test]
fn absolute_form_with_another_host_is_refused() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for target in [
        "http://other.test/x",
        "http://gateway.test:80/x",
        "http://gateway.test:/x",
        "http://gateway.test./x",
        "http://gateway.test.other.test/x",
        "http://user@gateway.test/x",
        "http://gateway.test@other.test/x",
        "http://gateway.test:80@other.test/x",
        "http://gateway%2etest/x",
        "http://127.0.0.1/x",
        "http://[::1]/x",
    ] {
        guarded.cuts_off(line("GET", target), 400, TARGET);
    }
}

#[test]
fn absolute_form_with_a_forbidden_character_behind_its_host_is_refused() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for target in [
        "http://gateway.test#@other.test/x",
        "http://gateway.test#/x",
        "http://gateway.test\\@other.test/x",
        "http://gateway.test\\x/y",
        "http://gateway.test/x#y",
        "http://gateway.test?x#y",
        "http://gateway.test/x\\y",
    ] {
        guarded.denies(line("GET", target), 400, TARGET);
    }
}

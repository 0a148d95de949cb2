//! Whom a request is for: its line, its host, its version.

use super::*;

#[test]
fn request_without_exactly_one_plain_host_is_refused() {
    let guarded = GuardedUpstream::build();
    // HTTP/1.0 does not require one.
    for lines in ["", "X: y\r\n"] {
        guarded.denies(format!("GET /public/x HTTP/1.1\r\n{lines}\r\n"), 400, "host_missing");
        guarded.forwards(format!("GET /public/x HTTP/1.0\r\n{lines}\r\n"));
    }
    let reached = guarded.upstream.received().len();
    for lines in [
        "Host: gateway.test\r\nHost: gateway.test\r\n",
        "Host: gateway.test\r\nHost: other.test\r\n",
        "Host: gateway.test\r\nhost: other.test\r\n",
        "Host: user@gateway.test\r\n",
        "Host: user:secret@gateway.test\r\n",
        "Host: @gateway.test\r\n",
        "Host:\r\n",
        "Host: \r\n",
        "Host: :80\r\n",
        "Host: gateway.test, other.test\r\n",
        "Host: gateway.test other.test\r\n",
        "Host: gateway.test/public\r\n",
        "Host: gateway.test?x\r\n",
        "Host: gateway.test#x\r\n",
        "Host: gateway.test\\x\r\n",
        "Host: gateway.test:80:80\r\n",
        "Host: gateway.test:x\r\n",
        "Host: gateway.test:+80\r\n",
        "Host: gateway.test:123456\r\n",
        "Host: [::1\r\n",
        "Host: <b>\r\n",
        "Host: gateway.test..\r\n",
        "Host: .gateway.test\r\n",
        "Host: gateway..test\r\n",
        "Host: .\r\n",
        "Host: g\u{e4}teway.test\r\n",
    ] {
        for version in ["1.1", "1.0"] {
            let head = format!("GET /public/x HTTP/{version}\r\n{lines}\r\n");
            guarded.denies(head, 400, "host_missing");
        }
    }
    assert_eq!(guarded.upstream.received().len(), reached);
}

#[test]
fn versions_other_than_1_0_and_1_1_are_refused() {
    let guarded = GuardedUpstream::build();
    for version in [
        "HTTP/2.0",
        "HTTP/2",
        "HTTP/3.0",
        "HTTP/1.2",
        "HTTP/1.10",
        "HTTP/1.01",
        "HTTP/01.1",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/0.9",
        "HTTP/ 1.1",
        "HTTP/+1.1",
        "http/1.1",
        "Http/1.1",
        "HTTPS/1.1",
        "HTTP-1.1",
        "1.1",
        "",
        "HTTP/1.1 ",
        "HTTP/1.1\t",
    ] {
        let head = format!("GET /public/x {version}\r\nHost: gateway.test\r\n\r\n");
        guarded.cuts_off(head, 400, FRAMING);
    }
}

#[test]
fn request_line_without_a_version_is_refused() {
    let guarded = GuardedUpstream::build();
    for head in ["GET /public/x\r\n", "GET /public/x\r\n\r\n", "GET\r\n\r\n", "/public/x\r\n\r\n"] {
        guarded.cuts_off(head, 400, FRAMING);
    }
}

#[test]
fn request_line_with_odd_spacing_is_refused() {
    let guarded = GuardedUpstream::build();
    for line in [
        "GET  /public/x HTTP/1.1",
        "GET /public/x  HTTP/1.1",
        "GET\t/public/x\tHTTP/1.1",
        "GET\t/public/x HTTP/1.1",
        "GET\x0b/public/x HTTP/1.1",
        "GET\x0c/public/x HTTP/1.1",
        " GET /public/x HTTP/1.1",
        "GET /public/x HTTP/1.1 HTTP/1.1",
        "GET /public/x y HTTP/1.1",
        "GET /public/x HTTP/1.1 /public/y HTTP/1.1",
    ] {
        guarded.cuts_off(format!("{line}\r\nHost: gateway.test\r\n\r\n"), 400, FRAMING);
    }
}

#[test]
fn methods_that_are_not_tokens_are_refused() {
    let guarded = GuardedUpstream::build();
    for method in ["", "G@T", "G/T", "G(T)", "\"GET\"", "G\u{e9}T", "G\0T", "GET:", "\u{feff}GET"] {
        let head = format!("{method} /public/x HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        guarded.cuts_off(head, 400, FRAMING);
    }
}

#[test]
fn preface_of_http2_is_refused_on_a_plain_connection() {
    let guarded = GuardedUpstream::build();
    guarded.cuts_off("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 400, FRAMING);
}

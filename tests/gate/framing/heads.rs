//! Heads: where a body ends, where a line ends, and whom a request is for.

mod limits;
mod target;

use super::{GuardedUpstream, SMUGGLED};
use crate::harness::client::get;
use crate::harness::gateway::standard;
use crate::harness::tokens::{bearer, token};

const FRAMING: &str = "request_framing";

/// A `POST` with these header lines, and after it what must not be taken for a request.
fn post(lines: &str) -> String {
    format!("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\n{lines}\r\n\r\n{SMUGGLED}")
}

#[test]
fn content_length_beside_transfer_encoding_is_refused() {
    let guarded = GuardedUpstream::build();
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "content-length: 5\r\nX: y\r\nTRANSFER-ENCODING: chunked",
        "Content-Length: 5\r\nTransfer-Encoding: identity",
        "Content-Length: 5\r\nTransfer-Encoding: ",
        "Content-Length: \r\nTransfer-Encoding: chunked",
        "Content-Length: x\r\nTransfer-Encoding: chunked",
    ] {
        guarded.cuts_off(post(lines), 400, FRAMING);
    }
    guarded.kept_out();
}

#[test]
fn repeated_content_length_is_refused_even_if_equal() {
    let guarded = GuardedUpstream::build();
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0\r\nContent-Length: 0",
        "Content-Length: 5\r\ncontent-length: 5",
        "Content-Length: 5\r\nX: y\r\nCONTENT-LENGTH: 0",
        "Content-Length: 5, 5",
        "Content-Length: 5,5",
        "Content-Length: 5,",
        "Content-Length: ,5",
    ] {
        guarded.cuts_off(post(lines), 400, FRAMING);
    }
    guarded.kept_out();
}

#[test]
fn content_length_that_is_not_plain_digits_is_refused() {
    let guarded = GuardedUpstream::build();
    for length in [
        "",
        " ",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5h",
        "5.0",
        "5e0",
        "5 5",
        "5;",
        "\"5\"",
        "1_000",
        "\u{0665}",
        "five",
        "18446744073709551615",
        "18446744073709551621",
        "99999999999999999999999999999999",
    ] {
        guarded.cuts_off(post(&format!("Content-Length: {length}")), 400, FRAMING);
    }
    guarded.kept_out();
}

#[test]
fn transfer_encoding_other_than_chunked_is_refused() {
    let guarded = GuardedUpstream::build();
    for lines in [
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: x-chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \x0cchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chun\tked",
        "Transfer-Encoding: chun ked",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding: chun\u{212a}ed",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\ntransfer-encoding: chunked",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    ] {
        guarded.cuts_off(post(lines), 400, FRAMING);
    }
    guarded.kept_out();
}

#[test]
fn transfer_encoding_in_odd_dress_reaches_the_upstream_in_plain() {
    let guarded = GuardedUpstream::build();
    for line in [
        "Transfer-Encoding:chunked",
        "transfer-encoding: CHUNKED",
        "TE: x\r\nTransfer-Encoding:\tchunked\t ",
    ] {
        let head = format!("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\n{line}\r\n\r\n");
        guarded.forwards(head + "5\r\nhello\r\n0\r\n\r\n");
        let received = guarded.upstream.last();
        assert_eq!(received.values("transfer-encoding"), ["chunked"], "{line}");
        assert_eq!(received.values("content-length"), [""; 0], "{line}");
        assert_eq!(received.body, "5\r\nhello\r\n0\r\n\r\n", "{line}");
    }
}

#[test]
fn chunked_request_of_http_1_0_is_refused() {
    let guarded = GuardedUpstream::build();
    for lines in ["", "Connection: keep-alive\r\n"] {
        let head = format!(
            "POST /public/x HTTP/1.0\r\nHost: gateway.test\r\n{lines}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
        );
        guarded.cuts_off(head, 400, FRAMING);
    }
    guarded.kept_out();
}

#[test]
fn folded_header_lines_are_refused() {
    let guarded = GuardedUpstream::build();
    for lines in [
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\r\n ",
        "X:\r\n a",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\n , identity",
        "X: a\r\n Content-Length: 5",
        "X: a\r\n\tTransfer-Encoding: chunked",
    ] {
        guarded.cuts_off(post(lines), 400, FRAMING);
    }
    guarded.cuts_off("GET /public/x HTTP/1.1\r\n Host: gateway.test\r\n\r\n", 400, FRAMING);
    guarded.cuts_off(
        "GET /public/x HTTP/1.1\r\n\tX: y\r\nHost: gateway.test\r\n\r\n",
        400,
        FRAMING,
    );
    guarded.kept_out();
}

#[test]
fn header_names_that_are_not_tokens_are_refused() {
    let guarded = GuardedUpstream::build();
    for lines in [
        "Content-Length : 5",
        "Content-Length\t: 5",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\x0b: chunked",
        "Transfer Encoding: chunked",
        " Transfer-Encoding: chunked",
        "\"Transfer-Encoding\": chunked",
        "X",
        "X y",
        ": y",
        " : y",
        "X(1): y",
        "X/1: y",
        "X@1: y",
        "X[1]: y",
        "X\u{e9}: y",
        "X\0: y",
        "X\x01: y",
        "X\x7f: y",
        "X\r: y",
    ] {
        guarded.cuts_off(post(lines), 400, FRAMING);
    }
    guarded.kept_out();
}

#[test]
fn bare_line_feed_is_refused_wherever_it_stands() {
    let guarded = GuardedUpstream::build();
    for head in [
        "GET /public/x HTTP/1.1\nHost: gateway.test\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: gateway.test\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: gateway.test\r\n\n",
        "GET /public/x HTTP/1.1\r\nHost: gateway.test\n\n",
        "GET /public/x HTTP/1.1\nHost: gateway.test\n\n",
        "GET /public/x HTTP/1.1\r\nX: a\nContent-Length: 5\r\nHost: gateway.test\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nX: a\n\r\nHost: gateway.test\r\n\r\n",
        "GET /public/x\nHTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "GET\n/public/x HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "GET /public/\nx HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "\nGET /public/x HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: gateway.test\r\nX: a\r\r\n\n\r\n\r\n",
    ] {
        guarded.cuts_off(format!("{head}{SMUGGLED}"), 400, FRAMING);
    }
    guarded.kept_out();
}

#[test]
fn bare_carriage_return_is_refused_wherever_it_stands() {
    let guarded = GuardedUpstream::build();
    for lines in [
        "X: a\rb",
        "X: a\r",
        "X: \ra",
        "X: a\rContent-Length: 5",
        "X: a\rTransfer-Encoding: chunked",
        "X\r: a",
        "\rX: a",
        "\r",
    ] {
        guarded.cuts_off(post(lines), 400, FRAMING);
    }
    guarded.cuts_off("GET /public/x HTTP/1.1\r\r\nHost: gateway.test\r\n\r\n", 400, FRAMING);
    guarded.cuts_off("\rGET /public/x HTTP/1.1\r\nHost: gateway.test\r\n\r\n", 400, FRAMING);
    guarded.kept_out();
}

#[test]
fn control_characters_in_values_are_refused_but_for_the_tab() {
    let guarded = GuardedUpstream::build();
    for byte in (0..=0x1f_u8).chain([0x7f]).filter(|byte| !b"\t\n\r".contains(byte)) {
        let mut bytes = b"GET /public/x HTTP/1.1\r\nHost: gateway.test\r\nX: a".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(b"b\r\n\r\n");
        guarded.cuts_off(bytes, 400, FRAMING);
    }
    guarded.forwards(get("/public/x", &[("X", "a\tb")]));
    assert_eq!(guarded.upstream.last().values("x"), ["a\tb"]);
}

#[test]
fn leading_empty_lines_are_refused_but_for_one() {
    let guarded = GuardedUpstream::build();
    guarded.forwards(format!("\r\n{}", get("/public/x", &[])));
    guarded.cuts_off(format!("\n{SMUGGLED}"), 400, FRAMING);
    guarded.cuts_off(format!("\r\n\r\n{SMUGGLED}"), 400, FRAMING);
    guarded.kept_out();
}

#[test]
fn more_than_one_authorization_is_refused_on_every_route() {
    let guarded = GuardedUpstream::build();
    let good = bearer(&token(serde_json::json!({})));
    let other = bearer(&token(serde_json::json!({"sub": "mallory"})));
    for path in ["/public/x", "/orders/x", "/whoami"] {
        for second in [&good, &other, &"Basic YTpi".to_owned(), &String::new()] {
            for name in ["Authorization", "authorization", "AUTHORIZATION"] {
                let fields = [("Authorization", &*good), (name, &**second)];
                guarded.denies(get(path, &fields), 400, "credential_malformed");
            }
        }
    }
}

#[test]
fn refused_heads_are_counted_and_logged_under_their_slug() {
    let guarded = GuardedUpstream::build();
    guarded.cuts_off(post("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400, FRAMING);
    let line = guarded.gateway.logged(|line| line["slug"] == FRAMING);
    assert_eq!((&line["status"], &line["outcome"]), (&400.into(), &"denied".into()));
    assert_eq!((&line["method"], &line["path"]), (&"POST".into(), &"/public/x".into()));
    let series = "portcullis_decisions_total{carrier=\"none\",outcome=\"denied\",route=\"\",slug=\"request_framing\"}";
    assert_eq!(guarded.gateway.metric(series), 1.0);
}

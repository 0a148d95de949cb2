//! What must not pass with a request: upgrades, and fields that are struck out.

use super::*;

#[test]
fn framing_headers_cannot_be_struck_out_through_connection() {
    let guarded = GuardedUpstream::build();
    for (nominated, framing, body) in [
        ("Content-Length", format!("Content-Length: {}", SMUGGLED.len()), SMUGGLED.to_owned()),
        (
            "close, content-length",
            format!("Content-Length: {}", SMUGGLED.len()),
            SMUGGLED.to_owned(),
        ),
        (
            "Transfer-Encoding",
            "Transfer-Encoding: chunked".to_owned(),
            format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()),
        ),
    ] {
        let sent = format!(
            "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nConnection: {nominated}\r\n{framing}\r\n\r\n{body}"
        );
        let mut connection = guarded.connect();
        connection.send(&sent);
        let answer = connection.answer().expect("an answer");
        match answer.status {
            200 => {
                let received = guarded.upstream.last();
                assert!(received.body.contains(SMUGGLED), "{nominated}: {received:?}");
            }
            status => assert_eq!((status, answer.slug().as_str()), (400, "request_framing")),
        }
        guarded.kept_out();
    }
}

#[test]
fn host_cannot_be_struck_out_through_connection() {
    let guarded = GuardedUpstream::build();
    for nominated in ["Host", "close, host", "X-Forwarded-For", ":authority", "\"X\"", "X Y"] {
        let sent = get("/public/x", &[("Connection", nominated)]);
        guarded.denies(sent, 400, "request_framing");
    }
}

#[test]
fn upgrades_other_than_websocket_are_not_passed_on() {
    let guarded = GuardedUpstream::build();
    for upgrade in [
        "h2c",
        "H2C",
        "h2c, websocket",
        "websocket, h2c",
        "TLS/1.0",
        "HTTP/2.0",
        "websocket\t, h2c",
    ] {
        let sent = get(
            "/public/x",
            &[
                ("Connection", "Upgrade, HTTP2-Settings"),
                ("Upgrade", upgrade),
                ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
            ],
        );
        let mut connection = guarded.connect();
        connection.send(sent);
        let answer = connection.answer().expect("an answer");
        assert!(matches!(answer.status, 200 | 400), "{upgrade}: {answer:?}");
        if answer.status == 200 {
            let names = guarded.upstream.last().names();
            for name in ["upgrade", "http2-settings"] {
                assert!(!names.contains(&name.to_owned()), "{upgrade}: {names:?}");
            }
        }
    }
}

#[test]
fn upgrade_that_the_upstream_declines_opens_no_tunnel() {
    for body in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let guarded = GuardedUpstream::build();
        let mut connection = guarded.connect();
        connection.send(format!(
            "GET /public/x HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{body}\r\n"
        ));
        connection.send(SMUGGLED);
        let answer = connection.answer();
        assert!(answer.is_none_or(|answer| matches!(answer.status, 200 | 400)), "{body:?}");
        assert!(connection.answer().is_none(), "{body:?} was answered twice");
        guarded.kept_out();
        assert!(guarded.upstream.received().len() <= 1, "{body:?}");
    }
}

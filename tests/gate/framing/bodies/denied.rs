//! Bodies of denied requests are never taken for requests.

use super::*;

#[test]
fn body_of_a_denied_request_is_never_taken_for_a_request() {
    let guarded = GuardedUpstream::build();
    let length = SMUGGLED.len();
    let size = format!("{length:x}");
    for sent in [
        format!(
            "POST /orders/1 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
        ),
        format!(
            "POST /orders/1 HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{SMUGGLED}\r\n0\r\n\r\n"
        ),
        format!(
            "GET /orders/1 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
        ),
        format!(
            "HEAD /nowhere HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
        ),
        format!(
            "DELETE /orders/1 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
        ),
    ] {
        let mut connection = guarded.connect();
        connection.send(&sent);
        let denied = if sent.starts_with("HEAD") {
            connection.head_answer()
        } else {
            connection.answer().expect("an answer")
        };
        assert!(matches!(denied.status, 401 | 404 | 405), "{denied:?}");
        // The connection stays open; what comes next on it is answered, and nothing in between.
        let answer = connection.exchange(get("/public/honest", &[]));
        assert_eq!(answer.body, "GET /public/honest HTTP/1.1", "after {}", shown(sent.as_bytes()));
        guarded.kept_out();
    }
}

#[test]
fn late_body_of_a_denied_request_is_never_taken_for_a_request() {
    let guarded = GuardedUpstream::build();
    let length = SMUGGLED.len();
    let mut connection = guarded.connect();
    connection.send(format!(
        "POST /orders/1 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n"
    ));
    connection.send(SMUGGLED);
    let denied = connection.answer().expect("an answer");
    assert_eq!((denied.status, denied.slug().as_str()), (401, "credential_absent"));
    let answer = connection.exchange(get("/public/honest", &[]));
    assert_eq!(answer.body, "GET /public/honest HTTP/1.1");
    guarded.kept_out();
}

#[test]
fn large_body_of_a_denied_request_ends_the_connection() {
    let guarded = GuardedUpstream::build();
    let body = SMUGGLED.repeat(64 * 1024 / SMUGGLED.len() + 1);
    let mut connection = guarded.connect();
    connection.send(request("POST", "/orders/1", &[], &body));
    let denied = connection.answer().expect("an answer");
    assert_eq!((denied.status, denied.slug().as_str()), (401, "credential_absent"));
    assert_eq!(denied.field("connection"), Some("close"));
    assert!(connection.answer().is_none());
    guarded.kept_out();
}

#[test]
fn malformed_body_of_a_denied_request_ends_the_connection() {
    let guarded = GuardedUpstream::build();
    let head = CHUNKED.replace("/public/x", "/orders/1");
    for body in malformed_bodies() {
        let mut connection = guarded.connect();
        connection.send(format!("{head}{body}"));
        if let Some(denied) = connection.answer() {
            assert!(matches!(denied.status, 400 | 401), "{denied:?}");
            assert!(connection.answer().is_none(), "{} was answered twice", shown(body.as_bytes()));
        }
        guarded.kept_out();
    }
    assert!(guarded.upstream.received().is_empty());
}

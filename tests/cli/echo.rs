//! `portcullis echo`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use serde_json::json;

use crate::harness::client::{Connection, exchange, get, request};
use crate::harness::program::{program, run};

/// A running echo; it is killed when dropped.
struct Echo {
    child: Child,
    address: SocketAddr,
}

impl Echo {
    fn start() -> Self {
        let mut child = program(&std::env::temp_dir(), &["echo", "--address", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        stderr.read_line(&mut line).expect("a line");
        let address = line.trim_end().strip_prefix("echo listens on ");
        let address = address.and_then(|address| address.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address in {line}")) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn request_is_told_back() {
    let echo = Echo::start();
    let answer = exchange(echo.address, get("/orders/7?a=b&c", &[("X-Auth-Subject", "alice")]));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(
        answer.json(),
        json!({
            "method": "GET",
            "target": "/orders/7?a=b&c",
            "headers": {"host": "gateway.test", "x-auth-subject": "alice"},
            "body_bytes": 0,
        })
    );
}

#[test]
fn body_is_counted() {
    let echo = Echo::start();
    let answer = exchange(echo.address, request("POST", "/", &[], &"b".repeat(70_000)));
    assert_eq!(
        (&answer.json()["method"], &answer.json()["body_bytes"]),
        (&json!("POST"), &json!(70_000))
    );
}

#[test]
fn every_method_is_answered() {
    let echo = Echo::start();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"] {
        let answer = exchange(echo.address, request(method, "/", &[], ""));
        assert_eq!((answer.status, &answer.json()["method"]), (200, &json!(method)));
    }
}

#[test]
fn repeated_headers_are_told_together() {
    let echo = Echo::start();
    let answer = exchange(echo.address, get("/", &[("X-Role", "clerk"), ("x-role", "boss")]));
    assert_eq!(answer.json()["headers"]["x-role"], "clerk, boss");
}

#[test]
fn header_that_is_no_text_is_told_all_the_same() {
    let echo = Echo::start();
    let request = [b"GET / HTTP/1.1\r\nHost: a\r\nX-Name: Zo".as_slice(), b"\xeb\r\n\r\n"].concat();
    let answer = exchange(echo.address, request);
    assert_eq!(answer.json()["headers"]["x-name"], "Zo\u{fffd}");
}

#[test]
fn connection_is_kept() {
    let echo = Echo::start();
    let mut connection = Connection::open(echo.address);
    for target in ["/a", "/b"] {
        assert_eq!(connection.exchange(get(target, &[])).json()["target"], target);
    }
}

#[test]
fn address_that_is_taken_fails() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let ran = run(&std::env::temp_dir(), &["echo", "--address", &address]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(
        ran.stderr.starts_with(&format!("portcullis: cannot listen on {address}: ")),
        "{ran:?}"
    );
}

#[test]
fn what_is_not_an_address_is_bad_input() {
    for address in ["", "localhost", "127.0.0.1", "127.0.0.1:65536"] {
        let option = format!("--address={address}");
        assert_eq!(run(&std::env::temp_dir(), &["echo", &option]).code, 2, "{address}");
    }
}

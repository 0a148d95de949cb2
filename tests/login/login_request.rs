//! Bodies that are not quite a login, and bodies that never end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::PATIENCE;
use crate::harness::client::{self, Connection};
use crate::harness::login::{self, PASSWORD};
use crate::harness::password_login::{
    FORM, JSON, LoginGateway, NAVIGATION, assert_refused, encoded,
};

/// The largest body that is read.
const BYTES_MAX: usize = 16 * 1024;

#[test]
fn content_type_decides_how_a_body_is_read() {
    let site = LoginGateway::open();
    let json = json!({ "username": "alice", "password": PASSWORD }).to_string();
    let form = encoded(&[("username", "alice"), ("password", PASSWORD)]);
    for kind in [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x"]
    {
        assert_eq!(site.post(&[("Content-Type", kind)], &json).status, 200, "{kind}");
    }
    for kind in [FORM, "application/x-www-form-urlencoded; charset=UTF-8"] {
        assert_eq!(site.post(&[("Content-Type", kind)], &form).status, 303, "{kind}");
    }
    // A form that a page of any origin may send without asking, in the disguise of JSON.
    for kind in
        ["text/plain", "multipart/form-data; boundary=x", "application/problem+json", "json", ""]
    {
        assert_refused(&site.post(&[("Content-Type", kind)], &json), 400, "request_body");
    }
    assert_refused(&site.post(&[], &json), 400, "request_body");
    assert_refused(&site.post(&[("Content-Type", JSON)], &form), 400, "request_body");
    assert_refused(&site.post(&[("Content-Type", FORM)], &json), 400, "request_body");
    let both = [("Content-Type", JSON), ("Content-Type", FORM)];
    assert_refused(&site.post(&both, &json), 400, "request_framing");
    let count = "portcullis_logins_total{method=\"password\",result=\"malformed\"}";
    assert_eq!(site.gateway.metric(count), 8.0);
}

#[test]
fn json_that_is_not_a_login_is_refused() {
    let site = LoginGateway::open();
    let right = format!("\"username\":\"alice\",\"password\":\"{PASSWORD}\"");
    let deep =
        |levels: usize| format!("{{{right},\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let bodies = [
        String::new(),
        "null".into(),
        "[]".into(),
        "\"alice\"".into(),
        "{".into(),
        format!("{{{right}"),
        format!("{{{right},}}"),
        format!("{{{right}}}{{}}"),
        format!("{{{right}}} // comment"),
        format!("\u{feff}{{{right}}}"),
        format!("{{{right},\"password\":\"x\"}}"),
        format!("{{{right},\"user\\u006eame\":\"bob\"}}"),
        format!("{{{right},\"otp\":\"123456\"}}"),
        format!("{{{right},\"deliver\":\"tokens\"}}"),
        format!("{{{right},\"deliver\":\"\"}}"),
        format!("{{{right},\"return_to\":null}}"),
        format!("{{{right},\"return_to\":[\"/\"]}}"),
        "{\"username\":\"alice\"}".into(),
        format!("{{\"password\":\"{PASSWORD}\"}}"),
        format!("{{\"username\":null,\"password\":\"{PASSWORD}\"}}"),
        format!("{{\"username\":[\"alice\"],\"password\":\"{PASSWORD}\"}}"),
        format!("{{\"username\":{{\"$ne\":\"\"}},\"password\":\"{PASSWORD}\"}}"),
        "{\"username\":\"alice\",\"password\":true}".into(),
        "{\"username\":\"alice\",\"password\":1e400}".into(),
        "{\"username\":\"alice\",\"password\":\"\\ud800\"}".into(),
        deep(10),
        deep(5000),
        "[".repeat(BYTES_MAX),
        "{\"a\":".repeat(BYTES_MAX / 5),
    ];
    for body in bodies {
        let answer = site.post(&[("Content-Type", JSON)], &body);
        assert_refused(&answer, 400, "request_body");
        let told = answer.json();
        assert!(told["detail"].is_string() && !answer.body.contains(PASSWORD), "{answer:?}");
    }
    let invalid = b"{\"username\":\"alice\",\"password\":\"\xff\"}";
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nHost: a.test\r\nContent-Type: {JSON}\r\nContent-Length: {}\r\n\r\n",
        invalid.len()
    );
    let answer = site.gateway.exchange([head.as_bytes(), invalid].concat());
    assert_refused(&answer, 400, "request_body");
    // Escapes of a string are not a trick but JSON.
    let answer = site.post(
        &[("Content-Type", JSON)],
        &format!("{{\"\\u0075sername\":\"\\u0061lice\",\"password\":\"{PASSWORD}\"}}"),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn form_that_is_not_a_login_is_refused() {
    let site = LoginGateway::open();
    let password = PASSWORD.replace(' ', "+");
    let right = format!("username=alice&password={password}");
    let bodies = [
        String::new(),
        "&".into(),
        "username=alice".into(),
        "username=alice&password".into(),
        "username=alice&password=".into(),
        format!("username=&password={password}"),
        format!("{right}&username=bob"),
        format!("{right}&user%6Eame=bob"),
        format!("{right}&password={password}"),
        format!("{right}&otp=1"),
        format!("{right}&username[]=bob"),
        format!("{right}&Username=bob"),
        format!("username=alice;password={password}"),
        format!("username=alice&password={password}%"),
        format!("username=alice&password={password}%zz"),
        "username=%c0%af&password=x".into(),
        "username=%ff&password=x".into(),
        "username=alice&password=%ed%a0%80".into(),
    ];
    for body in bodies {
        assert_refused(&site.post(&[("Content-Type", FORM)], &body), 400, "request_body");
        // A person gets a page that says so, and no password in it.
        let fields = [&NAVIGATION[..], &[("Content-Type", FORM)]].concat();
        let page = site.post(&fields, &body);
        assert_eq!((page.status, page.field("set-cookie")), (400, None), "{page:?}");
        assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.body.contains("<form") && !page.body.contains("correct"), "{page:?}");
    }
    for body in [
        format!("user%6eame=%61lice&p%61ssword={password}"),
        format!("&&{right}&&"),
        format!("username=alice&password={}", PASSWORD.replace(' ', "%20")),
    ] {
        let answer = site.post(&[("Content-Type", FORM)], &body);
        assert_eq!(answer.status, 303, "{body}: {answer:?}");
    }
}

/// A login with white space after it, so long in all.
fn padded(length: usize) -> String {
    let body = json!({ "username": "alice", "password": PASSWORD }).to_string();
    format!("{body}{}", " ".repeat(length - body.len()))
}

#[test]
fn body_is_read_up_to_its_bound_and_no_further() {
    let site = LoginGateway::open();
    let kind = [("Content-Type", JSON)];
    assert_eq!(site.post(&kind, &padded(BYTES_MAX)).status, 200);
    assert_refused(&site.post(&kind, &padded(BYTES_MAX + 1)), 413, "body_too_large");

    let chunked = |length: usize| {
        let body = padded(length);
        let pieces = body.as_bytes().chunks(1000);
        let pieces = pieces
            .map(|piece| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)));
        let fields = [("Content-Type", JSON), ("Transfer-Encoding", "chunked")];
        let head = client::request("POST", "/auth/login", &fields, "");
        site.gateway.exchange(format!("{head}{}0\r\n\r\n", pieces.collect::<String>()))
    };
    assert_eq!(chunked(BYTES_MAX).status, 200);
    assert_refused(&chunked(BYTES_MAX + 1), 413, "body_too_large");
}

#[test]
fn body_that_is_announced_too_large_is_refused_before_it_arrives() {
    let site = LoginGateway::open();
    for length in ["16385", "10000000000", "99999999999999999999"] {
        let fields = [("Content-Type", JSON), ("Content-Length", length)];
        let answer = site.gateway.exchange(client::request("POST", "/auth/login", &fields, ""));
        match length.len() {
            // No number that anybody means.
            20.. => assert!([400, 413].contains(&answer.status), "{answer:?}"),
            _ => assert_refused(&answer, 413, "body_too_large"),
        }
    }
}

/// Sends pieces until the gateway hangs up; how many bytes it took, and what it said.
fn send_without_end(
    site: &LoginGateway,
    kind: &str,
    piece: &[u8],
    pause: Duration,
) -> (usize, String) {
    let mut stream = TcpStream::connect(site.address()).expect("the gateway accepts");
    let fields = [("Content-Type", kind), ("Transfer-Encoding", "chunked")];
    let head = client::request("POST", "/auth/login", &fields, "");
    stream.write_all(head.as_bytes()).expect("a head");
    stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
    let (mut sent, mut said) = (0, Vec::new());
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "it is still listening");
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => said.extend_from_slice(&buffer[..bytes]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        // It may have hung up for writing only, or with our bytes unread.
        if stream.write_all(piece).is_ok() {
            sent += piece.len();
        }
        std::thread::sleep(pause);
    }
    (sent, String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn endless_body_is_cut_off() {
    let site = LoginGateway::open();
    let piece = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for kind in [JSON, FORM] {
        let (sent, said) = send_without_end(&site, kind, piece.as_bytes(), Duration::ZERO);
        assert!(sent < 16 * 1024 * 1024, "it took {sent} bytes");
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 413 "), "{said}");
    }
    site.gateway.logged(|line| line["status"] == 413 && line["slug"] == "body_too_large");
    // Nobody else notices.
    assert_eq!(login::attempt(site.address(), "alice", &[]).status, 200);
}

#[test]
fn body_has_to_arrive_in_ten_seconds_all_told() {
    let site = LoginGateway::open();
    std::thread::scope(|scope| {
        let drip = scope.spawn(|| {
            let begun = Instant::now();
            let pause = Duration::from_millis(250);
            let (_, said) = send_without_end(&site, JSON, b"1\r\n \r\n", pause);
            (said, begun.elapsed())
        });
        let silent = scope.spawn(|| {
            let begun = Instant::now();
            let fields = [("Content-Type", JSON), ("Content-Length", "100")];
            let head = client::request("POST", "/auth/login", &fields, "");
            let answer = site.gateway.exchange(head + "{\"username\":");
            assert_refused(&answer, 408, "request_timeout");
            begun.elapsed()
        });
        let (said, dripped) = drip.join().expect("an answer");
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        let waited = silent.join().expect("an answer");
        for elapsed in [dripped, waited] {
            let seconds = elapsed.as_secs_f32();
            assert!((9.0..18.0).contains(&seconds), "it waited for {seconds} s");
        }
    });
}

#[test]
fn body_that_breaks_off_is_nobodys_login() {
    let site = LoginGateway::open();
    let body = json!({ "username": "alice", "password": PASSWORD }).to_string();
    let length = (body.len() + 1).to_string();
    let fields = [("Content-Type", JSON), ("Content-Length", &*length)];
    let head = client::request("POST", "/auth/login", &fields, "");
    let mut connection = Connection::open(site.address());
    connection.send(head + &body);
    let stream = connection.into_stream();
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let mut said = String::new();
    let _ = (&stream).read_to_string(&mut said);
    assert!(!said.to_ascii_lowercase().contains("set-cookie"), "{said}");
    assert_eq!(site.gateway.metric("portcullis_sessions_created_total{method=\"password\"}"), 0.0);
}

#[test]
fn client_that_waits_to_be_told_is_told_to_go_on() {
    let site = LoginGateway::open();
    let body = json!({ "username": "alice", "password": PASSWORD }).to_string();
    let length = body.len().to_string();
    let mut fields =
        [("Content-Type", JSON), ("Expect", "100-continue"), ("Content-Length", &*length)];
    let mut connection = Connection::open(site.address());
    connection.send(client::request("POST", "/auth/login", &fields, ""));
    assert_eq!(connection.first_line(), "HTTP/1.1 100 Continue");
    let answer = connection.exchange(&body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(site.gateway.metric("portcullis_sessions_created_total{method=\"password\"}"), 1.0);

    fields[2].1 = "16385";
    let mut connection = Connection::open(site.address());
    connection.send(client::request("POST", "/auth/login", &fields, ""));
    assert_eq!(connection.first_line(), "HTTP/1.1 413 Payload Too Large");
}

#[test]
fn bodies_that_nobody_asked_for_do_not_get_in_the_way() {
    let site = LoginGateway::open();
    let mut connection = Connection::open(site.address());
    for (method, path, status) in [
        ("GET", "/auth/login", 200),
        ("POST", "/auth/logout", 204),
        ("GET", "/auth/session", 401),
        ("PUT", "/auth/login", 405),
        ("GET", "/public/x", 200),
    ] {
        let body = "GET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n";
        let answer = connection.exchange(client::request(method, path, &[], body));
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
    assert!(site.upstream.received().iter().all(|received| !received.line().contains("smuggled")));
}

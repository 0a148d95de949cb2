//! The access log: one line a request, and never a credential.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::client::{get, request};
use crate::harness::eventually;
use crate::harness::gateway::{self, Gateway, standard};
use crate::harness::tokens::{bearer, forged, token};
use crate::harness::upstream::Upstream;

/// A gateway with this access log.
fn logging(upstream: &Upstream, access_log: &str) -> Gateway {
    let directory = gateway::directory();
    std::fs::write(directory.path().join("log.key"), "a key for pseudonyms").expect("a file");
    let text = format!("access_log: {{ {access_log} }}\n{}", standard(upstream));
    Gateway::start_in(directory, &text)
}

#[test]
fn line_of_a_permitted_request_tells_everything() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let bearer = bearer(&token(json!({"jti": "j-7"})));
    let fields = [("Authorization", bearer.as_str()), ("X-Request-Id", "r-7")];
    gateway.exchange(request("POST", "/orders/7?secret=x", &fields, "an order"));
    let line = gateway.logged(|line| line["request_id"] == "r-7");
    for (member, expected) in [
        ("client", json!("127.0.0.1")),
        ("method", json!("POST")),
        ("host", json!("gateway.test")),
        ("path", json!("/orders/7")),
        ("route", json!("orders")),
        ("status", json!(200)),
        ("outcome", json!("permitted")),
        ("carrier", json!("bearer")),
        ("issuer", json!("test")),
        ("subject", json!("alice")),
        ("token_id", json!("j-7")),
        ("upstream", json!(upstream.address())),
        ("bytes_in", json!("an order".len())),
        ("bytes_out", json!("from behind!".len())),
    ] {
        assert_eq!(line[member], expected, "{member} in {line}");
    }
    let time = line["time"].as_str().expect("a time");
    assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    for member in ["duration_us", "decision_us", "upstream_us"] {
        assert!(line[member].is_u64(), "{member} in {line}");
    }
    assert!(line["duration_us"].as_u64() >= line["upstream_us"].as_u64(), "{line}");
}

#[test]
fn line_has_no_other_members() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    gateway.get_as("/orders/7", &token(json!({})));
    gateway.exchange(get("/nowhere", &[]));
    gateway.settle(2);
    let known = BTreeSet::from([
        "time",
        "request_id",
        "client",
        "method",
        "host",
        "path",
        "route",
        "status",
        "outcome",
        "slug",
        "reason",
        "carrier",
        "issuer",
        "subject",
        "token_id",
        "upstream",
        "bytes_in",
        "bytes_out",
        "duration_us",
        "decision_us",
        "upstream_us",
    ]);
    for line in gateway.log() {
        let Value::Object(members) = line else { panic!("{line} is no object") };
        for member in members.keys() {
            assert!(known.contains(member.as_str()), "{member}");
        }
    }
}

/// Requests that carry a secret in every place that a credential might be put.
fn with_secrets(secret: &str) -> Vec<(&'static str, String)> {
    let orders = |name: &str, value: &str| get("/orders/7", &[(name, value)]);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let authority = format!("alice:{secret}@gateway.test");
    vec![
        ("a good scheme", orders("Authorization", &format!("Bearer {secret}"))),
        ("another scheme", orders("Authorization", &format!("Basic {secret}"))),
        ("no scheme", orders("Authorization", secret)),
        ("two in one", orders("Authorization", &format!("Bearer {secret} {secret}"))),
        ("two", get("/orders/7", &[("Authorization", &bearer(secret)), ("Authorization", secret)])),
        ("a public route", get("/public/a", &[("Authorization", &bearer(secret))])),
        ("the query", get(&format!("/orders/7?access_token={secret}"), &[])),
        ("the query of a public route", get(&format!("/public/a?token={secret}"), &[])),
        ("the query without a route", get(&format!("/nowhere?{secret}"), &[])),
        ("a cookie", orders("Cookie", &format!("__Host-session={secret}"))),
        ("Proxy-Authorization", orders("Proxy-Authorization", &format!("Basic {secret}"))),
        ("a header of its own", orders("X-Api-Key", secret)),
        ("the body", request("POST", "/orders/7", &form, &format!("access_token={secret}"))),
        ("the name of a header", orders(secret, "a")),
        (
            "a head that is refused",
            get(&format!("/orders/7?a={secret}"), &[("Authorization", &bearer(secret))])
                .replace("Host: gateway.test\r\n", ""),
        ),
        (
            "a query that is refused",
            get(&format!("/orders/7?a={secret}"), &[("Transfer-Encoding", secret)]),
        ),
        ("user information in the target", get(&format!("http://{authority}/orders/7"), &[])),
        ("user information in the host", get("/orders/7", &[("Host", &authority)])),
        (
            "a header in place of the request line",
            format!("X-Api-Key: {secret}\r\nHost: a\r\n\r\n"),
        ),
        ("a folded header", format!("GET / HTTP/1.1\r\nAuthorization: a\r\n {secret}\r\n\r\n")),
    ]
}

#[test]
fn credential_is_written_nowhere() {
    let upstream = Upstream::start();
    let mut leaks = Vec::new();
    for secret in [
        token(json!({})),
        token(json!({"aud": "billing"})),
        forged(r#"{"alg":"none"}"#, r#"{"iss":"a"}"#, b"no signature at all"),
        "c2VjcmV0LXNlY3JldC1zZWNyZXQ".to_owned(),
    ] {
        // Any of its parts would be too much.
        let parts: Vec<_> = secret.split('.').filter(|part| part.len() > 16).collect();
        assert!(!parts.is_empty());
        let gateway = Gateway::standard(&upstream);
        let requests = with_secrets(&secret);
        for (_, bytes) in &requests {
            gateway.exchange(bytes);
        }
        eventually("the access log", || (gateway.output().len() == requests.len()).then_some(()));
        let metrics = gateway.metrics();
        let written = gateway.output().into_iter().chain(gateway.errors());
        let lines = written.chain(metrics.lines().map(str::to_owned));
        leaks.extend(lines.filter(|line| parts.iter().any(|part| line.contains(part))));
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn query_is_logged_only_if_so_configured() {
    let upstream = Upstream::start();
    for (access_log, expected) in [("query: false", "/public/a"), ("query: true", "/public/a?b=c")]
    {
        let gateway = logging(&upstream, access_log);
        gateway.exchange(get("/public/a?b=c", &[]));
        assert_eq!(gateway.logged(|_| true)["path"], expected, "{access_log}");
    }
}

#[test]
fn nothing_is_logged_until_it_is_so_configured() {
    let upstream = Upstream::start();
    let gateway = logging(&upstream, "enabled: false");
    for _ in 0..3 {
        gateway.exchange(get("/public/before", &[]));
    }
    let text = std::fs::read_to_string(gateway.file()).expect("the configuration");
    std::fs::write(gateway.file(), text.replace("enabled: false", "enabled: true"))
        .expect("a file");
    gateway.signal("HUP");
    eventually("the reload", || {
        (gateway.metric("portcullis_config_generation") == 2.0).then_some(())
    });
    gateway.exchange(get("/public/after", &[]));
    gateway.logged(|line| line["path"] == "/public/after");
    assert_eq!(gateway.log().len(), 1, "{:?}", gateway.output());
}

// ---- the subject

#[test]
fn subject_is_omitted_if_so_configured() {
    let upstream = Upstream::start();
    let gateway = logging(&upstream, "subject: omitted");
    gateway.get_as("/whoami", &token(json!({"sub": "alice@example.test"})));
    let line = gateway.logged(|_| true);
    assert!(line.get("subject").is_none() && !line.to_string().contains("alice"), "{line}");
}

fn pseudonym(gateway: &Gateway, subject: &str) -> String {
    let before = gateway.log().len();
    gateway.get_as("/whoami", &token(json!({ "sub": subject })));
    let line = eventually("a line", || gateway.log().get(before).cloned());
    assert!(!line.to_string().contains(subject), "{line}");
    line["subject"].as_str().expect("a pseudonym").to_owned()
}

#[test]
fn hashed_subject_tells_people_apart_and_nothing_more() {
    let upstream = Upstream::start();
    let gateway = logging(&upstream, "subject: hashed, subject_key_file: log.key");
    let (alice, bob) = (pseudonym(&gateway, "alice"), pseudonym(&gateway, "bob"));
    assert_eq!(alice, pseudonym(&gateway, "alice"), "the same each time");
    assert_ne!(alice, bob);
    assert!(alice.len() == 24 && alice.bytes().all(|byte| byte.is_ascii_hexdigit()), "{alice}");
}

#[test]
fn hashed_subject_depends_on_the_key() {
    let upstream = Upstream::start();
    let one = logging(&upstream, "subject: hashed, subject_key_file: log.key");
    let text = std::fs::read_to_string(one.file()).expect("the configuration");
    let directory = gateway::directory();
    std::fs::write(directory.path().join("log.key"), "another key").expect("a file");
    let other = Gateway::start_in(directory, &text);
    assert_ne!(pseudonym(&one, "alice"), pseudonym(&other, "alice"));
}

// ---- for people

#[test]
fn text_says_the_same_for_people() {
    let upstream = Upstream::start();
    let gateway = logging(&upstream, "format: text");
    gateway.get_as("/orders/7?secret=x", &token(json!({})));
    gateway.exchange(get("/orders/8", &[]));
    let lines = eventually("two lines", || Some(gateway.output()).filter(|lines| lines.len() == 2));
    let permitted = " 200 127.0.0.1 GET gateway.test/orders/7 route=orders subject=alice ";
    assert!(lines[0].contains(permitted), "{}", lines[0]);
    let denied = " 401 127.0.0.1 GET gateway.test/orders/8 route=orders slug=credential_absent ";
    assert!(lines[1].contains(denied), "{}", lines[1]);
    for line in lines {
        assert!(line.ends_with("us") && !line.contains("secret"), "{line}");
    }
}

/// Otherwise whoever chooses a subject writes lines of the log.
#[test]
fn text_is_one_line_whatever_stands_in_it() {
    let upstream = Upstream::start();
    let gateway = logging(&upstream, "format: text");
    let forged = "alice\n2026-01-01T00:00:00.000Z 200 192.0.2.1 GET a/b route=c 1us\u{1b}[2J";
    gateway.get_as("/whoami", &token(json!({ "sub": forged })));
    gateway.exchange(get("/public/last", &[]));
    let lines = eventually("the last line", || {
        let lines = gateway.output();
        lines.iter().any(|line| line.contains("/public/last")).then_some(lines)
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("alice\\n2026") && !lines[0].contains('\u{1b}'), "{}", lines[0]);
}

#[test]
fn json_is_one_line_whatever_stands_in_it() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let subject = "alice\n{\"status\":200}\u{2028}\"\\";
    gateway.get_as("/whoami", &token(json!({ "sub": subject })));
    gateway.exchange(get("/public/last", &[]));
    gateway.settle(2);
    let log = gateway.log();
    assert_eq!(log.len(), 2);
    assert_eq!(log[0]["subject"], subject);
}

//! An interim answer (RFC 9110 §15.2) is none: what goes wrong after it is told like before it.

use std::time::{Duration, Instant};

use crate::harness::client::{self, Answer, Connection, get};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::script::script;
use crate::harness::upstream::Upstream;

const EXPECTING: &str = "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\n";

/// A port that nobody listens on, nor gets by chance.
const NOBODY: &str = "127.0.0.1:1";

/// A gateway in front of this upstream, which soon has enough.
fn impatient(peer: &str) -> Gateway {
    let upstream = Upstream::start();
    let peers = format!("peers: ['{}']", upstream.address());
    let timeouts = format!("peers: ['{peer}'], timeouts: {{ read: 300ms }}");
    let text = standard(&upstream).replace(&peers, &timeouts).replace(
        "upstream: behind, public: true",
        "upstream: behind, public: true, limits: { body: 1KiB }",
    );
    Gateway::start(&format!("{text}limits: {{ body_timeout: 500ms }}\n"))
}

/// Is told to go on, sends this, and returns the answer and the status in the log.
fn after_100(gateway: &Gateway, framing: &str, body: &str) -> (Answer, i64) {
    let mut connection = Connection::open(gateway.address());
    connection.send(format!("{EXPECTING}{framing}\r\n\r\n"));
    assert!(connection.first_line().contains(" 100 "));
    connection.send(body);
    let answer = connection.answer().expect("an answer after the interim one");
    assert_eq!(answer.field("connection"), Some("close"));
    let logged = gateway.logged(|line| line["slug"] == answer.slug().as_str());
    (answer, logged["status"].as_i64().expect("a status"))
}

#[test]
fn client_that_was_told_to_go_on_is_told_what_went_wrong() {
    let silent = script(|_, mut line| {
        line.read_to_end();
    });
    let silent = impatient(&silent.to_string());
    let gone = impatient(NOBODY);
    let large = "b".repeat(2000);
    let large_chunk = format!("7d0\r\n{large}\r\n0\r\n\r\n");
    for (gateway, framing, body, status, slug) in [
        (&gone, "Content-Length: 5", "hello", 502, "upstream_unavailable"),
        (&silent, "Content-Length: 5", "hello", 504, "upstream_timeout"),
        (&silent, "Transfer-Encoding: chunked", &*large_chunk, 413, "body_too_large"),
        (&silent, "Transfer-Encoding: chunked", "xx\r\n", 400, "request_framing"),
        (&silent, "Content-Length: 500", "hello", 408, "request_timeout"),
    ] {
        let (answer, logged) = after_100(gateway, framing, body);
        assert_eq!((answer.status, answer.slug().as_str()), (status, slug), "{framing}");
        assert_eq!(logged, i64::from(status), "{framing}");
    }
    // Nobody is told to go on with what is too large already.
    let mut connection = Connection::open(gone.address());
    connection.send(format!("{EXPECTING}Content-Length: 2000\r\n\r\n"));
    assert_eq!(connection.answer().expect("an answer").slug(), "body_too_large");
}

#[test]
fn upstream_that_breaks_off_after_an_interim_answer_is_502() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let upstream = script(move |_, mut line| {
        line.read_head();
        line.send(early);
    });
    let gateway = impatient(&upstream.to_string());
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/x", &[]));
    assert!(connection.first_line().contains(" 103 "));
    connection.read_through("\r\n\r\n");
    let answer = connection.answer().expect("an answer after the interim one");
    assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream_unavailable"));
    let line = gateway.logged(|line| line["slug"] == "upstream_unavailable");
    assert_eq!((&line["status"], &line["outcome"]), (&502.into(), &"unavailable".into()));
}

/// curl asks whether to go on where a body is large.
#[test]
fn curl_shows_why_its_upload_failed() {
    let gone = impatient(NOBODY);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("body");
    std::fs::write(&file, "b".repeat(1000)).expect("a file");
    let ran = std::process::Command::new("curl")
        .args(["-s", "-H", "Expect: 100-continue", "--data-binary"])
        .arg(format!("@{}", file.display()))
        .arg(format!("http://{}/public/x", gone.address()))
        .output()
        .expect("curl");
    let shown = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && shown.contains("upstream_unavailable"), "{ran:?}");
}

/// There is nothing to wait for once a body has been given up.
#[test]
fn stalled_body_to_the_gateway_itself_is_given_up_after_ten_seconds() {
    let gateway = crate::harness::oauth::TokenService::open().gateway;
    let begun = Instant::now();
    let answer = client::exchange(
        gateway.address(),
        "POST /auth/login HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n\
         Content-Length: 40\r\n\r\n{",
    );
    let took = begun.elapsed();
    assert_eq!((answer.status, answer.slug().as_str()), (408, "request_timeout"));
    assert!(took >= Duration::from_secs(10) && took < Duration::from_millis(11_500), "{took:?}");
}

#[test]
fn connection_carries_ten_thousand_requests_and_no_more() {
    let gateway = Gateway::standard(&Upstream::start());
    let mut connection = Connection::open(gateway.address());
    // The gateway answers itself: what counts is the connection.
    let one = get("/nowhere", &[]);
    for _ in 0..100 {
        connection.send(one.repeat(100));
        for _ in 0..100 {
            let answer = connection.answer().expect("an answer");
            assert_eq!(answer.slug(), "route_unknown");
        }
    }
    assert!(connection.is_closed_within(Duration::from_secs(5)));
}

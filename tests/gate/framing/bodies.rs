//! Bodies: what ends one, and what must not pass with it.

mod denied;
mod upgrade;

use std::sync::{Arc, Mutex};

use super::{GuardedUpstream, PROMPTLY, SMUGGLED, shown};
use crate::harness::client::{self, Connection, get, request};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::script::script;
use crate::harness::upstream::{Behaviour, Upstream};

const CHUNKED: &str =
    "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Chunked bodies that no two servers need to read alike, each with what must not be taken for a
/// request behind it.
fn malformed_bodies() -> Vec<String> {
    [
        // Sizes that are none.
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "-0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "5.0\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\t5\r\nhello\r\n0\r\n\r\n",
        "\x0b5\r\nhello\r\n0\r\n\r\n",
        "\"5\"\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "\u{0665}\r\nhello\r\n0\r\n\r\n",
        // Sizes that do not fit into 64 bits, so that what is left of them is small.
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\n\r\n",
        "8000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        // Line ends that are none.
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        // Data longer than its size.
        "5\r\nhello world\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        // Extensions that hide a line end.
        "5;a\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        // The last chunk.
        "0\n\r\n",
        "0\n\n",
        "0\r\n\n",
        "0\r\r\n\r\n",
    ]
    .into_iter()
    .map(|body| format!("{body}{SMUGGLED}"))
    .collect()
}

/// Sends each body, and asserts that it is refused, or cut off, and never forwarded.
#[track_caller]
fn assert_refused(guarded: &GuardedUpstream, bodies: impl IntoIterator<Item = String>) {
    for body in bodies {
        let mut connection = guarded.connect();
        connection.send(format!("{CHUNKED}{body}"));
        // The answer to the request itself, if there is one, and no second one.
        if let Some(answer) = connection.answer() {
            assert_eq!(answer.status, 400, "{} was answered {answer:?}", shown(body.as_bytes()));
            assert_eq!(answer.slug(), "request_framing", "{}", shown(body.as_bytes()));
        }
        assert!(connection.answer().is_none(), "{} was answered twice", shown(body.as_bytes()));
        guarded.kept_out();
    }
    // No request ever reached the upstream whole.
    assert_eq!(guarded.upstream.received().len(), 0, "{:?}", guarded.upstream.received());
}

#[test]
fn malformed_chunked_body_is_refused_and_nothing_behind_it_is_a_request() {
    assert_refused(&GuardedUpstream::build(), malformed_bodies());
}

#[test]
fn malformed_chunk_is_answered_without_waiting_for_more() {
    let guarded = GuardedUpstream::build();
    let mut connection = guarded.connect();
    let begun = std::time::Instant::now();
    connection.send(format!("{CHUNKED}zz\r\n"));
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.slug().as_str()), (400, "request_framing"));
    assert!(begun.elapsed() < PROMPTLY / 5, "it took {:?}", begun.elapsed());
}

#[test]
fn refusal_of_a_malformed_chunk_says_that_the_connection_ends() {
    let answer = GuardedUpstream::build().connect().exchange(format!("{CHUNKED}zz\r\n"));
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));
}

#[test]
fn malformed_chunk_is_logged_as_the_clients_fault() {
    let guarded = GuardedUpstream::build();
    let _ = guarded.connect().exchange(format!("{CHUNKED}zz\r\n"));
    let line = guarded.gateway.logged(|line| line["path"] == "/public/x");
    assert_eq!((&line["status"], &line["slug"]), (&400.into(), &"request_framing".into()));
    assert_eq!(line["outcome"], "denied");
}

#[test]
fn chunk_extensions_and_odd_sizes_are_not_passed_on() {
    let guarded = GuardedUpstream::build();
    for body in [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5;a=\"b;c\"\r\nhello\r\n0;d\r\n\r\n",
        "5;a;b;c\r\nhello\r\n0\r\n\r\n",
        "0005\r\nhello\r\n000\r\n\r\n",
    ] {
        guarded.forwards(format!("{CHUNKED}{body}"));
        assert_eq!(guarded.upstream.last().body, "5\r\nhello\r\n0\r\n\r\n", "{body:?}");
    }
}

#[test]
fn endless_chunk_extension_is_refused() {
    let guarded = GuardedUpstream::build();
    let mut connection = guarded.connect();
    connection.send(format!("{CHUNKED}5;{}", "a".repeat(1 << 20)));
    if let Some(answer) = connection.answer() {
        assert_eq!((answer.status, answer.slug().as_str()), (400, "request_framing"));
    }
    assert!(guarded.upstream.received().is_empty());
}

#[test]
fn body_that_breaks_off_never_reaches_the_upstream_as_a_whole() {
    let guarded = GuardedUpstream::build();
    for sent in [
        format!("{CHUNKED}5\r\nhello\r\n"),
        format!("{CHUNKED}5\r\nhel"),
        format!("{CHUNKED}5\r\nhello\r\n0\r\n"),
        format!("{CHUNKED}5\r\nhello\r\n0"),
        "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\nhello"
            .to_owned(),
    ] {
        let mut connection = guarded.connect();
        connection.send(&sent);
        drop(connection);
    }
    // The line of the log tells that the gateway is done with the request.
    crate::harness::eventually("five lines of the log", || {
        (guarded.gateway.log().len() == 5).then_some(())
    });
    assert!(guarded.upstream.received().is_empty(), "{:?}", guarded.upstream.received());
}

#[test]
fn trailers_do_not_reach_the_upstream() {
    for trailers in [
        "X-Auth-Subject: admin\r\n",
        "x_auth_subject: admin\r\n",
        "X-Trailer: secret\r\nX-Auth-Roles: admin\r\n",
        "Authorization: Bearer secret\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: other.test\r\n",
    ] {
        let seen = Arc::new(Mutex::new(String::new()));
        let record = seen.clone();
        let upstream = script(move |_, mut line| {
            let mut request = line.read_head().unwrap_or_default();
            // A trailer section, empty or not, ends like a head.
            request.push_str(&line.read_head().unwrap_or_default());
            *record.lock().expect("the record") = request;
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let gateway = Gateway::start(&standard_at(upstream));
        let announced = "Trailer: X-Auth-Subject, X-Trailer\r\nTransfer-Encoding: chunked";
        let head = CHUNKED.replace("Transfer-Encoding: chunked", announced);
        let sent = format!("{head}5\r\nhello\r\n0\r\n{trailers}\r\n");
        let mut connection = Connection::open(gateway.address());
        connection.send(sent);
        let answer = connection.answer();
        let seen = seen.lock().expect("the record").clone();
        let (_, body) = seen.split_once("\r\n\r\n").unwrap_or((&seen, ""));
        match answer.as_ref().map(|answer| answer.status) {
            Some(200) => assert_eq!(body, "5\r\nhello\r\n0\r\n\r\n", "{trailers:?}"),
            Some(400) => assert_eq!(answer.expect("an answer").slug(), "request_framing"),
            Some(_) | None => panic!("{trailers:?} was answered {answer:?}"),
        }
        let seen = seen.to_ascii_lowercase();
        assert!(!seen.contains("admin") && !seen.contains("secret"), "{seen}");
    }
}

#[test]
fn body_on_a_method_without_one_is_forwarded_in_its_frame() {
    let guarded = GuardedUpstream::build();
    for method in ["GET", "DELETE", "OPTIONS", "QUERY", "PROPFIND"] {
        let answer = guarded.connect().exchange(request(method, "/public/x", &[], SMUGGLED));
        let received = guarded.upstream.last();
        assert_eq!(answer.body, received.line());
        assert_eq!(received.body, SMUGGLED, "{method}");
    }
    guarded.kept_out();
}

/// What each hostile exchange below leaves behind on the connection to the upstream must not be
/// found by the next request on it.
#[test]
fn honest_request_after_a_hostile_one_gets_its_own_answer() {
    let guarded = GuardedUpstream::build_with(|upstream| {
        // One thread, so that there is one pool of connections to the upstream.
        standard(upstream).replace("threads: 2", "threads: 1")
    });
    let honest = |number: usize| {
        let path = format!("/public/honest-{number}");
        let answer = guarded.forwards(get(&path, &[]));
        assert_eq!(answer.body, format!("GET {path} HTTP/1.1"));
    };
    honest(0);
    let length = SMUGGLED.len();
    let mut hostile: Vec<String> =
        malformed_bodies().into_iter().map(|body| format!("{CHUNKED}{body}")).collect();
    // What follows a request that ends in order is another one.
    let behind = get("/public/behind", &[]);
    hostile.extend([
        format!("{CHUNKED}0\r\n\r\n{behind}"),
        format!("{CHUNKED}{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"),
        format!("{CHUNKED}0\r\nX: y\r\n\r\n{behind}"),
        format!("{CHUNKED}\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!("{CHUNKED}5;a=\"\n\"\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        format!("{CHUNKED}0;\n\r\n{SMUGGLED}"),
        SMUGGLED.replace("smuggled", "first") + &behind,
        request("GET", "/public/x", &[], SMUGGLED),
        request("HEAD", "/public/x", &[], SMUGGLED),
        format!("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 0\r\n\r\n{behind}"),
        format!("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 3\r\n\r\nabc{behind}"),
        format!("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 900\r\n\r\n{SMUGGLED}"),
        format!("POST /public/x HTTP/1.0\r\nHost: gateway.test\r\nContent-Length: 3\r\n\r\nabc{SMUGGLED}"),
        format!("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc{behind}"),
        format!("GET /public/x HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{SMUGGLED}"),
        format!("POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nConnection: close, content-length\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"),
    ]);
    for (number, sent) in hostile.iter().enumerate() {
        let mut connection = guarded.connect();
        connection.send(sent);
        // Some are answered, some cut off, one waits for the rest of its body until it is left.
        if !sent.contains("Content-Length: 900") && !sent.starts_with("HEAD") {
            let _ = connection.answer();
        }
        drop(connection);
        honest(number + 1);
        guarded.kept_out();
    }
    let connections = guarded.upstream.connections();
    assert!(connections < hostile.len(), "{connections} connections: none was used again");
}

#[test]
fn early_answer_of_an_upstream_does_not_shift_the_next_answer() {
    // Answers before it has read the body.
    let upstream = script(|_, mut line| {
        while let Some(head) = line.read_head() {
            let first = head.split("\r\n").next().unwrap_or_default();
            line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{first}", first.len()));
            if head.to_ascii_lowercase().contains("content-length:") {
                line.read_exactly(SMUGGLED.len());
            }
        }
    });
    let gateway = Gateway::start(&standard_at(upstream).replace("threads: 2", "threads: 1"));
    for number in 0..20 {
        let mut connection = Connection::open(gateway.address());
        connection.send(format!(
            "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {}\r\n\r\n{}",
            SMUGGLED.len(),
            &SMUGGLED[..1]
        ));
        assert_eq!(connection.answer().expect("an answer").body, "POST /public/x HTTP/1.1");
        // Some leave without the rest of their body.
        if number % 2 == 0 {
            connection.send(&SMUGGLED[1..]);
        }
        drop(connection);
        let path = format!("/public/honest-{number}");
        let answer = client::exchange(gateway.address(), get(&path, &[]));
        assert_eq!(answer.body, format!("GET {path} HTTP/1.1"));
    }
}

/// The standard configuration, with an upstream that is not the recording one.
fn standard_at(address: std::net::SocketAddr) -> String {
    let stand_in = Upstream::start_with(Behaviour::Answer);
    standard(&stand_in).replace(&stand_in.address().to_string(), &address.to_string())
}

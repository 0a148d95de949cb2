//! What a client sends behind a request in progress: it does that request no harm, and is served
//! after it (RFC 9112 §9.3.2) or not at all.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use crate::harness::PATIENCE;
use crate::harness::client::{Connection, get, request};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::script::{Line, script};
use crate::harness::upstream::{Behaviour, Upstream};

/// An upstream that answers its first request when it is told to, and all others at once, each with
/// its request line and body.
struct HeldUpstream {
    gateway: Gateway,
    go_on: Sender<()>,
    /// Request lines, and bodies as they were sent.
    received: Arc<Mutex<Vec<(String, String)>>>,
}

impl HeldUpstream {
    fn start() -> Self {
        let (go_on, told) = channel();
        let told = Mutex::new(Some(told));
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = received.clone();
        let address = script(move |_, mut line| {
            while let Some((first, body)) = read_request(&mut line) {
                let is_first = {
                    let mut record = record.lock().expect("the record");
                    record.push((first.clone(), body.clone()));
                    record.len() == 1
                };
                if is_first {
                    let told = told.lock().expect("the signal").take().expect("the first request");
                    let _ = told.recv_timeout(PATIENCE);
                }
                let text = format!("{first} {}", body.len());
                line.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                    text.len()
                ));
            }
        });
        let stand_in = Upstream::start();
        let configuration =
            standard(&stand_in).replace(&stand_in.address().to_string(), &address.to_string());
        Self { gateway: Gateway::start(&configuration), go_on, received }
    }

    fn connect(&self) -> Connection {
        Connection::open(self.gateway.address())
    }

    /// Waits until so many requests have arrived whole.
    fn has_received(&self, count: usize) {
        crate::harness::eventually("requests", || {
            (self.received.lock().expect("the record").len() >= count).then_some(())
        });
    }

    fn let_it_answer(&self) {
        let _ = self.go_on.send(());
    }
}

/// The request line, and the body as it was sent.
fn read_request(line: &mut Line) -> Option<(String, String)> {
    let head = line.read_head()?;
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let body = match length {
        Some(length) => line.read_exactly(length.parse().ok()?)?,
        None if lower.contains("transfer-encoding: chunked") => line.read_until("0\r\n\r\n")?,
        None => String::new(),
    };
    Some((head.split("\r\n").next()?.to_owned(), body))
}

const POST: &str =
    "POST /public/first HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "POST /public/first HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

#[test]
fn request_behind_one_in_progress_is_answered_after_it() {
    for first in [POST.to_owned(), CHUNKED.to_owned(), get("/public/first", &[])] {
        let patient = HeldUpstream::start();
        let mut connection = patient.connect();
        connection.send(&first);
        patient.has_received(1);
        connection.send(get("/public/second", &[]));
        connection.send(get("/public/third", &[]));
        patient.let_it_answer();
        for name in ["first", "second", "third"] {
            let answer = connection.answer().expect("an answer");
            assert_eq!(answer.status, 200, "{name} of {first:?}: {answer:?}");
            assert!(answer.body.contains(&format!("/public/{name} ")), "{answer:?}");
        }
        let line = patient.gateway.logged(|line| line["path"] == "/public/first");
        assert_eq!((&line["status"], &line["outcome"]), (&200.into(), &"permitted".into()));
    }
}

#[test]
fn bytes_that_are_no_request_do_not_disturb_the_answer_before_them() {
    for (behind, status) in [("GET /pu", None), ("junk\r\n\r\n", Some(400)), ("\0", None)] {
        let patient = HeldUpstream::start();
        let mut connection = patient.connect();
        connection.send(POST);
        patient.has_received(1);
        connection.send(behind);
        patient.let_it_answer();
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.body, "POST /public/first HTTP/1.1 5", "{behind:?}");
        if let Some(status) = status {
            let refused = connection.answer().expect("a refusal");
            assert_eq!((refused.status, refused.slug().as_str()), (status, "request_framing"));
            assert_eq!(refused.field("connection"), Some("close"));
            assert!(connection.answer().is_none());
        }
    }
}

#[test]
fn empty_line_behind_a_body_is_ignored_and_a_second_one_refused() {
    for (lines, accepted) in [("\r\n", true), ("\r\n\r\n", false), ("\n", false)] {
        // While the first is in progress, behind it at once, and later.
        for at_once in [false, true] {
            let patient = HeldUpstream::start();
            let mut connection = patient.connect();
            if at_once {
                connection.send(format!("{POST}{lines}"));
                patient.has_received(1);
            } else {
                connection.send(POST);
                patient.has_received(1);
                connection.send(lines);
            }
            patient.let_it_answer();
            let answer = connection.answer().expect("an answer");
            assert_eq!(answer.body, "POST /public/first HTTP/1.1 5", "{lines:?}");
            connection.send(get("/public/second", &[]));
            let answer = connection.answer().expect("an answer");
            match accepted {
                true => assert_eq!(answer.body, "GET /public/second HTTP/1.1 0", "{lines:?}"),
                false => {
                    assert_eq!((answer.status, answer.slug().as_str()), (400, "request_framing"))
                }
            }
        }
    }
}

#[test]
fn empty_line_behind_a_body_begins_no_request() {
    let upstream = Upstream::start();
    let limits = "limits: { header_timeout: 200ms, keepalive_timeout: 1s }\n";
    let gateway = Gateway::start(&(standard(&upstream) + limits));
    for behind in ["\r\n", "\r"] {
        let mut connection = Connection::open(gateway.address());
        assert_eq!(connection.exchange(format!("{POST}{behind}")).status, 200);
        // Idle, not late with a head.
        assert!(connection.is_closed_within(PATIENCE), "{behind:?} was answered");
    }
}

#[test]
fn requests_in_one_segment_are_answered_in_order_with_their_own_bodies() {
    let upstream = Upstream::start_with(Behaviour::Mirror);
    let gateway = Gateway::standard(&upstream);
    let mut requests = String::new();
    for number in 0..30 {
        let path = format!("/public/{number}");
        requests += &match number % 3 {
            0 => get(&path, &[]),
            1 => request("POST", &path, &[], &"z".repeat(number)),
            _ => format!(
                "PUT {path} HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n{number:x}\r\n{}\r\n0\r\nX: y\r\n\r\n",
                "z".repeat(number)
            ),
        };
    }
    // In one piece, and cut anywhere.
    for size in [requests.len(), 1000, 7] {
        let reached = upstream.received().len();
        let mut connection = Connection::open(gateway.address());
        for piece in requests.as_bytes().chunks(size) {
            connection.send(piece);
        }
        for number in 0..30 {
            let answer = connection.answer().expect("an answer");
            assert_eq!(answer.body.split(' ').nth(1), Some(&*format!("/public/{number}")));
        }
        let received = upstream.received().split_off(reached);
        assert_eq!(received.len(), 30);
        for (number, received) in received.iter().enumerate() {
            let letters = received.body.bytes().filter(|byte| *byte == b'z').count();
            assert_eq!(letters, if number % 3 == 0 { 0 } else { number }, "{received:?}");
        }
    }
}

#[test]
fn each_request_in_a_row_is_judged_by_itself() {
    let upstream = Upstream::start_with(Behaviour::Mirror);
    let gateway = Gateway::standard(&upstream);
    let mut connection = Connection::open(gateway.address());
    connection.send(
        get("/public/1", &[])
            + &get("/orders/2", &[])
            + &request("POST", "/orders/3", &[], "body of the third")
            + &get("/nowhere", &[])
            + &get("/public/5", &[]),
    );
    let statuses: Vec<u16> =
        (0..5).map(|_| connection.answer().expect("an answer").status).collect();
    assert_eq!(statuses, [200, 401, 401, 404, 200]);
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn request_behind_an_answer_that_closes_is_not_served() {
    let patient = HeldUpstream::start();
    let mut connection = patient.connect();
    connection.send(get("/public/first", &[("Connection", "close")]));
    patient.has_received(1);
    connection.send(get("/public/second", &[]));
    patient.let_it_answer();
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(connection.answer().is_none());
    assert_eq!(patient.received.lock().expect("the record").len(), 1);
}

#[test]
fn large_request_behind_one_in_progress_waits_and_arrives_whole() {
    const BYTES: usize = 24 << 20;
    let patient = HeldUpstream::start();
    let mut connection = patient.connect();
    connection.send(POST);
    patient.has_received(1);
    let stream = connection.into_stream();
    let mut sending = stream.try_clone().expect("a socket");
    let second = request("POST", "/public/second", &[], &"b".repeat(BYTES));
    let (sent, whole) = channel();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        sending.write_all(second.as_bytes()).expect("the gateway reads");
        let _ = sent.send(());
    });
    // What the gateway does not read fills the buffers of the sockets, and holds the client up.
    let held_up = whole.recv_timeout(std::time::Duration::from_millis(300)).is_err();
    assert!(held_up, "the gateway took all of it");
    patient.let_it_answer();
    let mut connection = Connection::over(stream);
    assert_eq!(connection.answer().expect("an answer").body, "POST /public/first HTTP/1.1 5");
    let second = connection.answer().expect("an answer").body;
    assert_eq!(second, format!("POST /public/second HTTP/1.1 {BYTES}"));
    sender.join().expect("it was sent");
}

#[test]
fn client_that_leaves_while_its_answer_is_awaited_is_noticed() {
    for behind in [String::new(), get("/public/second", &[]), "\r\n".to_owned()] {
        let patient = HeldUpstream::start();
        let mut connection = patient.connect();
        connection.send(format!("{POST}{behind}"));
        patient.has_received(1);
        drop(connection);
        // The upstream has not answered yet.
        let line = patient.gateway.logged(|line| line["path"] == "/public/first");
        assert_eq!((&line["status"], &line["outcome"]), (&499.into(), &"permitted".into()));
        assert_eq!(patient.received.lock().expect("the record").len(), 1);
        patient.let_it_answer();
    }
}

#[test]
fn connection_that_ends_is_not_reset_while_the_client_still_sends() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    // Denied, with a body that is too large to be read.
    let mut connection = Connection::open(gateway.address());
    connection.send(request("POST", "/orders/x", &[], &"b".repeat(150_000)));
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.field("connection")), (401, Some("close")));
    assert!(connection.is_closed_within(PATIENCE), "it was reset");
    // Answered for the last time, with another request on its way.
    let mut connection = Connection::open(gateway.address());
    let last = get("/public/x", &[("Connection", "close")]);
    connection.send(last + &request("POST", "/public/y", &[], &"b".repeat(150_000)));
    assert_eq!(connection.answer().expect("an answer").status, 200);
    assert!(connection.is_closed_within(PATIENCE), "it was reset");
}

#[test]
fn bytes_behind_a_declined_upgrade_are_never_a_request() {
    let upstream = Upstream::start_with(Behaviour::Mirror);
    let gateway = Gateway::standard(&upstream);
    let upgrade = |path: &str| {
        get(
            path,
            &[
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ],
        )
    };
    for (path, status) in [("/public/first", 200), ("/orders/first", 401)] {
        let mut connection = Connection::open(gateway.address());
        connection.send(upgrade(path) + &get("/public/second", &[]));
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")));
        assert!(connection.answer().is_none());
    }
    assert!(upstream.received().iter().all(|received| !received.line().contains("second")));
    // An offer of HTTP/2 is no more than that: many clients make one with every first request.
    let mut connection = Connection::open(gateway.address());
    connection.send(get(
        "/public/first",
        &[
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        ],
    ));
    assert_eq!(connection.answer().expect("an answer").field("connection"), Some("keep-alive"));
    assert_eq!(connection.exchange(get("/public/second", &[])).body, "GET /public/second HTTP/1.1");
}

#[test]
fn bytes_that_come_before_the_switch_are_the_new_protocols() {
    let upstream = Upstream::start_with(Behaviour::Upgrade);
    let gateway = Gateway::standard(&upstream);
    let mut connection = Connection::open(gateway.address());
    let upgrade = get("/public/x", &[("Connection", "Upgrade"), ("Upgrade", "websocket")]);
    connection.send(upgrade + "first frame ");
    connection.send("second frame");
    assert_eq!(connection.answer().expect("an answer").status, 101);
    assert_eq!(connection.receive(24), b"first frame second frame");
    connection.send("third");
    assert_eq!(connection.receive(5), b"third");
}

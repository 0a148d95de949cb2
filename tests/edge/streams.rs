//! What is being served ends when whoever it is served to is no longer one who may have it.

mod http2;

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};

use portcullis::clock;
use serde_json::{Value, json};

use crate::harness::client::{self, Connection, get};
use crate::harness::gateway::{self, Gateway};
use crate::harness::script::{Line, script};
use crate::harness::tokens::{bearer, now, token};
use crate::harness::upstream::Upstream;
use crate::harness::{PATIENCE, eventually};

/// How long a token of these tests lives, in seconds: long enough to open a stream with it on a
/// busy machine.
const LIFETIME_S: i64 = 2;

/// How long it is accepted after that.
const SKEW_S: i64 = 1;

/// How late an end may be.
const LATE_MAX_US: i64 = 1_000_000;

/// More than the buffers between an upstream and a client hold.
const FLOOD_BYTES: usize = 256 * 1024 * 1024;

/// An upstream whose answers stop halfway until they are told to go on.
#[derive(Clone, Default)]
struct PausedUpstream(Arc<(Mutex<PauseState>, Condvar)>);

#[derive(Default)]
struct PauseState {
    goes_on: bool,
    /// The paths that are being served.
    served: Vec<String>,
}

impl PausedUpstream {
    fn open(&self) -> SocketAddr {
        let paused = self.clone();
        script(move |_, mut line| {
            while let Some(head) = line.read_head() {
                paused.answer(&head, &mut line);
            }
        })
    }

    fn answer(&self, head: &str, line: &mut Line) {
        let path = head.split(' ').nth(1).unwrap_or_default();
        self.0.0.lock().expect("the state").served.push(path.to_owned());
        match path.rsplit('/').next().unwrap_or_default() {
            "socket" => {
                line.switch();
                while let Some(message) = line.read_until("!") {
                    line.send(format!("<{message}>"));
                }
            }
            "events" => {
                line.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
                line.send("Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
                self.wait();
                line.send("6\r\nsecond\r\n0\r\n\r\n");
            }
            "download" => {
                line.send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst");
                self.wait();
                line.send("second");
            }
            "poll" | "upload" => {
                self.wait();
                line.send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirstsecond");
                // What was uploaded was no request.
                line.read_to_end();
            }
            "flood" => {
                line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {FLOOD_BYTES}\r\n\r\n"));
                let piece = vec![b'x'; 1024 * 1024];
                for _ in 0..FLOOD_BYTES / piece.len() {
                    line.send(&piece);
                }
            }
            _ => line.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"),
        }
    }

    fn wait(&self) {
        let (turn, told) = &*self.0;
        let turn = turn.lock().expect("the state");
        let waited = told.wait_timeout_while(turn, PATIENCE, |turn| !turn.goes_on);
        drop(waited.expect("the state"));
    }

    /// Lets every answer go on.
    fn go_on(&self) {
        self.0.0.lock().expect("the state").goes_on = true;
        self.0.1.notify_all();
    }

    /// Waits until so many requests for this path have arrived.
    fn wait_for(&self, path: &str, count: usize) {
        eventually("the requests", || {
            let turn = self.0.0.lock().expect("the state");
            (turn.served.iter().filter(|served| *served == path).count() >= count).then_some(())
        });
    }
}

/// The standard configuration with this upstream, and little clock skew.
fn configuration(upstream: SocketAddr) -> String {
    let nobody = Upstream::start();
    let skew = format!("algorithms: [ES256]\n    clock_skew: {SKEW_S}s");
    gateway::standard(&nobody)
        .replace("algorithms: [ES256]", &skew)
        .replace(&nobody.address().to_string(), &upstream.to_string())
}

/// A token, and when it ceases to be accepted, in seconds.
fn short_lived() -> (String, i64) {
    let expires = now() + LIFETIME_S;
    (bearer(&token(json!({"exp": expires}))), expires + SKEW_S)
}

fn long_lived() -> String {
    bearer(&token(json!({"sub": "bob"})))
}

/// A stream that a client opens and the upstream lets wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socket,
    Events,
    Download,
    Poll,
    Upload,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Events => "events",
            Self::Download => "download",
            Self::Poll => "poll",
            Self::Upload => "upload",
        }
    }

    /// The status that is logged when it is ended.
    fn status(self) -> u16 {
        match self {
            Self::Socket => 101,
            Self::Events | Self::Download => 200,
            Self::Poll | Self::Upload => 401,
        }
    }

    /// Opens one, and returns when it waits.
    fn open(
        self,
        gateway: &Gateway,
        paused: &PausedUpstream,
        prefix: &str,
        credential: &str,
    ) -> Connection {
        let path = format!("/{prefix}/{}", self.name());
        let before = paused.0.0.lock().expect("the state").served.len();
        let mut connection = Connection::open(gateway.address());
        let mut fields = vec![("Authorization", credential)];
        match self {
            Self::Socket => {
                fields.extend([("Connection", "Upgrade"), ("Upgrade", "websocket")]);
                fields.extend([
                    ("Sec-WebSocket-Version", "13"),
                    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
                ]);
                assert_eq!(connection.exchange(get(&path, &fields)).status, 101);
                connection.send("hello!");
                connection.read_through("<hello!>");
            }
            Self::Events | Self::Download => {
                connection.send(get(&path, &fields));
                connection.read_through("first");
            }
            Self::Poll => connection.send(get(&path, &fields)),
            Self::Upload => {
                fields.push(("Content-Length", "1000000"));
                connection.send(client::request("POST", &path, &fields, ""));
                connection.send("the beginning");
            }
        }
        eventually("the request", || {
            (paused.0.0.lock().expect("the state").served.len() > before).then_some(())
        });
        connection
    }

    /// Asserts that the stream is as it was: it can be used to its end. Once the stage goes on.
    fn assert_open(self, mut connection: Connection) {
        match self {
            Self::Socket => {
                connection.send("still!");
                connection.read_through("<still!>");
            }
            Self::Events | Self::Download | Self::Poll | Self::Upload => {
                connection.read_through("second");
            }
        }
    }
}

/// Waits until the gateway closes the connection; when that was, in microseconds, and what came
/// before.
fn closed(connection: Connection) -> (u64, Vec<u8>) {
    let mut stream = connection.into_stream();
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection is still open: {error}"),
    }
    (clock::micros(), bytes)
}

/// Asserts that something that was due at the second `due` happened within one second.
#[track_caller]
fn assert_in_time(happened_us: u64, due: i64) {
    let late = i64::try_from(happened_us).expect("a time") - due * 1_000_000;
    assert!((0..LATE_MAX_US).contains(&late), "it was {late} µs late");
}

fn metrics(gateway: &Gateway) -> String {
    let answer = client::exchange(gateway.admin(), get("/metrics", &[("Host", "localhost")]));
    assert_eq!(answer.status, 200);
    answer.body
}

/// The value of a series; 0 if it is not there.
fn metric(gateway: &Gateway, series: &str) -> f64 {
    let text = metrics(gateway);
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

fn ended(gateway: &Gateway, cause: &str) -> f64 {
    metric(gateway, &format!("portcullis_streams_ended_total{{cause=\"{cause}\"}}"))
}

/// The lines of the access log about a path and a slug.
fn lines(gateway: &Gateway, path: &str, slug: &str) -> Vec<Value> {
    let about = |line: &Value| line["path"] == path && line["slug"] == slug;
    gateway.log().into_iter().filter(about).collect()
}

/// Asserts that a stream ends with the token that it was opened with, and that those of others and
/// of nobody do not.
fn assert_ended_by_expiry(kind: Kind) {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let long = kind.open(&gateway, &paused, "orders", &long_lived());
    let public = kind.open(&gateway, &paused, "public", &long_lived());
    let (credential, end) = short_lived();
    let short = kind.open(&gateway, &paused, "orders", &credential);
    let (at, bytes) = closed(short);
    assert_in_time(at, end);
    assert_eq!(bytes, b"", "something came after the end");
    paused.go_on();
    kind.assert_open(long);
    kind.assert_open(public);
    assert_eq!(ended(&gateway, "expired"), 1.0);
    assert_eq!(ended(&gateway, "revoked"), 0.0);
    let path = format!("/orders/{}", kind.name());
    gateway.logged(|line| line["slug"] == "token_expired");
    let lines = lines(&gateway, &path, "token_expired");
    let [line] = &lines[..] else { panic!("not one line: {lines:?}") };
    assert_eq!(line["status"], kind.status(), "{line}");
    assert_eq!((&line["route"], &line["subject"]), (&json!("orders"), &json!("alice")));
    assert_eq!((&line["outcome"], &line["host"]), (&json!("denied"), &json!("gateway.test")));
    assert_eq!((&line["client"], &line["carrier"]), (&json!("127.0.0.1"), &json!("bearer")));
    assert_eq!(line["request_id"].as_str().map(str::len), Some(32), "{line}");
    let decisions = "portcullis_decisions_total{carrier=\"bearer\",outcome=\"denied\",\
                     route=\"orders\",slug=\"token_expired\"}";
    assert_eq!(metric(&gateway, decisions), 1.0);
    let class = kind.status() / 100;
    let requests =
        format!("portcullis_requests_total{{route=\"orders\",status_class=\"{class}xx\"}}");
    assert!(metric(&gateway, &requests) >= 1.0, "{}", metrics(&gateway));
}

#[test]
fn idle_websocket_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Socket);
}

#[test]
fn idle_event_stream_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Events);
}

#[test]
fn answer_that_stalls_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Download);
}

#[test]
fn long_poll_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Poll);
}

#[test]
fn request_whose_body_stalls_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Upload);
}

#[test]
fn answer_that_nobody_reads_ends_when_its_credential_expires() {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let (credential, end) = short_lived();
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/orders/flood", &[("Authorization", &credential)]));
    connection.read_through("\r\n\r\n");
    eventually("the end", || (ended(&gateway, "expired") == 1.0).then_some(()));
    assert_in_time(clock::micros(), end);
    eventually("one connection less", || {
        (metric(&gateway, "portcullis_connections_open") == 0.0).then_some(())
    });
    let line = gateway.logged(|line| line["path"] == "/orders/flood");
    assert_eq!((&line["status"], &line["slug"]), (&json!(200), &json!("token_expired")));
    assert!(line["bytes_out"].as_u64() > Some(0), "{line}");
    let (_, bytes) = closed(connection);
    assert!(bytes.len() < FLOOD_BYTES, "all of it arrived");
}

#[test]
fn websocket_in_use_ends_when_its_credential_expires() {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let (credential, end) = short_lived();
    let mut connection = Kind::Socket.open(&gateway, &paused, "orders", &credential);
    let mut stream = loop {
        connection.send("ping!");
        if clock::micros() > u64::try_from(end * 1_000_000 - 200_000).expect("a time") {
            break connection.into_stream();
        }
        connection.read_through("<ping!>");
    };
    // A message is under way; whether it is still answered is nobody's promise.
    let mut left = Vec::new();
    let read = stream.read_to_end(&mut left);
    assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert_in_time(clock::micros(), end);
}

#[test]
fn connection_whose_requests_are_finished_outlives_their_credential() {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let (credential, end) = short_lived();
    let fields = [("Authorization", &*credential)];
    let mut idle = Connection::open(gateway.address());
    for _ in 0..3 {
        assert_eq!(idle.exchange(get("/orders/x", &fields)).body, "done");
    }
    // The same connection serves nobody's stream when the credential of before expires.
    let mut busy = Connection::open(gateway.address());
    assert_eq!(busy.exchange(get("/orders/x", &fields)).body, "done");
    busy.send(get("/public/events", &[]));
    busy.read_through("first");
    let (at, _) = closed(Kind::Events.open(&gateway, &paused, "orders", &credential));
    assert_in_time(at, end);
    assert_eq!(idle.exchange(get("/orders/x", &fields)).slug(), "token_expired");
    let fresh = long_lived();
    assert_eq!(idle.exchange(get("/orders/x", &[("Authorization", &fresh)])).body, "done");
    paused.go_on();
    busy.read_through("0\r\n\r\n");
    assert_eq!(busy.exchange(get("/public/x", &[])).body, "done");
    assert_eq!(ended(&gateway, "expired"), 1.0);
}

#[test]
fn upstream_connection_ends_with_its_stream() {
    let (tells, seen) = std::sync::mpsc::channel();
    let tells = Mutex::new(tells);
    let address = script(move |_, mut line| {
        line.read_head();
        line.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        line.read_to_end();
        // Nobody listens any more if the test has failed.
        let _ = tells.lock().expect("the sender").send(clock::micros());
    });
    let gateway = Gateway::start(&configuration(address));
    let (credential, end) = short_lived();
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/orders/events", &[("Authorization", &credential)]));
    connection.read_through("first");
    let at = seen.recv_timeout(PATIENCE).expect("the upstream sees the end");
    assert_in_time(at, end);
}

#[test]
fn causes_are_counted_from_zero() {
    let gateway = Gateway::start(&configuration(PausedUpstream::default().open()));
    let metrics = metrics(&gateway);
    for cause in ["expired", "revoked"] {
        let series = format!("portcullis_streams_ended_total{{cause=\"{cause}\"}} 0");
        assert!(metrics.contains(&series), "{metrics}");
    }
}

// ---- revocation

/// Cuts a subject off; when that was acknowledged, in microseconds.
fn revoke(gateway: &Gateway, subject: &str) -> u64 {
    let body = json!({"scope": "subject", "subject": subject}).to_string();
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let request = client::request("POST", "/v1/revocations", &fields, &body);
    let answer = client::exchange(gateway.admin(), request);
    assert_eq!(answer.status, 201, "{answer:?}");
    clock::micros()
}

fn assert_ended_by_revocation(kind: Kind) {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let alice = kind.open(&gateway, &paused, "orders", &bearer(&token(json!({}))));
    let bob = kind.open(&gateway, &paused, "orders", &long_lived());
    let public = kind.open(&gateway, &paused, "public", &bearer(&token(json!({}))));
    let revoked = revoke(&gateway, "alice");
    let (at, bytes) = closed(alice);
    let late = i64::try_from(at).expect("a time") - i64::try_from(revoked).expect("a time");
    assert!(late < LATE_MAX_US, "it was {late} µs late");
    assert_eq!(bytes, b"", "something came after the end");
    paused.go_on();
    kind.assert_open(bob);
    kind.assert_open(public);
    assert_eq!(ended(&gateway, "revoked"), 1.0);
    assert_eq!(ended(&gateway, "expired"), 0.0);
    gateway.logged(|line| line["slug"] == "token_revoked");
    let lines = lines(&gateway, &format!("/orders/{}", kind.name()), "token_revoked");
    let [line] = &lines[..] else { panic!("not one line: {lines:?}") };
    assert_eq!(line["status"], kind.status(), "{line}");
    assert_eq!((&line["route"], &line["subject"]), (&json!("orders"), &json!("alice")));
}

#[test]
fn idle_websocket_ends_when_its_subject_is_revoked() {
    assert_ended_by_revocation(Kind::Socket);
}

#[test]
fn idle_event_stream_ends_when_its_subject_is_revoked() {
    assert_ended_by_revocation(Kind::Events);
}

#[test]
fn long_poll_ends_when_its_subject_is_revoked() {
    assert_ended_by_revocation(Kind::Poll);
}

#[test]
fn streams_opened_while_the_subject_is_revoked_do_not_survive() {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let credential = bearer(&token(json!({})));
    let fields = [("Authorization", &*credential)];
    let revoked = std::thread::scope(|scope| {
        let opened: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut opened = Vec::new();
                    loop {
                        let mut connection = Connection::open(gateway.address());
                        connection.send(get("/orders/events", &fields));
                        if connection.first_line().contains("401") {
                            return opened;
                        }
                        opened.push(connection);
                    }
                })
            })
            .collect();
        paused.wait_for("/orders/events", 20);
        let revoked = revoke(&gateway, "alice");
        let opened = opened.into_iter().flat_map(|opened| opened.join().expect("a thread"));
        for connection in opened.collect::<Vec<_>>() {
            closed(connection);
        }
        revoked
    });
    let late = clock::micros() - revoked;
    assert!(late < LATE_MAX_US.unsigned_abs(), "it was {late} µs late");
}

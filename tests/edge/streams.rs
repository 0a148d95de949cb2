//! What is being served ends when whoever it is served to is no longer one who may have it.

mod expiry;
mod http2;
mod revocation;

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

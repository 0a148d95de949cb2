//! The access log: one line for each request on standard output, never a credential.
//!
//! A request adds its line to a buffer, and a separate thread writes the buffer out. If the reader
//! is too slow, lines are dropped and counted: a full pipe must not block the gate.

pub mod metrics;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus::IntCounter;
use serde::Serializer;

use crate::network::{push_address, push_socket_address};
use metrics::AccessLogMetrics;

/// How many bytes may wait to be written.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// The length of `2026-01-31T12:00:00.`.
const SECOND_BYTES: usize = 20;

/// How long a line may wait before it is written.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// The log entry of one request.
#[derive(Debug)]
pub struct LogEntry<'a> {
    /// When it was answered.
    pub time: SystemTime,
    /// Its id.
    pub request_id: &'a str,
    /// The client's address, as far as the trusted proxies report it.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: &'a str,
    /// The host, as sent.
    pub host: &'a str,
    /// The path, with the query if so configured.
    pub path: &'a str,
    /// The route's name, empty if none matched.
    pub route: &'a str,
    /// The status of the response; 499 if the client left before it had all of it.
    pub status: u16,
    /// `permitted`, `denied` or `unavailable`.
    pub outcome: &'a str,
    /// The slug, if the request was not permitted or the upstream did not answer it.
    pub slug: &'a str,
    /// The exact cause, if the slug does not say it all.
    pub reason: &'a str,
    /// The carrier of the credential.
    pub carrier: &'a str,
    /// The issuer of the credential.
    pub issuer: &'a str,
    /// The subject of the credential.
    pub subject: &'a str,
    /// The id of the credential.
    pub token_id: &'a str,
    /// The peer that answered.
    pub upstream: Option<SocketAddr>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// From the request's head to the end of the response, in microseconds.
    pub duration_us: u64,
    /// How much of that the decision took.
    pub decision_us: u64,
    /// How long the upstream took until its response head.
    pub upstream_us: Option<u64>,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// As one JSON object.
    Json,
    /// As text, for people.
    Text,
}

/// The log of one process. Its format may change with the configuration.
#[derive(Clone, Debug)]
pub struct AccessLog {
    line: Option<Line>,
    sink: Arc<Sink>,
}

#[derive(Debug)]
struct Sink {
    waiting: Mutex<WaitingLine>,
    grown: Condvar,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct WaitingLine {
    bytes: Vec<u8>,
    writing: bool,
}

impl AccessLog {
    /// Starts the writing thread.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn start(metrics: AccessLogMetrics) -> std::io::Result<Self> {
        let sink = Arc::new(Sink {
            waiting: Mutex::new(WaitingLine::default()),
            grown: Condvar::new(),
            dropped: metrics.dropped,
        });
        let writer = sink.clone();
        std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        Ok(Self { line: None, sink })
    }

    /// The same log with another kind of lines, or none.
    pub fn with_line(&self, line: Option<Line>) -> Self {
        Self { line, sink: self.sink.clone() }
    }

    /// Whether lines are written at all.
    pub fn is_on(&self) -> bool {
        self.line.is_some()
    }

    /// Adds a line.
    pub fn write(&self, entry: &LogEntry<'_>) {
        let Some(line) = self.line else { return };
        let mut text = Vec::with_capacity(512);
        match line {
            Line::Json => entry.for_programs(&mut text),
            Line::Text => drop(entry.for_people(&mut text)),
        }
        text.push(b'\n');
        self.sink.push(&text);
    }

    /// Waits until everything has been handed to the system, or `timeout` has passed.
    pub fn flush(&self, timeout: Duration) {
        let waiting = self.sink.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |waiting: &mut WaitingLine| waiting.writing || !waiting.bytes.is_empty();
        drop(self.sink.grown.wait_timeout_while(waiting, timeout, idle));
    }
}

impl Sink {
    fn push(&self, text: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.bytes.len() + text.len() > BUFFER_BYTES_MAX {
            self.dropped.inc();
            return;
        }
        waiting.bytes.extend_from_slice(text);
    }

    /// Wakes up by time, not for each line: so a line costs a request no system call.
    fn run(&self) {
        let mut batch = Vec::new();
        loop {
            {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let (mut waiting, _) = self
                    .grown
                    .wait_timeout(waiting, FLUSH_EVERY)
                    .unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut batch, &mut waiting.bytes);
                waiting.writing = !batch.is_empty();
            }
            if !batch.is_empty() {
                // If standard output is gone, the error cannot be reported.
                let mut stdout = std::io::stdout().lock();
                drop(stdout.write_all(&batch).and_then(|()| stdout.flush()));
                batch.clear();
                self.waiting.lock().unwrap_or_else(PoisonError::into_inner).writing = false;
                self.grown.notify_all();
            }
        }
    }
}

impl LogEntry<'_> {
    /// Writes one JSON object. Names and numbers need no escapes, and most texts contain none. A
    /// serializer that checks each byte of all of them takes twice as long, and each request waits
    /// for it.
    fn for_programs(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":");
        // An entry holds only what can be written as JSON.
        drop(rfc3339(&self.time, &mut serde_json::Serializer::new(&mut *out)));
        let mut address = String::with_capacity(48);
        if let Some(client) = self.client {
            push_address(&mut address, client);
        }
        text(out, ",\"request_id\":", self.request_id);
        match self.client {
            Some(_) => text(out, ",\"client\":", &address),
            None => out.extend_from_slice(b",\"client\":null"),
        }
        text(out, ",\"method\":", self.method);
        text(out, ",\"host\":", self.host);
        text(out, ",\"path\":", self.path);
        text(out, ",\"route\":", self.route);
        number(out, ",\"status\":", self.status.into());
        text(out, ",\"outcome\":", self.outcome);
        text_if_any(out, ",\"slug\":", self.slug);
        text_if_any(out, ",\"reason\":", self.reason);
        text(out, ",\"carrier\":", self.carrier);
        text_if_any(out, ",\"issuer\":", self.issuer);
        text_if_any(out, ",\"subject\":", self.subject);
        text_if_any(out, ",\"token_id\":", self.token_id);
        if let Some(upstream) = self.upstream {
            address.clear();
            push_socket_address(&mut address, upstream);
            text(out, ",\"upstream\":", &address);
        }
        number(out, ",\"bytes_in\":", self.bytes_in);
        number(out, ",\"bytes_out\":", self.bytes_out);
        number(out, ",\"duration_us\":", self.duration_us);
        number(out, ",\"decision_us\":", self.decision_us);
        if let Some(took) = self.upstream_us {
            number(out, ",\"upstream_us\":", took);
        }
        out.push(b'}');
    }

    fn for_people(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Self { time, client, method, host, path, route, status, slug, subject, reason, .. } =
            self;
        write!(out, "{} {status} ", humantime::format_rfc3339_millis(*time))?;
        match client {
            Some(client) => write!(out, "{client}")?,
            None => out.write_all(b"-")?,
        }
        write!(out, " {method} {}{}", host.escape_debug(), path.escape_debug())?;
        for (name, value) in [("route", route), ("subject", subject), ("slug", slug)] {
            if !value.is_empty() {
                write!(out, " {name}={}", value.escape_debug())?;
            }
        }
        if !reason.is_empty() {
            write!(out, " reason={reason:?}")?;
        }
        write!(out, " {}us", self.duration_us)
    }
}

/// Writes a member of an object. `name` is written as it is.
fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    let needs_escape = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    // All bytes are checked without a branch, so that the compiler can vectorize it.
    if value.as_bytes().iter().fold(false, |found, byte| found | needs_escape(byte)) {
        // Writing to a vector does not fail.
        return drop(serde_json::to_writer(out, value));
    }
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn text_if_any(out: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        text(out, name, value);
    }
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(name.as_bytes());
    drop(serde_json::to_writer(out, &value));
}

/// A time in milliseconds (RFC 3339). Each thread remembers the text of the last second it wrote.
pub(super) fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    LAST.with_borrow_mut(|(second, text)| {
        if *second != since_epoch.as_secs() {
            *second = since_epoch.as_secs();
            text.clear();
            // It fails only for a time whose year does not have four digits.
            let _ = write!(text, "{}", humantime::format_rfc3339_millis(*time));
        }
        let millis = since_epoch.subsec_millis();
        let digits = [millis / 100, millis / 10 % 10, millis % 10];
        text.truncate(SECOND_BYTES);
        text.extend(digits.into_iter().filter_map(|digit| char::from_digit(digit, 10)));
        text.push('Z');
        serializer.serialize_str(text)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry() -> LogEntry<'static> {
        LogEntry {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_007),
            request_id: "a-1",
            client: None,
            method: "GET",
            host: "a.example:8080",
            path: "/x",
            route: "pages",
            status: 200,
            outcome: "permitted",
            slug: "",
            reason: "",
            carrier: "none",
            issuer: "",
            subject: "",
            token_id: "",
            upstream: None,
            bytes_in: 0,
            bytes_out: u64::MAX,
            duration_us: 10,
            decision_us: 1,
            upstream_us: None,
        }
    }

    fn written(entry: &LogEntry<'_>) -> serde_json::Value {
        let mut line = Vec::new();
        entry.for_programs(&mut line);
        serde_json::from_slice(&line).expect("JSON")
    }

    #[test]
    fn line_of_json_leaves_out_what_is_not_there() {
        let expected = json!({
            "time": "2027-01-15T08:00:00.007Z", "request_id": "a-1", "client": null,
            "method": "GET", "host": "a.example:8080", "path": "/x", "route": "pages",
            "status": 200, "outcome": "permitted", "carrier": "none", "bytes_in": 0,
            "bytes_out": u64::MAX, "duration_us": 10, "decision_us": 1,
        });
        assert_eq!(written(&entry()), expected);
    }

    #[test]
    fn line_of_json_holds_whatever_a_text_holds() {
        for text in ["\"", "\\", "a\nb", "\u{1}", "\u{7f}", "ä😀", "\u{2028}", "{\"a\":1}", " "]
        {
            let line = written(&LogEntry {
                host: text,
                path: text,
                slug: text,
                reason: text,
                issuer: text,
                subject: text,
                token_id: text,
                client: "2001:db8::1".parse().ok(),
                upstream: "192.0.2.1:65535".parse().ok(),
                upstream_us: Some(7),
                ..entry()
            });
            for name in ["host", "path", "slug", "reason", "issuer", "subject", "token_id"] {
                assert_eq!(line[name], text, "{name}");
            }
            assert_eq!(line["client"], "2001:db8::1");
            assert_eq!(line["upstream"], "192.0.2.1:65535");
            assert_eq!(line["upstream_us"], 7);
        }
    }

    #[test]
    fn each_time_has_its_own_text() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (999, "1970-01-01T00:00:00.999Z"),
            (1_000, "1970-01-01T00:00:01.000Z"),
            (1_010, "1970-01-01T00:00:01.010Z"),
            (86_400_000, "1970-01-02T00:00:00.000Z"),
            (1_001, "1970-01-01T00:00:01.001Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(written(&LogEntry { time, ..entry() })["time"], text);
        }
    }
}

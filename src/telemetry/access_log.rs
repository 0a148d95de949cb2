//! The access log: one line a request on standard output, never a credential.
//!
//! A request adds its line to a buffer; a thread of its own writes the buffer out. If nobody reads
//! fast enough, lines are dropped and counted: a full pipe must not stop the gate.

use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus::IntCounter;
use serde::{Serialize, Serializer};

/// How much may wait to be written, in bytes.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// How long a line waits at most before it is written.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// What is logged of one request.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// When it was answered.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// Its id.
    pub request_id: &'a str,
    /// Who sent it, as far as the trusted proxies tell.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: &'a str,
    /// The host, as sent.
    pub host: &'a str,
    /// The path, with the query if so configured.
    pub path: &'a str,
    /// The route's name, empty if none matched.
    pub route: &'a str,
    /// The status of the answer; 499 if the client left before it had all of it.
    pub status: u16,
    /// `permitted`, `denied` or `unavailable`.
    pub outcome: &'a str,
    /// Why it was not permitted, or not answered by the upstream.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub slug: &'a str,
    /// What exactly was wrong, where the slug does not say it all.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'a str,
    /// What carried the credential.
    pub carrier: &'a str,
    /// Who issued it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub issuer: &'a str,
    /// Whom it is about.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub subject: &'a str,
    /// Its id.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub token_id: &'a str,
    /// The peer that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<std::net::SocketAddr>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// From the request's head to the end of the answer, in microseconds.
    pub duration_us: u64,
    /// Of which the decision took this.
    pub decision_us: u64,
    /// And the upstream this, until its response head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_us: Option<u64>,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// As one JSON object.
    Json,
    /// For people.
    Text,
}

/// The log of one process. Its format can change with the configuration.
#[derive(Clone, Debug)]
pub struct AccessLog {
    line: Option<Line>,
    sink: Arc<Sink>,
}

#[derive(Debug)]
struct Sink {
    waiting: Mutex<Waiting>,
    grown: Condvar,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    writing: bool,
}

impl AccessLog {
    /// Starts the writing thread.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn start(dropped: IntCounter) -> std::io::Result<Self> {
        let sink = Arc::new(Sink {
            waiting: Mutex::new(Waiting::default()),
            grown: Condvar::new(),
            dropped,
        });
        let writer = sink.clone();
        std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        Ok(Self { line: None, sink })
    }

    /// The same log with lines of another kind, or none.
    pub fn with_line(&self, line: Option<Line>) -> Self {
        Self { line, sink: self.sink.clone() }
    }

    /// Whether lines are written at all.
    pub fn is_on(&self) -> bool {
        self.line.is_some()
    }

    /// Adds a line.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(line) = self.line else { return };
        let mut text = Vec::with_capacity(512);
        match line {
            // An entry holds nothing that cannot be written as JSON.
            Line::Json => drop(serde_json::to_writer(&mut text, entry)),
            Line::Text => drop(entry.for_people(&mut text)),
        }
        text.push(b'\n');
        self.sink.push(&text);
    }

    /// Waits until everything has been handed to the system, or `timeout` is over.
    pub fn flush(&self, timeout: Duration) {
        let waiting = self.sink.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
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

    /// Wakes up by time, not by line: a line then costs a request no system call.
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
                // Nobody is left to tell if standard output is gone.
                let mut stdout = std::io::stdout().lock();
                drop(stdout.write_all(&batch).and_then(|()| stdout.flush()));
                batch.clear();
                self.waiting.lock().unwrap_or_else(PoisonError::into_inner).writing = false;
                self.grown.notify_all();
            }
        }
    }
}

impl Entry<'_> {
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

pub(super) fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

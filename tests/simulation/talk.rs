//! A client that may hear nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::history::Heard;

/// How long somebody waits for a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);

/// How long somebody waits for an answer. A gateway takes no longer, unless it stands still.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    head: String,
    body: String,
}

impl Reply {
    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    /// The body; `Null` if it is no JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    fn word(&self) -> String {
        let told = self.json();
        let slug = told["slug"].as_str().or(told["error"].as_str());
        let words = told["error_description"].as_str().or(told["detail"].as_str()).unwrap_or("");
        match slug {
            Some(slug) if words.is_empty() => slug.to_owned(),
            Some(slug) => format!("{slug}: {words}"),
            None if self.body.len() < 20 => self.body.trim().to_owned(),
            None => String::new(),
        }
    }
}

/// What was heard, in the words of the history.
pub(super) fn heard(reply: Option<&Reply>) -> Heard {
    let Some(reply) = reply else { return Heard::Nothing };
    let told = reply.json();
    let all = told["gateways"].as_u64();
    let is_confirmed =
        all.is_some() && told["confirmed"].as_u64() == all && told["missing"].is_null();
    let is_durable = told["durable"] == true;
    Heard::Told { status: reply.status, word: reply.word(), is_confirmed, is_durable }
}

/// A connection on which a request was sent.
pub(super) fn send(address: SocketAddr, request: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECTED_WITHIN).ok()?;
    stream.set_read_timeout(Some(ANSWERED_WITHIN)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    Some(stream)
}

/// Sends a request and reads the answer.
pub(super) fn ask(address: SocketAddr, request: &str) -> Option<Reply> {
    receive(send(address, request)?)
}

/// Reads the answer, to the end of the connection.
pub(super) fn receive(mut stream: TcpStream) -> Option<Reply> {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while begun.elapsed() < ANSWERED_WITHIN {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(_) => return None,
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, head: head.to_owned(), body: body.to_owned() })
}

/// A request with these fields and this body, after whose answer the connection ends.
pub(super) fn request(method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> String {
    let fields = [&[("Connection", "close")], fields].concat();
    crate::harness::client::request(method, path, &fields, body)
}

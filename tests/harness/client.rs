//! A client that sends exactly the bytes it is given.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// An answer, parsed as little as possible.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in order.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The only value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is repeated in {self:?}");
        first
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The slug of a denial.
    pub(crate) fn slug(&self) -> String {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["slug"].as_str().expect("a slug").to_owned()
    }
}

/// A connection that stays open as long as the gateway lets it.
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    /// What each request shows that is exchanged and shows nothing else.
    token: Option<String>,
}

/// Where requests go.
pub(crate) trait Destination {
    /// The address.
    fn address(&self) -> SocketAddr;
    /// The token that is asked for there.
    fn token(&self) -> Option<String>;
}

impl Destination for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }

    fn token(&self) -> Option<String> {
        None
    }
}

impl Connection {
    pub(crate) fn open(to: impl Destination) -> Self {
        let stream = TcpStream::connect(to.address()).expect("the gateway accepts");
        Self { token: to.token(), ..Self::over(stream) }
    }

    /// A connection that was opened in a way of its own.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(super::PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, unread: Vec::new(), token: None }
    }

    /// The connection itself, for what this client does not do.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends bytes. A gateway that hung up is noticed when its answer is read.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends a request; where a token is asked for, with the token.
    pub(crate) fn send_request(&mut self, bytes: impl AsRef<[u8]>) {
        match &self.token {
            Some(token) => self.send(with_token(bytes.as_ref(), token)),
            None => self.send(bytes),
        }
    }

    /// Sends a request like [`send_request`](Self::send_request) and reads its answer.
    pub(crate) fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send_request(bytes);
        self.answer().expect("an answer")
    }

    /// Sends a GET as HTTP clients do (RFC 9110, 9.2.2): once more, on a new connection, where this
    /// one ended without an answer, as it does for what is in flight when a revocation arrives. No other
    /// reason counts: it must be refused then.
    pub(crate) fn exchange_safely(&mut self, bytes: &str) -> Answer {
        assert!(bytes.starts_with("GET "), "not to be sent twice: {bytes}");
        self.send(bytes);
        if let Some(answer) = self.answer() {
            return answer;
        }
        *self = Self::open(self.stream.peer_addr().expect("where it led"));
        let answer = self.exchange(bytes);
        assert!(answer.status >= 400, "given up, and then permitted: {answer:?}");
        answer
    }

    /// Reads one answer; `None` if the connection ends before one.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        loop {
            let answer = self.final_answer()?;
            // 100 Continue and its like come before the answer.
            if answer.status >= 200 || answer.status == 101 {
                return Some(answer);
            }
        }
    }

    fn final_answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at;
            }
            if !self.read_more() {
                assert!(self.unread.is_empty(), "an answer broke off: {:?}", self.unread_text());
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..head_end]).into_owned();
        self.unread.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status_line = lines.next().expect("a status line");
        let status: u16 =
            status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let fields: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').expect("a field");
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        let field = |name: &str| {
            fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
        };
        let body = if status < 200 || status == 204 || status == 304 {
            Vec::new()
        } else if field("transfer-encoding") == Some("chunked") {
            self.chunked()
        } else if let Some(length) = field("content-length") {
            self.exactly(length.parse().expect("a length"))
        } else {
            while self.read_more() {}
            std::mem::take(&mut self.unread)
        };
        Some(Answer { status, fields, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Reads so many bytes of whatever follows an answer: a protocol that was switched to.
    pub(crate) fn receive(&mut self, length: usize) -> Vec<u8> {
        self.exactly(length)
    }

    /// The first line of what comes next, which stays unread.
    pub(crate) fn first_line(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                return String::from_utf8_lossy(&self.unread[..end]).into_owned();
            }
            assert!(self.read_more(), "a line broke off");
        }
    }

    /// Reads up to and including `text`, which must come.
    pub(crate) fn read_through(&mut self, text: &str) {
        loop {
            if let Some(at) = find(&self.unread, text.as_bytes()) {
                self.unread.drain(..at + text.len());
                return;
            }
            assert!(self.read_more(), "the connection ended before {text:?}");
        }
    }

    /// Reads the head of an answer to a HEAD request: a length, but no body.
    pub(crate) fn head_answer(&mut self) -> Answer {
        while find(&self.unread, b"\r\n\r\n").is_none() {
            assert!(self.read_more(), "an answer");
        }
        let text = self.unread_text();
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        self.unread.clear();
        let fields = text
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Answer { status, fields, body: String::new() }
    }

    fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(at) = find(&self.unread, b"\r\n") {
                    break at;
                }
                assert!(self.read_more(), "a chunk broke off");
            };
            let size = String::from_utf8_lossy(&self.unread[..line_end]).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
            self.unread.drain(..line_end + 2);
            let chunk = self.exactly(size + 2);
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.read_more(), "a body broke off");
        }
        self.unread.drain(..length).collect()
    }

    /// Whether the gateway closes the connection without another byte, within `within`.
    pub(crate) fn is_closed_within(&mut self, within: Duration) -> bool {
        self.stream.set_read_timeout(Some(within)).expect("a timeout");
        let closed = self.unread.is_empty() && matches!(self.stream.read(&mut [0; 1]), Ok(0));
        self.stream.set_read_timeout(Some(super::PATIENCE)).expect("a timeout");
        closed
    }

    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(bytes) => {
                self.unread.extend_from_slice(&buffer[..bytes]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer: {error}; so far {:?}", self.unread_text()),
        }
    }

    fn unread_text(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }
}

/// Sends one request on a connection of its own.
pub(crate) fn exchange(to: impl Destination, bytes: impl AsRef<[u8]>) -> Answer {
    Connection::open(to).exchange(bytes)
}

/// Sends a GET as [`Connection::exchange_safely`] does, on a connection of its own.
pub(crate) fn exchange_safely(address: SocketAddr, bytes: &str) -> Answer {
    Connection::open(address).exchange_safely(bytes)
}

/// A connection from this address of the machine.
pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("a loopback address");
        socket.connect(address).await.expect("the gateway accepts")
    });
    let stream = stream.into_std().expect("a socket");
    stream.set_nonblocking(false).expect("a socket");
    stream
}

/// The request, showing this token unless it shows something already.
fn with_token(request: &[u8], token: &str) -> Vec<u8> {
    let head = find(request, b"\r\n\r\n").unwrap_or(request.len());
    let shows = |line: &str| line.to_ascii_lowercase().starts_with("authorization:");
    if String::from_utf8_lossy(&request[..head]).lines().any(shows) {
        return request.to_vec();
    }
    let line_end = find(request, b"\r\n").expect("a request line") + 2;
    let field = format!("Authorization: Bearer {token}\r\n");
    [&request[..line_end], field.as_bytes(), &request[line_end..]].concat()
}

/// A `GET` with these header lines.
pub(crate) fn get(path: &str, fields: &[(&str, &str)]) -> String {
    request("GET", path, fields, "")
}

/// A request with `Host: gateway.test`, these header lines and this body.
pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str("Host: gateway.test\r\n");
    }
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text + "\r\n" + body
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

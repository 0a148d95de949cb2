//! An upstream that records every byte that reaches it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::script::SWITCHING_TAKES;

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Answers 200 with twelve bytes.
    Answer,
    /// Answers 200 with the request line, so that an answer tells which request it belongs to.
    Mirror,
    /// Answers with exactly these bytes.
    Bytes(String),
    /// Answers after a while.
    Slow(Duration),
    /// Never answers.
    Silent,
    /// Closes the connection instead of answering.
    HangUp,
    /// Switches to a protocol that repeats whatever arrives.
    Upgrade,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The head, as sent.
    pub(crate) head: String,
    /// The body, as sent: chunked if it was.
    pub(crate) body: String,
}

impl Received {
    /// The request line.
    pub(crate) fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The values of a field, whatever the case of its name.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.head
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The names of all fields, in lower case.
    pub(crate) fn names(&self) -> Vec<String> {
        let lines = self.head.split("\r\n").skip(1);
        lines.filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect()
    }
}

/// A running upstream.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::start_with(Behaviour::Answer)
    }

    pub(crate) fn start_with(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let upstream = Self {
            address: listener.local_addr().expect("an address"),
            received: Arc::default(),
            behaviour: Arc::new(Mutex::new(behaviour)),
            connections: Arc::default(),
        };
        let serving = upstream.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        upstream
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("the behaviour") = behaviour;
    }

    /// Everything that arrived so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("the record").clone()
    }

    /// The request that arrived last.
    pub(crate) fn last(&self) -> Received {
        self.received().pop().expect("the upstream received a request")
    }

    /// How many connections were opened to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut unread = Vec::new();
        while let Some(received) = read_request(&mut stream, &mut unread) {
            let line = received.line().to_owned();
            self.received.lock().expect("the record").push(received);
            let behaviour = self.behaviour.lock().expect("the behaviour").clone();
            let answer = match behaviour {
                Behaviour::Answer => ok(),
                Behaviour::Mirror => {
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len())
                }
                Behaviour::Bytes(bytes) => bytes,
                Behaviour::Slow(pause) => {
                    std::thread::sleep(pause);
                    ok()
                }
                Behaviour::Silent => {
                    while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
                    return;
                }
                Behaviour::HangUp => return,
                Behaviour::Upgrade => return repeat(stream, unread),
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Accepts a WebSocket, then sends back every byte.
fn repeat(mut stream: TcpStream, unread: Vec<u8>) {
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    std::thread::sleep(SWITCHING_TAKES);
    let mut waiting = [head.as_bytes(), unread.as_slice()].concat();
    let mut buffer = [0; 16 * 1024];
    while stream.write_all(&waiting).is_ok() {
        match stream.read(&mut buffer) {
            Ok(bytes @ 1..) => waiting = buffer[..bytes].to_vec(),
            Ok(_) | Err(_) => return,
        }
    }
}

fn ok() -> String {
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nfrom behind!"
        .to_owned()
}

/// Reads one request with its body.
fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Received> {
    let head_end = read_until(stream, unread, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&unread[..head_end]).into_owned();
    unread.drain(..head_end + 4);
    let received = Received { head, body: String::new() };
    let body = if let [length] = received.values("content-length")[..] {
        let length = length.parse().ok()?;
        read_exactly(stream, unread, length)?
    } else if received.values("transfer-encoding").is_empty() {
        Vec::new()
    } else {
        read_chunks(stream, unread)?
    };
    Some(Received { body: String::from_utf8_lossy(&body).into_owned(), ..received })
}

/// Reads a chunked body with its trailers, and returns it as it was sent.
fn read_chunks(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream, unread)?;
        let size = std::str::from_utf8(&line).ok()?.trim_end();
        let size = usize::from_str_radix(size, 16).ok()?;
        body.extend_from_slice(&line);
        if size == 0 {
            break;
        }
        body.extend(read_exactly(stream, unread, size + 2)?);
    }
    loop {
        let line = read_line(stream, unread)?;
        body.extend_from_slice(&line);
        if line == b"\r\n" {
            return Some(body);
        }
    }
}

fn read_line(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = read_until(stream, unread, b"\r\n")? + 2;
    Some(unread.drain(..end).collect())
}

fn read_exactly(stream: &mut TcpStream, unread: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while unread.len() < length {
        read_more(stream, unread)?;
    }
    Some(unread.drain(..length).collect())
}

fn read_until(stream: &mut TcpStream, unread: &mut Vec<u8>, end: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = unread.windows(end.len()).position(|window| window == end) {
            return Some(at);
        }
        read_more(stream, unread)?;
    }
}

fn read_more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) | Err(_) => None,
        Ok(bytes) => {
            unread.extend_from_slice(&buffer[..bytes]);
            Some(())
        }
    }
}

/// An address that refuses connections.
pub(crate) fn refusing_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

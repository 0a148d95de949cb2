//! An upstream that records every byte that reaches it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Answers 200 with twelve bytes.
    Answer,
    /// Answers with exactly these bytes.
    Bytes(String),
    /// Answers after a while.
    Slow(Duration),
    /// Never answers.
    Silent,
    /// Closes the connection instead of answering.
    HangUp,
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
        };
        let serving = upstream.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
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

    fn serve(&self, mut stream: TcpStream) {
        let mut unread = Vec::new();
        while let Some(received) = read_request(&mut stream, &mut unread) {
            self.received.lock().expect("the record").push(received);
            let behaviour = self.behaviour.lock().expect("the behaviour").clone();
            let answer = match behaviour {
                Behaviour::Answer => ok(),
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
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn ok() -> String {
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nfrom behind!".to_owned()
}

/// Reads one request with its body.
fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Received> {
    let head_end = read_until(stream, unread, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&unread[..head_end]).into_owned();
    unread.drain(..head_end + 4);
    let received = Received { head, body: String::new() };
    let body = if let [length] = received.values("content-length")[..] {
        let length: usize = length.parse().ok()?;
        while unread.len() < length {
            read_more(stream, unread)?;
        }
        unread.drain(..length).collect()
    } else if received.values("transfer-encoding").is_empty() {
        Vec::new()
    } else {
        // Good enough for bodies without trailers and without this text inside.
        let end = if unread.starts_with(b"0\r\n\r\n") {
            0
        } else {
            read_until(stream, unread, b"\r\n0\r\n\r\n")? + 2
        };
        unread.drain(..end + 5).collect()
    };
    Some(Received { body: String::from_utf8_lossy(&body).into_owned(), ..received })
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

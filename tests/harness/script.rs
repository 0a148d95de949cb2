//! An upstream that does on each connection what a test tells it, byte for byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A connection to the upstream.
pub(crate) struct Line {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// Runs `play` on every connection, with its number, from 0; the connection ends when it returns.
pub(crate) fn script(play: impl Fn(usize, Line) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let play = std::sync::Arc::new(play);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let play = play.clone();
            let line = Line { stream, unread: Vec::new() };
            std::thread::spawn(move || play(number, line));
        }
    });
    address
}

/// How long a scripted upstream takes to switch protocols. Pingora 0.9.1 ends an upgrade whose 101
/// comes before it has seen that the request has no body, which only happens on a machine so busy
/// that the gateway stands still between two lines of its own; SECURITY.md tells users.
pub(crate) const SWITCHING_TAKES: Duration = Duration::from_millis(50);

impl Line {
    /// Switches protocols, to a WebSocket in name.
    pub(crate) fn switch(&mut self) {
        std::thread::sleep(SWITCHING_TAKES);
        self.send("HTTP/1.1 101 Switching Protocols\r\n");
        self.send("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    }

    /// Reads up to and including `end`; `None` if the connection ends before it.
    pub(crate) fn read_until(&mut self, end: &str) -> Option<String> {
        loop {
            let at = self.unread.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = at {
                return Some(self.take(at + end.len()));
            }
            self.read_more()?;
        }
    }

    /// Reads a head.
    pub(crate) fn read_head(&mut self) -> Option<String> {
        self.read_until("\r\n\r\n")
    }

    /// Reads this many bytes; `None` if the connection ends before.
    pub(crate) fn read_exactly(&mut self, length: usize) -> Option<String> {
        while self.unread.len() < length {
            self.read_more()?;
        }
        Some(self.take(length))
    }

    /// Reads until the connection ends.
    pub(crate) fn read_to_end(&mut self) -> String {
        while self.read_more().is_some() {}
        self.take(self.unread.len())
    }

    /// Sends bytes. Whether they arrive is for the test to see.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    fn take(&mut self, length: usize) -> String {
        let bytes: Vec<u8> = self.unread.drain(..length).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn read_more(&mut self) -> Option<()> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(bytes @ 1..) => {
                self.unread.extend_from_slice(&buffer[..bytes]);
                Some(())
            }
            Ok(_) | Err(_) => None,
        }
    }
}

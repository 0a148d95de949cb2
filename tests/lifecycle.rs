//! The life of the process and of its connections: patience, limits, reload, stop.

mod connections;
mod reload;
mod stop;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Sends bytes one at a time until the gateway closes the connection. Returns what it answered and
/// how long it took.
fn drip(mut stream: TcpStream, bytes: &[u8]) -> (String, Duration) {
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let begun = Instant::now();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let mut left = bytes.iter();
    while begun.elapsed() < crate::harness::PATIENCE {
        if let Some(byte) = left.next() {
            // A gateway that hung up is noticed when its answer is read.
            let _ = stream.write_all(&[*byte]);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed()),
            Ok(bytes) => answer.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("the connection broke: {error}"),
        }
    }
    panic!("the gateway waited for ever");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_nodelay(true).expect("no delay");
    stream
}

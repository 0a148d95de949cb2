//! Stands between a gateway and a server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Stands between a gateway and a server, and lets through the first connections only; on later
/// ones nothing is ever answered.
pub(crate) struct Relay {
    port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Relay {
    /// Towards the server at this port.
    pub(crate) fn start(server: u16, let_through: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                if count.fetch_add(1, Ordering::SeqCst) < let_through {
                    pass_on(stream, server);
                } else {
                    held.push(stream);
                }
            }
        });
        Self { port, accepted }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Passes on what comes, both ways, until one side ends; at once where there is no server.
pub(crate) fn pass_on(near: TcpStream, server: u16) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", server)) else { return };
    let copies = |stream: &TcpStream| stream.try_clone().expect("a copy");
    for (from, to) in [(copies(&near), copies(&far)), (far, near)] {
        std::thread::spawn(move || copy(from, to));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream as Client};
use std::time::Instant as StdInstant;

use axum::routing::get;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use super::*;

/// More than the buffers of both sockets hold.
const LARGE_BYTES: usize = 32 * 1024 * 1024;

const GET: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whole minutes, so that what ends did not end by these.
const BOUNDS: ListenerBounds = ListenerBounds {
    connections_max: 4,
    connections_per_address_max: 2,
    head_timeout: Duration::from_secs(60),
    exchange_timeout: Duration::from_secs(60),
};

/// A listener that runs for as long as its runtime.
struct Serving {
    runtime: Runtime,
    address: SocketAddr,
}

fn serving(bounds: ListenerBounds) -> Serving {
    let runtime = Runtime::new().expect("a runtime");
    let socket = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = socket.local_addr().expect("an address");
    let router = Router::new()
        .route("/small", get(async || "small"))
        .route("/large", get(async || vec![b'x'; LARGE_BYTES]))
        .route("/never", get(std::future::pending::<()>));
    runtime.spawn(serve(socket, router, bounds));
    Serving { runtime, address }
}

impl Serving {
    fn connect(&self, source: [u8; 4]) -> Client {
        let stream = self.runtime.block_on(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind((Ipv4Addr::from(source), 0).into()).expect("a loopback address");
            socket.connect(self.address).await.expect("a connection")
        });
        let stream = stream.into_std().expect("a socket");
        stream.set_nonblocking(false).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }
}

/// Asks once, and leaves the connection open.
fn is_served(client: &mut Client) -> bool {
    // One that is closed may be closed before it is written to.
    let _ = client.write_all(GET);
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"small") {
        match client.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(bytes) => answer.extend_from_slice(&buffer[..bytes]),
        }
    }
    answer.starts_with(b"HTTP/1.1 200 ")
}

/// Reads to the end, and says how much there was.
fn read_to_end(client: &mut Client) -> usize {
    let mut bytes = Vec::new();
    // The end may be a reset.
    if let Err(error) = client.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    bytes.len()
}

#[test]
fn connections_are_served_up_to_each_bound_and_closed_beyond() {
    let listener = serving(BOUNDS);
    let held = |source: [u8; 4]| {
        let mut client = listener.connect(source);
        assert!(is_served(&mut client), "{source:?}");
        client
    };
    let first = held([127, 0, 0, 1]);
    let _second = held([127, 0, 0, 1]);
    assert!(!is_served(&mut listener.connect([127, 0, 0, 1])), "a third of one address");
    let _others = [held([127, 0, 0, 2]), held([127, 0, 0, 2])];
    assert!(!is_served(&mut listener.connect([127, 0, 0, 3])), "a fifth in all");
    drop(first);
    let begun = StdInstant::now();
    while !is_served(&mut listener.connect([127, 0, 0, 3])) {
        assert!(begun.elapsed() < PATIENCE, "the place is not given back");
    }
}

#[test]
fn connection_without_a_head_is_closed_in_time() {
    let head_timeout = Duration::from_millis(200);
    let listener = serving(ListenerBounds { head_timeout, ..BOUNDS });
    for before in ["", "GET /small HTTP/1.1\r\nHost: local"] {
        let begun = StdInstant::now();
        let mut client = listener.connect([127, 0, 0, 1]);
        client.write_all(before.as_bytes()).expect("it is open");
        assert_eq!(read_to_end(&mut client), 0, "{before:?}");
        assert!(begun.elapsed() >= head_timeout, "{before:?}");
    }
    let mut client = listener.connect([127, 0, 0, 1]);
    assert!(is_served(&mut client));
    assert_eq!(read_to_end(&mut client), 0, "idle after an answer");
}

#[test]
fn exchange_that_does_not_end_is_given_up() {
    let exchange_timeout = Duration::from_millis(500);
    let listener = serving(ListenerBounds { exchange_timeout, ..BOUNDS });
    let mut client = listener.connect([127, 0, 0, 1]);
    let begun = StdInstant::now();
    client.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is open");
    std::thread::sleep(4 * exchange_timeout);
    assert!(read_to_end(&mut client) < LARGE_BYTES, "an answer that nobody read was kept");
    let mut client = listener.connect([127, 0, 0, 1]);
    client.write_all(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is open");
    assert_eq!(read_to_end(&mut client), 0);
    assert!(begun.elapsed() >= 5 * exchange_timeout);
}

#[test]
fn deadline_of_the_next_head_begins_when_the_answer_is_taken() {
    let head_timeout = Duration::from_millis(200);
    let listener = serving(ListenerBounds { head_timeout, ..BOUNDS });
    let mut client = listener.connect([127, 0, 0, 1]);
    client.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is open");
    std::thread::sleep(5 * head_timeout);
    assert!(read_to_end(&mut client) > LARGE_BYTES, "the answer was cut");
}

#[test]
fn each_request_has_the_whole_time() {
    let exchange_timeout = Duration::from_secs(1);
    let listener = serving(ListenerBounds { exchange_timeout, ..BOUNDS });
    let mut client = listener.connect([127, 0, 0, 1]);
    let begun = StdInstant::now();
    while begun.elapsed() < 3 * exchange_timeout {
        assert!(is_served(&mut client), "after {:?}", begun.elapsed());
        std::thread::sleep(exchange_timeout / 10);
    }
}

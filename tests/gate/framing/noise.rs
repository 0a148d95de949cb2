//! Bytes put together by chance: whatever they spell, the policy holds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::GuardedUpstream;

/// What requests are made of, and what they must not be made of.
const PIECES: [&str; 56] = [
    "GET /orders/7 HTTP/1.1\r\n",
    "POST /orders/7 HTTP/1.1\r\n",
    "GET http://gateway.test/orders/7 HTTP/1.1\r\n",
    "GET /public/x HTTP/1.1\r\n",
    "POST /public/x HTTP/1.1\r\n",
    "POST /public/x HTTP/1.0\r\n",
    "HEAD /public/x HTTP/1.1\r\n",
    "OPTIONS /public/x HTTP/1.1\r\n",
    "GET /public/../orders/7 HTTP/1.1\r\n",
    "GET /public/..%2forders/7 HTTP/1.1\r\n",
    "GET /%6frders/7 HTTP/1.1\r\n",
    "GET //orders/7 HTTP/1.1\r\n",
    "GET /orders/7\r\n",
    "Host: gateway.test\r\n",
    "Host: gateway.test\r\n\r\n",
    "Host: other.test\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 55\r\n",
    "Content-Length : 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content_Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding:\x0bchunked\r\n",
    "Transfer-Encoding: x, chunked\r\n",
    "Transfer_Encoding: chunked\r\n",
    "Connection: keep-alive\r\n",
    "Connection: close\r\n",
    "Connection: content-length, transfer-encoding\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    "Expect: 100-continue\r\n",
    "Trailer: Content-Length\r\n",
    "X-Auth-Subject: admin\r\n",
    "X-HTTP-Method-Override: GET\r\n",
    "X-Original-URL: /orders/7\r\n",
    " folded\r\n",
    "\tfolded: x\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\n\n",
    "\r",
    "\0",
    "0\r\n",
    "0\r\n\r\n",
    "0\n\n",
    "5\r\nhello\r\n",
    "5;x=\"\n\"\r\nhello\r\n",
    "5\nhello\n",
    "hello",
    "FFFFFFFFFFFFFFFFF\r\n",
    "37\r\nGET /orders/7 HTTP/1.1\r\nHost: gateway.test\r\nX: yyyyyyy\r\n\r\n",
    "GET /orders/7 HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
];

/// How long the answers to one round are listened to.
const ROUND: Duration = Duration::from_millis(15);

#[test]
fn no_sequence_of_bytes_without_a_credential_reaches_a_protected_route() {
    let guarded = GuardedUpstream::build();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let address = guarded.gateway.address();
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..500 {
                    round(address, &noise(&mut random));
                }
            });
        }
    });
    let received = guarded.upstream.received();
    for received in &received {
        assert!(
            received.line().split(' ').nth(1).is_some_and(|path| path == "/public/x"),
            "{received:?}"
        );
        assert!(!received.names().contains(&"x-auth-subject".to_owned()), "{received:?}");
    }
    // Some of it must spell requests, or nothing was tested.
    assert!(received.len() > 50, "only {} were forwarded", received.len());
    // The gateway has survived it.
    guarded.forwards(crate::harness::client::get("/public/x", &[]));
    assert!(!guarded.gateway.errors().join("\n").contains("panicked"));
}

fn noise(random: &mut fastrand::Rng) -> String {
    // It begins well more often than not; otherwise no piece but the first would matter.
    let mut text = match random.u8(..4) {
        0 => String::new(),
        1 => "GET /public/x HTTP/1.1\r\nHost: gateway.test\r\n".to_owned(),
        2 => "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n".to_owned(),
        _ => "POST /public/x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n"
            .to_owned(),
    };
    text.push_str(&pieces(random, 1));
    if random.u8(..5) > 0 {
        text.push_str("\r\n");
    }
    match random.u8(..4) {
        0 => text.push_str("hello"),
        1 => text.push_str("5\r\nhello\r\n0\r\n\r\n"),
        _ => {}
    }
    text.push_str(&pieces(random, 6));
    text
}

fn pieces(random: &mut fastrand::Rng, most: usize) -> String {
    let count = random.usize(0..=most);
    (0..count).map(|_| *random.choice(&PIECES).expect("a piece")).collect()
}

fn round(address: SocketAddr, bytes: &str) {
    let mut stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_read_timeout(Some(ROUND)).expect("a timeout");
    stream.write_all(bytes.as_bytes()).expect("the bytes");
    let mut buffer = [0; 4096];
    // Until it is closed, or the gateway waits for more.
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

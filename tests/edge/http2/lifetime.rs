//! How many requests one HTTP/2 connection carries, and how it ends after them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::frames::{END_HEADERS, END_STREAM, HEADERS, RawConnection, block, frame, with};
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, request};

/// As many as one connection carries.
const REQUESTS_MAX: usize = 10_000;

/// How many more it carries of a client that does not heed that.
const REQUESTS_BEYOND_MAX: usize = 1_000;

/// What an overloaded machine may add to any time that is measured here.
const SLACK: Duration = Duration::from_secs(10);

const IN_PROGRESS: usize = 30;

/// The client is told before its last requests are answered, and every one of them is.
#[test]
fn connection_that_carried_what_it_may_ends_and_no_request_is_lost() {
    let site = TlsGateway::open();
    let mut client = Http2::connect(site.gateway.address(), &site.authority);
    let mut upload = client.begin(request("POST", "/public/x", &[]), b"hel").expect("a stream");
    let answered = 1 + client.exhaust("/nowhere", IN_PROGRESS, 404);
    assert!(answered >= REQUESTS_MAX, "it ended after {answered}");
    assert!(answered <= REQUESTS_MAX + 2 * IN_PROGRESS, "it went on to {answered}");
    // What was begun before goes on for as long as it takes.
    assert!(!client.is_ended_within(Duration::from_millis(300)), "with a request in progress");
    upload.stream.send_data(Bytes::from_static(b"lo"), true).expect("an open stream");
    assert_eq!(upload.status_within(SLACK), Some(200));
    drop(upload);
    assert!(client.is_ended_within(SLACK), "the connection stayed open");
    let next = Http2::connect(site.gateway.address(), &site.authority);
    assert_eq!(next.get("/public/x", &[]).status, 200);
}

/// Neither what it asks for nor its silence keeps a connection open.
#[test]
fn client_that_does_not_leave_when_it_is_sent_away_is_closed() {
    let site = TlsGateway::open_with("limits: { keepalive_timeout: 2s }\n");
    // It never says that it has heard (PING), either.
    let mut wire = RawConnection::open(&site);
    let mut stubborn = Asking::new(&mut wire);
    let most = REQUESTS_MAX + REQUESTS_BEYOND_MAX;
    let answered = stubborn.ask(2 * most);
    // Those in progress may be answered, or not. None is beyond the last one.
    let expected = most - IN_PROGRESS..=most;
    assert!(expected.contains(&answered), "closed after {answered}");
    let mut wire = RawConnection::open(&site);
    let mut silent = Asking::new(&mut wire);
    assert_eq!(silent.ask(REQUESTS_MAX + 1), REQUESTS_MAX + 1);
    let begun = Instant::now();
    wire.wait_for_the_end();
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(1) && took < SLACK, "closed after {took:?}");
}

/// Requests by hand, so many in progress.
struct Asking<'a> {
    wire: &'a mut RawConnection,
    next: u32,
}

impl<'a> Asking<'a> {
    fn new(wire: &'a mut RawConnection) -> Self {
        Self { wire, next: 1 }
    }

    /// Sends so many requests, and returns how many of them were answered before the connection ended.
    fn ask(&mut self, count: usize) -> usize {
        let block = block(&with(&[(":method", "HEAD"), (":path", "/nowhere")]));
        let (mut begun, mut answered) = (0, 0);
        while answered < count {
            while begun < count && begun - answered < IN_PROGRESS {
                let flags = END_HEADERS | END_STREAM;
                self.wire.send(frame(HEADERS, flags, self.next, &block));
                self.next += 2;
                begun += 1;
            }
            match self.wire.frame() {
                Some((HEADERS, ..)) => answered += 1,
                Some(_) => {}
                None => break,
            }
        }
        answered
    }
}

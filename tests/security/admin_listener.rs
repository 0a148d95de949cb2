//! The admin listener against whoever holds its connections: others are served, and it lets go.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::harness::client::{Connection, connect_from, exchange, get, request};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::program::operate;
use crate::harness::upstream::Upstream;

const LOCAL: (&str, &str) = ("Host", "localhost");

/// How long a head or a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(5);

/// How many connections there may be with 1,024 descriptors.
const CONNECTIONS: usize = 64;

const STRANGER: [u8; 4] = [127, 0, 0, 2];

fn start(descriptors: usize) -> Gateway {
    let text = standard(&Upstream::start());
    Gateway::start_with_descriptors(directory(), &text, descriptors)
}

fn connect(gateway: &Gateway, source: [u8; 4]) -> Connection {
    Connection::over(connect_from(IpAddr::from(source), gateway.admin().address()))
}

/// Asks whether the gateway is alive; `false` if the connection is closed instead.
fn is_served(connection: &mut Connection) -> bool {
    connection.send(get("/livez", &[LOCAL]));
    connection.answer().is_some_and(|answer| answer.status == 200)
}

#[test]
fn address_that_holds_all_connections_it_can_leaves_the_listener_to_others() {
    let gateway = start(256);
    let held: Vec<_> = (0..300)
        .map(|number| {
            let mut connection = connect(&gateway, STRANGER);
            if number % 2 == 0 {
                connection.send("POST /v1/revocations HTTP/1.1\r\nHost: local");
            }
            connection
        })
        .collect();
    let ready = exchange(gateway.admin().address(), get("/readyz", &[LOCAL]));
    assert_eq!(ready.status, 200, "{ready:?}");
    let revoke = ["revoke", "--subject", "mallory", "--wait"];
    let ran = operate(&gateway, gateway.directory(), &revoke, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // One line a second, not one for each.
    let told = eventually("a warning", || {
        let lines = gateway.errors();
        let told = lines.iter().filter(|line| line.contains("connections to the admin listener"));
        Some(told.count()).filter(|told| *told > 0)
    });
    assert!(told < 30, "{told} lines");
    drop(held);
}

#[test]
fn connections_are_served_up_to_half_for_an_address_and_to_all() {
    let gateway = start(1024);
    let hold = |source: [u8; 4]| {
        let mut connection = connect(&gateway, source);
        is_served(&mut connection).then_some(connection)
    };
    let mut held: Vec<_> = (0..CONNECTIONS / 2).map(|_| hold(STRANGER).expect("a place")).collect();
    assert!(hold(STRANGER).is_none(), "more than half for one address");
    held.extend((0..CONNECTIONS / 2).map(|_| hold([127, 0, 0, 3]).expect("a place")));
    assert!(hold([127, 0, 0, 4]).is_none(), "more than all");
    held.pop();
    eventually("a place", || hold([127, 0, 0, 4]));
}

#[test]
fn connection_that_asks_for_nothing_is_closed_after_ten_seconds() {
    let gateway = start(1024);
    let silent = connect(&gateway, STRANGER);
    let mut half = connect(&gateway, STRANGER);
    half.send("GET /livez HTTP/1.1\r\nHost: local");
    let begun = Instant::now();
    let mut idle = connect(&gateway, STRANGER);
    assert!(is_served(&mut idle));
    std::thread::sleep(TIMEOUT.saturating_sub(SLACK));
    assert!(is_served(&mut idle), "closed while it is in use");
    for (mut connection, what) in [(silent, "silent"), (half, "half a head"), (idle, "idle")] {
        let late = begun + TIMEOUT + TIMEOUT + SLACK;
        let left = late.saturating_duration_since(Instant::now());
        assert!(connection.is_closed_within(left.max(Duration::from_millis(1))), "{what}");
        assert!(begun.elapsed() >= TIMEOUT - Duration::from_secs(1), "{what}: too early");
    }
}

#[test]
fn body_that_stalls_is_given_up_after_ten_seconds() {
    let gateway = start(1024);
    let json = ("Content-Type", "application/json");
    let body = r#"{"scope":"subject","subject":"mallory"}"#;
    let whole = request("POST", "/v1/revocations", &[LOCAL, json], body);
    let (begin, end) = whole.split_at(whole.len() - 10);
    let mut pausing = Connection::open(gateway.admin());
    let mut stalling = Connection::open(gateway.admin());
    let begun = Instant::now();
    pausing.send_request(begin);
    stalling.send_request(begin);
    std::thread::sleep(TIMEOUT.saturating_sub(SLACK));
    pausing.send(end);
    assert_eq!(pausing.answer().expect("an answer").status, 201);
    let answer = stalling.answer().expect("an answer");
    let took = begun.elapsed();
    assert_eq!((answer.status, &*answer.slug()), (408, "request_timeout"), "{answer:?}");
    assert!(took >= TIMEOUT && took < TIMEOUT + SLACK, "it took {took:?}");
    assert!(stalling.is_closed_within(SLACK));
    // Without the token nobody is waited for.
    let mut stranger = Connection::open(gateway.admin().address());
    stranger.send(begin);
    assert_eq!(stranger.answer().expect("an answer").status, 401);
}

#[test]
fn body_is_read_up_to_64_kib() {
    let gateway = start(1024);
    let revoke = |length: usize| {
        let draft = r#"{"scope":"subject","subject":"mallory"}"#;
        let body = format!("{draft}{}", " ".repeat(length - draft.len()));
        let json = ("Content-Type", "application/json");
        exchange(gateway.admin(), request("POST", "/v1/revocations", &[LOCAL, json], &body))
    };
    assert_eq!(revoke(64 * 1024).status, 201);
    let refused = revoke(64 * 1024 + 1);
    assert_eq!((refused.status, &*refused.slug()), (400, "bad_request"), "{refused:?}");
}

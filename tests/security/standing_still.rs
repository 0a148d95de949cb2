//! A process that stood still: what it may have missed, and what it cannot have.

use std::time::Duration;

use crate::harness::client::{Connection, get};
use crate::harness::eventually;
use crate::harness::fleet;
use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, Login};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::bearer;
use crate::harness::upstream::Upstream;

/// How many requests wait while nothing moves.
const WAITING: usize = 60;

/// How long it stands still: longer than the list may be old.
const STILL: Duration = Duration::from_millis(1600);

/// A gateway that may be a second behind, and reads sessions anew after a second.
fn start(upstream: &Upstream, store: &str) -> Gateway {
    let text = format!(
        "{store}sessions: {{ recheck: 1s }}\n{}{}{}
  - {{ name: home, match: {{ path: /home }}, upstream: behind, authenticate: [session] }}
",
        fleet::stale_after("1s"),
        login::SECTION,
        gateway::standard(upstream).trim_end(),
    );
    Gateway::start_in(login::directory(), &text)
}

/// Sends requests, half with a token and half with a session, to a gateway that stands still, and
/// returns the connections on which the answers will come.
fn ask_while_it_stands_still(gateway: &Gateway) -> Vec<Connection> {
    let token = bearer(&fleet::token_of("somebody"));
    let alice = Login::new(gateway.address(), "alice");
    let requests = [get("/whoami", &[("Authorization", &token)]), alice.get("/home")];
    let mut all: Vec<_> = (0..WAITING).map(|_| Connection::open(gateway.address())).collect();
    for connection in &mut all {
        assert_eq!(connection.exchange(&requests[0]).status, 200);
    }
    gateway.stand_still();
    for (number, connection) in all.iter_mut().enumerate() {
        connection.send(&requests[number % 2]);
    }
    // Nothing tells when enough time has passed but time.
    std::thread::sleep(STILL);
    all
}

#[test]
fn with_the_embedded_store_nothing_is_missed_and_who_waited_is_served() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let all = ask_while_it_stands_still(&gateway);
    gateway.signal("CONT");
    for mut connection in all {
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // What is revoked afterwards is revoked.
    let token = fleet::token_of("mallory");
    assert_eq!(fleet::ask(&gateway, &token), fleet::Verdict::Accepted);
    assert_eq!(fleet::revoke(&gateway, "mallory").status, 201);
    assert_eq!(fleet::ask(&gateway, &token), fleet::Verdict::Revoked);
}

#[test]
fn with_redis_others_may_have_revoked_meanwhile_and_nobody_is_let_in_unasked() {
    let (upstream, server) = (Upstream::start(), RedisServer::start());
    let gateway = start(&upstream, &fleet::redis(&server.settings()));
    let mut all = ask_while_it_stands_still(&gateway);
    // The log is not read again before the answers are there.
    server.pause();
    gateway.signal("CONT");
    for connection in all.iter_mut().step_by(2) {
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, &*answer.slug()), (503, "revocation_stale"), "{answer:?}");
    }
    server.resume();
    let token = fleet::token_of("somebody");
    eventually("contact", || {
        (fleet::ask(&gateway, &token) == fleet::Verdict::Accepted).then_some(())
    });
}

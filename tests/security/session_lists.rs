//! Somebody who is logged in and asks about sessions again and again: each list has the store read one record
//! for each session.

use std::net::SocketAddr;

use crate::harness::client::Answer;
use crate::harness::fleet;
use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, Login};
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;

/// How many lists, and how many ids that are not one's own, somebody may ask for in a minute.
const ASKED_MAX: usize = 60;

fn start(store: &str, upstream: &Upstream) -> Gateway {
    let text = format!("{store}{}{}", login::SECTION, gateway::standard(upstream));
    Gateway::start_in(login::directory(), &text)
}

#[track_caller]
fn assert_limited(answer: &Answer) {
    assert_eq!((answer.status, &*answer.slug()), (429, "rate_limited"), "{answer:?}");
    assert_eq!(answer.field("retry-after"), Some("60"));
}

fn list(login: &Login, address: SocketAddr) -> Answer {
    login.ask(address, "/auth/sessions")
}

fn end(login: &Login, address: SocketAddr, id: &str) -> Answer {
    login.send(address, "DELETE", &format!("/auth/sessions/{id}"))
}

/// An id of a session, in the spelling of the gateway.
fn made_up(number: usize) -> String {
    use base64::Engine;
    let bytes: [u8; 32] = std::array::from_fn(|at| if at == 0 { number as u8 } else { 7 });
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn lists_of_a_subject_are_answered_within_a_budget() {
    let (server, upstream) = (RedisServer::start(), Upstream::start());
    let gateway = start(&fleet::redis(&server.settings()), &upstream);
    let address = gateway.address();
    let [here, other] = [(); 2].map(|()| Login::new(address, "alice"));
    let bob = Login::new(address, "bob");
    for number in 0..ASKED_MAX {
        let login = if number % 2 == 0 { &here } else { &other };
        assert_eq!(list(login, address).status, 200, "number {number}");
    }
    let read = || server.calls("zrevrange");
    let before = read();
    assert!(before >= ASKED_MAX as u64, "{before} lists were read");
    for login in [&here, &other] {
        assert_limited(&list(login, address));
    }
    assert_eq!(read(), before);
    // Others are not in the way, nor is it in the way of leaving.
    assert_eq!(list(&bob, address).status, 200);
    assert_eq!(end(&here, address, &other.id).status, 204);
    assert_eq!(here.send(address, "POST", "/auth/logout-everywhere").status, 204);
}

#[test]
fn ids_of_others_are_looked_for_within_a_budget() {
    let upstream = Upstream::start();
    let gateway = start("", &upstream);
    let address = gateway.address();
    let [here, other, last] = [(); 3].map(|()| Login::new(address, "alice"));
    let bob = Login::new(address, "bob");
    for number in 0..ASKED_MAX {
        let id = if number == 0 { bob.id.clone() } else { made_up(number) };
        let answer = end(&here, address, &id);
        assert_eq!((answer.status, &*answer.slug()), (404, "route_unknown"), "number {number}");
        if number == 1 {
            // One's own do not count.
            assert_eq!(end(&here, address, &other.id).status, 204);
        }
    }
    assert_limited(&end(&here, address, &made_up(0)));
    assert_limited(&end(&last, address, &bob.id));
    assert_eq!(list(&bob, address).status, 200);
    assert_eq!(end(&bob, address, &made_up(0)).status, 404);
    // The session that asks is known.
    assert_eq!(end(&last, address, &last.id).status, 204);
    assert_eq!(here.send(address, "POST", "/auth/logout-everywhere").status, 204);
}

//! Exchanges of refresh tokens that reach the store late: nobody is logged out by one.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::issuer::refresh::RefreshToken;

use crate::harness::client::Connection;
use crate::harness::eventually;
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, ask, assert_unavailable, error, refresh, refreshing, tokens,
};
use crate::harness::outcome::accepted;
use crate::harness::proxy::{Direction, Proxy};
use crate::harness::redis::RedisServer;

/// Gateways whose list may be old, so that it is the exchange itself that fails.
const PATIENT: &str = "revocation: { max_staleness: 60s }\n";

/// How long an exchange is held, where the gateway still waits for it.
const HELD_FOR: Duration = Duration::from_millis(500);

/// A gateway that reaches the server through a proxy only.
fn behind(proxy: &Proxy) -> IssuingFleet {
    let store = format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", proxy.port());
    IssuingFleet::start(&format!("{PATIENT}{store}"), 1)
}

/// By what the command is known that exchanges a token: by its digest, which stands in no other.
pub(super) fn exchange_of(token: &str) -> String {
    let token = RefreshToken::parse(token).expect("a refresh token");
    URL_SAFE_NO_PAD.encode(token.digest())
}

/// Somebody who has exchanged a token already, so that the store knows the scripts.
fn logged_in(address: SocketAddr) -> Granted {
    Granted::log_in(address, "alice").next(address)
}

/// Asserts that nobody was logged out, by either token.
fn assert_goes_on(address: SocketAddr, granted: &Granted) {
    let next = granted.next(address);
    for access in [&granted.access, &next.access] {
        assert_eq!(ask(address, HOME, access), accepted());
    }
    let last = next.next(address);
    assert_eq!(ask(address, HOME, &last.access), accepted());
}

/// The client's connection breaks, and it goes on at another gateway.
#[test]
fn exchange_that_is_held_while_the_client_goes_on_elsewhere_ends_nothing() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let (held, other) = (behind(&proxy), IssuingFleet::on(&server, PATIENT, 1));
    let a = logged_in(held.at(1));
    proxy.hold_at(&exchange_of(&a.refresh));
    let mut broken = Connection::open(held.at(1));
    broken.send(refreshing(&a.refresh));
    let link = proxy.await_held();
    let held_since = std::time::Instant::now();
    drop(broken);
    let b = a.next(other.at(1));
    let c = b.next(other.at(1));
    std::thread::sleep(HELD_FOR.saturating_sub(held_since.elapsed()));
    link.deliver();
    assert_goes_on(other.at(1), &c);
}

/// The gateway gives up waiting, the client asks it again, and then the first command arrives.
#[test]
fn exchange_that_is_held_while_the_client_asks_again_ends_nothing() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let site = behind(&proxy);
    let a = logged_in(site.at(1));
    proxy.hold_at(&exchange_of(&a.refresh));
    assert_unavailable(&refresh(site.at(1), &a.refresh));
    let link = proxy.await_held();
    let b = eventually("an exchange on another link", || {
        let answer = refresh(site.at(1), &a.refresh);
        if answer.status != 200 {
            assert_unavailable(&answer);
            return None;
        }
        Some(Granted::read(&answer))
    });
    let c = b.next(site.at(1));
    link.deliver();
    assert_goes_on(site.at(1), &c);
}

/// The gateway's link is reset, and the gateway repeats the command itself: the client asks once.
#[test]
fn exchange_that_the_gateway_repeats_is_made_once_however_late_the_first_copy_is() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let site = behind(&proxy);
    let a = logged_in(site.at(1));
    proxy.hold_at(&exchange_of(&a.refresh));
    let mut connection = Connection::open(site.at(1));
    connection.send(refreshing(&a.refresh));
    let link = proxy.await_held();
    link.cut_client();
    let b = Granted::read(&connection.answer().expect("an answer"));
    let c = b.next(site.at(1));
    link.deliver();
    assert_goes_on(site.at(1), &c);
}

/// Whatever a gateway says arrives twice.
#[test]
fn exchanges_that_arrive_twice_end_nothing() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let site = behind(&proxy);
    let mut granted = logged_in(site.at(1));
    proxy.links().iter().for_each(|link| link.duplicate());
    for _ in 0..10 {
        granted = granted.next(site.at(1));
    }
    assert_goes_on(site.at(1), &granted);
}

/// The store has done it, and its answer never comes; the client asks again, here and elsewhere.
#[test]
fn exchange_whose_answer_is_held_leads_on_everywhere() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let (held, other) = (behind(&proxy), IssuingFleet::on(&server, PATIENT, 1));
    let a = logged_in(held.at(1));
    proxy.hold_at(&exchange_of(&a.refresh));
    let mut waiting = Connection::open(held.at(1));
    waiting.send(refreshing(&a.refresh));
    let link = proxy.await_held();
    link.hold(Direction::ToClient);
    link.deliver();
    assert_unavailable(&waiting.answer().expect("an answer"));
    let b = a.next(other.at(1));
    let again = eventually("an exchange on another link", || {
        let answer = refresh(held.at(1), &a.refresh);
        (answer.status == 200).then(|| Granted::read(&answer))
    });
    assert_eq!(b.refresh, again.refresh);
    let c = b.next(other.at(1));
    assert_eq!(a.next(held.at(1)).refresh, c.refresh, "within its grace it leads to the newest");
    assert_goes_on(held.at(1), &c);
}

/// A gateway stands still, and with it what its client has sent, who goes on elsewhere and is as far as two exchanges when it
/// is read at last, after its grace.
#[test]
fn exchange_that_a_gateway_reads_late_because_it_stood_still_ends_nothing() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, &format!("{PATIENT}{}", tokens("1s")), 2);
    let a = logged_in(site.at(1));
    site.gateway(2).stand_still();
    let mut unread = Connection::open(site.at(2));
    unread.send(refreshing(&a.refresh));
    let b = a.next(site.at(1));
    let c = b.next(site.at(1));
    std::thread::sleep(Duration::from_millis(1_500));
    site.gateway(2).signal("CONT");
    assert_unavailable(&unread.answer().expect("an answer"));
    assert_goes_on(site.at(1), &c);
    // Who shows it when that is over is found out.
    let answer = eventually("an answer about the token", || {
        let answer = refresh(site.at(2), &a.refresh);
        (answer.status != 503).then_some(answer)
    });
    assert_eq!(error(&answer), (400, "invalid_grant".to_owned()));
}

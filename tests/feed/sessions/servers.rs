//! One address with two servers behind it, and links of which some are down: a session is not
//! believed for longer than it can be confirmed.

use std::time::{Duration, Instant};

use crate::harness::gateway::Gateway;
use crate::harness::login::{self, Login};
use crate::harness::outcome::accepted;
use crate::harness::redis::{RedisOptions, RedisServer};
use crate::harness::sessions::{SessionFleet, configuration, delete, denied, key, settle};
use crate::harness::switch::{Link, Switch, cut};
use crate::harness::{eventually, fleet};

/// How long a session is believed here that nobody confirms, and how old the list may be.
const LINES: &str = "sessions: { recheck: 2s }\nrevocation: { max_staleness: 2s }\n";

/// Within what time a session that is gone is refused: two seconds, two more for asking, and some
/// for a busy machine.
const BOUND: Duration = Duration::from_secs(6);

/// Asserts that a session is not accepted for longer than the bound.
#[track_caller]
fn assert_refused_in_time(gateway: &Gateway, login: &Login) {
    let begun = Instant::now();
    while login.ask(gateway.address(), "/home/x").status == 200 {
        assert!(begun.elapsed() < BOUND, "accepted after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A master, its replica, and a gateway at an address that leads to the master.
fn two_servers() -> (RedisServer, RedisServer, Switch, SessionFleet) {
    let old = RedisServer::start();
    let replica_of = Some(old.port());
    let new = RedisServer::start_with(RedisOptions { replica_of, ..RedisOptions::default() });
    let switch = Switch::to(&old);
    let site = SessionFleet::start(&(switch.lines() + LINES), 1);
    (old, new, switch, site)
}

fn promote(old: &RedisServer, new: &RedisServer, switch: &Switch) {
    // What is replicated is in the order in which it was written.
    assert_eq!(old.cli(&["set", "last", "1"]).trim(), "OK");
    eventually("a replica that has it all", || {
        (new.cli(&["get", "last"]).trim() == "1").then_some(())
    });
    assert_eq!(new.cli(&["replicaof", "no", "one"]).trim(), "OK");
    // Nobody is waited for: one starts there while another stays with the old server.
    new.settle();
    switch.move_to(new);
}

/// The session ends at the new server while some links are still with the old one.
fn ends_elsewhere(links: &[Link]) {
    let (old, new, switch, site) = two_servers();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| site.log_in(name));
    for login in [&alice, &bob, &carol] {
        settle(&site, 1, login);
    }
    promote(&old, &new, &switch);
    let text = configuration(&site.upstream, &(fleet::redis(&new.settings()) + LINES));
    let joined = Gateway::start_in(login::directory(), &text);
    for link in links {
        assert_ne!(cut(&old, *link), 0, "{link:?}");
    }
    delete(&new, &alice);
    assert_refused_in_time(site.gateway(1), &alice);
    bob.log_out(joined.address());
    assert_refused_in_time(site.gateway(1), &bob);
    crate::harness::sessions::await_told(&site, 1, &alice, &denied("session_unknown"));
    crate::harness::sessions::await_told(&site, 1, &bob, &denied("session_revoked"));
    crate::harness::sessions::await_told(&site, 1, &carol, &accepted());
    // Changes are told by the new server.
    let dave = Login::new(joined.address(), "dave");
    settle(&site, 1, &dave);
    assert_eq!(new.cli(&["del", &key(&new, &dave)]).trim(), "1");
    assert_refused_in_time(site.gateway(1), &dave);
}

#[test]
fn session_that_ended_at_the_new_server_is_refused_by_links_to_the_old_one() {
    ends_elsewhere(&[Link::Commands]);
}

#[test]
fn session_that_ended_at_the_new_server_is_refused_although_only_the_listener_went_there() {
    ends_elsewhere(&[Link::Changes]);
}

#[test]
fn session_that_ended_at_the_new_server_is_refused_although_no_link_was_cut() {
    ends_elsewhere(&[]);
}

/// Nobody can say what became of the session: the reader of the log is alone.
#[test]
fn session_that_nobody_can_confirm_is_not_believed_because_the_log_can_be_read() {
    let server = RedisServer::start();
    let switch = Switch::to(&server);
    let site = SessionFleet::start(&(switch.lines() + LINES), 1);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    settle(&site, 1, &alice);
    settle(&site, 1, &bob);
    switch.refuse();
    let links = [Link::Commands, Link::Changes];
    for link in links {
        assert_ne!(cut(&server, link), 0, "{link:?}");
    }
    // One that was being made when the address began to refuse would tell of the deletion.
    eventually("no link but that of the log", || {
        links.iter().all(|link| cut(&server, *link) == 0).then_some(())
    });
    delete(&server, &alice);
    assert_refused_in_time(site.gateway(1), &alice);
    assert_eq!(site.ask(1, &alice), denied("revocation_stale"));
    assert_eq!(site.ask_for(1, &alice, "/open"), accepted(), "the route would have it so");
    assert!(site.gateway(1).metric("portcullis_revocation_staleness_seconds") < 2.0);
    switch.move_to(&server);
    crate::harness::sessions::await_told(&site, 1, &alice, &denied("session_unknown"));
    crate::harness::sessions::await_told(&site, 1, &bob, &accepted());
}

//! One address with two servers behind it: a replica was promoted, and the old master goes on.

use std::time::{Duration, Instant};

use crate::harness::eventually;
use crate::harness::fleet::{self, Verdict, ask, redis, revoke, stale_after, token_of};
use crate::harness::gateway::Gateway;
use crate::harness::redis::{RedisOptions, RedisServer};
use crate::harness::switch::{Link, Switch, cut};
use crate::harness::upstream::Upstream;

/// Where the store keeps the log.
const LOG: &str = "portcullis:{revocations}:log";

/// How old a list may be here.
const STALE_AFTER: &str = "5s";

/// Within what time a revocation elsewhere is noticed, or the list too old to say: the staleness
/// that is tolerated, the time in which it is noticed that the address has moved, and some for a
/// busy machine.
const BOUND: Duration = Duration::from_secs(9);

/// A gateway at an address behind which another server is promoted, and one that is with the new
/// server from the beginning.
struct Site {
    old: RedisServer,
    new: RedisServer,
    switch: Switch,
    moved: Gateway,
    upstream: Upstream,
}

/// What a user of the store may ask about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Told,
    /// `INFO` is forbidden.
    Hidden,
}

impl Site {
    fn start(identity: Identity) -> Self {
        let old = RedisServer::start();
        let replica_of = Some(old.port());
        let new = RedisServer::start_with(RedisOptions { replica_of, ..RedisOptions::default() });
        if identity == Identity::Hidden {
            for server in [&old, &new] {
                server.cli(&["acl", "setuser", "default", "-info"]);
            }
        }
        let upstream = Upstream::start();
        let switch = Switch::to(&old);
        let lines = switch.lines() + &stale_after(STALE_AFTER);
        let moved = fleet::start(&upstream, "moved", &lines);
        // Both logs have something in common.
        let answer = revoke(&moved, "before");
        assert_eq!(answer.status, 201, "{answer:?}");
        eventually("a replica that has it", || {
            (new.cli(&["xlen", LOG]).trim() == "1").then_some(())
        });
        Self { old, new, switch, moved, upstream }
    }

    /// Makes the replica a master, and moves the address there.
    fn promote(&self) {
        assert_eq!(self.new.cli(&["replicaof", "no", "one"]).trim(), "OK");
        // Nobody is waited for: one starts there while another stays with the old server.
        self.new.settle();
        self.switch.move_to(&self.new);
    }

    /// A gateway that has only ever seen the new server.
    fn joined(&self) -> Gateway {
        let lines = redis(&self.new.settings()) + &stale_after(STALE_AFTER);
        fleet::start(&self.upstream, "joined", &lines)
    }

    /// Revokes at another gateway and asserts that the moved one does not accept it for longer than
    /// the bound, and that it is of use afterwards.
    fn assert_followed(&self, joined: &Gateway, subject: &str) {
        let token = token_of(subject);
        assert_eq!(ask(&self.moved, &token), Verdict::Accepted);
        let answer = revoke(joined, subject);
        assert_eq!(answer.status, 201, "{answer:?}");
        let begun = Instant::now();
        while ask(&self.moved, &token) == Verdict::Accepted {
            assert!(begun.elapsed() < BOUND, "{subject}: accepted after {:?}", begun.elapsed());
            std::thread::sleep(Duration::from_millis(5));
        }
        for (subject, wanted) in [(subject, Verdict::Revoked), ("somebody", Verdict::Accepted)] {
            let token = token_of(subject);
            eventually(subject, || (ask(&self.moved, &token) == wanted).then_some(()));
        }
    }
}

/// The links that are cut when the address moves; the others stay with the old server.
fn move_under(identity: Identity, links: &[Link]) {
    let site = Site::start(identity);
    site.promote();
    let joined = site.joined();
    for link in links {
        assert_ne!(cut(&site.old, *link), 0, "{link:?}");
    }
    site.assert_followed(&joined, "user-1");
    site.assert_followed(&joined, "user-2");
    // What is revoked here is known there.
    let answer = revoke(&site.moved, "user-3");
    assert_eq!(answer.status, 201, "{answer:?}");
    let token = token_of("user-3");
    eventually("the other gateway", || (ask(&joined, &token) == Verdict::Revoked).then_some(()));
}

#[test]
fn reader_on_a_deposed_server_follows_the_link_for_commands() {
    move_under(Identity::Told, &[Link::Commands]);
}

#[test]
fn link_for_commands_on_a_deposed_server_follows_the_reader() {
    move_under(Identity::Told, &[Link::Log]);
}

#[test]
fn links_follow_an_address_that_moved_although_none_of_them_was_cut() {
    move_under(Identity::Told, &[]);
}

#[test]
fn reader_behind_the_head_of_the_log_is_not_in_contact_whoever_the_server_is() {
    move_under(Identity::Hidden, &[Link::Commands]);
}

/// The old master is made a replica of the new one, and cuts nothing: it takes no more writes, and
/// hears of what is written elsewhere a little later than the others.
#[test]
fn master_that_became_a_replica_is_left() {
    leaves_a_replica(Identity::Told);
}

#[test]
fn master_that_became_a_replica_is_left_whoever_it_is() {
    leaves_a_replica(Identity::Hidden);
}

fn leaves_a_replica(identity: Identity) {
    let site = Site::start(identity);
    site.promote();
    let joined = site.joined();
    let port = site.new.port().to_string();
    assert_eq!(site.old.cli(&["replicaof", "127.0.0.1", &port]).trim(), "OK");
    for subject in ["user-1", "user-2"] {
        site.assert_followed(&joined, subject);
    }
    // Nobody is with the old one any more.
    eventually("connections that are closed", || {
        let clients = site.old.cli(&["client", "list", "type", "normal"]);
        (!clients.contains("name=portcullis")).then_some(())
    });
}

/// A writer and a reader that see different servers: what is acknowledged here is not read there.
fn writes_apart(identity: Identity) {
    let site = Site::start(identity);
    site.promote();
    assert_ne!(cut(&site.old, Link::Commands), 0);
    let subjects = ["user-1", "user-2", "user-3"];
    for subject in subjects {
        let answer = revoke(&site.moved, subject);
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    std::thread::sleep(Duration::from_secs(6));
    let written: u64 = site.new.cli(&["xlen", LOG]).trim().parse().expect("a number");
    // Each may be written down once more while it is found out where the log is.
    assert!((4..=7).contains(&written), "{written} records of 4 revocations");
    let joined = site.joined();
    for subject in subjects {
        for gateway in [&site.moved, &joined] {
            assert_eq!(ask(gateway, &token_of(subject)), Verdict::Revoked);
        }
    }
    eventually("recovery", || {
        (ask(&site.moved, &token_of("somebody")) == Verdict::Accepted).then_some(())
    });
}

#[test]
fn revocation_that_the_reader_does_not_see_is_not_written_down_again_and_again() {
    writes_apart(Identity::Told);
}

#[test]
fn revocation_that_the_reader_does_not_see_is_not_written_without_end_whoever_the_server_is() {
    writes_apart(Identity::Hidden);
}

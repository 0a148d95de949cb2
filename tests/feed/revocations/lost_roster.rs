//! A Redis that loses what gateways told, and nothing else: a confirmation does not count on it.

use crate::harness::eventually;
use crate::harness::fleet::{
    self, Verdict, configuration, redis, revoke_on_all, revoke_until_on_all, revoke_within,
    stale_after, token_of,
};
use crate::harness::gateway::Gateway;
use crate::harness::redis::RedisServer;
use crate::harness::switch::Switch;
use crate::harness::upstream::Upstream;

/// Where the store keeps what gateways tell.
const ROSTER: &str = "portcullis:{revocations}:gateways";

/// A gateway that serves nobody for longer than it must.
fn start(upstream: &Upstream, name: &str, lines: &str) -> Gateway {
    let lines = format!("{lines}{}", stale_after("3s"));
    let text = configuration(upstream, name, &lines);
    let denies = |text: String, rule| text.replace(&format!("{rule}\n"), "deny\n");
    Gateway::start(&denies(denies(text, "allow"), "deny_writes"))
}

/// Evicts it, and waits until the gateway has told again.
fn lose_roster(server: &RedisServer, meanwhile: impl FnOnce()) {
    server.cli(&["del", ROSTER]);
    meanwhile();
    eventually("a gateway that tells again", || {
        (server.cli(&["hlen", ROSTER]).trim() != "0").then_some(())
    });
}

/// It joined while the other stood still, and was cut off when the roster was lost: nobody has
/// read of it.
#[test]
fn gateway_that_only_a_lost_roster_knew_keeps_a_confirmation_back_while_it_may_serve() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let stays = start(&upstream, "stays", &redis(&server.settings()));
    revoke_on_all(&stays, "before", 1);
    let switch = Switch::to(&server);
    stays.stand_still();
    let unknown = start(&upstream, "unknown", &switch.lines());
    switch.refuse();
    server.cli(&["client", "kill", "type", "normal"]);
    lose_roster(&server, || stays.signal("CONT"));
    let answer = revoke_within(&stays, "since", 1_000);
    assert_eq!(fleet::ask(&unknown, &token_of("since")), Verdict::Accepted);
    assert_eq!(answer.status, 201, "{answer:?}");
    let unconfirmed = answer.json()["unconfirmed"].as_str().expect("why").to_owned();
    assert!(unconfirmed.contains("lost what it knew of the gateways"), "{unconfirmed}");
    // It comes back, or serves nobody any more.
    revoke_until_on_all(&stays, "later", 1);
    assert_eq!(fleet::ask(&unknown, &token_of("since")), Verdict::Unknown);
}

#[test]
fn gateways_that_are_connected_confirm_again_once_nobody_else_can_be_serving() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let lines = redis(&server.settings());
    let [one, two] = ["one", "two"].map(|name| start(&upstream, name, &lines));
    revoke_on_all(&one, "before", 2);
    lose_roster(&server, || {});
    revoke_until_on_all(&one, "since", 2);
    revoke_on_all(&two, "later", 2);
}

/// One that has been away on purpose or was killed is told of by what is left.
#[test]
fn gateway_that_starts_at_a_log_without_gateways_that_run_confirms_at_once() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let lines = redis(&server.settings());
    let mut first = start(&upstream, "one", &lines);
    revoke_on_all(&first, "before", 1);
    first.signal("TERM");
    assert!(first.wait().success());
    revoke_on_all(&start(&upstream, "one", &lines), "since", 1);
}

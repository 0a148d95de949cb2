//! A Redis that comes back with older data: nobody goes by it before those who know better have
//! written down what it lacks, or a bounded time has passed.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::{self, Answer, get};
use crate::harness::eventually;
use crate::harness::fleet::{
    self, Fleet, Verdict, addresses, configuration, redis, revoke_on_all, roster, token_of,
};
use crate::harness::gateway::{self, Gateway};
use crate::harness::oauth::{
    self, ASSERTION_TYPE, TokenPair, TokenService, assert_error, assertion,
};
use crate::harness::redis::{Data, RedisServer, Sentinels};
use crate::harness::switch::Switch;
use crate::harness::tokens::bearer;
use crate::harness::upstream::Upstream;

/// For how long those who know better are waited for.
const BOUND: Duration = Duration::from_secs(5);

/// What a client that knows only an assertion asks for.
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// Kills the server and starts it again with what it had when it was last told to save.
fn restore(server: &mut RedisServer) {
    server.restart(Data::Kept);
}

fn save(server: &RedisServer) {
    assert_eq!(server.cli(&["save"]).trim(), "OK");
}

/// Whether requests should be sent to a gateway that may have only just been started.
fn is_ready(gateway: &Gateway) -> bool {
    let (_, admin) = addresses(gateway);
    client::exchange(admin, get("/readyz", &[])).status == 200
}

fn whoami(gateway: &Gateway, token: &str) -> Answer {
    let (edge, _) = addresses(gateway);
    client::exchange(edge, get("/whoami", &[("Authorization", &bearer(token))]))
}

#[test]
fn gateway_that_starts_with_a_restored_server_waits_for_who_knows_better() {
    let mut server = RedisServer::start();
    let switch = Switch::to(&server);
    let upstream = Upstream::start();
    let knows = fleet::start(&upstream, "knows", &switch.lines());
    revoke_on_all(&knows, "before", 1);
    save(&server);
    revoke_on_all(&knows, "since", 1);
    switch.refuse();
    restore(&mut server);
    let lines = redis(&server.settings());
    let text = configuration(&upstream, "starts", &lines);
    let starts = Gateway::spawn_in(gateway::directory(), &text);
    // Nobody who knows better is there yet: it may not go by what it has.
    let token = token_of("since");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert!(!is_ready(&starts), "ready after {:?}", begun.elapsed());
        assert_ne!(fleet::said(&whoami(&starts, &token)), Verdict::Accepted);
        std::thread::sleep(Duration::from_millis(5));
    }
    switch.move_to(&server);
    eventually("a gateway that is ready", || {
        assert_ne!(fleet::said(&whoami(&starts, &token)), Verdict::Accepted);
        is_ready(&starts).then_some(())
    });
    for subject in ["before", "since"] {
        assert_eq!(
            fleet::said(&whoami(&starts, &token_of(subject))),
            Verdict::Revoked,
            "{subject}"
        );
    }
    eventually("both on the roster", || (roster(&knows)?.len() == 2).then_some(()));
    assert!(begun.elapsed() < BOUND, "it did not wait for longer than it had to");
}

/// Nobody who runs has noticed yet what was evicted; how far they have read the log tells of it.
#[test]
fn gateway_that_starts_beside_an_evicted_log_waits_for_who_has_read_it() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let lines = redis(&server.settings());
    let knows = fleet::start(&upstream, "knows", &lines);
    revoke_on_all(&knows, "since", 1);
    knows.stand_still();
    server.cli(&["del", "portcullis:{revocations}:log", "portcullis:{revocations}:live"]);
    let starts =
        Gateway::spawn_in(gateway::directory(), &configuration(&upstream, "starts", &lines));
    let token = token_of("since");
    addresses(&starts);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert!(!is_ready(&starts), "ready after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    knows.signal("CONT");
    eventually("a gateway that is ready", || {
        assert_ne!(fleet::said(&whoami(&starts, &token)), Verdict::Accepted);
        is_ready(&starts).then_some(())
    });
    assert_eq!(fleet::said(&whoami(&starts, &token)), Verdict::Revoked);
}

/// It has read an empty log, which looks like the beginning of any other.
#[test]
fn gateway_that_was_cut_off_before_the_first_record_loads_what_an_evicted_log_held() {
    let server = RedisServer::start();
    let switch = Switch::to(&server);
    let upstream = Upstream::start();
    let knows = fleet::start(&upstream, "knows", &redis(&server.settings()));
    let returns = fleet::start(&upstream, "returns", &switch.lines());
    switch.refuse();
    server.cli(&["client", "kill", "type", "normal"]);
    fleet::revoke_until_durable(&knows, "first");
    server.cli(&["del", "portcullis:{revocations}:log"]);
    fleet::revoke_until_durable(&knows, "second");
    switch.move_to(&server);
    eventually("the second one", || {
        (fleet::ask(&returns, &token_of("second")) == Verdict::Revoked).then_some(())
    });
    eventually("what was before", || match fleet::ask(&returns, &token_of("first")) {
        Verdict::Unknown => None,
        answer @ (Verdict::Accepted | Verdict::Revoked) => {
            assert_eq!(answer, Verdict::Revoked);
            Some(())
        }
    });
}

/// Whoever reads the first records remembers them like any other.
#[test]
fn first_record_that_only_a_reader_knows_is_written_down_again() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let lines = redis(&server.settings());
    let reads = fleet::start(&upstream, "reads", &lines);
    let writes = fleet::start(&upstream, "writes", &lines);
    revoke_on_all(&writes, "first", 2);
    writes.signal("KILL");
    server.cli(&["del", "portcullis:{revocations}:log", "portcullis:{revocations}:live"]);
    eventually("the record", || {
        let listing = fleet::admin(&reads, "/v1/revocations?limit=10")?;
        let listed = listing["revocations"].as_array()?;
        listed.iter().any(|one| one["subject"] == "first").then_some(())
    });
}

/// It was read from the list, when the gateway started, and never from the log.
#[test]
fn what_a_gateway_has_only_loaded_is_written_down_again() {
    let mut server = RedisServer::start();
    let upstream = Upstream::start();
    let lines = redis(&server.settings());
    save(&server);
    let writes = fleet::start(&upstream, "writes", &lines);
    revoke_on_all(&writes, "first", 1);
    let loads = fleet::start(&upstream, "loads", &lines);
    writes.signal("KILL");
    restore(&mut server);
    let starts = fleet::start(&upstream, "starts", &lines);
    assert_eq!(fleet::ask(&loads, &token_of("first")), Verdict::Revoked);
    assert_eq!(fleet::ask(&starts, &token_of("first")), Verdict::Revoked);
}

#[test]
fn gateway_that_starts_with_a_restored_server_alone_waits_for_a_bounded_time() {
    let mut server = RedisServer::start();
    let upstream = Upstream::start();
    let lines = redis(&server.settings());
    let first = fleet::start(&upstream, "first", &lines);
    revoke_on_all(&first, "before", 1);
    save(&server);
    drop(first);
    restore(&mut server);
    let begun = Instant::now();
    let second = fleet::start(&upstream, "second", &lines);
    assert!(begun.elapsed() >= BOUND, "ready after {:?}", begun.elapsed());
    assert_eq!(fleet::ask(&second, &token_of("before")), Verdict::Revoked);
    // Once that time is over it is over for all who start.
    let begun = Instant::now();
    let _third = fleet::start(&upstream, "third", &lines);
    assert!(begun.elapsed() < BOUND, "ready after {:?}", begun.elapsed());
}

/// The same after a fail-over, with gateways that stand still meanwhile.
#[test]
fn gateway_that_starts_after_a_fail_over_waits_for_who_knows_what_it_lost() {
    let mut sentinels = Sentinels::start();
    let fleet = Fleet::start(&redis(&sentinels.settings()), 2);
    revoke_on_all(fleet.gateway(1), "before", 2);
    // From here on nothing reaches the replica.
    let master = sentinels.master();
    master.cli(&["acl", "setuser", "default", "-psync", "-sync"]);
    master.cli(&["client", "kill", "type", "replica"]);
    revoke_on_all(fleet.gateway(2), "lost", 2);
    fleet.all().iter().for_each(Gateway::stand_still);
    let deposed = master.port();
    master.kill();
    sentinels.await_another_than(deposed);
    let text = configuration(fleet.upstream(), "starts", &redis(&sentinels.settings()));
    let starts = Gateway::spawn_in(gateway::directory(), &text);
    addresses(&starts);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert!(!is_ready(&starts), "ready after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    fleet.all().iter().for_each(|gateway| gateway.signal("CONT"));
    eventually("a gateway that is ready", || is_ready(&starts).then_some(()));
    for subject in ["before", "lost"] {
        assert_eq!(
            fleet::said(&whoami(&starts, &token_of(subject))),
            Verdict::Revoked,
            "{subject}"
        );
    }
}

/// All who were there are there again: nobody is waited for.
#[test]
fn server_that_restarts_under_a_gateway_is_followed_as_soon_as_that_knows_all() {
    let mut server = RedisServer::start();
    let upstream = Upstream::start();
    let lines = redis(&server.settings()) + &fleet::stale_after("1s");
    let gateway = fleet::start(&upstream, "one", &lines);
    revoke_on_all(&gateway, "before", 1);
    save(&server);
    restore(&mut server);
    let begun = Instant::now();
    eventually("that it goes by the server", || {
        let lines = gateway.errors();
        lines
            .iter()
            .any(|line| line.contains("has every revocation that the gateways know"))
            .then_some(())
    });
    eventually("contact", || {
        (fleet::ask(&gateway, &token_of("somebody")) == Verdict::Accepted).then_some(())
    });
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert_eq!(gateway.metric("portcullis_store_server_changes_total"), 1.0);
}

/// Only a budget hangs on the key of the tags: a server that cannot take it is gone by all the same.
#[test]
fn server_whose_key_of_the_tags_is_damaged_is_followed_when_it_restarts() {
    let mut server = RedisServer::start();
    let upstream = Upstream::start();
    let lines = redis(&server.settings()) + &fleet::stale_after("1s");
    let gateway = fleet::start(&upstream, "one", &lines);
    let key = "portcullis:{revocations}:tag_key";
    assert_eq!(server.cli(&["del", key]).trim(), "1");
    assert_eq!(server.cli(&["rpush", key, "no key"]).trim(), "1");
    save(&server);
    restore(&mut server);
    eventually("that it goes by the server", || {
        let lines = gateway.errors();
        lines
            .iter()
            .any(|line| line.contains("has every revocation that the gateways know"))
            .then_some(())
    });
    eventually("contact", || {
        (fleet::ask(&gateway, &token_of("somebody")) == Verdict::Accepted).then_some(())
    });
}

/// Gateways at a server, with clients and logins.
fn service(server: &RedisServer) -> TokenService {
    let upstream = Upstream::start();
    let (directory, text) = oauth::sealed(&upstream, &redis(&server.settings()));
    TokenService::of_in(directory, upstream, &text)
}

#[test]
fn assertion_that_a_restored_server_has_forgotten_is_not_good_again() {
    let mut server = RedisServer::start();
    let service = service(&server);
    save(&server);
    let used = assertion(json!({}));
    let ask =
        |assertion: &str| service.token(&[GRANT, ASSERTION_TYPE, ("client_assertion", assertion)]);
    assert_eq!(ask(&used).status, 200);
    restore(&mut server);
    let answer = eventually("an answer", || {
        let answer = ask(&used);
        (answer.status != 503).then_some(answer)
    });
    assert_error(&answer, 401, "invalid_client");
    // Another one is as good as ever.
    assert_eq!(ask(&assertion(json!({}))).status, 200);
}

#[test]
fn newest_refresh_token_is_good_at_a_restored_server_that_knows_only_an_older_one() {
    let mut server = RedisServer::start();
    let service = service(&server);
    let first = service.tokens_of("alice");
    save(&server);
    let second = TokenPair::of(&service.refresh(&first.refresh));
    let third = TokenPair::of(&service.refresh(&second.refresh));
    restore(&mut server);
    let answer = eventually("an answer", || {
        let answer = service.refresh(&third.refresh);
        (answer.status != 503).then_some(answer)
    });
    let fourth = TokenPair::of(&answer);
    assert_eq!(service.said(&fourth.access), (200, String::new()));
}

//! Metrics of the revocation list and of the store behind it: each moves as it should.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::gate::revocation::ScopeKind;
use serde_json::json;

use crate::harness::client::{Connection, get};
use crate::harness::eventually;
use crate::harness::fleet::{self, Fleet, redis, stale_after, token_of};
use crate::harness::gateway::{self, Gateway, standard, with_key_id};
use crate::harness::redis::{Data, RedisOptions, RedisServer};
use crate::harness::tokens::{bearer, now, token};
use crate::harness::upstream::{Behaviour, Upstream};

const ENTRIES: &str = "portcullis_revocation_entries";
const NEARLY_FULL: &str = "portcullis_revocation_nearly_full";
const PENDING: &str = "portcullis_revocations_pending";
const PROPAGATED: &str = "portcullis_revocation_propagation_seconds_count";
const STALENESS: &str = "portcullis_revocation_staleness_seconds";
const STORE_UP: &str = "portcullis_store_up";

fn applied(scope: &str) -> String {
    format!("portcullis_revocations_applied_total{{scope=\"{scope}\"}}")
}

fn snapshots(cause: &str) -> String {
    format!("portcullis_revocation_snapshots_total{{cause=\"{cause}\"}}")
}

fn operations(operation: &str, result: &str) -> String {
    format!(
        "portcullis_store_operations_seconds_count{{operation=\"{operation}\",result=\"{result}\"}}"
    )
}

/// Waits until a series has this value.
#[track_caller]
fn await_value(gateway: &Gateway, series: &str, value: f64) {
    eventually(&format!("{series} {value}"), || (gateway.metric(series) == value).then_some(()));
}

/// Waits until so many entries are told. The number is kept up to date by whoever uses the list:
/// the gateway is asked for somebody who is on it.
#[track_caller]
fn await_entries(gateway: &Gateway, count: u32, revoked: &str) {
    let token = token(json!({"sub": revoked, "iat": now() - 60}));
    eventually(&format!("{count} entries"), || {
        assert_eq!(fleet::ask(gateway, &token), fleet::Verdict::Revoked);
        (gateway.metric(ENTRIES) == f64::from(count)).then_some(())
    });
}

/// Cuts off a subject, which must succeed.
#[track_caller]
fn revoke(gateway: &Gateway, subject: &str) {
    let answer = fleet::revoke(gateway, subject);
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// The standard gateway with these sections.
fn start_with(sections: &str) -> Gateway {
    Gateway::start(&format!("{sections}\n{}", with_key_id(&standard(&Upstream::start()))))
}

#[test]
fn revocations_are_counted_by_scope_and_each_scope_is_there_from_the_beginning() {
    let gateway = start_with("");
    let exposition = gateway.exposition();
    let known: BTreeSet<_> =
        ScopeKind::ALL.iter().map(|kind| kind.as_str()).chain(["lift"]).collect();
    assert_eq!(exposition.values("portcullis_revocations_applied_total", "scope"), known);
    assert_eq!(exposition.sum("portcullis_revocations_applied_total", &[]), 0.0);
    for (number, draft) in [
        json!({"scope": "token", "jti": "t", "issuer": "test"}),
        json!({"scope": "session", "session": "s"}),
        json!({"scope": "subject", "subject": "alice"}),
        json!({"scope": "client", "client": "c"}),
        json!({"scope": "key", "key": "k-1"}),
        json!({"scope": "issuer", "issuer": "test"}),
        json!({"scope": "everything"}),
    ]
    .iter()
    .enumerate()
    {
        // As often as the scope's place, so that none stands for another.
        for _ in 0..=number {
            assert_eq!(fleet::post(&gateway, draft).status, 201);
        }
        let scope = draft["scope"].as_str().expect("a scope");
        await_value(&gateway, &applied(scope), (number + 1) as f64);
    }
    assert_eq!(gateway.exposition().sum("portcullis_revocations_applied_total", &[]), 28.0);
}

#[test]
fn entries_are_told_beside_how_many_there_may_be() {
    let gateway = start_with("revocation: { max_entries: 1234 }");
    assert_eq!(gateway.metric(ENTRIES), 0.0);
    assert_eq!(gateway.metric("portcullis_revocation_entries_max"), 1234.0);
    for subject in ["alice", "bob", "alice"] {
        revoke(&gateway, subject);
    }
    // Whoever is cut off twice is one entry.
    await_entries(&gateway, 2, "alice");
}

#[test]
fn list_is_nearly_full_from_four_fifths_on() {
    let gateway = start_with("revocation: { max_entries: 5 }");
    for (number, nearly_full) in [(1, 0.0), (2, 0.0), (3, 0.0), (4, 1.0), (5, 1.0)] {
        let subject = format!("user-{number}");
        revoke(&gateway, &subject);
        await_entries(&gateway, number, &subject);
        assert_eq!(gateway.metric(NEARLY_FULL), nearly_full, "{number}");
    }
    assert_eq!(fleet::revoke(&gateway, "user-6").status, 507);
    assert_eq!(gateway.metric(&operations("append", "failed")), 1.0);
    assert_eq!(gateway.metric(STORE_UP), 1.0, "a store that says no is there");
}

#[test]
fn way_of_each_revocation_through_the_log_is_timed() {
    let gateway = start_with("");
    assert_eq!(gateway.metric(PROPAGATED), 0.0);
    for number in 1..=3 {
        revoke(&gateway, "alice");
        await_value(&gateway, PROPAGATED, f64::from(number));
    }
    let exposition = gateway.exposition();
    let sum = exposition.sum("portcullis_revocation_propagation_seconds_sum", &[]);
    assert!((0.0..60.0).contains(&sum), "{sum}");
}

#[test]
fn gateway_that_starts_again_counts_what_it_loads_and_times_none_of_it() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::standard(&upstream);
    for subject in ["alice", "bob"] {
        revoke(&gateway, subject);
    }
    gateway.signal("KILL");
    gateway.wait();
    let again = Gateway::start_in(gateway.shared_directory(), &standard(&upstream));
    assert_eq!(again.metric(&snapshots("start")), 1.0);
    assert_eq!(again.metric(&applied("subject")), 2.0);
    assert_eq!(again.metric(PROPAGATED), 0.0);
    await_entries(&again, 2, "alice");
}

#[test]
fn snapshot_is_counted_by_its_cause() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&redis(&server.settings()), 2);
    let (first, second) = (fleet.gateway(1), fleet.gateway(2));
    fleet::revoke_on_all(first, "alice", 2);
    for gateway in fleet.all() {
        assert_eq!(gateway.metric(&snapshots("start")), 1.0);
    }
    // Nobody that stands still can read what is cut off before it goes on.
    second.stand_still();
    for subject in ["bob", "carol", "dave"] {
        revoke(first, subject);
    }
    server.cli(&["xtrim", "portcullis:{revocations}:log", "maxlen", "1"]);
    second.signal("CONT");
    await_value(second, &snapshots("trimmed"), 1.0);
    assert_eq!(fleet::ask(second, &token_of("carol")), fleet::Verdict::Revoked);
    server.cli(&["flushall"]);
    // Whoever notices first writes down again what was lost, perhaps before the other looks.
    eventually("a new snapshot", || {
        let noticed = |gateway: &Gateway| gateway.metric(&snapshots("went_backwards")) >= 1.0;
        fleet.all().iter().any(noticed).then_some(())
    });
    assert_eq!(first.metric(&snapshots("trimmed")), 0.0);
}

#[test]
fn age_of_the_list_is_small_while_the_store_is_there_and_grows_while_it_is_not() {
    let server = RedisServer::start();
    let lines = redis(&server.settings()) + &stale_after("1s");
    let fleet = Fleet::start(&lines, 1);
    let gateway = fleet.gateway(1);
    assert!((0.0..5.0).contains(&gateway.metric(STALENESS)));
    assert_eq!(gateway.metric(STORE_UP), 1.0);
    server.pause();
    eventually("an old list", || (gateway.metric(STALENESS) > 2.0).then_some(()));
    await_value(gateway, STORE_UP, 0.0);
    server.resume();
    await_value(gateway, STORE_UP, 1.0);
    eventually("a list that is current", || (gateway.metric(STALENESS) < 1.0).then_some(()));
}

#[test]
fn list_that_never_was_loaded_has_no_age() {
    let upstream = Upstream::start();
    let nowhere = "store: { redis: { url: 'redis://127.0.0.1:1' } }\n";
    let text = nowhere.to_owned() + &standard(&upstream);
    let mut gateway = Gateway::spawn_in(gateway::directory(), &text);
    gateway.wait_until_bound();
    let operations = "portcullis_store_operations_seconds_count";
    eventually("attempts", || {
        let failed = gateway.exposition().sum(operations, &[("result", "failed")]);
        (failed >= 2.0).then_some(())
    });
    assert_eq!((gateway.metric(STALENESS), gateway.metric(STORE_UP)), (-1.0, 0.0));
    assert_eq!(gateway.metric(&snapshots("start")), 0.0);
}

#[test]
fn each_operation_of_the_store_is_timed_with_its_result() {
    let mut server = RedisServer::start();
    let fleet = Fleet::start(&redis(&server.settings()), 1);
    let gateway = fleet.gateway(1);
    assert_eq!(gateway.metric(&operations("snapshot", "ok")), 1.0);
    eventually("word to the others", || {
        (gateway.metric(&operations("announce", "ok")) >= 1.0).then_some(())
    });
    let before = gateway.metric(&operations("roster", "ok"));
    fleet::roster(gateway).expect("the roster");
    assert_eq!(gateway.metric(&operations("roster", "ok")), before + 1.0);
    fleet::admin(gateway, "/v1/revocations").expect("the list");
    assert_eq!(gateway.metric(&operations("list", "ok")), 1.0);
    revoke(gateway, "alice");
    assert_eq!(gateway.metric(&operations("append", "ok")), 1.0);
    server.kill();
    assert_eq!(fleet::revoke(gateway, "bob").status, 503);
    assert_eq!(gateway.metric(&operations("append", "failed")), 1.0);
    assert_eq!(gateway.metric(&operations("append", "ok")), 1.0);
    await_value(gateway, STORE_UP, 0.0);
}

#[test]
fn what_waits_for_the_store_is_counted_until_it_is_delivered() {
    let durable = RedisOptions { durable: true, ..RedisOptions::default() };
    let mut server = RedisServer::start_with(durable);
    let lines = redis(&server.settings()) + "revocation: { accept_local: true }\n";
    let fleet = Fleet::start(&lines, 1);
    let gateway = fleet.gateway(1);
    assert_eq!(gateway.metric(PENDING), 0.0);
    server.kill();
    for (number, subject) in ["alice", "bob"].iter().enumerate() {
        assert_eq!(fleet::revoke(gateway, subject).status, 202);
        assert_eq!(gateway.metric(PENDING), (number + 1) as f64);
    }
    server.restart(Data::Kept);
    await_value(gateway, PENDING, 0.0);
}

#[test]
fn request_that_is_given_up_is_counted_by_its_cause() {
    let upstream = Upstream::start_with(Behaviour::Upgrade);
    let gateway = Gateway::standard(&upstream);
    let ended = |cause: &str| {
        gateway.metric(&format!("portcullis_streams_ended_total{{cause=\"{cause}\"}}"))
    };
    assert_eq!((ended("revoked"), ended("expired")), (0.0, 0.0));
    let authorization = bearer(&token_of("alice"));
    let fields = [
        ("Authorization", authorization.as_str()),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
    ];
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(get("/whoami", &fields)).status, 101);
    revoke(&gateway, "alice");
    assert!(connection.is_closed_within(Duration::from_secs(10)), "it is given up");
    eventually("the count", || (ended("revoked") == 1.0).then_some(()));
    assert_eq!(ended("expired"), 0.0);
}

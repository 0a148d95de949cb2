//! What one gateway is told, all do, and it is known which of them did.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::certificates::Authority;
use crate::harness::client::{Connection, get};
use crate::harness::eventually;
use crate::harness::fleet::{
    self, Fleet, Verdict, ask, ask_route, await_silence, is_confirmed, missing, redis,
    revoke_on_all, revoke_within, roster, said, stale_after, token_of,
};
use crate::harness::gateway::{Gateway, directory};
use crate::harness::redis::{Cluster, RedisOptions, RedisServer, ServerTls};
use crate::harness::relay::Relay;
use crate::harness::tokens::bearer;
use crate::harness::upstream::Upstream;

/// How many gateways there are.
const COUNT: usize = 3;

/// Where the store keeps what gateways tell.
const GATEWAYS: &str = "portcullis:{revocations}:gateways";

/// Three gateways that may be this far behind.
fn three(server: &RedisServer, max_staleness: &str) -> Fleet {
    Fleet::start(&(redis(&server.settings()) + &stale_after(max_staleness)), COUNT)
}

/// Asks what `ask` asks, in words that are sent before anybody can answer.
fn sent(gateway: &Gateway, token: &str) -> Connection {
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/whoami", &[("Authorization", &bearer(token))]));
    connection
}

#[test]
fn revocation_written_to_any_gateway_is_in_force_on_all_once_they_confirm() {
    let server = RedisServer::start();
    let fleet = three(&server, "5s");
    let watch = fleet.watch();
    for writer in 1..=COUNT {
        let subject = format!("user-{writer}");
        let token = token_of(&subject);
        for gateway in fleet.all() {
            assert_eq!(ask(gateway, &token), Verdict::Accepted);
        }
        revoke_on_all(fleet.gateway(writer), &subject, COUNT);
        watch.is_revoked(&token);
        for gateway in fleet.all() {
            assert_eq!(ask(gateway, &token), Verdict::Revoked);
        }
    }
    watch.end();
}

#[test]
fn many_revocations_at_once_are_each_confirmed_by_all_and_hit_nobody_else() {
    const EACH: usize = 100;
    let server = RedisServer::start();
    let fleet = three(&server, "5s");
    let watch = fleet.watch();
    let revoked = |writer: usize, number: usize| format!("user-{writer}-{number}");
    std::thread::scope(|scope| {
        for writer in 1..=COUNT {
            // Each listener is asked by several at once.
            for lane in 0..4 {
                let (fleet, watch) = (&fleet, &watch);
                scope.spawn(move || {
                    for number in (0..EACH).filter(|number| number % 4 == lane) {
                        let subject = revoked(writer, number);
                        let token = token_of(&subject);
                        revoke_on_all(fleet.gateway(writer), &subject, COUNT);
                        watch.is_revoked(&token);
                    }
                });
            }
        }
    });
    for gateway in fleet.all() {
        for writer in 1..=COUNT {
            for number in 0..EACH {
                let subject = revoked(writer, number);
                assert_eq!(ask(gateway, &token_of(&subject)), Verdict::Revoked, "{subject}");
            }
        }
        for near in ["user-1-100", "user-1-", "user-1", "user-1-00", "user-0-1", "USER-1-1"] {
            assert_eq!(ask(gateway, &token_of(near)), Verdict::Accepted, "{near}");
        }
    }
    let listing = fleet::admin(fleet.gateway(1), "/v1/revocations?limit=1000").expect("a list");
    assert_eq!(listing["total"], COUNT * EACH);
    let subjects = listing["revocations"].as_array().expect("a list").iter();
    let subjects: BTreeSet<_> = subjects.map(|one| one["subject"].as_str()).collect();
    assert_eq!(subjects.len(), COUNT * EACH);
    watch.end();
}

#[test]
fn stopped_gateway_is_named_and_never_accepts_what_was_revoked_while_it_stood_still() {
    let server = RedisServer::start();
    let fleet = three(&server, "1s");
    let watch = fleet.watch();
    for round in 0..2 {
        let subject = format!("user-{round}");
        let token = token_of(&subject);
        for gateway in fleet.all() {
            eventually("a gateway that knows", || {
                (ask(gateway, &token) == Verdict::Accepted).then_some(())
            });
        }
        fleet.gateway(2).stand_still();
        let answer = revoke_within(fleet.gateway(1), &subject, 200);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(missing(&answer), ["gw-2"], "{answer:?}");
        let told = answer.json();
        assert_eq!((&told["confirmed"], &told["gateways"]), (&2.into(), &3.into()), "{answer:?}");
        assert_eq!(ask(fleet.gateway(3), &token), Verdict::Revoked);
        await_silence(fleet.gateway(1), "gw-2");
        watch.is_revoked(&token);
        let waiting: Vec<_> = (0..20).map(|_| sent(fleet.gateway(2), &token)).collect();
        fleet.gateway(2).signal("CONT");
        for mut connection in waiting {
            assert_ne!(said(&connection.answer().expect("an answer")), Verdict::Accepted);
        }
        eventually("a gateway that has caught up", || match ask(fleet.gateway(2), &token) {
            Verdict::Accepted => panic!("it was revoked"),
            Verdict::Unknown => None,
            Verdict::Revoked => Some(()),
        });
        revoke_on_all(fleet.gateway(2), "another", COUNT);
    }
    watch.end();
}

#[test]
fn gateway_that_takes_its_leave_is_no_longer_counted() {
    let server = RedisServer::start();
    let mut fleet = three(&server, "5s");
    fleet.gateway(3).signal("TERM");
    assert_eq!(fleet.gateway_mut(3).wait().code(), Some(0));
    revoke_on_all(fleet.gateway(1), "user-1", COUNT - 1);
}

#[test]
fn gateway_that_takes_its_leave_while_others_revoke_is_no_longer_counted() {
    let server = RedisServer::start();
    let mut fleet = Fleet::start(&redis(&server.settings()), 1);
    for number in 2..=7 {
        fleet.join();
        fleet.await_roster(2);
        let is_over = AtomicBool::new(false);
        let admin = fleet.gateway(1).admin();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let bytes = fleet::revocation(&json!({ "scope": "client", "client": "c-1" }));
                let mut connection = Connection::open(admin);
                while !is_over.load(Ordering::SeqCst) {
                    assert_eq!(connection.exchange(&bytes).status, 201);
                }
            });
            let leaving = fleet.gateway_mut(number);
            leaving.signal("TERM");
            let status = leaving.wait();
            is_over.store(true, Ordering::SeqCst);
            assert_eq!(status.code(), Some(0));
        });
        let left = roster(fleet.gateway(1)).expect("a roster");
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[test]
fn killed_gateway_is_still_counted_and_is_reported_as_missing() {
    let server = RedisServer::start();
    let mut fleet = three(&server, "5s");
    fleet.gateway(3).signal("KILL");
    fleet.gateway_mut(3).wait();
    let token = token_of("user-1");
    let answer = revoke_within(fleet.gateway(1), "user-1", 200);
    assert_eq!((answer.status, missing(&answer)), (201, vec!["gw-3".to_owned()]), "{answer:?}");
    assert_eq!(answer.json()["confirmed"], COUNT - 1, "{answer:?}");
    for number in 1..COUNT {
        assert_eq!(ask(fleet.gateway(number), &token), Verdict::Revoked);
    }
    // One that starts in its place is another one.
    fleet.join();
    fleet.await_roster(COUNT + 1);
    let answer = revoke_within(fleet.gateway(4), "user-2", 200);
    assert_eq!(missing(&answer), ["gw-3"], "{answer:?}");
    assert_eq!(answer.json()["gateways"], COUNT + 1, "{answer:?}");
}

/// Whoever has said that all gateways confirmed was right about a gateway that starts, however
/// little of it has reached the store.
#[test]
fn starting_gateway_that_is_not_yet_counted_accepts_nobody() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&redis(&server.settings()), 1);
    for let_through in 1..=4 {
        let relay = Relay::start(server.port(), let_through);
        let lines =
            format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", relay.port());
        let text = fleet::configuration(fleet.upstream(), "starting", &lines);
        let mut starting = Gateway::spawn_in(directory(), &text);
        let is_ready = eventually("a gateway that is ready, or stuck", || {
            let is_ready = starting.errors().iter().any(|line| line.ends_with(" ready"));
            (is_ready || relay.accepted() > let_through).then_some(is_ready)
        });
        if !is_ready && !becomes_ready(&starting) {
            continue;
        }
        starting.wait_until_ready();
        let subject = format!("user-{let_through}");
        let token = token_of(&subject);
        let answer = revoke_within(fleet.gateway(1), &subject, 100);
        assert_eq!(answer.status, 201, "{answer:?}");
        if is_confirmed(&answer) {
            let said = ask(&starting, &token);
            assert_ne!(said, Verdict::Accepted, "{let_through} connections, and {}", answer.body);
        }
    }
}

/// Whether a gateway becomes ready all the same. The connection that stands still may be one that
/// readiness does not wait for.
fn becomes_ready(gateway: &Gateway) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        if gateway.errors().iter().any(|line| line.ends_with(" ready")) {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// The bound on staleness may be longer than a silent gateway is remembered.
#[test]
fn gateway_that_the_roster_has_forgotten_accepts_nobody_whose_revocation_all_confirmed() {
    let server = RedisServer::start();
    let mut fleet = Fleet::start(&(redis(&server.settings()) + &stale_after("10m")), 2);
    let token = token_of("user-1");
    assert_eq!(ask(fleet.gateway(2), &token), Verdict::Accepted);
    fleet.gateway(2).stand_still();
    // As if it had been silent for a minute and a half, which it may be and go on serving.
    for instance in server.cli(&["hkeys", GATEWAYS]).lines() {
        let told = server.cli(&["hget", GATEWAYS, instance]);
        if !told.contains("gw-2") {
            continue;
        }
        let mut told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        let then = told["told_ms"].as_u64().expect("a time") - 90_000;
        told["told_ms"] = then.into();
        server.cli(&["hset", GATEWAYS, instance, &told.to_string()]);
    }
    // Nothing is on its way to it, and who is asked does not remember it either.
    server.cli(&["client", "kill", "type", "normal"]);
    let joined = fleet.join();
    let answer = eventually("an acknowledged revocation", || {
        let answer = revoke_within(joined, "user-1", 300);
        (answer.status == 201).then_some(answer)
    });
    let mut waiting = sent(fleet.gateway(2), &token);
    fleet.gateway(2).signal("CONT");
    let said = said(&waiting.answer().expect("an answer"));
    assert!(!is_confirmed(&answer) || said != Verdict::Accepted, "{}", answer.body);
}

#[test]
fn revocation_reaches_all_gateways_through_a_cluster() {
    let cluster = Cluster::start();
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    let fleet = Fleet::start(&redis(&cluster.settings(&nodes)), COUNT);
    let watch = fleet.watch();
    for writer in 1..=COUNT {
        let subject = format!("user-{writer}");
        revoke_on_all(fleet.gateway(writer), &subject, COUNT);
        watch.is_revoked(&token_of(&subject));
    }
    for gateway in fleet.all() {
        assert_eq!(ask(gateway, &token_of("user-1")), Verdict::Revoked);
    }
    watch.end();
}

#[test]
fn revocation_reaches_all_gateways_through_tls_and_an_acl_user() {
    let authority = Authority::new();
    let client = authority.issue("gateway");
    let tls = ServerTls { client: Some(client.clone()), ..ServerTls::new(&authority) };
    // Only what `store/redis.rs` says that it takes.
    let rules = "on >mallon ~portcullis:{revocations}:* -@all +@read +@write +@connection \
                 +@scripting +time";
    let server = RedisServer::start_with(RedisOptions {
        password: Some("for-others".to_owned()),
        user: Some(("gate".to_owned(), rules.to_owned())),
        tls: Some(tls),
        ..RedisOptions::default()
    });
    let lines = format!(
        "store:\n  redis:\n    url: rediss://127.0.0.1:{}\n    username: gate\n    \
         password_file: password\n    tls: {{ ca_file: ca.pem, certificate_file: client.pem, \
         key_file: client-key.pem }}\n",
        server.port(),
    );
    let upstream = Upstream::start();
    let start = |name: &str| {
        let directory = directory();
        for (file, text) in [
            ("password", "mallon\n"),
            ("ca.pem", &authority.pem()),
            ("client.pem", &client.chain),
            ("client-key.pem", &client.key),
        ] {
            std::fs::write(directory.path().join(file), text).expect("a file");
        }
        Gateway::start_in(directory, &fleet::configuration(&upstream, name, &lines))
    };
    let (first, second) = (start("gw-1"), start("gw-2"));
    eventually("both", || (roster(&second)?.len() == 2).then_some(()));
    let token = token_of("user-1");
    assert_eq!(ask(&second, &token), Verdict::Accepted);
    revoke_on_all(&first, "user-1", 2);
    assert_eq!(ask(&second, &token), Verdict::Revoked);
    assert_eq!(ask_route(&second, "POST", "/writes/x", &token_of("user-2")), Verdict::Accepted);
    let errors = [first.errors(), second.errors()].concat();
    assert!(!errors.iter().any(|line| line.contains("mallon")), "{errors:?}");
}

#[test]
fn wrong_password_is_told_and_lets_nobody_in() {
    let server = RedisServer::start_with(RedisOptions {
        password: Some("right".to_owned()),
        ..RedisOptions::default()
    });
    let upstream = Upstream::start();
    let lines =
        format!("store: {{ redis: {{ url: 'redis://:wrong@127.0.0.1:{}' }} }}\n", server.port());
    let text = fleet::configuration(&upstream, "gw-1", &lines);
    let gateway = Gateway::spawn_in(directory(), &text);
    let told = eventually("a reason", || {
        gateway.errors().into_iter().find(|line| line.contains("cannot be followed"))
    });
    assert!(told.contains("refused") && !told.contains("wrong@"), "{told}");
    assert!(!gateway.errors().iter().any(|line| line.ends_with(" ready")));
}

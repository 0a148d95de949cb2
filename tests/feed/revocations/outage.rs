//! While the store is away nobody is told anything that is not known.

use std::net::SocketAddr;

use serde_json::json;

use crate::harness::client::{self, Answer, get};
use crate::harness::eventually;
use crate::harness::fleet::{
    self, Fleet, Verdict, addresses, ask, ask_route, missing, redis, revoke, revoke_on_all,
    revoke_until_on_all, revoke_within, said, stale_after, token_of,
};
use crate::harness::gateway::{Gateway, directory};
use crate::harness::redis::{Data, RedisServer};
use crate::harness::tokens::bearer;
use crate::harness::upstream::Upstream;

/// A gateway that may be a second behind, on this server.
fn lines(server: &RedisServer) -> String {
    redis(&server.settings()) + &stale_after("1s")
}

fn accepting_locally(server: &RedisServer) -> String {
    let section = "revocation: { max_staleness: 1s, accept_local: true }\n";
    redis(&server.settings()) + section
}

/// Waits until a gateway says this to a token.
fn await_said(gateway: &Gateway, token: &str, wanted: Verdict) {
    eventually("an answer", || (ask(gateway, token) == wanted).then_some(()));
}

/// Waits until a gateway no longer knows who is revoked.
fn await_staleness(gateway: &Gateway) {
    await_said(gateway, &token_of("somebody"), Verdict::Unknown);
}

fn assert_not_durable(answer: &Answer) {
    assert_eq!((answer.status, &*answer.slug()), (503, "store_unavailable"), "{answer:?}");
    assert_eq!(answer.json()["durable"], false, "{answer:?}");
    let pause = answer.field("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(pause > Some(0), "{answer:?}");
}

#[test]
fn routes_differ_in_what_they_do_while_the_store_stands_still_and_recover_by_themselves() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&lines(&server), 1);
    let gateway = fleet.gateway(1);
    let (revoked, other) = (token_of("user-1"), token_of("user-2"));
    revoke_on_all(gateway, "user-1", 1);
    let watch = fleet.watch();
    watch.is_revoked(&revoked);
    let all = [
        ("GET", "/whoami"),
        ("GET", "/writes/x"),
        ("POST", "/writes/x"),
        ("GET", "/open"),
        ("POST", "/open"),
        ("GET", "/grace"),
        ("POST", "/grace"),
    ];
    let said = |token: &str| all.map(|(method, path)| ask_route(gateway, method, path, token));
    assert_eq!(said(&other), [Verdict::Accepted; 7]);
    assert_eq!(said(&revoked), [Verdict::Revoked; 7]);

    server.pause();
    await_staleness(gateway);
    let (yes, no) = (Verdict::Accepted, Verdict::Unknown);
    assert_eq!(said(&other), [no, yes, no, yes, yes, yes, yes]);
    assert_eq!(said(&revoked), [Verdict::Revoked; 7]);
    eventually("the end of the grace", || {
        (ask_route(gateway, "GET", "/grace", &other) == no).then_some(())
    });
    assert_eq!(said(&other), [no, yes, no, yes, yes, no, no]);
    assert_eq!(said(&revoked), [Verdict::Revoked; 7]);

    server.resume();
    await_said(gateway, &other, Verdict::Accepted);
    assert_eq!(said(&other), [Verdict::Accepted; 7]);
    assert_eq!(said(&revoked), [Verdict::Revoked; 7]);
    watch.end();
}

#[test]
fn revocation_that_cannot_be_written_down_is_refused_as_not_durable() {
    let mut server = RedisServer::start_durable();
    let fleet = Fleet::start(&lines(&server), 2);
    let (first, second) = (fleet.gateway(1), fleet.gateway(2));
    let watch = fleet.watch();
    let token = token_of("user-1");
    assert_eq!(ask(first, &token), Verdict::Accepted);

    server.pause();
    assert_not_durable(&revoke(first, "perhaps"));
    server.resume();
    await_said(first, &token, Verdict::Accepted);

    server.kill();
    assert_not_durable(&revoke(first, "user-1"));
    assert_not_durable(&revoke_within(second, "user-1", 500));
    assert!(fleet::admin(first, "/v1/gateways").is_none());
    assert!(fleet::admin(first, "/v1/revocations").is_none());
    server.restart(Data::Kept);
    for gateway in fleet.all() {
        // What was refused was not done.
        await_said(gateway, &token, Verdict::Accepted);
    }
    revoke_until_on_all(first, "user-1", 2);
    watch.is_revoked(&token);
    assert_eq!(ask(second, &token), Verdict::Revoked);
    watch.end();
}

#[test]
fn revocation_accepted_locally_is_in_force_there_at_once_and_delivered_after_a_pause() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&accepting_locally(&server), 3);
    let watch = fleet.watch();
    let token = token_of("user-1");
    server.pause();
    await_staleness(fleet.gateway(1));
    let answer = revoke_within(fleet.gateway(1), "user-1", 500);
    assert_eq!(answer.status, 202, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["durable"], false, "{answer:?}");
    assert!(told.get("confirmed").is_none() && told.get("position").is_none(), "{answer:?}");
    assert_eq!(ask(fleet.gateway(1), &token), Verdict::Revoked);
    assert_eq!(ask_route(fleet.gateway(1), "GET", "/open", &token), Verdict::Revoked);
    assert_eq!(ask_route(fleet.gateway(2), "GET", "/open", &token), Verdict::Accepted);
    assert_eq!(fleet.gateway(1).metric("portcullis_revocations_pending"), 1.0);
    server.resume();
    for gateway in fleet.all() {
        await_said(gateway, &token, Verdict::Revoked);
    }
    watch.is_revoked(&token);
    eventually("delivery", || {
        (fleet.gateway(1).metric("portcullis_revocations_pending") == 0.0).then_some(())
    });
    revoke_until_on_all(fleet.gateway(1), "user-2", 3);
    watch.end();
}

#[test]
fn revocations_accepted_locally_are_delivered_to_a_store_that_starts_again() {
    let mut server = RedisServer::start_durable();
    let mut fleet = Fleet::start(&accepting_locally(&server), 2);
    let mut watch = fleet.watch();
    let subjects: Vec<_> = (0..5).map(|number| format!("user-{number}")).collect();
    let tokens: Vec<_> = subjects.iter().map(|subject| token_of(subject)).collect();
    server.kill();
    for (number, subject) in subjects.iter().enumerate() {
        let gateway = fleet.gateway(1 + number % 2);
        let answer = revoke(gateway, subject);
        assert_eq!((answer.status, &answer.json()["durable"]), (202, &json!(false)), "{answer:?}");
        assert_eq!(ask(gateway, &tokens[number]), Verdict::Revoked);
    }
    server.restart(Data::Kept);
    for token in &tokens {
        for gateway in fleet.all() {
            await_said(gateway, token, Verdict::Revoked);
        }
        watch.is_revoked(token);
    }
    for gateway in fleet.all() {
        eventually("delivery", || {
            (gateway.metric("portcullis_revocations_pending") == 0.0).then_some(())
        });
    }
    watch.look_at(fleet.join());
    for token in &tokens {
        assert_eq!(ask(fleet.gateway(3), token), Verdict::Revoked);
    }
    watch.end();
}

#[test]
fn store_without_room_is_followed_and_refuses_what_it_cannot_keep() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&lines(&server), 2);
    let watch = fleet.watch();
    let (revoked, other) = (token_of("user-1"), token_of("user-2"));
    revoke_on_all(fleet.gateway(1), "user-1", 2);
    watch.is_revoked(&revoked);
    server.cli(&["config", "set", "maxmemory", "1"]);
    assert_not_durable(&revoke(fleet.gateway(1), "user-2"));
    for gateway in fleet.all() {
        assert_eq!(
            (ask(gateway, &revoked), ask(gateway, &other)),
            (Verdict::Revoked, Verdict::Accepted)
        );
    }
    assert!(fleet.gateway(1).metric("portcullis_revocation_staleness_seconds") < 1.0);
    server.cli(&["config", "set", "maxmemory", "0"]);
    revoke_on_all(fleet.gateway(2), "user-2", 2);
    assert_eq!(ask(fleet.gateway(1), &other), Verdict::Revoked);
    watch.end();
}

/// What a gateway that may not be ready says on a path.
fn status(address: SocketAddr, path: &str) -> u16 {
    client::exchange(address, get(path, &[("Host", "localhost")])).status
}

#[test]
fn gateway_that_starts_without_its_store_serves_the_public_only_until_the_store_comes() {
    let mut server = RedisServer::start_durable();
    let upstream = Upstream::start();
    let subject = "user-1";
    let (revoked, other) = (token_of(subject), token_of("user-2"));
    {
        let before = fleet::start(&upstream, "before", &lines(&server));
        revoke_on_all(&before, subject, 1);
        before.signal("TERM");
    }
    server.kill();
    let text = fleet::configuration(&upstream, "gw-1", &lines(&server));
    let mut gateway = Gateway::spawn_in(directory(), &text);
    let (address, admin) = addresses(&gateway);
    let asked = |token: &str, path: &str| {
        let fields = [("Authorization", &*bearer(token))];
        said(&client::exchange(address, get(path, &fields)))
    };
    eventually("a listener", || (status(address, "/public/x") == 200).then_some(()));
    eventually("what is wrong", || {
        let errors = gateway.errors();
        errors.iter().any(|line| line.contains("cannot be followed")).then_some(())
    });
    assert_eq!(status(admin, "/readyz"), 503);
    assert_eq!(status(admin, "/livez"), 200);
    for token in [&revoked, &other] {
        // Not even where an old list is good enough: there is none.
        for path in ["/whoami", "/writes/x", "/open", "/grace"] {
            assert_eq!(asked(token, path), Verdict::Unknown, "{path}");
        }
    }
    assert_eq!(status(address, "/public/x"), 200);
    assert!(gateway.is_running());

    server.restart(Data::Kept);
    while status(admin, "/readyz") == 503 {
        assert_ne!(asked(&revoked, "/open"), Verdict::Accepted);
    }
    gateway.wait_until_ready();
    assert_eq!(asked(&revoked, "/whoami"), Verdict::Revoked);
    assert_eq!(asked(&other, "/whoami"), Verdict::Accepted);
}

#[test]
fn gateway_cut_off_alone_is_missing_and_knows_nothing_until_it_is_back() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&lines(&server), 2);
    let token = token_of("user-1");
    // Its connections stay, and nothing moves on them.
    fleet.gateway(2).stand_still();
    fleet::await_silence(fleet.gateway(1), "gw-2");
    server.pause();
    fleet.gateway(2).signal("CONT");
    assert_eq!(ask(fleet.gateway(2), &token), Verdict::Unknown);
    fleet.gateway(2).stand_still();
    server.resume();
    let answer = revoke_within(fleet.gateway(1), "user-1", 500);
    assert_eq!((answer.status, missing(&answer)), (201, vec!["gw-2".to_owned()]), "{answer:?}");
    fleet.gateway(2).signal("CONT");
    eventually("the news", || match ask(fleet.gateway(2), &token) {
        Verdict::Accepted => panic!("it was revoked"),
        Verdict::Unknown => None,
        Verdict::Revoked => Some(()),
    });
}

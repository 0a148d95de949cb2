//! Logging out: here, everywhere, and on another device, as all gateways see it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::{self, Connection};
use crate::harness::eventually;
use crate::harness::fleet;
use crate::harness::gateway::Gateway;
use crate::harness::login::{self, COOKIE, Login, write_users};
use crate::harness::outcome::accepted;
use crate::harness::redis::{Data, RedisServer};
use crate::harness::sessions::{
    SessionFleet, ask_on, await_told, configuration, delete, denied, key, told,
};

/// How long the news of a logout may take. The best of a few tries counts: others use the machine.
const PROMPT: Duration = Duration::from_millis(50);

/// How long it takes until a gateway refuses a session, from now.
fn until_refused(connection: &mut Connection, login: &Login, slug: &str) -> Duration {
    let begun = Instant::now();
    eventually("a refusal", || {
        let told = ask_on(connection, login);
        (told != accepted()).then(|| assert_eq!(told, denied(slug)))
    });
    begun.elapsed()
}

#[test]
fn logout_is_felt_on_every_gateway_within_milliseconds() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 3);
    let address = site.gateway(1).address();
    let bystander = site.log_in("alice");
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let alice = site.log_in("alice");
        site.assert_in(&alice);
        let mut others: Vec<_> =
            [2, 3].map(|number| Connection::open(site.gateway(number).address())).into();
        alice.log_out(address);
        assert_eq!(site.ask(1, &alice), denied("session_revoked"), "where it was ended, at once");
        let begun = Instant::now();
        for other in &mut others {
            until_refused(other, &alice, "session_revoked");
        }
        best = best.min(begun.elapsed());
        site.assert_in(&bystander);
    }
    assert!(best < PROMPT, "{best:?}");
}

#[test]
fn logout_takes_the_cookie_back_and_says_the_same_to_who_is_logged_out() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let address = site.gateway(1).address();
    for _ in 0..2 {
        let answer = alice.send(address, "POST", "/auth/logout");
        assert_eq!(answer.status, 204, "{answer:?}");
        let cleared = answer.field("set-cookie").expect("a cookie");
        assert!(cleared.starts_with(&format!("{COOKIE}=; Path=/;")), "{cleared}");
        assert!(cleared.contains("Max-Age=0"), "{cleared}");
        assert_eq!(site.ask(1, &alice), denied("session_revoked"));
    }
}

#[test]
fn logout_everywhere_ends_all_sessions_of_the_subject_and_nobody_elses() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let address = site.gateway(1).address();
    let devices: Vec<_> =
        (0..4).map(|number| Login::new(site.gateway(1 + number % 2).address(), "alice")).collect();
    let bob = site.log_in("bob");
    devices.iter().chain([&bob]).for_each(|login| site.assert_in(login));
    assert_eq!(devices[0].send(address, "POST", "/auth/logout-everywhere").status, 204);
    // At once, and not undone by the second in which it happened.
    let again = Login::new(address, "alice");
    assert_eq!(site.ask(1, &again), accepted());
    for device in &devices {
        assert_eq!(site.ask(1, device), denied("session_revoked"));
        await_told(&site, 2, device, &denied("session_revoked"));
    }
    assert_eq!(site.ask(2, &again), accepted());
    site.assert_in(&bob);
    // And it lasts.
    let elsewhere = Login::new(site.gateway(2).address(), "alice");
    site.assert_in(&elsewhere);
}

#[test]
fn session_on_another_device_can_be_ended_and_a_strangers_cannot() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let address = site.gateway(1).address();
    let (here, there) = (site.log_in("alice"), site.log_in("alice"));
    let bob = site.log_in("bob");
    site.assert_in(&there);
    let end = |id: &str| here.send(address, "DELETE", &format!("/auth/sessions/{id}"));
    assert_eq!(told(&end(&bob.id)), (404, "route_unknown".to_owned()));
    assert_eq!(told(&end(&"A".repeat(43))), (404, "route_unknown".to_owned()), "the same");
    assert_eq!(told(&end("nonsense")), (404, "route_unknown".to_owned()));
    site.assert_in(&bob);
    let answer = end(&there.id);
    assert_eq!((answer.status, answer.field("set-cookie")), (204, None), "{answer:?}");
    assert_eq!(site.ask(1, &there), denied("session_revoked"));
    await_told(&site, 2, &there, &denied("session_revoked"));
    site.assert_in(&here);
    site.assert_in(&bob);
    // One's own, and with it the cookie.
    let answer = end(&here.id);
    assert_eq!(answer.status, 204);
    assert!(answer.field("set-cookie").is_some_and(|set| set.contains("Max-Age=0")), "{answer:?}");
    assert_eq!(site.ask(1, &here), denied("session_revoked"));
}

#[test]
fn logout_is_not_forgotten_by_a_gateway_that_starts_later() {
    let server = RedisServer::start();
    let mut site = SessionFleet::on(&server, "", 1);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    alice.log_out(site.gateway(1).address());
    site.join();
    assert_eq!(site.ask(2, &alice), denied("session_revoked"));
    assert_eq!(site.ask(2, &bob), accepted());
}

#[test]
fn logout_needs_the_session_and_not_only_its_id() {
    let site = SessionFleet::embedded("");
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let address = site.gateway(1).address();
    let by_id = format!("{COOKIE}={}", alice.id);
    for path in ["/auth/logout", "/auth/logout-everywhere"] {
        for fields in [
            vec![("Cookie", &*by_id), ("X-CSRF-Token", &alice.csrf)],
            // One's own token for another's session.
            vec![("Cookie", &*alice.cookie), ("X-CSRF-Token", &bob.csrf)],
            vec![("Cookie", &*alice.cookie)],
        ] {
            client::exchange(address, client::request("POST", path, &fields, ""));
            site.assert_in(&alice);
        }
    }
}

#[test]
fn change_of_the_password_file_ends_the_sessions_of_that_user_on_all_gateways() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let mut users = login::everybody();
    let change = |users: &serde_json::Value| {
        write_users(site.gateway(1).directory(), users);
        site.gateway(1).signal("HUP");
    };
    for (name, changed) in [
        ("alice", json!({ "subject": "u-17", "roles": [] })),
        ("bob", json!({ "roles": ["admin"], "password": login::hash("another") })),
        ("carol", serde_json::Value::Null),
    ] {
        let logins = ["alice", "bob", "carol", "dave"].map(|name| {
            let is_there =
                !users[name].is_null() && users[name]["password"] == login::common_hash();
            is_there.then(|| (name, Login::new(site.gateway(2).address(), name)))
        });
        let logins: Vec<_> = logins.into_iter().flatten().collect();
        logins.iter().for_each(|(_, login)| site.assert_in(login));
        if changed.is_null() {
            users.as_object_mut().expect("users").remove(name);
        } else {
            users[name] = login::user(changed);
        }
        change(&users);
        let (_, ended) = logins.iter().find(|(one, _)| *one == name).expect("they were there");
        for number in [1, 2] {
            await_told(&site, number, ended, &denied("session_revoked"));
        }
        for (other, login) in &logins {
            if *other != name {
                site.assert_in(login);
            }
        }
    }
    // Whose roles changed logs in and has the new ones.
    let alice = site.log_in("alice");
    site.assert_in(&alice);
    assert_eq!(site.upstream.last().values("x-auth-roles"), [""; 0]);
    assert_eq!(login::attempt(site.gateway(1).address(), "carol", &[]).status, 401);
}

/// Redis has lost the session when its owner logs out, and gets it back: from the new master for
/// example, while the gateway was still with the old one.
#[test]
fn logout_holds_though_the_store_does_not_have_the_session_and_gets_it_back() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let key = key(&server, &alice);
    let record = server.cli(&["get", &key]);
    delete(&server, &alice);
    await_told(&site, 1, &alice, &denied("session_unknown"));
    let entries = || site.gateways[0].metric("portcullis_revocation_entries");
    assert_eq!(entries(), 0.0);
    for _ in 0..2 {
        alice.log_out(site.gateways[0].address());
        assert_eq!(entries(), 1.0);
    }
    assert_eq!(server.cli(&["set", &key, record.trim_end()]).trim(), "OK");
    for number in [1, 2] {
        await_told(&site, number, &alice, &denied("session_revoked"));
    }
    // What somebody made up ends nothing, and costs no entry.
    let made_up = Login { cookie: format!("__Host-session={}", "A".repeat(43)), ..bob.clone() };
    made_up.log_out(site.gateways[0].address());
    assert_eq!(entries(), 1.0);
    site.assert_in(&bob);
}

/// What is on nobody's account leaves operators their room when it is written down again, too.
#[test]
fn lost_logouts_of_lost_sessions_leave_operators_their_room() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "revocation: { max_entries: 20 }\n", 1);
    let gateway = site.gateway(1);
    for _ in 0..18 {
        let alice = site.log_in("alice");
        delete(&server, &alice);
        await_told(&site, 1, &alice, &denied("session_unknown"));
        alice.log_out(gateway.address());
    }
    let [log, live] = ["log", "live"].map(|name| format!("portcullis:{{revocations}}:{name}"));
    let count = || server.cli(&["zcard", &live]).trim().to_owned();
    assert_eq!(count(), "18");
    // One of them is left, three times: of each gateway that wrote it down again.
    let first = server.cli(&["zrange", &live, "0", "0", "withscores"]);
    let (member, score) = first.trim_end().rsplit_once('\n').expect("a member and its score");
    let copies: Vec<_> = (1..=3)
        .map(|mark| {
            let mut copy: Value = serde_json::from_str(member).expect("a record");
            copy["mark"] = json!(mark);
            copy.to_string()
        })
        .collect();
    let script = "redis.call('DEL', KEYS[1], KEYS[2]) for i = 2, #ARGV do redis.call('ZADD', KEYS[2], ARGV[1], ARGV[i]) end";
    let arguments = ["eval", script, "2", &log, &live, score, &copies[0], &copies[1], &copies[2]];
    server.cli(&arguments);
    eventually("as much as there is room for", || {
        let lines = gateway.errors();
        let is_full = lines.iter().any(|line| line.contains("cannot be written to the store"));
        (is_full || count() == "20").then_some(())
    });
    assert_eq!(fleet::revoke(gateway, "mallory").status, 201);
}

/// The same, where the store has lost all that it had, and the gateway at which its owner logs out started only then: it
/// knows what others have made before.
#[test]
fn logout_holds_at_a_gateway_that_started_when_the_store_had_lost_all_it_had() {
    let mut server = RedisServer::start();
    let mut site = SessionFleet::on(&server, "", 1);
    let alice = site.log_in("alice");
    server.restart(Data::Lost);
    let key = "portcullis:{revocations}:tag_key";
    eventually("the key of the tags", || {
        (server.cli(&["exists", key]).trim() == "1").then_some(())
    });
    site.join();
    await_told(&site, 2, &alice, &denied("session_unknown"));
    alice.log_out(site.gateway(2).address());
    for number in [1, 2] {
        await_told(&site, number, &alice, &denied("session_revoked"));
    }
}

/// The same, before anybody has written down again by what it can tell a cookie from one that was made up.
#[test]
fn logout_holds_at_a_gateway_that_cannot_tell_yet_whose_cookie_it_is() {
    let mut server = RedisServer::start();
    let mut site = SessionFleet::on(&server, "", 1);
    let alice = site.log_in("alice");
    site.gateway(1).stand_still();
    server.restart(Data::Lost);
    let text = configuration(&site.upstream, &site.lines);
    let mut starts = Gateway::spawn_in(login::directory(), &text);
    starts.wait_until_bound();
    let begun = Instant::now();
    eventually("a logout", || {
        let answer = alice.send(starts.address(), "POST", "/auth/logout");
        assert!(matches!(answer.status, 204 | 503), "{answer:?}");
        (answer.status == 204).then_some(())
    });
    // Later it goes by a key of its own.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    site.gateway(1).signal("CONT");
    starts.wait_until_ready();
    site.gateways.push(starts);
    for number in [1, 2] {
        await_told(&site, number, &alice, &denied("session_revoked"));
    }
}

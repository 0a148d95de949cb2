//! Whoever is cut off is so with all tokens that came of their login, the later ones too, and stays
//! so for as long as any of them could live.

mod remembered;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{self, Connection};
use crate::harness::eventually;
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, OWN, SECRET, admin, api_key, ask, ask_with_key,
    assert_invalid_grant, assert_unavailable, await_told, command, log_in, post, refresh,
    refreshing, revocations,
};
use crate::harness::login::{self, Login, user, write_users};
use crate::harness::outcome::{accepted, denied};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::header;

const DAY_S: i64 = 24 * 3600;

/// Cuts off, and waits until all gateways know.
#[track_caller]
fn cut_off(site: &IssuingFleet, draft: Value) {
    let mut draft = draft;
    draft["wait_ms"] = json!(5000);
    let answer = admin(site.gateway(1), "POST", "/v1/revocations", &draft);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["confirmed"], site.all().len(), "{answer:?}");
}

/// Asserts that nothing of a login is good any more, on any gateway.
#[track_caller]
fn assert_dead(site: &IssuingFleet, granted: &Granted) {
    for gateway in site.all() {
        let address = gateway.address();
        await_told(address, HOME, &granted.access, &denied(401, "token_revoked"));
        assert_invalid_grant(&refresh(address, &granted.refresh));
    }
}

/// Asserts that a login is as good as ever, and returns what it has then.
#[track_caller]
fn assert_alive(site: &IssuingFleet, granted: &Granted) -> Granted {
    let mut last = granted.clone();
    for gateway in site.all() {
        assert_eq!(ask(gateway.address(), HOME, &granted.access), accepted());
        last = last.next(gateway.address());
    }
    last
}

/// A session in a browser, of the same person.
fn browser(site: &IssuingFleet, number: usize, name: &str) -> Login {
    Login::new(site.at(number), name)
}

#[test]
fn subject_that_is_cut_off_loses_all_logins_and_can_log_in_again() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let alices = [Granted::log_in(site.at(1), "alice"), Granted::log_in(site.at(2), "alice")];
    let bob = Granted::log_in(site.at(1), "bob");
    let later = alices[0].next(site.at(2));
    cut_off(&site, json!({ "scope": "subject", "subject": "u-17", "issuer": "gateway" }));
    for granted in alices.iter().chain([&later]) {
        assert_dead(&site, granted);
    }
    assert_alive(&site, &bob);
    // From the next second on they are somebody who was not cut off.
    let again = eventually("a login that counts", || {
        let again = Granted::log_in(site.at(2), "alice");
        (ask(site.at(1), HOME, &again.access) == accepted()).then_some(again)
    });
    assert_alive(&site, &again);
    // And nothing brings the old ones back.
    assert_dead(&site, &later);
}

/// A gateway that has not heard of the cut-off yet goes on exchanging, for a moment. What comes of
/// it is as old as its login.
#[test]
fn token_that_an_ignorant_gateway_issues_after_the_cut_off_is_cut_off_too() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    for round in 0..5 {
        let alice = Granted::log_in(site.at(1), "alice");
        assert_eq!(ask(site.at(2), HOME, &alice.access), accepted());
        site.gateway(2).stand_still();
        let draft = json!({ "scope": "subject", "subject": "u-17", "issuer": OWN });
        assert_eq!(admin(site.gateway(1), "POST", "/v1/revocations", &draft).status, 201);
        // Second granularity: what is issued from here on has a later `iat` than the cut-off.
        let cut = crate::harness::tokens::now();
        eventually("the next second", || (crate::harness::tokens::now() > cut).then_some(()));
        let mut waiting = Connection::open(site.at(2));
        waiting.send(refreshing(&alice.refresh));
        site.gateway(2).signal("CONT");
        let answer = waiting.answer().expect("an answer");
        if answer.status == 200 {
            let late = Granted::read(&answer);
            assert!(late.claims()["iat"].as_i64() > Some(cut), "round {round}");
            assert_eq!(ask(site.at(1), HOME, &late.access), denied(401, "token_revoked"));
            assert_dead(&site, &late);
        } else if answer.status == 503 {
            assert_unavailable(&answer);
        } else {
            assert_invalid_grant(&answer);
        }
        assert_dead(&site, &alice);
        eventually("the next second", || (crate::harness::tokens::now() > cut + 1).then_some(()));
    }
}

#[test]
fn logout_everywhere_takes_tokens_with_it() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let alice = Granted::log_in(site.at(1), "alice");
    let later = alice.next(site.at(2));
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    let web = browser(&site, 2, "alice");
    let out = web.send(site.at(2), "POST", "/auth/logout-everywhere");
    assert_eq!(out.status, 204, "{out:?}");
    for granted in [&alice, &later] {
        assert_dead(&site, granted);
    }
    assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted());
    let again = Granted::log_in(site.at(1), "alice");
    assert_alive(&site, &again);
}

#[test]
fn login_for_tokens_is_a_device_that_its_owner_sees_and_ends() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let (alice, other) =
        (Granted::log_in(site.at(1), "alice"), Granted::log_in(site.at(1), "alice"));
    let web = browser(&site, 2, "alice");
    let listed = web.ask(site.at(2), "/auth/sessions");
    assert!(listed.body.contains(&alice.session()), "{listed:?}");
    let path = format!("/auth/sessions/{}", alice.session());
    // Not for somebody else.
    let bob = browser(&site, 1, "bob");
    let answer = bob.send(site.at(1), "DELETE", &path);
    assert!([403, 404].contains(&answer.status), "{answer:?}");
    let last = alice.next(site.at(1));
    let answer = web.send(site.at(2), "DELETE", &path);
    assert_eq!(answer.status, 204, "{answer:?}");
    for granted in [&alice, &last] {
        assert_dead(&site, granted);
    }
    assert_alive(&site, &other);
}

#[test]
fn operators_end_logins_for_tokens_like_any_other() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let gateway = site.gateway(1);
    let logins = [1, 2, 1].map(|number| Granted::log_in(site.at(number), "alice"));
    let bob = Granted::log_in(site.at(1), "bob");
    let listed = command(gateway, &["sessions", "list", "--subject", "u-17"]);
    for granted in &logins {
        assert!(listed.contains(&granted.session()), "{listed}");
    }
    command(gateway, &["sessions", "end", &logins[0].session(), "--wait", "5s"]);
    assert_dead(&site, &logins[0]);
    let session = logins[1].session();
    command(gateway, &["revoke", &format!("--session={session}"), "--wait", "5s"]);
    assert_dead(&site, &logins[1]);
    let third = assert_alive(&site, &logins[2]);
    command(gateway, &["sessions", "end", "--subject", "u-17", "--wait", "5s"]);
    assert_dead(&site, &logins[2]);
    assert_dead(&site, &third);
    assert_alive(&site, &bob);
}

#[test]
fn access_token_that_is_revoked_takes_nothing_else_with_it() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let alice = Granted::log_in(site.at(1), "alice");
    let second = alice.next(site.at(2));
    command(site.gateway(1), &["revoke", "--token", &alice.access, "--wait", "5s"]);
    for number in [1, 2] {
        assert_eq!(ask(site.at(number), HOME, &alice.access), denied(401, "token_revoked"));
    }
    let third = assert_alive(&site, &second);
    // RFC 7009 §2.1, by the client itself.
    assert_eq!(post(site.at(2), "/auth/revoke", &[("token", &third.access)]).status, 200);
    for number in [1, 2] {
        await_told(site.at(number), HOME, &third.access, &denied(401, "token_revoked"));
    }
    assert_alive(&site, &third.next(site.at(1)));
}

#[test]
fn client_that_is_cut_off_takes_all_logins_through_it() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let first_party = Granted::log_in(site.at(1), "alice");
    let members = json!({ "deliver": "tokens", "client_id": "app" });
    let app = Granted::read(&log_in(site.at(1), "alice", members, &[]));
    assert_eq!(first_party.claims()["client_id"], "first-party");
    command(site.gateway(1), &["revoke", "--client", "first-party", "--wait", "5s"]);
    assert_dead(&site, &first_party);
    for number in [1, 2] {
        assert_eq!(ask(site.at(number), HOME, &app.access), accepted());
    }
    let pairs =
        [("grant_type", "refresh_token"), ("refresh_token", &*app.refresh), ("client_id", "app")];
    Granted::read(&post(site.at(2), "/auth/token", &pairs));
    // Machines, too; and they get new ones.
    let machine = || {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", "batch"),
            ("client_secret", SECRET),
        ];
        Granted::read_access(&post(site.at(1), "/auth/token", &pairs))
    };
    let before = machine();
    assert_eq!(ask(site.at(2), "/bearers/x", &before), accepted());
    command(site.gateway(1), &["revoke", "--client", "batch", "--wait", "5s"]);
    assert_eq!(ask(site.at(2), "/bearers/x", &before), denied(401, "token_revoked"));
    eventually("a token that counts", || {
        (ask(site.at(2), "/bearers/x", &machine()) == accepted()).then_some(())
    });
}

#[test]
fn key_that_is_cut_off_signs_nothing_more_and_another_does() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 3);
    let alice = Granted::log_in(site.at(1), "alice");
    let kid = header(&alice.access)["kid"].as_str().expect("a text").to_owned();
    let kids = |number: usize| -> Vec<String> {
        let request = client::get("/.well-known/jwks.json", &[]);
        let keys = client::exchange(site.at(number), request).json();
        let keys = keys["keys"].as_array().expect("keys").clone();
        keys.iter().map(|key| key["kid"].as_str().expect("a text").to_owned()).collect()
    };
    for number in 1..=3 {
        assert_eq!(kids(number), std::slice::from_ref(&kid));
    }
    command(site.gateway(2), &["revoke", &format!("--key={kid}"), "--issuer", OWN, "--wait", "5s"]);
    for number in 1..=3 {
        assert_eq!(ask(site.at(number), HOME, &alice.access), denied(401, "token_revoked"));
    }
    // The login was not forged: it goes on, with another key, on all gateways.
    let next = eventually("a key that signs", || {
        let answer = refresh(site.at(1), &alice.refresh);
        if answer.status != 200 {
            assert_unavailable(&answer);
            return None;
        }
        Some(Granted::read(&answer))
    });
    assert_ne!(header(&next.access)["kid"], kid);
    for number in 1..=3 {
        await_told(site.at(number), HOME, &next.access, &accepted());
        eventually("a key that is no longer published", || {
            (!kids(number).contains(&kid) && !kids(number).is_empty()).then_some(())
        });
    }
    let mut last = next;
    for number in [2, 3, 1] {
        last = last.next(site.at(number));
        assert_ne!(header(&last.access)["kid"], kid, "at {number}");
        for other in 1..=3 {
            await_told(site.at(other), HOME, &last.access, &accepted());
        }
    }
}

#[test]
fn refresh_token_that_is_revoked_takes_all_of_its_login() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "both" }), &[]);
    let alice = Granted::read(&answer);
    let cookie = answer.field("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    let next = alice.next(site.at(2));
    let hint = [("token", &*next.refresh), ("token_type_hint", "access_token")];
    assert_eq!(post(site.at(2), "/auth/revoke", &hint).status, 200);
    for granted in [&alice, &next] {
        assert_dead(&site, granted);
    }
    let answer = client::exchange(site.at(1), client::get(HOME, &[("Cookie", cookie)]));
    assert_eq!(answer.status, 401, "{answer:?}");
    // RFC 7009 §2.2: once more does no harm.
    assert_eq!(post(site.at(1), "/auth/revoke", &hint).status, 200);
}

/// A token of the family that is not the current one was given to its client, too.
#[test]
fn refresh_token_that_was_exchanged_already_still_ends_its_login() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let next = alice.next(site.at(1));
    assert_eq!(post(site.at(1), "/auth/revoke", &[("token", &alice.refresh)]).status, 200);
    assert_dead(&site, &next);
}

#[test]
fn user_whose_entry_changes_loses_his_tokens() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let bob = Granted::log_in(site.at(1), "bob");
    let mut users = login::everybody();
    users["alice"] = user(json!({ "subject": "u-17", "roles": [] }));
    write_users(site.gateway(1).directory(), &users);
    assert_dead(&site, &alice);
    users.as_object_mut().expect("an object").remove("bob");
    write_users(site.gateway(1).directory(), &users);
    assert_dead(&site, &bob);
    let again = eventually("a login that counts", || {
        let answer = log_in(site.at(1), "alice", json!({ "deliver": "tokens" }), &[]);
        let again = Granted::read(&answer);
        (ask(site.at(1), HOME, &again.access) == accepted()).then_some(again)
    });
    assert!(again.claims().get("roles").is_none_or(|roles| roles == &json!([])));
}

/// A cookie lives by the rules of cookies, also when refresh tokens were given with it.
#[test]
fn cookie_that_came_with_tokens_ends_like_any_other_and_the_tokens_go_on() {
    let lines = "sessions: { idle_timeout: 2s, absolute_timeout: 3s }\n";
    let server = RedisServer::start();
    for site in [IssuingFleet::on(&server, lines, 1), IssuingFleet::embedded(lines)] {
        let answer = log_in(site.at(1), "alice", json!({ "deliver": "both" }), &[]);
        let granted = Granted::read(&answer);
        let set = answer.field("set-cookie").expect("a cookie");
        let cookie = set.split(';').next().expect("a pair").to_owned();
        let at_home = || {
            let request = client::get(HOME, &[("Cookie", &cookie)]);
            crate::harness::outcome::outcome(&client::exchange(site.at(1), request))
        };
        assert_eq!(at_home(), accepted());
        let begun = std::time::Instant::now();
        eventually("the end of the cookie", || {
            // In use all along.
            (at_home() != accepted()).then_some(())
        });
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(at_home().0, 401);
        assert_eq!(ask(site.at(1), HOME, &granted.access), accepted());
        let next = granted.next(site.at(1));
        assert_eq!(ask(site.at(1), HOME, &next.access), accepted());
        // An exchange does not bring the cookie back either.
        assert_eq!(at_home().0, 401);
    }
}

/// The rest and the end of a family are its own, whatever sessions do.
#[test]
fn family_rests_and_ends_as_its_section_says() {
    let sections = "
tokens:
  issuer: https://gateway.test
  signing: { encryption_key_file: kek }
  access: { lifetime: 1m, audiences: [orders-api] }
  refresh: { idle: 3s, absolute: 6s, rotation_grace: 1s }
";
    let server = RedisServer::start();
    for site in [IssuingFleet::on(&server, sections, 1), IssuingFleet::embedded(sections)] {
        let resting = Granted::log_in(site.at(1), "bob");
        let mut busy = Granted::log_in(site.at(1), "alice");
        let begun = std::time::Instant::now();
        let took = loop {
            let answer = refresh(site.at(1), &busy.refresh);
            if answer.status != 200 {
                assert_invalid_grant(&answer);
                break begun.elapsed();
            }
            busy = Granted::read(&answer);
            std::thread::sleep(Duration::from_millis(200));
        };
        assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&took), "{took:?}");
        assert_invalid_grant(&refresh(site.at(1), &resting.refresh));
        // What is issued last does not outlive its login.
        let claims = busy.claims();
        let login = claims["auth_time"].as_i64().expect("a date");
        assert!(claims["exp"].as_i64() <= Some(login + 6), "{claims}");
        // Nothing was stolen.
        assert!(crate::harness::issuing::audit(site.gateway(1)).is_empty());
        assert_eq!(crate::harness::issuing::refreshes(site.gateway(1), "reuse_detected"), 0.0);
    }
}

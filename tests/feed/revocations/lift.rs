//! A cut-off that was a mistake is lifted: whom it hit is let in again, on every gateway and for good.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::client::{self, Answer, request};
use crate::harness::eventually;
use crate::harness::fleet::{self, Fleet, Verdict, ask, post, redis, stale_after, token_of};
use crate::harness::gateway::{Gateway, directory};
use crate::harness::people::{self, Browser};
use crate::harness::proxy::{Direction, Proxy};
use crate::harness::redis::RedisServer;
use crate::harness::revocations::{lift, lift_on_all, listing, revoke, revoke_on_all, subject};
use crate::harness::tokens::{ISSUER, now, token};
use crate::harness::upstream::Upstream;

const LOG: &str = "portcullis:{revocations}:log";
const LIVE: &str = "portcullis:{revocations}:live";
const LIFTED: &str = "portcullis:{revocations}:lifted";

const EMBEDDED: &str = "store: { embedded: { path: data/revocations.redb } }\n";

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, slug: &str, detail: &str) {
    let told = answer.json();
    assert_eq!((answer.status, &told["slug"]), (status, &json!(slug)), "{answer:?}");
    assert!(told["detail"].as_str().is_some_and(|text| text.contains(detail)), "{told}");
}

fn embedded(directory: &Arc<TempDir>, upstream: &Upstream) -> Gateway {
    Gateway::start_in(directory.clone(), &fleet::configuration(upstream, "gw-1", EMBEDDED))
}

/// What can be lifted, and a token that it hits.
fn mistakes() -> [(Value, Value); 4] {
    let issued = now() - 60;
    let token = |mut claims: Value| {
        claims["iat"] = json!(issued);
        claims
    };
    [
        (subject("ada"), token(json!({ "sub": "ada" }))),
        (
            json!({ "scope": "subject", "subject": "bob", "issuer": "test" }),
            token(json!({ "sub": "bob" })),
        ),
        (json!({ "scope": "client", "client": "c" }), token(json!({ "client_id": "c" }))),
        (json!({ "scope": "issuer", "issuer": ISSUER }), token(json!({ "sub": "eve" }))),
    ]
}

#[test]
fn lifted_cut_off_counts_on_no_gateway_nor_on_one_that_starts() {
    let server = RedisServer::start();
    let mut fleet = Fleet::start(&redis(&server.settings()), 2);
    let mut hit = Vec::new();
    for (draft, claims) in mistakes() {
        let token = token(claims);
        let id = revoke(fleet.gateway(1), &draft);
        for gateway in fleet.all() {
            eventually("a refusal", || (ask(gateway, &token) == Verdict::Revoked).then_some(()));
        }
        lift_on_all(fleet.gateway(2), &id, 2);
        for gateway in fleet.all() {
            assert_eq!(ask(gateway, &token), Verdict::Accepted, "{draft}");
        }
        hit.push(token);
    }
    let joined = fleet.join();
    for token in &hit {
        assert_eq!(ask(joined, token), Verdict::Accepted);
    }
    let listed = listing(joined);
    assert_eq!((&listed["revocations"], &listed["total"]), (&json!([]), &json!(4)), "{listed}");
    let lift = &listed["lifts"].as_array().expect("a list")[0];
    assert_eq!((&lift["reason"], &lift["actor"]), (&json!("a mistake"), &json!("admin")), "{lift}");
    assert_eq!(
        fleet.gateway(1).metric("portcullis_revocations_applied_total{scope=\"lift\"}"),
        4.0
    );
}

#[test]
fn lifted_cut_off_stays_lifted_when_a_gateway_with_a_file_is_killed() {
    for (draft, claims) in mistakes() {
        let (directory, upstream) = (directory(), Upstream::start());
        let token = token(claims);
        let mut gateway = embedded(&directory, &upstream);
        let id = revoke(&gateway, &draft);
        assert_eq!(ask(&gateway, &token), Verdict::Revoked);
        lift_on_all(&gateway, &id, 1);
        assert_eq!(ask(&gateway, &token), Verdict::Accepted);
        gateway.signal("KILL");
        gateway.wait();
        let gateway = embedded(&directory, &upstream);
        assert_eq!(ask(&gateway, &token), Verdict::Accepted);
        assert_refused(&lift(&gateway, &id), 409, "already_lifted", "lifted already");
    }
}

#[test]
fn other_cut_offs_of_the_same_scope_stay_and_so_do_later_ones() {
    let gateway = Gateway::standard(&Upstream::start());
    let (old, new) = (token_of("ada"), token(json!({ "sub": "ada", "iat": now() - 10 })));
    let mut earlier = subject("ada");
    earlier["before"] = json!(now() - 30);
    let earlier = revoke(&gateway, &earlier);
    assert_eq!((ask(&gateway, &old), ask(&gateway, &new)), (Verdict::Revoked, Verdict::Accepted));
    let later = revoke(&gateway, &subject("ada"));
    assert_eq!((ask(&gateway, &old), ask(&gateway, &new)), (Verdict::Revoked, Verdict::Revoked));
    lift_on_all(&gateway, &later, 1);
    assert_eq!((ask(&gateway, &old), ask(&gateway, &new)), (Verdict::Revoked, Verdict::Accepted));
    lift_on_all(&gateway, &earlier, 1);
    assert_eq!(ask(&gateway, &old), Verdict::Accepted);
    revoke(&gateway, &subject("ada"));
    assert_eq!(ask(&gateway, &new), Verdict::Revoked);
}

#[test]
fn all_that_was_cut_off_of_a_subject_is_lifted_at_once_and_nothing_else() {
    let gateway = Gateway::standard(&Upstream::start());
    let mut ids: Vec<_> = (0..3).map(|_| revoke(&gateway, &subject("ada"))).collect();
    revoke(&gateway, &subject("bob"));
    let mut by_issuer = subject("ada");
    by_issuer["issuer"] = json!("test");
    revoke(&gateway, &by_issuer);
    let all = |query: &str| fleet::delete(&gateway, &format!("/v1/revocations?{query}"));
    let answer = all("scope=subject&subject=ada");
    let mut told: Vec<String> =
        serde_json::from_value(answer.json()["lifts"].clone()).expect("ids");
    ids.sort();
    told.sort();
    assert_eq!((answer.status, told), (200, ids), "{answer:?}");
    // The one that names the issuer is of another scope.
    assert_eq!(ask(&gateway, &token_of("ada")), Verdict::Revoked);
    assert_eq!(all("scope=subject&subject=ada&issuer=test").status, 200);
    assert_eq!(ask(&gateway, &token_of("ada")), Verdict::Accepted);
    assert_eq!(ask(&gateway, &token_of("bob")), Verdict::Revoked);
    assert_refused(&all("scope=subject&subject=ada"), 404, "revocation_unknown", "no such");
    for (query, detail) in [
        ("subject=ada", "missing field `scope`"),
        ("scope=subject", "`subject` is missing"),
        ("scope=subject&subject=ada&client=c", "does not belong"),
        ("scope=issuer", "`issuer` is missing"),
        ("scope=everything", "`everything` cannot be lifted"),
        ("scope=token&subject=ada", "`token` cannot be lifted"),
        ("scope=subject&subject=ada&why=x", "unknown field"),
    ] {
        assert_refused(&all(query), 400, "bad_request", detail);
    }
}

#[test]
fn what_ends_one_token_session_or_key_cannot_be_lifted() {
    let gateway = Gateway::standard(&Upstream::start());
    for (draft, claims, why) in [
        (
            json!({ "scope": "token", "jti": "t", "issuer": "test" }),
            json!({ "jti": "t" }),
            "the revocation of one token",
        ),
        (
            json!({ "scope": "session", "session": "s" }),
            json!({ "sid": "s" }),
            "the revocation of one session",
        ),
        (
            json!({ "scope": "everything" }),
            json!({ "sub": "x", "iat": now() - 60 }),
            "scope `everything`",
        ),
    ] {
        let token = token(claims);
        let id = revoke(&gateway, &draft);
        assert_refused(&lift(&gateway, &id), 400, "bad_request", why);
        assert_eq!(ask(&gateway, &token), Verdict::Revoked, "{draft}");
    }
    for id in ["x", "0123456789abcde", "0123456789abcdefg", "%20", "0123456789abcdéf"] {
        assert!(matches!(lift(&gateway, id).status, 400), "{id}");
    }
    assert_refused(&lift(&gateway, "0123456789abcde2"), 404, "revocation_unknown", "no such");
}

/// Ends all sessions of somebody by mistake, and lifts that.
fn end_and_lift(gateway: &Gateway) {
    let browser = Browser::log_in(gateway, "alice");
    assert!(browser.is_in(gateway));
    let id = revoke_on_all(gateway, "alice");
    assert!(!browser.is_in(gateway));
    lift_on_all(gateway, &id, 1);
    assert!(!browser.is_in(gateway), "its session is gone from the store");
    assert!(Browser::log_in(gateway, "alice").is_in(gateway));
}

#[test]
fn sessions_that_a_cut_off_has_ended_stay_so_when_it_is_lifted() {
    let upstream = Upstream::start();
    end_and_lift(&people::start(&upstream, EMBEDDED));
    let server = RedisServer::start();
    end_and_lift(&people::start(&upstream, &redis(&server.settings())));
}

#[test]
fn logout_everywhere_cannot_be_lifted() {
    let upstream = Upstream::start();
    let gateway = people::start(&upstream, EMBEDDED);
    let browser = Browser::log_in(&gateway, "alice");
    let session = client::get("/auth/session", &[("Cookie", &browser.cookie)]);
    let csrf = gateway.exchange(session).json()["csrf_token"].as_str().expect("a token").to_owned();
    let fields =
        [("Cookie", &*browser.cookie), ("X-CSRF-Token", &*csrf), ("Sec-Fetch-Site", "same-origin")];
    let answer = gateway.exchange(request("POST", "/auth/logout-everywhere", &fields, ""));
    assert!(answer.status < 300, "{answer:?}");
    let listed = listing(&gateway)["revocations"].clone();
    let own = listed.as_array().expect("a list").iter().find(|one| one["scope"] == "subject");
    let own = own.expect("an entry");
    let text = |name: &str| own[name].as_str().expect("a text");
    assert_refused(&lift(&gateway, text("id")), 400, "bad_request", "a logout everywhere");
    let issuer = text("issuer");
    let all = format!("/v1/revocations?scope=subject&subject=alice&issuer={issuer}");
    assert_refused(&fleet::delete(&gateway, &all), 404, "revocation_unknown", "no such");
    assert!(!browser.is_in(&gateway));
}

#[test]
fn nothing_is_lifted_while_the_store_is_away_and_that_is_audited() {
    let mut server = RedisServer::start_with(crate::harness::redis::RedisOptions {
        durable: true,
        ..Default::default()
    });
    let lines = redis(&server.settings()) + "revocation: { accept_local: true }\n";
    let fleet = Fleet::start(&lines, 1);
    let gateway = fleet.gateway(1);
    let id = revoke_on_all(gateway, "ada");
    server.kill();
    let answer = lift(gateway, &id);
    assert_refused(&answer, 503, "store_unavailable", "");
    assert_eq!(answer.json()["durable"], false);
    assert_eq!(ask(gateway, &token_of("ada")), Verdict::Revoked);
    let audited = gateway.logged(|line| line["audit"] == "lift_revocation");
    assert_eq!(audited["result"], "store_unavailable", "{audited}");
    assert_eq!(audited["target"], format!("revocation {id}"));
    server.restart(crate::harness::redis::Data::Kept);
    eventually("the store", || (lift(gateway, &id).status == 200).then_some(()));
    let audited =
        gateway.logged(|line| line["audit"] == "lift_revocation" && line["result"] == "ok");
    assert_eq!(audited["target"], format!("subject ada (revocation {id})"), "{audited}");
    assert_eq!((&audited["reason"], &audited["durable"]), (&json!("a mistake"), &json!(true)));
    eventually("an answer", || (ask(gateway, &token_of("ada")) == Verdict::Accepted).then_some(()));
}

/// A gateway is told nothing of what it has written, and has it in hand when it is back.
#[test]
fn revocation_that_is_delivered_late_does_not_undo_its_lift() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let upstream = Upstream::start();
    let lines = redis(&server.settings()) + &stale_after("60s");
    let near = fleet::start(&upstream, "gw-1", &lines);
    let local = "revocation: { max_staleness: 60s, accept_local: true }\n";
    let lines = redis(&server.settings()) + local;
    let lines = lines.replace(&server.port().to_string(), &proxy.port().to_string());
    let far = fleet::start(&upstream, "gw-2", &lines);
    eventually("both", || (fleet::roster(&near)?.len() == 2).then_some(()));
    // From now on the server knows the script.
    revoke_on_all(&far, "bob");
    let links = proxy.links();
    proxy.swap(crate::harness::redis::free_port());
    links.iter().for_each(|link| link.hold(Direction::ToClient));

    let answer = post(&far, &subject("ada"));
    assert_eq!((answer.status, &answer.json()["durable"]), (202, &json!(false)), "{answer:?}");
    let ada = token_of("ada");
    eventually("a refusal", || (ask(&near, &ada) == Verdict::Revoked).then_some(()));
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let answer = fleet::delete(&near, &format!("/v1/revocations/{id}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(ask(&near, &ada), Verdict::Accepted);
    assert_eq!(ask(&far, &ada), Verdict::Revoked, "it has not heard of it");

    proxy.swap(server.port());
    links.iter().for_each(|link| link.cut());
    eventually("what waits", || {
        (far.metric("portcullis_revocations_pending") == 0.0).then_some(())
    });
    eventually("the lift", || (ask(&far, &ada) == Verdict::Accepted).then_some(()));
    assert_eq!(ask(&near, &ada), Verdict::Accepted);
    assert_eq!(server.cli(&["zcard", LIVE]).trim(), "2", "the lift, and bob");
}

/// The store is as it was before the lift. Those who know of it say so again.
#[test]
fn store_that_returns_with_older_data_is_told_of_the_lift_again() {
    let server = RedisServer::start();
    let mut fleet = Fleet::start(&redis(&server.settings()), 2);
    let ada = token_of("ada");
    let id = revoke_on_all(fleet.gateway(1), "ada");
    revoke_on_all(fleet.gateway(1), "bob");
    let copy = |from: &str, to: &str| server.cli(&["copy", from, to, "replace"]);
    let in_slot = |name: &str| format!("{name}:kept");
    copy(LOG, &in_slot(LOG));
    copy(LIVE, &in_slot(LIVE));
    lift_on_all(fleet.gateway(1), &id, 2);
    let back = "redis.call('copy', KEYS[1], KEYS[2], 'replace')
                redis.call('copy', KEYS[3], KEYS[4], 'replace')
                return redis.call('del', KEYS[5])";
    let (log, live) = (in_slot(LOG), in_slot(LIVE));
    server.cli(&["eval", back, "5", &log, LOG, &live, LIVE, LIFTED]);
    eventually("the lift", || {
        let listed = fleet::admin(fleet.gateway(1), "/v1/revocations")?;
        // Both may have written it down in the same moment.
        (!listed["lifts"].as_array()?.is_empty()).then_some(())
    });
    for gateway in fleet.all() {
        assert_eq!(ask(gateway, &ada), Verdict::Accepted);
    }
    let joined = fleet.join();
    assert_eq!(ask(joined, &ada), Verdict::Accepted);
    assert_eq!(ask(joined, &token_of("bob")), Verdict::Revoked);
    let listed = listing(joined)["revocations"].clone();
    let subjects: Vec<_> = listed.as_array().expect("a list").iter().collect();
    assert!(subjects.len() == 1 && subjects[0]["subject"] == "bob", "{subjects:?}");
}

/// A gateway that has not heard of the lift knows of what was lifted, and loads the list anew.
#[test]
fn gateway_that_missed_the_lift_in_the_log_does_not_write_down_what_was_lifted() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&redis(&server.settings()), 2);
    let ada = token_of("ada");
    let id = revoke_on_all(fleet.gateway(1), "ada");
    let far = fleet.gateway(2);
    far.stand_still();
    let answer = fleet::delete(fleet.gateway(1), &format!("/v1/revocations/{id}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    // What it has not read is trimmed.
    server.cli(&["xtrim", LOG, "maxlen", "0"]);
    let answer = post(fleet.gateway(1), &subject("bob"));
    assert_eq!(answer.status, 201, "{answer:?}");
    server.cli(&["xtrim", LOG, "maxlen", "0"]);
    far.signal("CONT");
    eventually("the lift", || (ask(far, &ada) == Verdict::Accepted).then_some(()));
    let loads = "portcullis_revocation_snapshots_total{cause=\"trimmed\"}";
    eventually("a load", || (far.metric(loads) >= 1.0).then_some(()));
    // Whatever is written down again is so within a second.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    for gateway in fleet.all() {
        assert_eq!(ask(gateway, &ada), Verdict::Accepted);
        assert_eq!(ask(gateway, &token_of("bob")), Verdict::Revoked);
    }
    assert_eq!(server.cli(&["zcard", LIVE]).trim(), "2", "the lift, and bob");
}

/// As one would that passes over lifts and finds that the log lacks what it knows.
#[test]
fn what_a_gateway_of_an_earlier_version_writes_down_again_counts_for_nobody() {
    let server = RedisServer::start();
    let mut fleet = Fleet::start(&redis(&server.settings()), 1);
    let id = revoke_on_all(fleet.gateway(1), "ada");
    let record = server.cli(&["zrange", LIVE, "0", "0", "withscores"]);
    let (record, expires) = record.trim().rsplit_once('\n').expect("a record, and its end");
    lift_on_all(fleet.gateway(1), &id, 1);
    let write = "redis.call('xadd', KEYS[1], '3-0', 'record', ARGV[1])
                 return redis.call('zadd', KEYS[2], ARGV[2], ARGV[1])";
    server.cli(&["eval", write, "2", LOG, LIVE, record.trim(), expires]);
    let applied = "portcullis_revocations_applied_total{scope=\"subject\"}";
    eventually("the record", || (fleet.gateway(1).metric(applied) == 2.0).then_some(()));
    fleet.join();
    for gateway in fleet.all() {
        assert_eq!(ask(gateway, &token_of("ada")), Verdict::Accepted);
        assert_eq!(listing(gateway)["revocations"], json!([]));
    }
    // Whoever meant it lifts it again.
    assert_eq!(lift(fleet.gateway(1), &id).status, 200);
    assert_eq!(server.cli(&["zcard", LIVE]).trim(), "2", "two lifts");
}

//! Gateways whose clocks are minutes apart, and clocks that are set.

use std::sync::{Arc, OnceLock};

use portcullis::issuer::key_pairs::{KeyKind, KeyPairPem, SigningKey, generate};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, OWN, admin, ask, assert_invalid_grant, await_told, directory,
    refresh, tokens,
};
use crate::harness::outcome::{accepted, denied};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{header, now, signing_key};
use crate::harness::wrong_clock::WrongClock;

/// How far the clocks of gateways may be apart, in seconds.
const APART_S: i64 = 300;

/// The time that a test itself may take, in seconds.
const MARGIN_S: i64 = 20;

const SECTION: &str = "
tokens:
  issuer: https://gateway.test
  signing: { key_files: [own.pem] }
  access: { lifetime: 15m, audiences: [orders-api] }
  refresh: { idle: 1h, absolute: 2h }
";

/// The key with which these gateways sign, and with which tests sign what another of them would
/// have issued by its own clock.
fn own() -> &'static KeyPairPem {
    static OWN: OnceLock<KeyPairPem> = OnceLock::new();
    OWN.get_or_init(|| generate(KeyKind::P256).expect("a key pair"))
}

fn with_key() -> Arc<TempDir> {
    let directory = directory();
    std::fs::write(directory.path().join("own.pem"), &*own().private).expect("a file");
    directory
}

/// Signs as a gateway of the fleet does.
fn key(granted: &Granted) -> SigningKey {
    signing_key(own(), header(&granted.access)["kid"].as_str())
}

/// The claims of a token, as a gateway would have issued them whose clock is so far ahead.
fn issued_ahead(granted: &Granted, ahead_s: i64) -> Value {
    let mut claims = granted.claims();
    for name in ["iat", "exp", "auth_time"] {
        claims[name] = json!(claims[name].as_i64().expect("a date") + ahead_s);
    }
    claims
}

fn sign(granted: &Granted, claims: &Value) -> String {
    key(granted).sign("at+jwt", claims.as_object().expect("an object")).expect("a token")
}

#[test]
fn token_of_a_gateway_that_is_minutes_ahead_or_behind_is_accepted_by_the_others() {
    let site = IssuingFleet::alone_in(with_key(), SECTION);
    let alice = Granted::log_in(site.at(1), "alice");
    for ahead_s in [-APART_S, -60, 0, 60, APART_S - MARGIN_S] {
        let token = sign(&alice, &issued_ahead(&alice, ahead_s));
        assert_eq!(ask(site.at(1), "/bearers/x", &token), accepted(), "{ahead_s}");
    }
    // Beyond that it is from nowhere.
    for ahead_s in [APART_S + MARGIN_S, 3600] {
        let token = sign(&alice, &issued_ahead(&alice, ahead_s));
        let refused = denied(401, "token_not_yet_valid");
        assert_eq!(ask(site.at(1), "/bearers/x", &token), refused, "{ahead_s}");
    }
    // And what has ended has ended, whoever's clock said when it began.
    for ahead_s in [-900 - APART_S, -1000] {
        let token = sign(&alice, &issued_ahead(&alice, ahead_s));
        let told = ask(site.at(1), "/bearers/x", &token);
        assert_eq!(told, denied(401, "token_expired"), "{ahead_s}");
    }
}

/// Each is within what is tolerated, and together they are not.
#[test]
fn token_that_a_gateway_ahead_has_refreshed_is_accepted_by_one_that_is_behind() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 1);
    let clocks = [200, -200].map(WrongClock::ahead);
    let [ahead, behind] = [&clocks[0], &clocks[1]].map(|clock| {
        let environment = clock.environment();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        let text = site.configuration();
        let mut gateway = Gateway::spawn_with(directory(), &text, &environment);
        gateway.wait_until_ready();
        gateway
    });
    let refreshed = Granted::log_in(site.at(1), "alice").next(ahead.address());
    assert_eq!(ask(behind.address(), HOME, &refreshed.access), accepted());
}

#[test]
fn token_of_a_login_before_a_cut_off_is_refused_however_late_it_was_issued() {
    let site = IssuingFleet::alone_in(with_key(), SECTION);
    let alice = Granted::log_in(site.at(1), "alice");
    let draft = json!({ "scope": "subject", "subject": "u-17", "issuer": OWN });
    assert_eq!(admin(site.gateway(1), "POST", "/v1/revocations", &draft).status, 201);
    let revoked = denied(401, "token_revoked");
    await_told(site.at(1), HOME, &alice.access, &revoked);
    let mut claims = alice.claims();
    for late_s in [1, 60, APART_S - MARGIN_S] {
        let issued = now() + late_s;
        claims["iat"] = json!(issued);
        claims["exp"] = json!(issued + 900);
        claims["jti"] = json!(format!("late-{late_s}"));
        assert_eq!(ask(site.at(1), HOME, &sign(&alice, &claims)), revoked, "{late_s}");
    }
    // Another login, after it.
    claims["auth_time"] = json!(now() + 2);
    claims["sid"] = json!("another");
    assert_eq!(ask(site.at(1), HOME, &sign(&alice, &claims)), accepted());
    // A token that does not say when its login was is as old as itself.
    claims.as_object_mut().expect("an object").remove("auth_time");
    let cut_off = alice.claims()["iat"].as_i64().expect("a date");
    claims["iat"] = json!(cut_off);
    claims["exp"] = json!(cut_off + 900);
    assert_eq!(ask(site.at(1), HOME, &sign(&alice, &claims)), revoked);
}

/// What a gateway has written down that is minutes ahead, or behind, another one exchanges.
#[test]
fn family_of_a_gateway_whose_clock_is_off_is_exchanged_by_the_others() {
    let server = RedisServer::start();
    for off_s in [-APART_S, APART_S] {
        server.flush();
        let site = IssuingFleet::on(&server, &tokens("2s"), 1);
        let alice = Granted::log_in(site.at(1), "alice");
        let family = server.cli(&["--scan", "--pattern", "*famil*"]).trim().to_owned();
        let record = server.cli(&["hget", &family, "record"]);
        let mut record: Value = serde_json::from_str(&record).expect("JSON");
        for name in ["created", "ends"] {
            record[name] = json!(record[name].as_i64().expect("a date") + off_s);
        }
        let used = server.cli(&["hget", &family, "used"]).trim().parse::<i64>().expect("a date");
        let used = (used + off_s).to_string();
        server.cli(&["hset", &family, "record", &record.to_string(), "used", &used]);
        let second = alice.next(site.at(1));
        // The grace is counted by the server's clock, which is nobody's.
        let again = Granted::read(&refresh(site.at(1), &alice.refresh));
        assert_eq!(again.refresh, second.refresh, "{off_s}");
        assert_eq!(ask(site.at(1), HOME, &again.access), accepted());
        let third = second.next(site.at(1));
        eventually("the end of the grace", || {
            (refresh(site.at(1), &alice.refresh).status == 400).then_some(())
        });
        assert_invalid_grant(&refresh(site.at(1), &third.refresh));
    }
}

/// A grace that began minutes ago by a server's clock, or will begin in minutes, is over, for a successor that was not
/// used, too.
#[test]
fn grace_is_over_when_the_servers_clock_says_so() {
    let server = RedisServer::start();
    for off_ms in ["-9000", "9000"] {
        server.flush();
        let site = IssuingFleet::on(&server, "", 1);
        let alice = Granted::log_in(site.at(1), "alice");
        let second = alice.next(site.at(1));
        let family = server.cli(&["--scan", "--pattern", "*famil*"]).trim().to_owned();
        server.cli(&["hincrby", &family, "rotated_ms", off_ms]);
        let again = Granted::read(&refresh(site.at(1), &alice.refresh));
        assert_eq!(again.refresh, second.refresh, "{off_ms}");
        let rest = if off_ms.starts_with('-') { "-92000" } else { "120000" };
        server.cli(&["hincrby", &family, "rotated_ms", rest]);
        assert_invalid_grant(&refresh(site.at(1), &alice.refresh));
    }
}

/// What gateways issue is dated, and judged, by the clock that they share, as far as theirs may be from it.
#[test]
fn own_tokens_live_as_long_on_gateways_whose_clocks_are_ten_minutes_apart() {
    let server = RedisServer::start();
    let short = tokens("10s").replace("lifetime: 15m", "lifetime: 5m");
    let site = IssuingFleet::on(&server, &short, 1);
    let off_by = APART_S - MARGIN_S / 2;
    let gateways = [-off_by, off_by].map(|off_s| {
        let clock = WrongClock::ahead(off_s);
        let environment = clock.environment();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut gateway = Gateway::spawn_with(directory(), &site.configuration(), &environment);
        gateway.wait_until_ready();
        (gateway, clock)
    });
    let [behind, ahead] = gateways.each_ref().map(|(gateway, _)| gateway.address());
    let right = site.at(1);
    for issues in [behind, right, ahead] {
        let first = Granted::log_in(issues, "alice");
        for exchanges in [ahead, right, behind] {
            let next = first.next(exchanges);
            for granted in [&first, &next] {
                let claims = granted.claims();
                let date = |name: &str| claims[name].as_i64().expect("a date");
                assert!((date("iat") - now()).abs() < MARGIN_S, "{claims}");
                assert!((date("auth_time") - now()).abs() < MARGIN_S, "{claims}");
                assert_eq!(date("exp") - date("iat"), 300);
                for asked in [behind, right, ahead] {
                    assert_eq!(ask(asked, HOME, &granted.access), accepted(), "{claims}");
                }
            }
        }
    }
}

//! API keys: read once, known from memory, revoked within milliseconds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::{self, Connection, get};
use crate::harness::eventually;
use crate::harness::issuing::{HOME, IssuingFleet, admin, api_key, ask_with_key, audit, command};
use crate::harness::outcome::{accepted, denied, outcome};
use crate::harness::redis::{Data, RedisOptions, RedisServer};

/// How long the news of a revocation may take. The best of a few tries counts: others use the
/// machine.
const PROMPT: Duration = Duration::from_millis(50);

fn on_connection(connection: &mut Connection, key: &str) -> (u16, String) {
    outcome(&connection.exchange(get(HOME, &[("X-Api-Key", key)])))
}

fn listed(site: &IssuingFleet, path: &str) -> Vec<Value> {
    let answer = admin(site.gateway(1), "GET", path, &Value::Null);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["api_keys"].as_array().expect("a list").clone()
}

#[test]
fn key_opens_routes_on_all_gateways_and_says_who_it_is() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let (key, id) = api_key(
        site.gateway(1),
        json!({
            "subject": "importer", "scopes": ["orders:read"], "roles": ["clerk"],
            "claims": { "email": "i@example.test" }, "label": "nightly", "reason": "a test",
        }),
    );
    assert!(key.starts_with("pk_"), "{key}");
    for number in [1, 2] {
        assert_eq!(ask_with_key(site.at(number), HOME, &key), accepted());
        let received = site.upstream.last();
        for (name, value) in [
            ("x-auth-subject", "importer"),
            ("x-auth-scopes", "orders:read"),
            ("x-auth-roles", "clerk"),
            ("x-auth-email", "i@example.test"),
        ] {
            assert_eq!(received.values(name), [value], "{}", received.head);
        }
        assert!(received.values("x-auth-session").is_empty(), "{}", received.head);
        assert!(received.values("x-api-key").is_empty(), "{}", received.head);
        let line = site.gateway(number).logged(|line| line["carrier"] == "api_key");
        assert_eq!(line["subject"], "importer");
        assert!(!line.to_string().contains(&key), "{line}");
    }
    // It is no session: nobody logs in with it, and no list of sessions shows it.
    let fields = [("X-Api-Key", &*key)];
    for path in ["/auth/session", "/auth/sessions"] {
        let answer = client::exchange(site.at(1), get(path, &fields));
        assert_eq!(answer.status / 100, 4, "{answer:?}");
    }
    let answer = admin(site.gateway(1), "GET", "/v1/sessions?subject=importer", &Value::Null);
    assert!(!answer.body.contains(&id), "{answer:?}");
}

#[test]
fn key_is_read_once_by_each_gateway() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    let mut connections = [1, 2].map(|number| Connection::open(site.at(number)));
    for connection in &mut connections {
        // The first reads it; after the next news of the log it is sure.
        for _ in 0..20 {
            assert_eq!(on_connection(connection, &key), accepted());
        }
    }
    let reads = || {
        ["get", "hget", "hgetall", "hmget", "exists", "evalsha", "eval", "zscore"]
            .map(|command| server.calls(command))
            .into_iter()
            .sum::<u64>()
    };
    let begun = Instant::now();
    let before = reads();
    let mut asked = 0;
    while begun.elapsed() < Duration::from_millis(1500) || asked < 2000 {
        for connection in &mut connections {
            assert_eq!(on_connection(connection, &key), accepted());
            asked += 1;
        }
    }
    // Heartbeats are once a second, and are scripts: nine such commands at each gateway.
    let spent = begun.elapsed().as_secs() + 1;
    let made = reads() - before;
    assert!(made <= 20 * spent, "{made} reads for {asked} requests in {spent} s");
}

#[test]
fn revoked_key_is_refused_everywhere_within_milliseconds() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let (other, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let (key, id) = api_key(site.gateway(1), json!({ "subject": "importer" }));
        let mut there = Connection::open(site.at(2));
        for number in [1, 2] {
            assert_eq!(ask_with_key(site.at(number), HOME, &key), accepted());
        }
        assert_eq!(on_connection(&mut there, &key), accepted());
        let path = format!("/v1/api-keys/{id}?reason=lost");
        let answer = admin(site.gateway(1), "DELETE", &path, &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(ask_with_key(site.at(1), HOME, &key), denied(401, "api_key_revoked"));
        let begun = Instant::now();
        eventually("a refusal", || {
            let told = on_connection(&mut there, &key);
            (told != accepted()).then(|| assert_eq!(told, denied(401, "api_key_revoked")))
        });
        best = best.min(begun.elapsed());
        for number in [1, 2] {
            assert_eq!(ask_with_key(site.at(number), HOME, &other), accepted());
        }
        let again = admin(site.gateway(1), "DELETE", &path, &Value::Null);
        assert_eq!(again.status, 404, "{again:?}");
    }
    assert!(best < PROMPT, "{best:?}");
    assert!(audit(site.gateway(1)).iter().any(|line| line["audit"] == "revoke_api_key"));
}

/// A gateway that never saw it says the same of it, and one that starts later, too.
#[test]
fn revoked_key_is_refused_where_nobody_ever_used_it() {
    let server = RedisServer::start();
    let mut site = IssuingFleet::on(&server, "", 2);
    let (key, id) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    command(site.gateway(1), &["api-keys", "revoke", &id, "--wait", "5s"]);
    site.join();
    for number in 1..=3 {
        assert_eq!(ask_with_key(site.at(number), HOME, &key), denied(401, "api_key_revoked"));
    }
}

#[test]
fn key_that_is_deleted_by_hand_is_unknown_at_once() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let (key, id) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    for number in [1, 2] {
        for _ in 0..3 {
            assert_eq!(ask_with_key(site.at(number), HOME, &key), accepted());
        }
    }
    let record = server.cli(&["--scan", "--pattern", &format!("*{id}*")]).trim().to_owned();
    assert!(!record.is_empty() && record.lines().count() == 1, "{record}");
    server.cli(&["del", &record]);
    for number in [1, 2] {
        eventually("a refusal", || {
            let told = ask_with_key(site.at(number), HOME, &key);
            (told != accepted()).then(|| assert_eq!(told, denied(401, "api_key_unknown")))
        });
    }
    // Never one of this name, and never the server asked about what cannot be one.
    let made_up = portcullis::gate::session::ApiKey::from_random(&[9; 32]);
    for number in [1, 2] {
        let told = ask_with_key(site.at(number), HOME, made_up.expose());
        assert_eq!(told, denied(401, "api_key_unknown"));
    }
}

#[test]
fn key_expires_to_the_second() {
    let server = RedisServer::start();
    for site in [IssuingFleet::on(&server, "", 2), IssuingFleet::embedded("")] {
        let (key, id) =
            api_key(site.gateway(1), json!({ "subject": "importer", "expires_in": "2s" }));
        let last = site.all().len();
        assert_eq!(ask_with_key(site.at(last), HOME, &key), accepted());
        assert!(listed(&site, "/v1/api-keys").iter().any(|key| key["id"] == id));
        for number in [1, last] {
            eventually("its end", || {
                let told = ask_with_key(site.at(number), HOME, &key);
                (told != accepted()).then(|| assert_eq!(told, denied(401, "api_key_expired")))
            });
        }
        assert!(!listed(&site, "/v1/api-keys").iter().any(|key| key["id"] == id));
    }
}

#[test]
fn keys_live_within_bounds() {
    let site = IssuingFleet::embedded("");
    let make = |members: Value| admin(site.gateway(1), "POST", "/v1/api-keys", &members);
    for good in ["1s", "90d", "12h"] {
        let answer = make(json!({ "subject": "importer", "expires_in": good }));
        assert_eq!(answer.status, 201, "{good}: {answer:?}");
    }
    for bad in ["0s", "91d", "2161h", "-1s", "x", "", "999999999999d", "1.5d"] {
        let answer = make(json!({ "subject": "importer", "expires_in": bad }));
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
    }
    for bad in [
        json!({}),
        json!({ "subject": "" }),
        json!({ "subject": 7 }),
        json!({ "subject": "a".repeat(1025) }),
        json!({ "subject": "a", "scopes": ["two words"] }),
        json!({ "subject": "a", "scopes": [""] }),
        json!({ "subject": "a", "scopes": ["a\r\nX-Auth-Roles: admin"] }),
        json!({ "subject": "a", "roles": vec!["x"; 101] }),
        json!({ "subject": "a", "key": "pk_mine" }),
        json!({ "subject": "a", "issuer": "https://evil.test" }),
        json!([]),
    ] {
        assert!([400, 422].contains(&make(bad.clone()).status), "{bad}");
    }
}

#[test]
fn keys_are_listed_by_subject_and_shown_once() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 1);
    let made = ["importer", "importer", "other", "a&b=c/ü"]
        .map(|subject| api_key(site.gateway(1), json!({ "subject": subject, "label": "l" })));
    assert_eq!(listed(&site, "/v1/api-keys").len(), 4);
    assert_eq!(listed(&site, "/v1/api-keys?subject=importer").len(), 2);
    assert_eq!(listed(&site, "/v1/api-keys?subject=a%26b%3Dc%2F%C3%BC").len(), 1);
    assert_eq!(listed(&site, "/v1/api-keys?subject=nobody").len(), 0);
    let printed = command(site.gateway(1), &["api-keys", "list"]);
    let listing = admin(site.gateway(1), "GET", "/v1/api-keys", &Value::Null).body;
    for (key, id) in &made {
        assert!(printed.contains(id) && listing.contains(id), "{printed}");
        assert!(!printed.contains(key) && !listing.contains(key), "{printed}");
        let audited: String = audit(site.gateway(1)).iter().map(Value::to_string).collect();
        assert!(!audited.contains(key) && audited.contains(id), "{audited}");
    }
    // One id in 64 begins with a hyphen.
    for (_, id) in &made {
        command(site.gateway(1), &["api-keys", "revoke", id]);
    }
    assert_eq!(listed(&site, "/v1/api-keys").len(), 0);
    let printed = command(site.gateway(1), &["api-keys", "create", "--subject", "importer"]);
    assert_eq!(ask_with_key(site.at(1), HOME, printed.trim()), accepted());
}

/// Ids are base64url: every 64th begins with what looks like an option.
#[test]
fn id_that_begins_with_a_hyphen_is_taken_for_what_it_is() {
    let site = IssuingFleet::embedded("");
    let (key, id) = (0..1000)
        .map(|_| api_key(site.gateway(1), json!({ "subject": "importer" })))
        .find(|(_, id)| id.starts_with('-'))
        .expect("one of them does");
    command(site.gateway(1), &["api-keys", "revoke", &id]);
    assert_eq!(ask_with_key(site.at(1), HOME, &key), denied(401, "api_key_revoked"));
}

#[test]
fn keys_go_on_while_the_store_is_away_and_unknown_ones_are_not_refused() {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let site = IssuingFleet::on(&server, "revocation: { max_staleness: 60s }\n", 2);
    let (known, id) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    let (unknown, _) = api_key(site.gateway(1), json!({ "subject": "other" }));
    assert_eq!(ask_with_key(site.at(2), HOME, &known), accepted());
    for pause in [true, false] {
        // One of which it is not remembered that it is unknown.
        let made_up = portcullis::gate::session::ApiKey::from_random(&[8 + u8::from(pause); 32]);
        if pause {
            server.pause()
        } else {
            server.kill()
        }
        for _ in 0..3 {
            assert_eq!(ask_with_key(site.at(2), HOME, &known), accepted());
        }
        for key in [&*unknown, made_up.expose()] {
            let answer = client::exchange(site.at(2), get(HOME, &[("X-Api-Key", key)]));
            assert_eq!(outcome(&answer), denied(503, "store_unavailable"));
            assert!(answer.field("retry-after").is_some(), "{answer:?}");
        }
        let subject = json!({ "subject": "importer" });
        let answer = admin(site.gateway(2), "POST", "/v1/api-keys", &subject);
        assert_eq!(answer.status, 503, "{answer:?}");
        let path = format!("/v1/api-keys/{id}");
        let answer = admin(site.gateway(2), "DELETE", &path, &Value::Null);
        assert_eq!(answer.status, 503, "{answer:?}");
        let answer = admin(site.gateway(2), "GET", "/v1/api-keys", &Value::Null);
        assert_eq!(answer.status, 503, "{answer:?}");
        if pause {
            server.resume()
        } else {
            server.restart(Data::Kept)
        }
        eventually("the store", || {
            (ask_with_key(site.at(2), HOME, made_up.expose()) == denied(401, "api_key_unknown"))
                .then_some(())
        });
    }
    assert_eq!(ask_with_key(site.at(2), HOME, &unknown), accepted());
}

/// A key that nobody uses for long is as good as on its first day: it does not rest.
#[test]
fn key_outlives_the_idle_time_of_sessions() {
    let lines = "sessions: { idle_timeout: 2s, absolute_timeout: 3s }\n";
    let server = RedisServer::start();
    for site in [IssuingFleet::on(&server, lines, 1), IssuingFleet::embedded(lines)] {
        let (key, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
        assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted());
        std::thread::sleep(Duration::from_millis(4200));
        assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted());
    }
}

/// Shorter bounds hold for keys that are there already.
#[test]
fn keys_die_with_the_configuration_that_knows_them() {
    let server = RedisServer::start();
    let mut site = IssuingFleet::on(&server, "", 1);
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted());
    site.end(1, "TERM");
    site.revive(1);
    assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted(), "after a restart");
}

#[test]
fn no_more_keys_are_made_than_there_may_be() {
    let site = IssuingFleet::embedded("");
    let mut connection = Connection::open(site.gateway(1).admin());
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let body = json!({ "subject": "importer" }).to_string();
    let request = client::request("POST", "/v1/api-keys", &fields, &body);
    for number in 0..1000 {
        let answer = connection.exchange(&request);
        assert_eq!(answer.status, 201, "{number}: {answer:?}");
    }
    let answer = connection.exchange(&request);
    assert!([409, 503, 507].contains(&answer.status), "{answer:?}");
    let ids = listed(&site, "/v1/api-keys");
    assert_eq!(ids.len(), 1000);
    let path = format!("/v1/api-keys/{}", ids[0]["id"].as_str().expect("an id"));
    assert_eq!(admin(site.gateway(1), "DELETE", &path, &Value::Null).status, 200);
    assert_eq!(connection.exchange(&request).status, 201, "and then there is room");
}

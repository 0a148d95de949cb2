//! Refresh tokens of a login that has ended: whatever ends it takes its family out of the store in the same step.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableHandle};
use serde_json::json;

use crate::harness::eventually;
use crate::harness::fleet;
use crate::harness::gateway::Gateway;
use crate::harness::login::{Login, everybody, write_users};
use crate::harness::oauth::{self, Desk, Pair, STRICT, assert_error};
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;

/// A gateway on a Redis of its own.
fn on(server: &RedisServer) -> Desk {
    let (directory, upstream) = (oauth::directory(), Upstream::start());
    std::fs::write(directory.path().join("kek"), [7; 32]).expect("a file");
    let text = oauth::configuration(
        &upstream,
        STRICT,
        &format!("store: {{ redis: {{ url: '{}' }} }}\n", server.url()),
    );
    let text = text.replacen("  access:", "  signing: { encryption_key_file: kek }\n  access:", 1);
    Desk::of_in(directory, upstream, &text)
}

/// The keys of families in a Redis.
fn families(server: &RedisServer) -> Vec<String> {
    let found = server.cli(&["--scan", "--pattern", "*:family:*"]);
    found.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
}

/// How many entries the tables of families in a file have, together.
fn entries(path: &Path) -> u64 {
    let database = Database::open(path).expect("it is ours");
    let transaction = database.begin_read().expect("a transaction");
    let tables = transaction.list_tables().expect("a list");
    let families = tables.filter(|table| table.name().starts_with("families"));
    let counts = families.map(|table| {
        let table = transaction.open_untyped_table(table).expect("a table");
        table.len().expect("it is counted")
    });
    counts.sum()
}

/// Ends all sessions of a subject, as an operator.
#[track_caller]
fn end_all(desk: &Desk, subject: &str) {
    let answer = fleet::delete(&desk.gateway, &format!("/v1/sessions?subject={subject}"));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[track_caller]
fn assert_of_no_use(desk: &Desk, pairs: &[Pair]) {
    for pair in pairs {
        assert_error(&desk.refresh(&pair.refresh), 400, "invalid_grant");
        assert_eq!(desk.said(&pair.access), (401, "token_revoked".to_owned()));
    }
}

#[test]
fn no_family_is_left_of_sessions_that_an_operator_ended() {
    let server = RedisServer::start();
    let desk = on(&server);
    let bystander = desk.tokens_of("bob");
    let pairs: Vec<_> = (0..150).map(|_| desk.tokens_of("carol")).collect();
    assert_eq!(families(&server).len(), 101, "those that had to make room are gone");
    end_all(&desk, "carol");
    assert_eq!(families(&server).len(), 1);
    for pair in pairs.iter().step_by(10) {
        assert_of_no_use(&desk, std::slice::from_ref(pair));
    }
    Pair::of(&desk.refresh(&bystander.refresh));
}

#[test]
fn no_family_is_left_in_a_file_of_sessions_that_an_operator_ended() {
    let upstream = Upstream::start();
    let text = oauth::configuration(&upstream, STRICT, "");
    let mut desk = Desk::of_in(oauth::directory(), upstream, &text);
    let pairs: Vec<_> = (0..150).map(|_| desk.tokens_of("carol")).collect();
    end_all(&desk, "carol");
    for pair in pairs.iter().step_by(10) {
        assert_of_no_use(&desk, std::slice::from_ref(pair));
    }
    desk.gateway.signal("TERM");
    desk.gateway.wait();
    assert_eq!(entries(&desk.gateway.directory().join("data/portcullis.redb")), 0);
}

/// What ends a login, by its word.
type Ending = (&'static str, fn(&Desk, &Pair, &Login));

const ENDINGS: [Ending; 10] = [
    ("logout", |desk, _, login| login.log_out(desk.gateway.address())),
    ("logout_everywhere", |desk, _, login| {
        let answer = login.send(desk.gateway.address(), "POST", "/auth/logout-everywhere");
        assert_eq!(answer.status, 204);
    }),
    ("device", |desk, pair, login| {
        let path = format!("/auth/sessions/{}", pair.session());
        assert_eq!(login.send(desk.gateway.address(), "DELETE", &path).status, 204);
    }),
    ("replaced", |desk, _, login| {
        let fields = [("Cookie", &*login.cookie)];
        assert_eq!(desk.log_in("carol", &fields, json!({})).status, 200);
    }),
    ("session_by_operator", |desk, pair, _| {
        delete(desk, &format!("/v1/sessions/{}", pair.session()));
    }),
    ("sessions_by_operator", |desk, _, _| delete(desk, "/v1/sessions?subject=carol")),
    ("revoked_session", |desk, pair, _| {
        let draft = json!({ "scope": "session", "session": pair.session() });
        assert_eq!(fleet::post(&desk.gateway, &draft).status, 201);
    }),
    ("revoked_subject", |desk, _, _| {
        assert_eq!(fleet::revoke(&desk.gateway, "carol").status, 201);
    }),
    ("revoked_by_client", |desk, pair, _| {
        let answer = desk.post("/auth/revoke", &[], &[("token", &pair.refresh)]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }),
    ("reuse", |desk, pair, _| {
        let next = Pair::of(&desk.refresh(&pair.refresh));
        Pair::of(&desk.refresh(&next.refresh));
        assert_error(&desk.refresh(&pair.refresh), 400, "invalid_grant");
    }),
];

/// Somebody with tokens and a cookie.
fn with_both(desk: &Desk) -> (Pair, Login) {
    let answer = desk.log_in("carol", &[], json!({ "deliver": "both" }));
    (Pair::of(&answer), Login::read(&answer))
}

#[track_caller]
fn delete(desk: &Desk, path: &str) {
    let answer = fleet::delete(&desk.gateway, path);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn whatever_ends_a_session_ends_its_family() {
    let server = RedisServer::start();
    let desk = on(&server);
    for (what, end) in ENDINGS {
        let (pair, login) = with_both(&desk);
        assert_eq!(families(&server).len(), 1, "{what}");
        end(&desk, &pair, &login);
        assert_eq!(families(&server), Vec::<String>::new(), "{what}");
        assert_of_no_use(&desk, std::slice::from_ref(&pair));
    }
    // What the password file says of somebody has changed.
    let pair = desk.tokens_of("carol");
    let mut users = everybody();
    users["carol"]["roles"] = json!(["admin"]);
    write_users(desk.gateway.directory(), &users);
    eventually("the end of the family", || families(&server).is_empty().then_some(()));
    assert_of_no_use(&desk, &[pair]);
}

/// In the same step: a gateway that is killed at once has done all of it.
#[test]
fn whatever_ends_a_session_in_a_file_ends_its_family() {
    let upstream = Upstream::start();
    let text = oauth::configuration(&upstream, STRICT, "");
    let mut desk = Desk::of_in(oauth::directory(), upstream, &text);
    let file = desk.gateway.directory().join("data/portcullis.redb");
    let left_when_killed = |desk: &mut Desk| {
        desk.gateway.signal("KILL");
        desk.gateway.wait();
        let left = entries(&file);
        desk.gateway = Gateway::start_in(desk.gateway.shared_directory(), &text);
        left
    };
    let (pair, _) = with_both(&desk);
    assert!(left_when_killed(&mut desk) > 0, "a family that lives is there");
    delete(&desk, &format!("/v1/sessions/{}", pair.session()));
    for (what, end) in ENDINGS {
        let (pair, login) = with_both(&desk);
        end(&desk, &pair, &login);
        assert_eq!(left_when_killed(&mut desk), 0, "{what}");
        assert_of_no_use(&desk, std::slice::from_ref(&pair));
    }
}

#[test]
fn made_up_token_ends_nothing_and_an_ended_one_stays_of_no_use() {
    let server = RedisServer::start();
    let desk = on(&server);
    let pair = desk.tokens_of("carol");
    // Another tag, or another family's id in front of the same.
    let other = desk.tokens_of("bob");
    let last = if pair.refresh.ends_with('A') { "B" } else { "A" };
    let spoilt = format!("{}{last}", &pair.refresh[..pair.refresh.len() - 1]);
    for token in [&spoilt, &format!("{}x", pair.refresh)] {
        let answer = desk.refresh(token);
        assert!(matches!(answer.status, 400), "{answer:?}");
    }
    assert_eq!(families(&server).len(), 2);
    let next = Pair::of(&desk.refresh(&pair.refresh));
    let answer = desk.post("/auth/revoke", &[], &[("token", &next.refresh)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    for token in [&pair.refresh, &next.refresh, &spoilt] {
        assert_eq!(desk.refresh(token).status, 400);
    }
    assert_eq!(families(&server).len(), 1, "nothing came back, and nothing else ended");
    Pair::of(&desk.refresh(&other.refresh));
    // Nor does a client that comes again with it write another entry.
    let answer = fleet::admin(&desk.gateway, "/v1/revocations").expect("the store answers");
    assert_eq!(answer["total"], 1, "{answer}");
}

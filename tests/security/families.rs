//! Refresh tokens of a login that has ended: whatever ends it takes its family out of the store in the same step.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableHandle};
use serde_json::json;

use crate::harness::eventually;
use crate::harness::fleet;
use crate::harness::gateway::Gateway;
use crate::harness::login::{Login, everybody, write_users};
use crate::harness::oauth::{self, STRICT, TokenPair, TokenService, assert_error};
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;

/// A gateway on a Redis of its own.
fn on(server: &RedisServer) -> TokenService {
    let (directory, upstream) = (oauth::directory(), Upstream::start());
    std::fs::write(directory.path().join("kek"), [7; 32]).expect("a file");
    let text = oauth::configuration(
        &upstream,
        STRICT,
        &format!("store: {{ redis: {{ url: '{}' }} }}\n", server.url()),
    );
    let text = text.replacen("  access:", "  signing: { encryption_key_file: kek }\n  access:", 1);
    TokenService::of_in(directory, upstream, &text)
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
fn end_all(service: &TokenService, subject: &str) {
    let answer = fleet::delete(&service.gateway, &format!("/v1/sessions?subject={subject}"));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[track_caller]
fn assert_of_no_use(service: &TokenService, pairs: &[TokenPair]) {
    for pair in pairs {
        assert_error(&service.refresh(&pair.refresh), 400, "invalid_grant");
        assert_eq!(service.said(&pair.access), (401, "token_revoked".to_owned()));
    }
}

#[test]
fn no_family_is_left_of_sessions_that_an_operator_ended() {
    let server = RedisServer::start();
    let service = on(&server);
    let bystander = service.tokens_of("bob");
    let pairs: Vec<_> = (0..150).map(|_| service.tokens_of("carol")).collect();
    assert_eq!(families(&server).len(), 101, "those that had to make room are gone");
    end_all(&service, "carol");
    assert_eq!(families(&server).len(), 1);
    for pair in pairs.iter().step_by(10) {
        assert_of_no_use(&service, std::slice::from_ref(pair));
    }
    TokenPair::of(&service.refresh(&bystander.refresh));
}

#[test]
fn no_family_is_left_in_a_file_of_sessions_that_an_operator_ended() {
    let upstream = Upstream::start();
    let text = oauth::configuration(&upstream, STRICT, "");
    let mut service = TokenService::of_in(oauth::directory(), upstream, &text);
    let pairs: Vec<_> = (0..150).map(|_| service.tokens_of("carol")).collect();
    end_all(&service, "carol");
    for pair in pairs.iter().step_by(10) {
        assert_of_no_use(&service, std::slice::from_ref(pair));
    }
    service.gateway.signal("TERM");
    service.gateway.wait();
    assert_eq!(entries(&service.gateway.directory().join("data/portcullis.redb")), 0);
}

/// What ends a login, by its word.
type Ending = (&'static str, fn(&TokenService, &TokenPair, &Login));

const ENDINGS: [Ending; 10] = [
    ("logout", |service, _, login| login.log_out(service.gateway.address())),
    ("logout_everywhere", |service, _, login| {
        let answer = login.send(service.gateway.address(), "POST", "/auth/logout-everywhere");
        assert_eq!(answer.status, 204);
    }),
    ("device", |service, pair, login| {
        let path = format!("/auth/sessions/{}", pair.session());
        assert_eq!(login.send(service.gateway.address(), "DELETE", &path).status, 204);
    }),
    ("replaced", |service, _, login| {
        let fields = [("Cookie", &*login.cookie)];
        assert_eq!(service.log_in("carol", &fields, json!({})).status, 200);
    }),
    ("session_by_operator", |service, pair, _| {
        delete(service, &format!("/v1/sessions/{}", pair.session()));
    }),
    ("sessions_by_operator", |service, _, _| delete(service, "/v1/sessions?subject=carol")),
    ("revoked_session", |service, pair, _| {
        let draft = json!({ "scope": "session", "session": pair.session() });
        assert_eq!(fleet::post(&service.gateway, &draft).status, 201);
    }),
    ("revoked_subject", |service, _, _| {
        assert_eq!(fleet::revoke(&service.gateway, "carol").status, 201);
    }),
    ("revoked_by_client", |service, pair, _| {
        let answer = service.post("/auth/revoke", &[], &[("token", &pair.refresh)]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }),
    ("reuse", |service, pair, _| {
        let next = TokenPair::of(&service.refresh(&pair.refresh));
        TokenPair::of(&service.refresh(&next.refresh));
        assert_error(&service.refresh(&pair.refresh), 400, "invalid_grant");
    }),
];

/// Somebody with tokens and a cookie.
fn with_both(service: &TokenService) -> (TokenPair, Login) {
    let answer = service.log_in("carol", &[], json!({ "deliver": "both" }));
    (TokenPair::of(&answer), Login::read(&answer))
}

#[track_caller]
fn delete(service: &TokenService, path: &str) {
    let answer = fleet::delete(&service.gateway, path);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn whatever_ends_a_session_ends_its_family() {
    let server = RedisServer::start();
    let service = on(&server);
    for (what, end) in ENDINGS {
        let (pair, login) = with_both(&service);
        assert_eq!(families(&server).len(), 1, "{what}");
        end(&service, &pair, &login);
        assert_eq!(families(&server), Vec::<String>::new(), "{what}");
        assert_of_no_use(&service, std::slice::from_ref(&pair));
    }
    // What the password file says of somebody has changed.
    let pair = service.tokens_of("carol");
    let mut users = everybody();
    users["carol"]["roles"] = json!(["admin"]);
    write_users(service.gateway.directory(), &users);
    eventually("the end of the family", || families(&server).is_empty().then_some(()));
    assert_of_no_use(&service, &[pair]);
}

/// In the same step: a gateway that is killed at once has done all of it.
#[test]
fn whatever_ends_a_session_in_a_file_ends_its_family() {
    let upstream = Upstream::start();
    let text = oauth::configuration(&upstream, STRICT, "");
    let mut service = TokenService::of_in(oauth::directory(), upstream, &text);
    let file = service.gateway.directory().join("data/portcullis.redb");
    let left_when_killed = |service: &mut TokenService| {
        service.gateway.signal("KILL");
        service.gateway.wait();
        let left = entries(&file);
        service.gateway = Gateway::start_in(service.gateway.shared_directory(), &text);
        left
    };
    let (pair, _) = with_both(&service);
    assert!(left_when_killed(&mut service) > 0, "a family that lives is there");
    delete(&service, &format!("/v1/sessions/{}", pair.session()));
    for (what, end) in ENDINGS {
        let (pair, login) = with_both(&service);
        end(&service, &pair, &login);
        assert_eq!(left_when_killed(&mut service), 0, "{what}");
        assert_of_no_use(&service, std::slice::from_ref(&pair));
    }
}

#[test]
fn made_up_token_ends_nothing_and_an_ended_one_stays_of_no_use() {
    let server = RedisServer::start();
    let service = on(&server);
    let pair = service.tokens_of("carol");
    // Another tag, or another family's id in front of the same.
    let other = service.tokens_of("bob");
    let last = if pair.refresh.ends_with('A') { "B" } else { "A" };
    let spoilt = format!("{}{last}", &pair.refresh[..pair.refresh.len() - 1]);
    for token in [&spoilt, &format!("{}x", pair.refresh)] {
        let answer = service.refresh(token);
        assert!(matches!(answer.status, 400), "{answer:?}");
    }
    assert_eq!(families(&server).len(), 2);
    let next = TokenPair::of(&service.refresh(&pair.refresh));
    let answer = service.post("/auth/revoke", &[], &[("token", &next.refresh)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    for token in [&pair.refresh, &next.refresh, &spoilt] {
        assert_eq!(service.refresh(token).status, 400);
    }
    assert_eq!(families(&server).len(), 1, "nothing came back, and nothing else ended");
    TokenPair::of(&service.refresh(&other.refresh));
    // Nor does a client that comes again with it write another entry.
    let answer = fleet::admin(&service.gateway, "/v1/revocations").expect("the store answers");
    assert_eq!(answer["total"], 1, "{answer}");
}

//! A gateway that is killed between two steps has done one of them: what ends a login must be in one.

use portcullis::gate::session::{SessionId, StoredSession};
use portcullis::store::redis::Redis;
use portcullis::store::session::{SESSIONS_PER_SUBJECT_MAX, SessionStore};
use serde_json::json;

use super::faults::introspect;
use super::histories::exchange_of;
use crate::harness::client::{self, Connection};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, ask, assert_invalid_grant, await_told, log_in, refresh,
    refreshing, tokens,
};
use crate::harness::outcome::{accepted, denied, outcome};
use crate::harness::proxy::{Direction, Proxy};
use crate::harness::redis::RedisServer;
use crate::harness::{eventually, fleet};

/// Two gateways: the first one is to be killed, and reaches the server through a proxy.
struct TwoGateways {
    server: RedisServer,
    proxy: Proxy,
    doomed: IssuingFleet,
    other: IssuingFleet,
}

impl TwoGateways {
    fn start(lines: &str) -> Self {
        let server = RedisServer::start();
        let proxy = Proxy::start(server.port());
        let store =
            format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", proxy.port());
        let doomed = IssuingFleet::start(&format!("{store}{lines}"), 1);
        let other = IssuingFleet::on(&server, lines, 1);
        Self { server, proxy, doomed, other }
    }

    /// Has the first gateway send this request, and kills it when the server has carried out the command in which
    /// this text stands, before it hears of that.
    fn kill_amid(&mut self, text: &str, request: String) {
        self.proxy.hold_at(text);
        let mut connection = Connection::open(self.doomed.at(1));
        connection.send(request);
        let link = self.proxy.await_held();
        link.hold(Direction::ToClient);
        link.deliver();
        self.doomed.end(1, "KILL");
        link.cut();
    }

    /// Asserts that what was delivered to a login is of no use at the other gateway, within moments.
    fn assert_ended(&self, granted: &Granted, cookie: &str) {
        let at = self.other.at(1);
        await_told(at, HOME, &granted.access, &denied(401, "token_revoked"));
        let (status, slug) =
            outcome(&client::exchange(at, client::get(HOME, &[("Cookie", cookie)])));
        assert_eq!(status, 401);
        assert!(["session_revoked", "session_unknown"].contains(&&*slug), "{slug}");
        assert_invalid_grant(&refresh(at, &granted.refresh));
    }
}

/// Somebody with tokens and a cookie.
fn with_both(site: &IssuingFleet) -> (Granted, String) {
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "both" }), &[]);
    let cookie = answer.field("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    (Granted::read(&answer), cookie.to_owned())
}

#[test]
fn login_whose_token_was_used_twice_has_ended_though_the_gateway_that_found_out_is_killed() {
    let mut pair = TwoGateways::start(&tokens("0s"));
    let (first, cookie) = with_both(&pair.doomed);
    let last = first.next(pair.doomed.at(1)).next(pair.other.at(1));
    assert_eq!(ask(pair.other.at(1), HOME, &last.access), accepted());
    pair.kill_amid(&exchange_of(&first.refresh), refreshing(&first.refresh));
    pair.assert_ended(&last, &cookie);
    assert_eq!(ask(pair.other.at(1), HOME, &first.access), denied(401, "token_revoked"));
}

#[test]
fn session_that_a_login_displaces_has_ended_though_the_gateway_of_the_login_is_killed() {
    const AGENT: &str = "the hundred and first";
    let mut pair = TwoGateways::start(&tokens("0s"));
    let (oldest, cookie) = with_both(&pair.doomed);
    fill_up(&pair.server, &oldest.session());
    assert_eq!(ask(pair.other.at(1), HOME, &oldest.access), accepted());
    let body = json!({ "username": "alice", "password": crate::harness::login::PASSWORD });
    let fields = [("Content-Type", "application/json"), ("User-Agent", AGENT)];
    let request = client::request("POST", "/auth/login", &fields, &body.to_string());
    pair.kill_amid(AGENT, request);
    pair.assert_ended(&oldest, &cookie);
}

/// Begins sessions of the same subject, until there is no room for another one.
fn fill_up(server: &RedisServer, session: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = Redis::open(&server.settings()).expect("settings that can work");
        let id = SessionId::parse(session).expect("an id");
        let found = store.find(id).await.expect("it answers").expect("it is there");
        for number in 1..SESSIONS_PER_SUBJECT_MAX {
            let mut record = found.record.clone();
            record.created = record.created.plus(1);
            let mut bytes = [0x77; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let session = StoredSession { last_seen: record.created, record };
            let created = store.create(SessionId::from_bytes(bytes), &session, None).await;
            assert_eq!(created, Ok(Vec::new()));
        }
    });
}

/// An earlier version has the family dead first, and may have been killed then.
#[test]
fn dead_family_is_brought_to_its_end_by_who_asks_about_it() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, &tokens("0s"), 1);
    let at = site.at(1);
    let (first, cookie) = with_both(&site);
    let key = format!("portcullis:{{revocations}}:family:{}", first.session());
    server.cli(&["hset", &key, "dead", "1"]);
    assert_eq!(ask(at, HOME, &first.access), accepted());
    for _ in 0..2 {
        assert_eq!(introspect(at, &first.refresh).json(), json!({ "active": false }));
        assert_eq!(ask(at, HOME, &first.access), denied(401, "token_revoked"));
    }
    let at_home = client::exchange(at, client::get(HOME, &[("Cookie", &cookie)]));
    assert_eq!(outcome(&at_home).0, 401);
    let listed = eventually("the list", || fleet::admin(site.gateway(1), "/v1/revocations"));
    assert_eq!(listed["total"], 1, "{listed}");
}

/// Redis has lost a login, and its owner is done with it: what was issued for it is of no more use.
#[test]
fn login_that_the_store_has_lost_ends_for_who_revokes_its_refresh_token() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, &tokens("0s"), 2);
    let granted = Granted::log_in(site.at(1), "alice");
    assert_eq!(ask(site.at(2), HOME, &granted.access), accepted());
    let keys = server.cli(&["--scan", "--pattern", &format!("*:{}", granted.session())]);
    assert!(keys.lines().count() >= 2, "a session and a family: {keys}");
    for key in keys.lines() {
        server.cli(&["del", key]);
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("token={}", granted.refresh);
    let answer =
        client::exchange(site.at(1), client::request("POST", "/auth/revoke", &form, &body));
    assert_eq!(answer.status, 200, "{answer:?}");
    await_told(site.at(2), HOME, &granted.access, &denied(401, "token_revoked"));
}

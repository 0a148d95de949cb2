//! Credentials that nobody was given: whoever sends them in numbers keeps neither the store busy
//! nor anybody else out, from the same address or another.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::client::{self, Answer, Connection, get, request};
use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, COOKIE, Login};
use crate::harness::oauth::{self, TokenPair, TokenService};
use crate::harness::outcome::{accepted, denied};
use crate::harness::redis::{Data, RedisOptions, RedisServer};
use crate::harness::upstream::Upstream;
use crate::harness::{eventually, fleet};

/// How many reads that lead to nothing one address may cause in a minute.
const ABSENT_MAX: usize = 1000;

/// What the page's own script says.
const BROWSER: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// 256 bits as an attacker would choose them, in base64url.
fn random_text() -> String {
    use base64::Engine;
    let bits: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bits)
}

/// Status and slug; what is no denial has none.
#[track_caller]
fn told(answer: &Answer) -> (u16, String) {
    let is_denial = answer.field("content-type") == Some("application/problem+json");
    (answer.status, if is_denial { answer.slug() } else { String::new() })
}

/// Sends made-up cookies until the next one is not looked for.
fn spend_the_budget(address: SocketAddr) {
    let mut connection = Connection::open(address);
    let mut ask = || {
        let cookie = format!("{COOKIE}={}", random_text());
        told(&connection.exchange(get("/pages", &[("Cookie", &cookie)])))
    };
    for number in 0..ABSENT_MAX {
        assert_eq!(ask(), denied(401, "session_unknown"), "number {number}");
    }
    assert_eq!(ask(), denied(429, "verification_budget"));
}

/// The text with some letters changed, so that it is still well-formed.
fn changed(text: &str, range: std::ops::Range<usize>) -> String {
    let mut letters = text.to_owned().into_bytes();
    for letter in &mut letters[range] {
        *letter = if *letter == b'A' { b'B' } else { b'A' };
    }
    String::from_utf8(letters).expect("ASCII")
}

/// Makes an API key.
fn api_key(gateway: &Gateway, members: &Value) -> String {
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let asking = request("POST", "/v1/api-keys", &fields, &members.to_string());
    let answer = client::exchange(gateway.admin(), asking);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["key"].as_str().expect("a key").to_owned()
}

/// The configuration of a desk where API keys are good for something, too.
fn configuration(upstream: &Upstream) -> String {
    let more = "api_keys: { header: X-Api-Key, max_lifetime: 90d }\n";
    oauth::configuration(upstream, oauth::LONG, more)
        + "  - { name: keys, match: { path: /keys }, upstream: behind, authenticate: [api_key] }\n"
}

#[test]
fn who_has_a_credential_is_served_when_others_behind_the_same_address_made_some_up() {
    let upstream = Upstream::start();
    let text = configuration(&upstream);
    let mut service = TokenService::of(upstream, &text);
    let address = service.gateway.address();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Login::new(address, name));
    let (pair, ended) = (service.tokens_of("dave"), service.tokens_of("dave"));
    let in_browser = service.log_in("dave", &[BROWSER], json!({ "deliver": "tokens" }));
    let cookie = oauth::cookies(&in_browser)[0].split(';').next().expect("a pair").to_owned();
    let access = in_browser.json()["access_token"].as_str().expect("a token").to_owned();
    let key = api_key(&service.gateway, &json!({ "subject": "machine" }));
    service.restart(&text);
    let address = service.gateway.address();
    spend_the_budget(address);

    let ask = |login: &Login| told(&login.ask(address, "/pages"));
    assert_eq!(ask(&alice), accepted());
    let with_key = |key: &str| told(&service.gateway.exchange(get("/keys", &[("X-Api-Key", key)])));
    assert_eq!(with_key(&key), accepted());
    let next = TokenPair::of(&service.refresh(&pair.refresh));
    let last = TokenPair::of(&service.refresh(&next.refresh));

    // What is not real is still not looked for.
    let forged = portcullis::gate::session::ApiKey::from_random(&[7; 32]);
    assert_eq!(with_key(forged.expose()), denied(429, "verification_budget"));
    // Of the same login, with a secret that nobody was given.
    assert_eq!(service.refresh(&changed(&last.refresh, 70..80)).status, 429);
    let at = COOKIE.len() + 5;
    for range in [at..at + 1, at + 36..at + 37] {
        let cookie = changed(&carol.cookie, range);
        let answer = service.gateway.exchange(get("/pages", &[("Cookie", &cookie)]));
        assert_eq!(told(&answer), denied(429, "verification_budget"));
    }
    assert_eq!(ask(&carol), accepted());

    // Logging out is never too much, by whatever shows who one is.
    bob.log_out(address);
    assert_eq!(ask(&bob), denied(401, "session_revoked"));
    let delete = |cookie: &str| {
        let fields = [("Cookie", cookie), BROWSER];
        service.gateway.exchange(request("DELETE", "/auth/token", &fields, "")).status
    };
    assert_eq!(delete(&cookie), 204);
    assert_eq!(service.gateway.get_as("/whoami", &access).slug(), "token_revoked");
    assert_eq!(service.post("/auth/revoke", &[], &[("token", &ended.refresh)]).status, 200);
    assert_eq!(service.gateway.get_as("/whoami", &ended.access).slug(), "token_revoked");
    // Nor by what nobody was given: logouts have a budget of their own.
    let made_up = format!("{COOKIE}={}", random_text());
    let fields = [("Cookie", &*made_up), BROWSER];
    let answer = service.gateway.exchange(request("POST", "/auth/logout", &fields, ""));
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(delete(&changed(&cookie, 80..90)), 204);
}

/// Gateways on a server, where people have sessions.
struct Site {
    gateways: Vec<Gateway>,
    upstream: Upstream,
    store: String,
}

impl Site {
    fn on(server: &RedisServer, count: usize) -> Self {
        let store = fleet::redis(&server.settings());
        let mut site = Self { gateways: Vec::new(), upstream: Upstream::start(), store };
        for _ in 0..count {
            site.join();
        }
        site
    }

    fn join(&mut self) {
        let text = format!(
            "{}{}{}
  - {{ name: pages, match: {{ path: /pages }}, upstream: behind, authenticate: [session] }}
",
            self.store,
            login::SECTION,
            gateway::standard(&self.upstream).trim_end()
        );
        self.gateways.push(Gateway::start_in(login::directory(), &text));
    }

    fn address(&self, number: usize) -> SocketAddr {
        self.gateways[number - 1].address()
    }

    #[track_caller]
    fn ask(&self, number: usize, cookie: &str) -> (u16, String) {
        told(&self.gateways[number - 1].exchange(get("/pages", &[("Cookie", cookie)])))
    }
}

#[test]
fn made_up_logouts_are_looked_for_within_a_budget_of_their_own() {
    let server = RedisServer::start();
    let mut site = Site::on(&server, 1);
    let [alice, bob] = ["alice", "bob"].map(|name| Login::new(site.address(1), name));
    // This gateway has neither of them in memory.
    site.join();
    let address = site.address(2);
    let mut connection = Connection::open(address);
    let mut log_out = || {
        let cookie = format!("{COOKIE}={}", random_text());
        let fields = [("Cookie", &*cookie), BROWSER];
        connection.exchange(request("POST", "/auth/logout", &fields, ""))
    };
    for number in 0..ABSENT_MAX {
        assert_eq!(log_out().status, 204, "number {number}");
    }
    let (before, begun) = (server.calls("get"), std::time::Instant::now());
    for _ in 0..200 {
        let answer = log_out();
        assert_eq!(told(&answer), denied(429, "verification_budget"));
        assert_eq!(answer.field("retry-after"), Some("60"));
    }
    // What gateways ask by themselves stays far below that.
    let beats = begun.elapsed().as_secs() * 8 + 32;
    let more = server.calls("get") - before;
    assert!(more < beats.min(200), "{more} reads for 200 logouts that are refused");
    // Whoever has a session logs out, and sessions are looked for as before.
    alice.log_out(address);
    assert_eq!(site.ask(1, &alice.cookie), denied(401, "session_revoked"));
    assert_eq!(site.ask(2, &bob.cookie), accepted());
    spend_the_budget(address);
    bob.log_out(address);
    assert_eq!(site.ask(1, &bob.cookie), denied(401, "session_revoked"));
}

#[test]
fn made_up_refresh_tokens_are_ended_within_the_budget_of_logouts() {
    let upstream = Upstream::start();
    let text = configuration(&upstream);
    let service = TokenService::of(upstream, &text);
    let (pair, other) = (service.tokens_of("dave"), service.tokens_of("dave"));
    let revoke = |token: &str| service.post("/auth/revoke", &[], &[("token", token)]).status;
    let made_up =
        |number: usize| format!("{}{number:010}{}", &pair.refresh[..70], &pair.refresh[80..]);
    let refused = (0..ABSENT_MAX + 50).map(made_up).map(|token| revoke(&token));
    let refused: Vec<_> = refused.enumerate().filter(|(_, status)| *status != 200).collect();
    assert_eq!(refused.first(), Some(&(ABSENT_MAX, 429)), "{refused:?}");
    assert_eq!(revoke(&other.refresh), 200);
    assert_eq!(service.gateway.get_as("/whoami", &other.access).slug(), "token_revoked");
    assert_eq!(service.gateway.get_as("/whoami", &pair.access).status, 200);
}

/// It is ours for sure, so no budget holds it up.
#[test]
fn ended_refresh_token_is_looked_for_once_in_a_while() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let store = fleet::redis(&server.settings());
    let directory = oauth::directory();
    let encryption_key = "a key-encryption key of more than 32 bytes";
    std::fs::write(directory.path().join("kek"), encryption_key).expect("a file");
    let text = oauth::configuration(&upstream, oauth::LONG, &store)
        .replace("\ntokens:", "\ntokens:\n  signing: { encryption_key_file: kek }");
    let service = TokenService::of_in(directory, upstream, &text);
    let (ended, other) = (service.tokens_of("dave"), service.tokens_of("dave"));
    let revoke = |token: &str| service.post("/auth/revoke", &[], &[("token", token)]).status;
    assert_eq!(revoke(&ended.refresh), 200);
    assert_eq!(revoke(&ended.refresh), 200);
    let before = server.calls("hmget");
    for _ in 0..100 {
        assert_eq!(revoke(&ended.refresh), 200);
        assert_eq!(service.refresh(&ended.refresh).json()["error"], "invalid_grant");
    }
    // Once more for each ten seconds that it takes.
    let more = server.calls("hmget") - before;
    assert!(more < 20, "{more} reads for 200 questions about a login that has ended");

    // A replica that has not got the login yet, say: it is forgotten with the connection.
    let kept = ["session", "family"].map(|kind| key(&format!("{kind}:{}", other.session())));
    let rename = |from: &str, to: &str| assert_eq!(server.cli(&["rename", from, to]).trim(), "OK");
    for kept in &kept {
        rename(kept, &format!("{kept}:elsewhere"));
    }
    for _ in 0..2 {
        assert_eq!(service.refresh(&other.refresh).json()["error"], "invalid_grant");
    }
    for kept in &kept {
        rename(&format!("{kept}:elsewhere"), kept);
    }
    server.cli(&["client", "kill", "type", "normal"]);
    let begun = std::time::Instant::now();
    eventually("the login", || (service.refresh(&other.refresh).status == 200).then_some(()));
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
}

/// Where a server keeps something.
fn key(name: &str) -> String {
    format!("portcullis:{{revocations}}:{name}")
}

#[test]
fn session_that_was_begun_before_there_was_a_check_goes_on_within_the_budget() {
    let server = RedisServer::start();
    let site = Site::on(&server, 2);
    let alice = Login::new(site.address(1), "alice");
    // 43 characters, none of which tells anything.
    let [early, late] = [(); 2].map(|()| {
        let text = random_text();
        let secret = portcullis::gate::session::SessionSecret::parse(text.as_bytes());
        let id = secret.expect("a secret").id().to_string();
        let (from, to) = (key(&format!("session:{}", alice.id)), key(&format!("session:{id}")));
        assert_eq!(server.cli(&["copy", &from, &to]).trim(), "1");
        format!("{COOKIE}={text}")
    });
    assert_eq!(site.ask(2, &early), accepted());
    spend_the_budget(site.address(2));
    // It is in memory by now; the other one is not, and nobody can tell it from those made up.
    assert_eq!(site.ask(2, &early), accepted());
    assert_eq!(site.ask(2, &late), denied(429, "verification_budget"));
    assert_eq!(site.ask(1, &late), accepted());
    assert_eq!(site.ask(2, &alice.cookie), accepted());
}

#[test]
fn losing_the_key_of_the_check_logs_nobody_out() {
    let durable = RedisOptions { durable: true, ..RedisOptions::default() };
    let mut server = RedisServer::start_with(durable);
    let mut site = Site::on(&server, 1);
    let alice = Login::new(site.address(1), "alice");
    let before = server.cli(&["get", &key("tag_key")]);
    assert!(before.len() > 16, "{before}");
    // Another one is made by the next gateway, and all go on.
    assert_eq!(server.cli(&["del", &key("tag_key")]).trim(), "1");
    site.join();
    assert_ne!(server.cli(&["get", &key("tag_key")]), before);
    assert_eq!(site.ask(2, &alice.cookie), accepted());
    let bob = Login::new(site.address(2), "bob");
    assert_eq!(site.ask(1, &bob.cookie), accepted());
    // What is no key is left where it is, and checks nothing.
    server.cli(&["set", &key("tag_key"), "garbage"]);
    site.join();
    assert_eq!(site.ask(3, &alice.cookie), accepted());
    let carol = Login::new(site.address(3), "carol");
    assert_eq!(site.ask(1, &carol.cookie), accepted());
    assert_eq!(server.cli(&["get", &key("tag_key")]).trim(), "garbage");
    server.restart(Data::Kept);
    eventually("the store", || (site.ask(3, &alice.cookie) == accepted()).then_some(()));
}

#[test]
fn all_gateways_of_a_store_know_what_any_of_them_gave_out() {
    let server = RedisServer::start();
    let site = Site::on(&server, 2);
    spend_the_budget(site.address(2));
    let alice = Login::new(site.address(1), "alice");
    assert_eq!(site.ask(2, &alice.cookie), accepted());
}

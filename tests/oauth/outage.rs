//! A store that is away: nobody is told that their token or their client is bad.

use serde_json::json;

use crate::harness::client::{self, Answer};
use crate::harness::eventually;
use crate::harness::oauth::{self, LONG, SECRET, TokenPair, TokenService, assert_error, basic};
use crate::harness::redis::{Data, RedisOptions, RedisServer};
use crate::harness::upstream::Upstream;

/// What is written is still there after a crash.
const DURABLE: RedisOptions = RedisOptions {
    durable: true,
    password: None,
    user: None,
    tls: None,
    replica_of: None,
    cluster_port: None,
};

/// A gateway on a Redis of its own.
fn open(server: &RedisServer) -> TokenService {
    let upstream = Upstream::start();
    let directory = oauth::directory();
    std::fs::write(directory.path().join("kek"), [7; 32]).expect("a file");
    let url = server.url();
    let sections = format!(
        "store: {{ redis: {{ url: '{url}' }} }}\n\
         revocation: {{ max_staleness: 1h }}\n"
    );
    let text = oauth::configuration(&upstream, LONG, &sections);
    let text = text.replacen("  access:", "  signing: { encryption_key_file: kek }\n  access:", 1);
    TokenService::of_in(directory, upstream, &text)
}

#[track_caller]
fn assert_outage(answer: &Answer) {
    assert_error(answer, 503, "temporarily_unavailable");
    assert!(oauth::cookies(answer).is_empty(), "no cookie is taken back: {answer:?}");
}

#[test]
fn store_that_is_away_is_said_to_be_and_nothing_is_used_up() {
    let mut server = RedisServer::start_with(DURABLE);
    let service = open(&server);
    let pair = service.tokens_of("alice");
    let by_browser = [("Sec-Fetch-Site", "same-origin")];
    let answer = service.log_in("bob", &by_browser, json!({ "deliver": "tokens" }));
    let cookie = oauth::cookies(&answer)[0].split(';').next().expect("a pair").to_owned();
    let grant = [("grant_type", "client_credentials")];
    assert_eq!(service.token_as("batch", &grant).status, 200);
    server.kill();
    assert_outage(&service.refresh(&pair.refresh));
    let pairs = [("grant_type", "refresh_token")];
    let fields = [("Cookie", &*cookie), by_browser[0]];
    assert_outage(&service.post("/auth/token", &fields, &pairs));
    assert_outage(&service.post("/auth/revoke", &[], &[("token", &pair.refresh)]));
    assert_outage(&service.post("/auth/revoke", &[], &[("token", &pair.access)]));
    let watcher = basic("watcher", SECRET);
    let fields = [("Authorization", &*watcher)];
    // Nobody knows how often somebody guessed.
    assert_outage(&service.post("/auth/introspect", &fields, &[("token", &pair.refresh)]));
    let signed = oauth::assertion(json!({}));
    let asserted = [grant[0], oauth::ASSERTION_TYPE, ("client_assertion", &signed)];
    assert_outage(&service.token(&asserted));
    let answer = service.log_in("alice", &[], json!({ "deliver": "tokens" }));
    assert_eq!((answer.status, &*answer.slug()), (503, "store_unavailable"), "{answer:?}");
    // A machine whose secret is remembered needs no store.
    assert_eq!(service.token_as("batch", &grant).status, 200);
    assert_eq!(service.gateway.exchange(client::get("/.well-known/jwks.json", &[])).status, 200);
    let unavailable = "portcullis_refreshes_total{method=\"body\",result=\"unavailable\"}";
    assert_eq!(service.gateway.metric(unavailable), 1.0);
    server.restart(Data::Kept);
    let next = eventually("the store", || {
        let answer = service.refresh(&pair.refresh);
        (answer.status == 200).then(|| TokenPair::of(&answer))
    });
    assert_eq!(service.said(&next.access).0, 200);
    let fields = [("Cookie", &*cookie), by_browser[0]];
    assert_eq!(service.post("/auth/token", &fields, &pairs).status, 200);
    assert_eq!(service.token(&asserted).status, 200, "the assertion was not used up");
}

/// Whoever may have been cut off gets nothing that lives on.
#[test]
fn list_that_is_too_old_is_an_outage() {
    let mut server = RedisServer::start_with(DURABLE);
    let service = open(&server);
    let pair = service.tokens_of("alice");
    let grant = [("grant_type", "client_credentials")];
    assert_eq!(service.token_as("batch", &grant).status, 200);
    let text = std::fs::read_to_string(service.gateway.file()).expect("a file");
    let text = text.replacen("max_staleness: 1h", "max_staleness: 1s", 1);
    std::fs::write(service.gateway.file(), text).expect("a file");
    let generation = "portcullis_config_generation";
    eventually("the reload", || (service.gateway.metric(generation) >= 2.0).then_some(()));
    server.kill();
    let answer = eventually("an old list", || {
        let answer = service.token_as("batch", &grant);
        (answer.status != 200).then_some(answer)
    });
    assert_outage(&answer);
    service.gateway.logged(|line| line["slug"] == "revocation_stale");
    assert_outage(&service.refresh(&pair.refresh));
}

//! Passwords, users, and TLS.

use portcullis::gate::session::SessionId;
use portcullis::gate::time::UnixTime;
use portcullis::secret::Secret;
use portcullis::store::attempts::{AttemptAccount, AttemptBudget, AttemptLedger, BudgetPace};
use portcullis::store::family::{
    Exchange, Family, FamilyStore, Premise, Rotation, StoredFamily, Successor, TokenDigest,
};
use portcullis::store::keyring::KeyRingStore;
use portcullis::store::one_time::OneTimeStore;
use portcullis::store::record::{Owner, Record};
use portcullis::store::redis::Redis;
use portcullis::store::session::{SessionNotice, SessionStore};
use portcullis::store::settings::{RedisLogin, RedisSettings, RedisTls};
use portcullis::store::{Fleet, GatewayState, Position, RevocationLog, StoreError};

use super::{open, open_with};
use crate::harness::certificates::{Authority, Certificate};
use crate::harness::redis::{RedisOptions, RedisServer, ServerTls};
use crate::store::sessions::{ISSUER, session};
use crate::store::{append, bounds, read, record, snapshot};

fn login(username: Option<&str>, password: &str) -> RedisLogin {
    let password = Some(Secret::new(password.as_bytes().to_vec()));
    RedisLogin { username: username.map(Into::into), password }
}

/// What a store with these settings says that it cannot do.
async fn refusal(settings: &RedisSettings) -> String {
    match snapshot(&open_with(settings)).await.expect_err("it is refused") {
        StoreError::Unavailable(text) => text,
        StoreError::Refused(_) => panic!("refused"),
        StoreError::Unreadable(text) => panic!("it was not even read: {text}"),
    }
}

#[tokio::test]
async fn password_opens_and_a_wrong_one_is_refused_without_being_told() {
    let options = RedisOptions { password: Some("s3cret".to_owned()), ..RedisOptions::default() };
    let server = RedisServer::start_with(options);
    append(&open(&server), &["a"]).await;
    let wrong = RedisSettings { login: login(None, "wr0ng"), ..server.settings() };
    let text = refusal(&wrong).await;
    assert!(text.contains("refused") && !text.contains("wr0ng"), "{text}");
    assert!(!format!("{:?}", open_with(&wrong)).contains("wr0ng"));
    let none = RedisSettings { login: RedisLogin::default(), ..server.settings() };
    let text = refusal(&none).await;
    assert!(text.contains("NOAUTH"), "{text}");
}

#[tokio::test]
async fn user_with_the_rights_that_are_documented_can_do_everything() {
    let rules = "on >s3cret ~portcullis:* +@read +@write +@connection +@scripting +time +info";
    let user = Some(("gateway".to_owned(), rules.to_owned()));
    let server = RedisServer::start_with(RedisOptions { user, ..RedisOptions::default() });
    let login = login(Some("gateway"), "s3cret");
    let log = open_with(&RedisSettings { login, ..server.settings() });
    let appended = append(&log, &["a"]).await;
    assert_eq!(read(&log, Position::default()).await.0, appended);
    snapshot(&log).await.expect("a snapshot");
    log.list(0, 1, bounds().now).await.expect("a list");
    RevocationLog::prune(&log, bounds().now).await.expect("it prunes");
    let state = GatewayState {
        instance: "1".to_owned(),
        name: "one".to_owned(),
        version: "0".to_owned(),
        applied: 1,
        mark: None,
        counted_for_ms: 0,
        clock_ahead_ms: None,
        settings: Default::default(),
    };
    log.announce(&state).await.expect("it announces");
    log.roster().await.expect("a roster");
    log.leave("1").await.expect("it leaves");
    let now = bounds().now;
    let (id, session) = (SessionId::from_bytes([7; 32]), session("ada", now));
    assert_eq!(log.create(id, &session, None).await, Ok(Vec::new()));
    log.touch(&[(id, now)]).await.expect("it is noted");
    assert_eq!(SessionStore::find(&log, id).await, Ok(Some(session)));
    log.of_subject(ISSUER, "ada", now).await.expect("a list");
    log.api_keys(now).await.expect("a list");
    SessionStore::prune(&log, now).await.expect("it prunes");
    exchange_a_token(&log, id, now).await;
    assert_eq!(log.replace_ring(None, b"one").await, Ok(true));
    assert_eq!(log.ring().await, Ok(Some(b"one".to_vec())));
    assert_eq!(log.delete(id).await, Ok(false), "it ended with its family");
    let owner = Owner { issuer: ISSUER.into(), subject: "ada".into(), dated: now, until: now };
    log.charge(&Record { owner: Some(owner), ..record("a") }, bounds()).await.expect("it is taken");
    let budget = AttemptBudget { attempts_max: 1, span_s: 1 };
    let account = [AttemptAccount { key: "a".to_owned(), budget, pace: BudgetPace::Slowing }];
    log.attempt(&account, now).await.expect("it is counted");
    log.absolve(&account, &account).await.expect("it is forgotten");
    let heard = std::sync::Mutex::new(Vec::new());
    let mut hear = |told| heard.lock().expect("no panic").push(told);
    let listening = tokio::time::timeout(std::time::Duration::from_secs(1), log.listen(&mut hear));
    listening.await.expect_err("it goes on");
    let heard = heard.into_inner().expect("no panic");
    assert!(
        matches!(heard[..], [SessionNotice::Begun, SessionNotice::Contact(_), ..]),
        "{heard:?}"
    );
}

/// One that may not ask which server it is, as it was documented before.
#[tokio::test]
async fn user_who_may_not_ask_for_the_identity_of_the_server_can_use_it() {
    let rules = "on >s3cret ~portcullis:* +@read +@write +@connection +@scripting +time";
    let user = Some(("gateway".to_owned(), rules.to_owned()));
    let server = RedisServer::start_with(RedisOptions { user, ..RedisOptions::default() });
    let login = login(Some("gateway"), "s3cret");
    let log = open_with(&RedisSettings { login, ..server.settings() });
    let appended = append(&log, &["a"]).await;
    snapshot(&log).await.expect("a snapshot");
    assert_eq!(read(&log, Position::default()).await.0, appended);
}

/// Does with a family all that can be done.
async fn exchange_a_token(store: &Redis, session: SessionId, now: UnixTime) {
    let family = Family {
        session,
        client: "batch".into(),
        scopes: Vec::new(),
        created: now,
        ends: now.plus(60),
        idle_s: 60,
        key: [1; 32],
    };
    let [first, second, third] = [1, 2, 3].map(|byte| TokenDigest { place: 0, digest: [byte; 32] });
    store.begin(&family, first).await.expect("it begins");
    let successor = Successor { digest: second, sealed: vec![0] };
    for (presented, outcome) in [(first, Rotation::Rotated), (third, Rotation::Reused)] {
        let read = FamilyStore::find(store, session).await.expect("it answers");
        let StoredFamily { current, read_ms, .. } = read.expect("it is there");
        let premise = Premise { current, read_ms, waited_ms: 0 };
        let successor = successor.clone();
        let exchange = Exchange {
            family: session,
            presented,
            successor,
            grace_ms: 9,
            now,
            premise,
            end: None,
        };
        let rotated = store.rotate(&exchange).await;
        assert_eq!(rotated, Ok(outcome));
    }
    assert!(FamilyStore::find(store, session).await.expect("it answers").is_some());
    assert_eq!(store.delete(session).await, Ok(true));
    for is_first in [true, false] {
        assert_eq!(store.spend("one", now.plus(60), now).await, Ok(is_first));
    }
}

#[tokio::test]
async fn right_that_is_missing_is_named() {
    let rules = "on >s3cret ~portcullis:* +@read +@connection";
    let user = Some(("gateway".to_owned(), rules.to_owned()));
    let server = RedisServer::start_with(RedisOptions { user, ..RedisOptions::default() });
    let login = login(Some("gateway"), "s3cret");
    let text = refusal(&RedisSettings { login, ..server.settings() }).await;
    assert!(text.contains("NOPERM") && text.contains("evalsha"), "{text}");
}

#[tokio::test]
async fn tls_is_spoken_with_servers_of_our_authority_only() {
    let (ours, other) = (Authority::new(), Authority::new());
    let tls = Some(ServerTls::new(&ours));
    let server = RedisServer::start_with(RedisOptions { tls, ..RedisOptions::default() });
    append(&open(&server), &["a"]).await;
    let trusting = |authority: &Authority| {
        let ca_pem = Some(authority.pem().into_bytes());
        RedisSettings { tls: Some(RedisTls { ca_pem, identity: None }), ..server.settings() }
    };
    snapshot(&open_with(&trusting(&ours))).await.expect("a snapshot");
    let text = refusal(&trusting(&other)).await;
    assert!(text.contains("certificate"), "{text}");
    // The system's authorities do not know it either.
    let system = RedisSettings { tls: Some(RedisTls::default()), ..server.settings() };
    let text = refusal(&system).await;
    assert!(text.contains("certificate"), "{text}");
    refusal(&RedisSettings { tls: None, ..server.settings() }).await;
}

#[tokio::test]
async fn certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let certificate = authority.issue("elsewhere.test");
    let tls = Some(ServerTls { certificate, ..ServerTls::new(&authority) });
    let server = RedisServer::start_with(RedisOptions { tls, ..RedisOptions::default() });
    let text = refusal(&server.settings()).await;
    assert!(text.contains("certificate"), "{text}");
}

#[tokio::test]
async fn server_that_asks_for_a_certificate_gets_ours() {
    let authority = Authority::new();
    let client = Some(authority.issue("gateway.test"));
    let tls = Some(ServerTls { client, ..ServerTls::new(&authority) });
    let server = RedisServer::start_with(RedisOptions { tls, ..RedisOptions::default() });
    append(&open(&server), &["a"]).await;
    let ca_pem = Some(authority.pem().into_bytes());
    let nobody = RedisTls { ca_pem, identity: None };
    refusal(&RedisSettings { tls: Some(nobody), ..server.settings() }).await;
}

#[test]
fn files_that_cannot_work_are_refused_at_once() {
    let authority = Authority::new();
    let Certificate { chain, key } = authority.issue("gateway.test");
    let another = authority.issue("gateway.test").key;
    let ca = authority.pem();
    let open = |ca: &str, identity: Option<(&str, &str)>| {
        let identity = identity
            .map(|(chain, key)| (chain.as_bytes().to_vec(), Secret::new(key.as_bytes().to_vec())));
        let tls = RedisTls { ca_pem: Some(ca.as_bytes().to_vec()), identity };
        Redis::open(&RedisSettings { tls: Some(tls), ..nowhere() }).map(drop)
    };
    assert_eq!(open(&ca, Some((&chain, &key))), Ok(()));
    open("no certificate", None).expect_err("nobody could be trusted");
    open(&ca, Some((&chain, "no key"))).expect_err("there is no key");
    open(&ca, Some((&chain, &another))).expect_err("it is another's key");
    open(&ca, Some(("", &key))).expect_err("there is no certificate");
}

/// Settings that nobody connects with.
fn nowhere() -> RedisSettings {
    use portcullis::store::settings::{RedisAddress, RedisServers};
    RedisSettings {
        servers: RedisServers::Single(RedisAddress { host: "nowhere.test".into(), port: 1 }),
        login: RedisLogin::default(),
        database: 0,
        tls: None,
        prefix: "portcullis".into(),
    }
}

//! A gateway's endpoints with a store of their own, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use argon2::password_hash::{PasswordHasher, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tempfile::TempDir;

use super::exchange::{Ask, Response};
use super::faulty_stores::{FaultyFamilies, LimitedLog};
use crate::clock;
use crate::config::Settings;
use crate::endpoints::table::{Endpoint, LoginEndpoint};
use crate::endpoints::{EndpointServices, Endpoints};
use crate::feed::jwks::KeySearch;
use crate::feed::metrics::StoreMetrics;
use crate::feed::revocations::RevocationFeed;
use crate::feed::revocations::metrics::RevocationMetrics;
use crate::feed::sessions::SessionFeed;
use crate::feed::sessions::metrics::SessionMetrics;
use crate::feed::signing::SigningFeed;
use crate::feed::signing::metrics::SigningMetrics;
use crate::gate::issuer::Issuer;
use crate::gate::request::{Request, Scheme};
use crate::gate::revocation::{self, Scope};
use crate::gate::session::{Session, SessionId};
use crate::login::metrics::LoginMetrics;
use crate::oauth::metrics::TokenMetrics;
use crate::runtime::{InForce, Running};
use crate::store::family::FamilyStore;
use crate::store::record::Record;
use crate::store::settings::StoreSettings;
use crate::store::{self, Store, Writers};
use crate::telemetry::registry::MetricRegistry;
use crate::web::message::{Caller, ClientKind, EndpointRequest, KeySeeker};

/// The password of every user.
pub(super) const PASSWORD: &str = "correct horse";

pub(super) struct Fixture {
    pub(super) directory: TempDir,
    pub(super) in_force: Arc<ArcSwap<Running>>,
    pub(super) sessions: Arc<SessionFeed>,
    pub(super) revocations: Arc<RevocationFeed>,
    pub(super) login_metrics: LoginMetrics,
    pub(super) token_metrics: TokenMetrics,
    pub(super) endpoints: Arc<Endpoints>,
    /// The store of refresh token families.
    pub(super) refresh_families: Arc<dyn FamilyStore>,
    /// How many more entries the log accepts.
    pub(super) left: Arc<AtomicU64>,
    /// Whether no family can begin.
    pub(super) is_barren: Arc<AtomicBool>,
    pub(super) is_mute: Arc<AtomicBool>,
    /// Whether exchanges are requested as a gateway of an earlier version does.
    pub(super) is_earlier: Arc<AtomicBool>,
}

pub(super) fn hash() -> String {
    let params = Params::new(7 * 1024, 1, 1, None).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = Salt::from_b64("c29tZXNhbHQ").expect("a salt");
    argon2.hash_password(PASSWORD.as_bytes(), salt).expect("hashes").to_string()
}

pub(super) fn compile(directory: &TempDir, login: &str, previous: Option<&Running>) -> Running {
    compile_with(directory, login, "", previous)
}

fn compile_with(
    directory: &TempDir,
    login: &str,
    sections: &str,
    previous: Option<&Running>,
) -> Running {
    let text = format!(
        "listeners: [{{address: '127.0.0.1:0'}}]\n\
         upstreams: {{identity: {{peers: ['127.0.0.1:1']}}}}\n\
         routes: [{{name: all, match: {{path: '/{{*rest}}'}}, upstream: identity, public: true}}]\n\
         login: {{return_to: ['https://app.example'], {login}}}\n{sections}"
    );
    let file = directory.path().join("gateway.yaml");
    let settings = Settings::compile(&file, text, &|_| None);
    let settings = settings.unwrap_or_else(|problems| panic!("{problems}"));
    Running::new(settings, previous).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Whether the signing keys and the revocations are loaded.
pub(super) enum Keys {
    Read,
    Unread,
    /// They are not loaded, and several gateways share the store.
    UnreadOfFleet,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with("password_file: users.yaml").await
    }

    pub(super) async fn with(login: &str) -> Self {
        Self::with_sections(login, "", Keys::Unread).await
    }

    /// A gateway on a shared store from which nothing was read yet.
    pub(super) async fn of_a_fleet() -> Self {
        Self::with_sections("password_file: users.yaml", "", Keys::UnreadOfFleet).await
    }

    /// A gateway that issues tokens.
    pub(super) async fn with_tokens(keys: Keys) -> Self {
        let sections = "tokens: {issuer: 'https://gateway.example', access: {audiences: [api]}, \
                        refresh: {rotation_grace: 0s}}\n";
        Self::with_sections("password_file: users.yaml", sections, keys).await
    }

    /// A gateway that issues tokens, with room for one entry in the list, which is used.
    pub(super) async fn with_a_full_list() -> Self {
        let sections = "tokens: {issuer: 'https://gateway.example', access: {audiences: [api]}, \
                        refresh: {rotation_grace: 0s}}\nrevocation: {max_entries: 1}\n";
        let fixture = Self::with_sections("password_file: users.yaml", sections, Keys::Read).await;
        let scope = Scope::Client("another".into());
        let now = clock::now();
        let entry = revocation::Entry { scope, cut_off: now, expires: now.plus(9000) };
        let (actor, reason) = ("admin".into(), "test".into());
        let record = Record {
            entry,
            written_us: 0,
            actor,
            reason,
            mark: 1,
            owner: None,
            is_for_nobody: false,
            lifts: [].into(),
        };
        fixture.revocations.append(record).await.expect("appended");
        fixture
    }

    async fn with_sections(login: &str, sections: &str, keys: Keys) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let directory = TempDir::new().expect("a directory");
        let users = format!(
            "alice: {{password: '{0}', subject: a1, roles: [clerk], claims: {{email: a@b.c}}}}\n\
             bob: {{password: '{0}'}}\n",
            hash()
        );
        std::fs::write(directory.path().join("users.yaml"), users).expect("written");
        let configuration = compile_with(&directory, login, sections, None);
        let mut registry = MetricRegistry::default();
        let login_metrics = LoginMetrics::register(&mut registry).expect("registered");
        let revocation_metrics = RevocationMetrics::register(&mut registry).expect("registered");
        let session_metrics = SessionMetrics::register(&mut registry).expect("registered");
        let signing_metrics = SigningMetrics::register(&mut registry).expect("registered");
        let token_metrics = TokenMetrics::register(&mut registry).expect("registered");
        let store_metrics = StoreMetrics::register(&mut registry).expect("registered");
        let path = directory.path().join("store.redb");
        let opened = store::open(&StoreSettings::Embedded { path }).await.expect("opens");
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let log = opened.revocations.clone();
        let writers = match keys {
            Keys::Read | Keys::Unread => log.writers(),
            Keys::UnreadOfFleet => Writers::Gateways,
        };
        let log = LimitedLog { log, left: left.clone(), writers };
        let opened = Store { revocations: Arc::new(log), ..opened };
        let writer = configuration.gate.revocations.writer().expect("the first");
        let in_force = Arc::new(ArcSwap::from_pointee(configuration));
        let (sessions, attempts) = (opened.sessions.clone(), opened.attempts.clone());
        let sessions = SessionFeed::new(
            sessions,
            InForce::new(in_force.clone()),
            session_metrics,
            store_metrics.clone(),
        );
        let (refresh_families, keyring) = (opened.families.clone(), opened.keyring.clone());
        let one_time = opened.one_time.clone();
        let is_barren = Arc::new(AtomicBool::new(false));
        let is_mute = Arc::new(AtomicBool::new(false));
        let is_earlier = Arc::new(AtomicBool::new(false));
        let refresh_families: Arc<dyn FamilyStore> = Arc::new(FaultyFamilies {
            families: refresh_families,
            is_barren: is_barren.clone(),
            is_mute: is_mute.clone(),
            is_earlier: is_earlier.clone(),
        });
        let revocations = RevocationFeed::new(
            opened,
            writer,
            InForce::new(in_force.clone()),
            revocation_metrics,
            store_metrics.clone(),
        );
        let signing = SigningFeed::new(
            keyring,
            InForce::new(in_force.clone()),
            signing_metrics,
            store_metrics.clone(),
        );
        match keys {
            Keys::Unread | Keys::UnreadOfFleet => {}
            Keys::Read => {
                tokio::spawn(signing.clone().run());
                tokio::spawn(revocations.clone().run());
                signing.loaded().await;
                revocations.loaded().await;
            }
        }
        let endpoints = Endpoints::new(EndpointServices {
            in_force: InForce::new(in_force.clone()),
            sessions: sessions.clone(),
            revocations: revocations.clone(),
            signing,
            attempts,
            refresh_families: refresh_families.clone(),
            one_time,
            hand_offs_max: 1,
            login_metrics: login_metrics.clone(),
            token_metrics: token_metrics.clone(),
            store_metrics,
        });
        Self {
            directory,
            in_force,
            sessions,
            revocations,
            login_metrics,
            token_metrics,
            endpoints,
            refresh_families,
            left,
            is_barren,
            is_mute,
            is_earlier,
        }
    }

    /// Sends a request with these header fields, as a program unless they say `accept`.
    pub(super) async fn ask(&self, what: &Ask<'_>) -> Response {
        let Ask { endpoint, target, fields, body, cookie } = what;
        let configuration = self.in_force.load_full();
        let cookies = &configuration.gate.sessions.rules.terms().cookie;
        let mut headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect::<HeaderMap<HeaderValue>>();
        if let Some(cookie) = cookie {
            let value = format!("{}={cookie}", cookies.name);
            headers.insert("cookie", value.parse().expect("a value"));
        }
        let request = Request {
            scheme: Scheme::Https,
            method: &Method::POST,
            authority: Some("gateway.example"),
            target,
            headers: &headers,
            session: None,
        };
        let asker = match headers.contains_key("accept") {
            true => ClientKind::Person,
            false => ClientKind::Program,
        };
        let secret = cookies.find(&headers).ok().flatten();
        let login = Endpoint::Login(LoginEndpoint::Login);
        let caller = match secret.filter(|_| *endpoint != login) {
            None => None,
            Some(secret) => {
                self.session(secret.id()).await.map(|session| Caller { session, secret })
            }
        };
        let client = "192.0.2.7".parse().ok();
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = &request;
        let keys = &NoKeys;
        let asked = EndpointRequest {
            head: request,
            body,
            request_id: "test",
            client,
            client_kind: asker,
            caller,
            lost: None,
            keys,
        };
        let reply = self.endpoints.answer(endpoint, asked, &configuration).await;
        Response::of(reply, &cookies.name)
    }

    async fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        let stored = self.sessions.stored(id).await.expect("read")?;
        let rules = self.in_force.load().gate.sessions.rules.clone();
        Some(Arc::new(Session::compile(id, &stored, &rules, clock::steady())))
    }

    /// Logs in, and returns the value of the cookie.
    pub(super) async fn log_in(&self, name: &str) -> String {
        let told = self.ask(&Ask::login(name, PASSWORD)).await;
        assert_eq!((told.status, told.slug), (200, None), "{}", told.body);
        told.cookie.expect("a cookie")
    }

    pub(super) fn is_revoked(&self, id: SessionId) -> bool {
        let scope = Scope::Session(id.to_string().into());
        self.in_force.load().gate.revocations.names(&scope)
    }

    pub(super) fn break_log(&self, broken: bool) {
        self.left.store(if broken { 0 } else { u64::MAX }, Ordering::Relaxed);
    }
}

/// A key seeker that knows no keys.
#[derive(Debug)]
struct NoKeys;

#[async_trait]
impl KeySeeker for NoKeys {
    async fn seek(&self, _: &Issuer, _: &Option<Box<str>>) -> KeySearch {
        KeySearch::Absent
    }
}

//! A store that can be unavailable, and gateways that use it.

use std::path::Path;
use std::sync::Mutex as SyncMutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;

use super::super::*;
use crate::config::tokens::{Access, Clients, Refresh, Signing};
use crate::config::{IssuerSettings, KeySource, Settings};
use crate::gate::forward::{IdentityTemplate, OwnedName};
use crate::gate::issuer::{DatedBy, IssuerRules, Untyped};
use crate::gate::keys::{Algorithm, KeyCell};
use crate::gate::revocation::{Entry, ListWriter, Scope};
use crate::issuer::ring::Ring;
use crate::issuer::ring_document::Others;
use crate::store::StoreError;
use crate::store::attempts::AttemptBudget;
use crate::telemetry::registry::MetricRegistry;

pub(super) const ISSUER: &str = "https://gateway.test";

/// How long the tokens live, and how long they are accepted after that, in seconds.
pub(super) const LIFETIME_S: i64 = 900;
pub(super) const SKEW_S: i64 = 30;

/// A ring in memory.
#[derive(Default)]
pub(super) struct Shared {
    document: SyncMutex<Option<Vec<u8>>>,
    is_away: AtomicBool,
    /// Whether it takes no writes.
    is_read_only: AtomicBool,
    reads: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        self.document.lock().expect("no panic").clone()
    }

    pub(super) fn put(&self, document: Option<&[u8]>) {
        *self.document.lock().expect("no panic") = document.map(<[u8]>::to_vec);
    }

    pub(super) fn ring(&self) -> Ring {
        let document = self.document().expect("a document");
        Ring::decode(&document, None, Others::MayWrite).expect("a ring").0
    }

    pub(super) fn go_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    pub(super) fn take_no_writes(&self) {
        self.is_read_only.store(true, Ordering::SeqCst);
    }

    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn answer(&self) -> Result<(), StoreError> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("it is away".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl KeyRingStore for Shared {
    async fn ring(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        // As a network would.
        tokio::task::yield_now().await;
        self.answer()?;
        Ok(self.document())
    }

    async fn replace_ring(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        self.answer()?;
        if self.is_read_only.load(Ordering::SeqCst) {
            return Err(StoreError::Refused("it is full".to_owned()));
        }
        let mut document = self.document.lock().expect("no panic");
        if document.as_deref() == Some(ring) {
            return Ok(true);
        }
        let is_expected = document.as_deref() == expected;
        if is_expected {
            *document = Some(ring.to_vec());
        }
        Ok(is_expected)
    }

    async fn tag_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn keep_tag_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(key.to_vec())
    }
}

/// A gateway on the store.
pub(super) struct Gateway {
    pub(super) feed: Arc<SigningFeed>,
    in_force: Arc<ArcSwap<Running>>,
    writer: ListWriter,
}

pub(super) fn kept() -> Signing {
    Signing {
        algorithm: Algorithm::EdDSA,
        keys: SigningKeys::Kept(None),
        publish_before: Duration::from_secs(3600),
        rotate_every: None,
    }
}

pub(super) fn sealed(byte: u8) -> Signing {
    let keys = SigningKeys::Kept(Some(Secret::new(vec![byte; 32])));
    Signing { keys, ..kept() }
}

/// What the gateway issues, and what its own gate asks of it.
#[derive(Debug)]
pub(super) struct Issued {
    tokens: Tokens,
    rules: IssuerRules,
}

pub(super) fn configuration(issued: Option<Issued>, previous: Option<&Running>) -> Running {
    let text = "listeners: [{address: '127.0.0.1:0'}]\n\
                upstreams: {a: {peers: ['127.0.0.1:1']}}\n\
                routes: [{name: all, match: {path: '/'}, upstream: a, public: true}]\n";
    let settings = Settings::compile(Path::new("/a.yaml"), text.to_owned(), &|_| None);
    let mut settings = settings.unwrap_or_else(|problems| panic!("{problems}"));
    if let Some(Issued { tokens, rules }) = issued {
        settings.tokens = Some(Arc::new(tokens));
        settings.issuers.push(IssuerSettings { rules: Arc::new(rules), keys: KeySource::Own });
    }
    Running::new(settings, previous).unwrap_or_else(|problems| panic!("{problems}"))
}

pub(super) fn tokens(signing: Signing, lifetime_s: i64) -> Issued {
    let name = |text: &str| OwnedName::new(text).expect("a name");
    let identity = IdentityTemplate {
        subject: name("X-Subject"),
        issuer: name("X-Issuer"),
        scopes: name("X-Scopes"),
        roles: name("X-Roles"),
        session: name("X-Session"),
        claims: Vec::new(),
    };
    let rules = IssuerRules {
        name: "gateway".into(),
        issuer: ISSUER.into(),
        audiences: vec!["a".into()],
        algorithms: vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256],
        clock_skew_s: SKEW_S,
        clock_ahead_s: SKEW_S,
        dated_by: DatedBy::Login,
        lifetime_max_s: lifetime_s,
        token_types: vec!["at+jwt".into()],
        untyped: Untyped::Refused,
        required_claims: Vec::new(),
        roles_pointer: "/roles".into(),
        client_claims: Vec::new(),
        asked_claims: Vec::new(),
        identity: Arc::new(identity),
        identity_bytes_max: 8192,
    };
    let tokens = Tokens {
        issuer: ISSUER.into(),
        origin: ISSUER.into(),
        signing,
        access: Access { lifetime_s, audiences: Vec::new(), claims: Vec::new() },
        refresh: Refresh { idle_s: 1, absolute_s: 1, grace_ms: 0 },
        clients: Clients::default(),
        per_address: AttemptBudget { attempts_max: 1, span_s: 1 },
        signed_lifetime_max_s: lifetime_s,
    };
    Issued { tokens, rules }
}

impl Gateway {
    pub(super) fn on(store: &Arc<Shared>, signing: Option<Signing>) -> Self {
        let gateway = Self::without_revocations(store, signing);
        gateway.load_revocations();
        gateway
    }

    /// A gateway whose revocations are not loaded yet.
    pub(super) fn without_revocations(store: &Arc<Shared>, signing: Option<Signing>) -> Self {
        let issued = signing.map(|signing| tokens(signing, LIFETIME_S));
        let configuration = configuration(issued, None);
        let writer = configuration.gate.revocations.writer().expect("the first");
        let in_force = Arc::new(ArcSwap::from_pointee(configuration));
        let mut registry = MetricRegistry::default();
        let metrics = SigningMetrics::register(&mut registry).expect("registered");
        let store_metrics = StoreMetrics::register(&mut registry).expect("registered");
        let feed =
            SigningFeed::new(store.clone(), InForce::new(in_force.clone()), metrics, store_metrics);
        Self { feed, in_force, writer }
    }

    /// A gateway that has maintained the ring once.
    pub(super) async fn started(store: &Arc<Shared>, signing: Signing) -> Self {
        let gateway = Self::on(store, Some(signing));
        gateway.upkeep().await;
        gateway
    }

    /// What it does every second.
    pub(super) async fn upkeep(&self) {
        let configuration = self.in_force.load_full();
        let kept = self.feed.kept.lock().await;
        // The outcome is checked later.
        drop(self.feed.run_task(kept, &configuration, RingTask::Upkeep).await);
    }

    /// Puts another configuration in force, as a reload does.
    pub(super) async fn reload(&self, tokens: Issued) {
        let new = self.prepared(tokens).await;
        self.in_force.store(Arc::new(new));
    }

    /// The same, just before it is in force.
    pub(super) async fn prepared(&self, tokens: Issued) -> Running {
        let new = configuration(Some(tokens), Some(&self.in_force.load()));
        self.feed.prepare(&new).await;
        new
    }

    pub(super) fn load_revocations(&self) {
        self.writer.contact(clock::steady());
    }

    pub(super) fn revoke(&self, id: &str) {
        let scope = Scope::Key { issuer: Some(ISSUER.into()), id: id.into() };
        let now = clock::now();
        self.writer.apply(&Entry::compile(scope, None, None, [], now), now);
    }

    pub(super) fn signs(&self) -> Option<String> {
        self.feed.signer(clock::now()).map(|signer| signer.id().to_owned())
    }

    /// The published ids, in order.
    pub(super) fn jwks(&self) -> Vec<String> {
        let Some(set) = self.feed.current() else { return Vec::new() };
        let jwks: serde_json::Value = serde_json::from_str(set.jwks()).expect("JSON");
        let keys = jwks["keys"].as_array().expect("keys").iter();
        keys.map(|key| key["kid"].as_str().expect("an id").to_owned()).collect()
    }

    /// The keys by which its gate verifies.
    pub(super) fn own_keys(&self) -> Arc<KeyCell> {
        self.in_force.load().own_issuer().expect("it issues tokens").keys().clone()
    }

    /// Whether its gate verifies what this key signed.
    pub(super) fn verifies(&self, id: &str) -> bool {
        let keys = self.own_keys();
        keys.is_usable(clock::now()) && keys.knows(Some(id))
    }

    pub(super) async fn seek(&self, id: &str) -> KeySearch {
        self.feed.seek(&Some(id.into())).await
    }

    pub(super) async fn rotate(&self, begins: BeginsTo) -> String {
        self.feed.rotate(begins).await.expect("a new key").id.into()
    }

    /// What the list says of each key.
    pub(super) async fn states(&self) -> Vec<(String, KeyState)> {
        let list = self.feed.list().await.expect("a list");
        list.into_iter().map(|key| (key.id.into(), key.state)).collect()
    }
}

//! READ. `gateway.yaml` → immutable [`Settings`], or every error in it.
//!
//! The raw types mirror the file and die here. What leaves this module is plain data, complete and
//! consistent: no later code has to ask whether a field makes sense. Nothing that runs is built
//! here: that is for [`runtime`](crate::runtime).

pub(crate) mod compile;
mod document;
pub mod login;
mod problem;
mod raw;
mod schema;
mod tls;
pub mod tokens;
pub mod upstream;
mod values;

pub use values::{duration, is_peer, key_set_url, size, without_password};

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::gate::GateSettings;
use crate::gate::framing::HeadLimits;
use crate::gate::internal::InternalTokenTerms;
use crate::gate::issuer::IssuerRules;
use crate::gate::keys::{Algorithm, KeySet};
use crate::gate::route::RouteMatch;
use crate::gate::session::SessionTerms;
use crate::secret::Secret;
use crate::store::settings::StoreSettings;
use ipnet::IpNet;

pub use login::Login;
pub use problem::{ConfigProblem, FieldPath, Problems, Severity};
pub use schema::schema;
pub use tls::TlsCertificate;
pub use tokens::{ApiKeySettings, Tokens};
pub use upstream::UpstreamSettings;

/// The settings of `gateway.yaml`, with every default filled in.
#[derive(Debug)]
pub struct Settings {
    /// Where it came from.
    pub file: PathBuf,
    /// The settings of the gate.
    pub gate: Arc<GateSettings>,
    /// The match of each route, for display.
    pub matches: Vec<RouteMatch>,
    /// The issuers of tokens, in the order that routes refer to.
    pub issuers: Vec<IssuerSettings>,
    /// The tokens that upstreams are sent, in the order that routes refer to.
    pub internal_tokens: Vec<InternalTokenTerms>,
    /// The size of the cache of verified tokens, in bytes.
    pub token_cache_bytes_max: u64,
    /// The settings of sessions.
    pub sessions: SessionSettings,
    /// Where routes lead, in the order that routes refer to.
    pub upstreams: Vec<UpstreamSettings>,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Where operators connect.
    pub admin: Admin,
    /// The process.
    pub server: ServerSettings,
    /// Bounds on what clients may send.
    pub limits: Limits,
    /// The access log.
    pub access_log: AccessLogSettings,
    /// Peers whose `Forwarded` and `X-Forwarded-*` headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The realm of challenges.
    pub realm: Box<str>,
    /// The directory for data that can be lost without harm.
    pub data_directory: PathBuf,
    /// The store, which keeps revocations, sessions and keys when the process ends.
    pub store: StoreSettings,
    /// How the revocation log is read and written.
    pub revocation: RevocationSettings,
    /// How users log in, if they can.
    pub login: Option<Arc<Login>>,
    /// The tokens that the gateway itself issues, if it does.
    pub tokens: Option<Arc<Tokens>>,
    /// API keys, if they are enabled.
    pub api_keys: Option<ApiKeySettings>,
    /// The file for changes by operators; standard output if there is none.
    pub audit_log: Option<PathBuf>,
    /// Every file that was read; a change to one of them is a change to the configuration.
    pub files: BTreeSet<PathBuf>,
    /// Options in use whose name starts with `dangerous_`, with the field that sets them.
    pub dangerous: Vec<(String, &'static str)>,
    /// Mistakes that do not prevent the configuration from loading.
    pub warnings: Problems,
}

/// An issuer of tokens.
#[derive(Debug)]
pub struct IssuerSettings {
    /// The rules for its tokens.
    pub rules: Arc<IssuerRules>,
    /// Where its keys come from.
    pub keys: KeySource,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The configuration gives them.
    Given(Arc<KeySet>),
    /// They are fetched, and kept current.
    Fetched(JwksUrl),
    /// They are the gateway's own: it is the issuer.
    Own,
}

/// The settings of sessions.
#[derive(Debug)]
pub struct SessionSettings {
    /// Their lifetimes and their cookie.
    pub terms: SessionTerms,
    /// How much memory the sessions in memory may use, in bytes.
    pub cache_bytes_max: u64,
}

/// One listening socket.
#[derive(Debug)]
pub struct Listener {
    /// The address.
    pub address: SocketAddr,
    /// The certificate that it presents, if it uses TLS.
    pub tls: Option<TlsCertificate>,
}

impl Listener {
    /// Whether TLS handshakes are the same as with `other`.
    pub fn has_tls_of(&self, other: &Self) -> bool {
        let Self { address: _, tls } = self;
        match (tls, &other.tls) {
            (Some(certificate), Some(other)) => certificate.is_same_as(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// The admin listener.
#[derive(Debug)]
pub struct Admin {
    /// The address.
    pub address: SocketAddr,
    /// The bearer token that it requires.
    pub token: AdminToken,
}

/// The token that every request below `/v1` requires.
#[derive(Debug)]
pub enum AdminToken {
    /// The configuration gives it. `/metrics` requires it, too.
    Given(Secret),
    /// The gateway creates it at its first start, and keeps it in this file of its data directory.
    Kept(PathBuf),
}

/// How the revocation log is read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationSettings {
    /// How old the list may be before it is stale.
    pub max_staleness: Duration,
    /// How many live entries there may be.
    pub entries_max: u64,
    /// What happens to a revocation while the store cannot be reached.
    pub unreachable: WhenUnreachable,
}

/// What happens to a revocation while the store cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnreachable {
    /// It is refused.
    Refuse,
    /// This gateway applies it and delivers it later.
    AcceptLocally,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// The name by which other gateways and operators know this one.
    pub name: Box<str>,
    /// Threads that serve requests.
    pub threads: usize,
    /// How long requests in flight may take to finish once the process is to stop.
    pub shutdown_grace: Duration,
    /// Which code serves plain requests.
    pub lane: LaneChoice,
}

/// Which code serves plain requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneChoice {
    /// The gateway's own.
    Fast,
    /// Pingora's proxy.
    Pingora,
}

/// Bounds on what clients may send and hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The head of a request.
    pub head: HeadLimits,
    /// How long the head may take to arrive, from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may idle between requests.
    pub keepalive_timeout: Duration,
    /// How fast a client has to send the body of a request.
    pub body_pace: PaceRules,
    /// How fast a client has to read what it is sent.
    pub send_pace: PaceRules,
    /// The longest token that is read, in bytes.
    pub token_bytes_max: usize,
    /// How long the identity headers for an upstream may be, in bytes.
    pub identity_bytes_max: usize,
    /// Open connections; by default as many as descriptors allow.
    pub connections_max: Option<usize>,
    /// Open connections of one client network; by default a share of all.
    pub connections_per_address_max: Option<usize>,
    /// Requests in flight to upstreams; by default as many as descriptors allow.
    pub in_flight_max: Option<usize>,
    /// Requests in flight of one client network; by default a share of all.
    pub in_flight_per_client_max: Option<usize>,
    /// Requests in flight to the gateway itself.
    pub in_flight_own_max: usize,
    /// Concurrent streams of one HTTP/2 connection.
    pub http2_streams_max: u32,
}

/// How fast a client has to send a body, or to read a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceRules {
    /// How long the client may keep the gateway waiting: in one stretch, or in total beyond what
    /// the rate makes up for.
    pub timeout: Duration,
    /// How much must be transferred for each second of waiting, in bytes; 0 for no such rule.
    pub rate: u64,
    /// Within which time everything must be transferred; `None` for no such rule.
    pub deadline: Option<Duration>,
}

/// The access log.
#[derive(Clone, Debug)]
pub struct AccessLogSettings {
    /// Whether it is written, and in which format.
    pub format: LogFormat,
    /// How subjects appear in it.
    pub subject: SubjectInLog,
    /// Whether queries appear in it.
    pub query: QueryInLog,
}

/// How the access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// One line of text.
    Text,
    /// Not at all.
    Off,
}

/// How subjects appear in the access log.
#[derive(Clone, Debug)]
pub enum SubjectInLog {
    /// As they are.
    Plain,
    /// As a keyed hash, which distinguishes subjects and shows nothing else.
    Hashed(Secret),
    /// Not at all.
    Omitted,
}

/// Whether queries appear in the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryInLog {
    /// With the path.
    Shown,
    /// Omitted: queries often carry secrets.
    Omitted,
}

/// Where and how a key set is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    /// The URL of the JWKS.
    pub url: Box<str>,
    /// The algorithms that its keys may be used with.
    pub algorithms: Vec<Algorithm>,
    /// How often it is fetched.
    pub refresh: Duration,
    /// How old the last good copy may be and still be trusted.
    pub stale_max: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// Certificate authorities (PEM) to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
}

impl Settings {
    /// Reads and compiles `file`, with the process environment.
    ///
    /// # Errors
    ///
    /// Every error in it.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let fact = format!("the file cannot be read: {error}");
            let remedy = "Name the file with --config, or write one with `portcullis init`";
            let problem = document::problem(None, FieldPath::default(), &fact, remedy);
            Problems::new(file, vec![problem])
        })?;
        Self::compile(file, text, &|name| std::env::var(name).ok())
    }

    /// Compiles `text` as the contents of `file`. Relative paths are relative to the file, and
    /// `environment` provides the values of `${NAME}`.
    ///
    /// # Errors
    ///
    /// Every error in it.
    pub fn compile(
        file: &Path,
        text: String,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Problems> {
        compile::compile(file, text, environment)
    }

    /// The problem to report if something that compiled cannot be set up.
    pub fn problem(&self, fact: &str, remedy: &str) -> Problems {
        let problem = document::problem(None, FieldPath::default(), fact, remedy);
        Problems { files: self.files.clone(), ..Problems::new(&self.file, vec![problem]) }
    }

    /// The issuers whose keys are fetched, by name.
    pub fn fetched_issuers(&self) -> impl Iterator<Item = &str> {
        let fetched = |issuer: &&IssuerSettings| matches!(issuer.keys, KeySource::Fetched(_));
        self.issuers.iter().filter(fetched).map(|issuer| &*issuer.rules.name)
    }

    /// The issuers of what the gateway itself creates: logins, the refresh tokens that come from
    /// them, and API keys.
    pub fn vouched_for_by(&self) -> impl Iterator<Item = &str> {
        let login = self.login.iter().map(|login| &*login.issuer);
        let tokens = self.tokens.iter().map(|tokens| &*tokens.issuer);
        login.chain(tokens).chain(self.api_keys.iter().map(|keys| &*keys.issuer))
    }
}

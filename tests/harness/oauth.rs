//! Tokens that the gateway itself issues: clients, how they ask, and what they are told.

use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis::issuer::key_pairs::{KeyKind, KeyPairPem, generate};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use url::form_urlencoded;

use super::client::{self, Answer};
use super::gateway::{self, Gateway};
use super::login::{self, PASSWORD};
use super::tokens::{now, signing_key};
use super::upstream::Upstream;
use crate::harness::tokens::payload;

/// `iss`.
pub(crate) const ISSUER: &str = "https://gateway.test";

/// The secret of every client that has one.
pub(crate) const SECRET: &str = "s3cret: for+machines";

/// The key pair of the client `reports`.
pub(crate) fn reports() -> &'static KeyPairPem {
    static PAIR: OnceLock<KeyPairPem> = OnceLock::new();
    PAIR.get_or_init(|| generate(KeyKind::P256).expect("a key pair"))
}

fn secret_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| login::hash(SECRET))
}

/// A directory with what the configuration names.
pub(crate) fn directory() -> Arc<TempDir> {
    let directory = login::directory();
    std::fs::write(directory.path().join("reports.pem"), &reports().public).expect("a file");
    directory
}

/// The `tokens` section, and lines of `refresh`.
pub(crate) fn section(refresh: &str) -> String {
    format!(
        "
tokens:
  issuer: {ISSUER}
  access: {{ lifetime: 5m, audiences: [orders-api], claims: [email] }}
  refresh: {{ {refresh} }}
clients:
  - id: batch
    secret_hash: '{hash}'
    scopes: [orders:read, orders:list]
    audiences: [orders-api, billing]
    lifetime: 2m
  - {{ id: other, secret_hash: '{hash}' }}
  - {{ id: reports, public_key_file: reports.pem, algorithms: [ES256] }}
  - {{ id: mobile, public: true, scopes: [orders:read] }}
  - {{ id: desktop, public: true }}
  - {{ id: watcher, secret_hash: '{hash}', introspection: true }}
",
        hash = secret_hash(),
    )
}

/// The same for gateways that keep their keys in Redis, where nothing lies in the clear, and a directory with what
/// that takes.
pub(crate) fn sealed(upstream: &Upstream, store: &str) -> (Arc<TempDir>, String) {
    let text = configuration(upstream, LONG, store);
    let lines = "  signing: { encryption_key_file: kek }\n  access:";
    let directory = directory();
    std::fs::write(directory.path().join("kek"), "a key-encryption key of more than 32 bytes")
        .expect("a file");
    (directory, text.replacen("  access:", lines, 1))
}

/// How long refresh tokens live when a test does not care.
pub(crate) const LONG: &str = "idle: 1h, absolute: 2h, rotation_grace: 60s";

/// The same without a grace: a token that comes again was reused.
pub(crate) const STRICT: &str = "idle: 1h, absolute: 2h, rotation_grace: 0s";

/// A gateway that issues tokens, and what is behind it.
pub(crate) struct TokenService {
    pub(crate) gateway: Gateway,
    upstream: Upstream,
}

impl TokenService {
    pub(crate) fn open() -> Self {
        Self::open_with(LONG, "")
    }

    /// With these lines of `refresh`, and more sections.
    pub(crate) fn open_with(refresh: &str, sections: &str) -> Self {
        let upstream = Upstream::start();
        let text = configuration(&upstream, refresh, sections);
        Self::of(upstream, &text)
    }

    /// With this configuration.
    pub(crate) fn of(upstream: Upstream, text: &str) -> Self {
        Self::of_in(directory(), upstream, text)
    }

    /// The same, in a directory that may hold more files.
    pub(crate) fn of_in(directory: Arc<TempDir>, upstream: Upstream, text: &str) -> Self {
        Self { gateway: Gateway::start_in(directory, text), upstream }
    }

    /// What is behind the gateway.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Kills the gateway and starts it again with this configuration: nothing is in its memory.
    pub(crate) fn restart(&mut self, text: &str) {
        let directory = self.gateway.shared_directory();
        self.gateway.signal("KILL");
        self.gateway.wait();
        self.gateway = Gateway::start_in(directory, text);
    }

    /// Posts a form to an endpoint below the base.
    pub(crate) fn post(
        &self,
        endpoint: &str,
        fields: &[(&str, &str)],
        pairs: &[(&str, &str)],
    ) -> Answer {
        post(&self.gateway, endpoint, fields, pairs)
    }

    /// Asks the token endpoint.
    pub(crate) fn token(&self, pairs: &[(&str, &str)]) -> Answer {
        self.post("/auth/token", &[], pairs)
    }

    /// The same, by a client with its secret in the header.
    pub(crate) fn token_as(&self, client: &str, pairs: &[(&str, &str)]) -> Answer {
        self.post("/auth/token", &[("Authorization", &basic(client, SECRET))], pairs)
    }

    /// Exchanges a refresh token, as the application that needs no name.
    pub(crate) fn refresh(&self, token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    /// Logs somebody in, and wants these things beside name and password.
    pub(crate) fn log_in(&self, name: &str, fields: &[(&str, &str)], more: Value) -> Answer {
        log_in(&self.gateway, name, fields, more)
    }

    /// The tokens of a login.
    #[track_caller]
    pub(crate) fn tokens_of(&self, name: &str) -> TokenPair {
        TokenPair::of(&self.log_in(name, &[], json!({ "deliver": "tokens" })))
    }

    /// What the gate says to an access token: the status, and the slug of a refusal.
    #[track_caller]
    pub(crate) fn said(&self, access: &str) -> (u16, String) {
        let answer = self.gateway.get_as("/whoami", access);
        let slug = if answer.status == 200 { String::new() } else { answer.slug() };
        (answer.status, slug)
    }
}

/// The configuration of a [`TokenService`].
pub(crate) fn configuration(upstream: &Upstream, refresh: &str, sections: &str) -> String {
    format!(
        "{}{}{sections}{}
  - {{ name: pages, match: {{ path: /pages }}, upstream: behind, authenticate: [session] }}
",
        section(refresh),
        login::SECTION,
        gateway::standard(upstream).trim_end(),
    )
}

/// Posts a form to an endpoint.
pub(crate) fn post(
    gateway: &Gateway,
    path: &str,
    fields: &[(&str, &str)],
    pairs: &[(&str, &str)],
) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    gateway.exchange(client::request("POST", path, &[&form[..], fields].concat(), &body))
}

/// Logs somebody in, and wants these things beside name and password.
pub(crate) fn log_in(
    gateway: &Gateway,
    name: &str,
    fields: &[(&str, &str)],
    more: Value,
) -> Answer {
    let mut body = json!({ "username": name, "password": PASSWORD });
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    let fields = [&[("Content-Type", "application/json")], fields].concat();
    gateway.exchange(client::request("POST", "/auth/login", &fields, &body.to_string()))
}

/// `Basic …`, written as RFC 6749 §2.3.1 wants it.
pub(crate) fn basic(client: &str, secret: &str) -> String {
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", escaped(client), escaped(secret))))
}

/// An assertion of the client `reports`, with some claims replaced; `null` removes one.
pub(crate) fn assertion(changes: Value) -> String {
    let mut claims = Map::from_iter([
        ("iss".to_owned(), json!("reports")),
        ("sub".to_owned(), json!("reports")),
        ("aud".to_owned(), json!(ISSUER)),
        ("exp".to_owned(), json!(now() + 60)),
        ("jti".to_owned(), json!(format!("{:032x}", fastrand::u128(..)))),
    ]);
    claims.extend(changes.as_object().expect("an object").clone());
    claims.retain(|_, value| !value.is_null());
    signing_key(reports(), None).sign("JWT", &claims).expect("a token")
}

/// What a client sends with an assertion.
pub(crate) const ASSERTION_TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

/// An access token, and the refresh token that came with it.
#[derive(Clone, Debug)]
pub(crate) struct TokenPair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl TokenPair {
    /// What an answer gave, which must be good (RFC 6749 §5.1).
    #[track_caller]
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.field("pragma"), Some("no-cache"), "{answer:?}");
        let told = answer.json();
        assert_eq!(told["token_type"], "Bearer", "{answer:?}");
        let text = |name: &str| told[name].as_str().expect("a text").to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }

    /// The id of the login.
    pub(crate) fn session(&self) -> String {
        payload(&self.access)["sid"].as_str().expect("a sid").to_owned()
    }
}

/// Refused in the words of RFC 6749 §5.2: status and `error`.
#[track_caller]
pub(crate) fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json()["error"], error, "{answer:?}");
    assert!(answer.json()["error_description"].is_string(), "{answer:?}");
    assert_eq!(answer.field("content-type"), Some("application/json"), "{answer:?}");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer:?}");
    let challenge = answer.field("www-authenticate");
    assert_eq!(challenge.is_some_and(|text| text.starts_with("Basic ")), status == 401);
    let retry_after = answer.field("retry-after").and_then(|text| text.parse::<u32>().ok());
    assert_eq!(retry_after.is_some_and(|seconds| seconds > 0), status == 503 || status == 429);
}

/// The cookies that an answer sets, each whole.
pub(crate) fn cookies(answer: &Answer) -> Vec<&str> {
    let fields = answer.fields.iter().filter(|(name, _)| name == "set-cookie");
    fields.map(|(_, value)| value.as_str()).collect()
}

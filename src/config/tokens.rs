//! Tokens and API keys of the gateway itself, compiled from `tokens`, `clients` and `api_keys`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::gate::keys::{Algorithm, KeySet};
use crate::secret::Secret;
use crate::store::attempts::AttemptBudget;

/// The name of the gateway's own issuer in routes, metrics and logs.
pub const OWN_ISSUER: &str = "gateway";

/// The client of users who log in without naming one. It has no secret.
pub const FIRST_PARTY_CLIENT: &str = "first-party";

/// The tokens that the gateway itself issues.
#[derive(Debug)]
pub struct Tokens {
    /// `iss`: a URL without query and fragment (RFC 8414 §2).
    pub issuer: Box<str>,
    /// The scheme and authority of `issuer`, with which the URLs of endpoints begin.
    pub origin: Box<str>,
    /// The keys that sign them.
    pub signing: Signing,
    /// Access tokens.
    pub access: Access,
    /// Refresh tokens.
    pub refresh: Refresh,
    /// The clients that may ask for tokens, by `client_id`; with [`FIRST_PARTY_CLIENT`].
    pub clients: Clients,
    /// How often one address may present a wrong secret.
    pub per_address: AttemptBudget,
    /// The lifetime of the longest-lived token that the gateway's keys sign, internal ones
    /// included, in seconds.
    pub signed_lifetime_max_s: i64,
}

/// The keys that sign tokens.
#[derive(Clone, Debug)]
pub struct Signing {
    /// ES256, EdDSA or RS256: the algorithm of new keys.
    pub algorithm: Algorithm,
    /// Where the keys are.
    pub keys: SigningKeys,
    /// How long a new key is published before it signs.
    pub publish_before: Duration,
    /// How long a key signs until another replaces it; for ever if absent.
    pub rotate_every: Option<Duration>,
}

/// Where signing keys are.
#[derive(Clone, Debug)]
pub enum SigningKeys {
    /// The gateways make them and keep them in the store, sealed with this key-encryption key if
    /// there is one.
    Kept(Option<Secret>),
    /// The configuration gives private keys in PEM. The first signs, all are published.
    Given(Vec<Secret>),
}

impl SigningKeys {
    /// A secret that all gateways know and the store does not hold.
    pub fn sealed_with(&self) -> Option<&Secret> {
        match self {
            Self::Kept(secret) => secret.as_ref(),
            Self::Given(_) => None,
        }
    }
}

/// Access tokens (RFC 9068).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// How long they live, in seconds.
    pub lifetime_s: i64,
    /// `aud`.
    pub audiences: Vec<Box<str>>,
    /// Which claims of a login are copied to them, by name.
    pub claims: Vec<Box<str>>,
}

/// Refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// The idle timeout of a family, in seconds.
    pub idle_s: i64,
    /// The longest lifetime of a family, in seconds.
    pub absolute_s: i64,
    /// How long after its exchange a token still leads to the current one, in milliseconds.
    pub grace_ms: u64,
}

/// API keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeySettings {
    /// The header that carries them.
    pub header: HeaderName,
    /// Their issuer: `iss`.
    pub issuer: Box<str>,
    /// The longest lifetime of one, in seconds.
    pub lifetime_max_s: i64,
}

/// The clients, by `client_id`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clients(pub BTreeMap<Box<str>, Client>);

/// A client (RFC 6749 §2).
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// `client_id`.
    pub id: Box<str>,
    /// How it authenticates.
    pub authentication: ClientAuthentication,
    /// The scopes that it may have. A client without a secret has the scopes of the user who logs
    /// in with it, limited to these if there are any.
    pub scopes: Vec<Box<str>>,
    /// The audiences that it may ask for; never empty.
    pub audiences: Vec<Box<str>>,
    /// How long its access tokens live, in seconds.
    pub lifetime_s: i64,
    /// Whether it may introspect tokens.
    pub introspection: Introspection,
}

/// Whether a client may introspect tokens (RFC 7662).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// It may.
    Permitted,
    /// It may not.
    Refused,
}

/// How a client authenticates.
#[derive(Clone)]
pub enum ClientAuthentication {
    /// It does not: it is an application on a user's device (RFC 6749 §2.1, public).
    None,
    /// By a secret. This is the PHC string of its hash, argon2id.
    Secret(Secret),
    /// By an assertion that one of these keys signed: `private_key_jwt` (RFC 7523).
    PrivateKey(Arc<KeySet>),
}

impl Clients {
    /// The client of this id.
    pub fn named(&self, id: &str) -> Option<&Client> {
        self.0.get(id)
    }
}

impl ClientAuthentication {
    /// Whether the client is an application that can keep no secret.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// Not for checking secrets: the hashes are compared to detect a change of the client.
impl PartialEq for ClientAuthentication {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Secret(one), Self::Secret(other)) => one.expose() == other.expose(),
            (Self::PrivateKey(one), Self::PrivateKey(other)) => one.same_keys(other),
            (Self::None | Self::Secret(_) | Self::PrivateKey(_), _) => false,
        }
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Secret(_) => "Secret([redacted])",
            Self::PrivateKey(_) => "PrivateKey",
        })
    }
}

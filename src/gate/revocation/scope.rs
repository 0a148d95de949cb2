//! The scope of a revocation.

use std::fmt;

/// What an entry revokes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One token, by `iss` and `jti`. Never by its text: ECDSA signatures are malleable.
    Token {
        /// `iss`.
        issuer: Box<str>,
        /// `jti`.
        id: Box<str>,
    },
    /// One login, by `sid`.
    Session(Box<str>),
    /// A subject, by `sub`.
    Subject {
        /// `iss`; any issuer, if not named.
        issuer: Option<Box<str>>,
        /// `sub`.
        subject: Box<str>,
    },
    /// A client, by `client_id` (or `azp`).
    Client(Box<str>),
    /// A key, by its id.
    Key {
        /// `iss`; any issuer, if not named.
        issuer: Option<Box<str>>,
        /// `kid`.
        id: Box<str>,
    },
    /// Everything that this `iss` issued.
    Issuer(Box<str>),
    /// Everything that any issuer issued.
    Everything,
    /// What the gateway itself granted to a subject: logins and what came from them, and tokens of
    /// a client of this name. It excludes API keys, since operators make them.
    Grants {
        /// The issuer that vouches for the subject.
        issuer: Box<str>,
        /// `sub`.
        subject: Box<str>,
    },
}

/// The kinds of scopes, for metrics and for skipping kinds that were never revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeKind {
    /// [`Scope::Token`].
    Token,
    /// [`Scope::Session`].
    Session,
    /// [`Scope::Subject`].
    Subject,
    /// [`Scope::Client`].
    Client,
    /// [`Scope::Key`].
    Key,
    /// [`Scope::Issuer`].
    Issuer,
    /// [`Scope::Everything`].
    Everything,
    /// [`Scope::Grants`].
    Grants,
}

impl ScopeKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Token,
        Self::Session,
        Self::Subject,
        Self::Client,
        Self::Key,
        Self::Issuer,
        Self::Everything,
        Self::Grants,
    ];

    /// Whether a revocation of this kind can be lifted if it was a mistake.
    pub const fn is_liftable(self) -> bool {
        match self {
            Self::Subject | Self::Client | Self::Issuer => true,
            Self::Token | Self::Session | Self::Key | Self::Everything | Self::Grants => false,
        }
    }

    /// Its name in metrics, in the API and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Subject => "subject",
            Self::Client => "client",
            Self::Key => "key",
            Self::Issuer => "issuer",
            Self::Everything => "everything",
            Self::Grants => "grants",
        }
    }
}

impl Scope {
    /// Its kind.
    pub fn kind(&self) -> ScopeKind {
        match self {
            Self::Token { .. } => ScopeKind::Token,
            Self::Session(_) => ScopeKind::Session,
            Self::Subject { .. } => ScopeKind::Subject,
            Self::Client(_) => ScopeKind::Client,
            Self::Key { .. } => ScopeKind::Key,
            Self::Issuer(_) => ScopeKind::Issuer,
            Self::Everything => ScopeKind::Everything,
            Self::Grants { .. } => ScopeKind::Grants,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { issuer, id } => write!(f, "token {id} of {issuer}"),
            Self::Session(id) => write!(f, "session {id}"),
            Self::Subject { issuer: Some(issuer), subject } => {
                write!(f, "subject {subject} of {issuer}")
            }
            Self::Subject { issuer: None, subject } => write!(f, "subject {subject}"),
            Self::Client(id) => write!(f, "client {id}"),
            Self::Key { issuer: Some(issuer), id } => write!(f, "key {id} of {issuer}"),
            Self::Key { issuer: None, id } => write!(f, "key {id}"),
            Self::Issuer(issuer) => write!(f, "issuer {issuer}"),
            Self::Everything => f.write_str("everything"),
            Self::Grants { issuer, subject } => write!(f, "grants to {subject} of {issuer}"),
        }
    }
}

/// The name of a lift in metrics and in the log, in place of a revocation's kind.
pub const LIFT: &str = "lift";

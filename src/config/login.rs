//! How people log in, compiled from `login`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::secret::Secret;
use crate::store::attempts::AttemptBudget;

/// How much memory the hash of a password may take, in KiB. Below it a hash is guessed too fast:
/// OWASP wants 19 MiB with two passes, or less memory with more passes. Above it a few logins at
/// once would take the machine's memory.
pub const HASH_MEMORY_KIB: RangeInclusive<u32> = 7 * 1024..=1024 * 1024;

/// How many passes over it the hash of a password may make.
pub const HASH_PASSES: RangeInclusive<u32> = 1..=100;

/// How many lanes the hash of a password may have.
pub const HASH_LANES: RangeInclusive<u32> = 1..=16;

/// How people log in.
#[derive(Debug)]
pub struct Login {
    /// The path below which the gateway answers itself; without a slash at its end.
    pub base: Box<str>,
    /// The issuer of people who log in, as `iss` is in a token.
    pub issuer: Box<str>,
    /// The way to log in, with its settings.
    pub method: LoginMethod,
    /// Where a browser may be sent after it, beside our own paths: origins, and whole URLs.
    pub return_to: Vec<Box<str>>,
    /// How often one name may be tried.
    pub per_account: AttemptBudget,
    /// How often one address may try.
    pub per_address: AttemptBudget,
    /// How often one name may log in successfully.
    pub successes_per_account: AttemptBudget,
    /// How often one address may.
    pub successes_per_address: AttemptBudget,
}

/// How people log in.
#[derive(Debug)]
pub enum LoginMethod {
    /// By a file of names and password hashes.
    PasswordFile(Users),
    /// By a service that is asked.
    HandOff(HandOff),
}

/// The users of a password file, by the name that they type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Users(pub BTreeMap<Box<str>, User>);

/// A user of a password file.
#[derive(Clone)]
pub struct User {
    /// The PHC string of the password, argon2id.
    pub password: Secret,
    /// The identity.
    pub identity: LoggedIn,
}

/// The identity that a login establishes.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedIn {
    /// The subject.
    pub subject: Box<str>,
    /// The roles.
    pub roles: Vec<Box<str>>,
    /// The scopes.
    pub scopes: Vec<Box<str>>,
    /// Anything else.
    pub claims: Map<String, Value>,
}

/// An identity service that is asked.
#[derive(Debug)]
pub struct HandOff {
    /// Where it is: the upstream's place in the configuration.
    pub upstream: usize,
    /// The path to which the credentials are posted.
    pub path: Box<str>,
    /// Where the subject is in its answer (JSON pointer, RFC 6901).
    pub subject: Box<str>,
    /// Where the roles are, if it tells any.
    pub roles: Option<Box<str>>,
    /// Where the scopes are, if it tells any.
    pub scopes: Option<Box<str>>,
    /// Claims by name, and where they are.
    pub claims: Vec<(Box<str>, Box<str>)>,
    /// How long it may take to answer in full.
    pub timeout: Duration,
    /// The answer to a client that the service refuses.
    pub on_failure: OnFailure,
}

/// The answer to a client when the identity service refuses a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The gateway's own: the name or the password is wrong.
    Own,
    /// The answer of the service (4xx only).
    PassThrough,
}

impl Login {
    /// Whether the gateway answers at this path itself.
    pub fn is_own(&self, path: &str) -> bool {
        path.strip_prefix(&*self.base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl LoginMethod {
    /// The word for it in records and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::PasswordFile(_) => "password",
            Self::HandOff(_) => "handoff",
        }
    }

    /// The users, if they are known here.
    pub fn users(&self) -> Option<&Users> {
        match self {
            Self::PasswordFile(users) => Some(users),
            Self::HandOff(_) => None,
        }
    }
}

impl Users {
    /// The subjects of whom `later` knows something else, or nothing.
    pub fn changed_in(&self, later: &Self) -> Vec<Box<str>> {
        let changed = self.0.iter().filter(|(name, user)| later.0.get(*name) != Some(user));
        let mut subjects: Vec<_> = changed.map(|(_, user)| user.identity.subject.clone()).collect();
        subjects.sort();
        subjects.dedup();
        subjects
    }
}

/// Not for passwords: their hashes are compared, to know whether the file has changed.
impl PartialEq for User {
    fn eq(&self, other: &Self) -> bool {
        let Self { password, identity } = self;
        password.expose() == other.password.expose() && *identity == other.identity
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("identity", &self.identity).finish_non_exhaustive()
    }
}

//! How users log in, compiled from `login`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::secret::Secret;
use crate::store::attempts::AttemptBudget;

/// How much memory the hash of a password may take, in KiB. With less, a password is guessed too
/// fast: OWASP recommends 19 MiB with two passes, or less memory with more passes. With more, a few
/// logins at once would use up the machine's memory.
pub const HASH_MEMORY_KIB: RangeInclusive<u32> = 7 * 1024..=1024 * 1024;

/// How many passes over the memory the hash of a password may make.
pub const HASH_PASSES: RangeInclusive<u32> = 1..=100;

/// How many lanes the hash of a password may have.
pub const HASH_LANES: RangeInclusive<u32> = 1..=16;

/// How users log in.
#[derive(Debug)]
pub struct Login {
    /// The path below which the gateway answers requests itself, without a trailing slash.
    pub base: Box<str>,
    /// The issuer of users who log in, as `iss` is in a token.
    pub issuer: Box<str>,
    /// The login method, with its settings.
    pub method: LoginMethod,
    /// Where a browser may be sent after a login, in addition to our own paths: origins, and whole
    /// URLs.
    pub return_to: Vec<Box<str>>,
    /// How many failed attempts one name may have.
    pub per_account: AttemptBudget,
    /// How many failed attempts one address may make.
    pub per_address: AttemptBudget,
    /// How often one name may log in successfully.
    pub successes_per_account: AttemptBudget,
    /// How often one address may log in successfully.
    pub successes_per_address: AttemptBudget,
}

/// The login method.
#[derive(Debug)]
pub enum LoginMethod {
    /// A file of names and password hashes.
    PasswordFile(Users),
    /// A service that decides.
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
    /// Any other claims.
    pub claims: Map<String, Value>,
}

/// An identity service that decides about logins.
#[derive(Debug)]
pub struct HandOff {
    /// The upstream's position in the configuration.
    pub upstream: usize,
    /// The path to which the credentials are posted.
    pub path: Box<str>,
    /// Where the subject is in its response (JSON pointer, RFC 6901).
    pub subject: Box<str>,
    /// Where the roles are, if it returns any.
    pub roles: Option<Box<str>>,
    /// Where the scopes are, if it returns any.
    pub scopes: Option<Box<str>>,
    /// Claims by name, and where they are in the response.
    pub claims: Vec<(Box<str>, Box<str>)>,
    /// How long the whole response may take.
    pub timeout: Duration,
    /// The response to a client that the service refuses.
    pub on_failure: OnFailure,
}

/// The response to a client when the identity service refuses a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The gateway's own: the name or the password is wrong.
    Own,
    /// The response of the service (4xx only).
    PassThrough,
}

impl Login {
    /// Whether the gateway answers this path itself.
    pub fn is_own(&self, path: &str) -> bool {
        path.strip_prefix(&*self.base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl LoginMethod {
    /// Its name in records and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::PasswordFile(_) => "password",
            Self::HandOff(_) => "handoff",
        }
    }

    /// The users, if the gateway knows them.
    pub fn users(&self) -> Option<&Users> {
        match self {
            Self::PasswordFile(users) => Some(users),
            Self::HandOff(_) => None,
        }
    }
}

impl Users {
    /// The subjects whose entry in `later` differs or is missing.
    pub fn changed_in(&self, later: &Self) -> Vec<Box<str>> {
        let changed = self.0.iter().filter(|(name, user)| later.0.get(*name) != Some(user));
        let mut subjects: Vec<_> = changed.map(|(_, user)| user.identity.subject.clone()).collect();
        subjects.sort();
        subjects.dedup();
        subjects
    }
}

/// Not for checking passwords: the hashes are compared to detect a change of the file.
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

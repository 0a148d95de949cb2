//! A server-side session, as the gate sees it: a cookie leads to a session in memory, and the
//! session to an [`Authentic`](super::authentic::Authentic) like any token's.
//!
//! The browser holds a [`SessionSecret`]. Everything else knows the session by its [`SessionId`],
//! the SHA-256 of the secret, from which the secret cannot be recovered.

pub(in crate::gate) mod api_key;
pub(in crate::gate) mod cookie;
mod csrf;
pub(in crate::gate) mod id;
pub(in crate::gate) mod in_memory;
mod origins;
pub(in crate::gate) mod record;
pub(in crate::gate) mod rules;
mod table;
mod tag;

use std::sync::Arc;

pub use api_key::{ApiKey, PREFIX as API_KEY_PREFIX};
pub use cookie::{
    Ambiguous, CookieRules, REFRESH_COOKIE, SameSite, SetBy, cookie_value, sets_cookie,
    without_cookie,
};
pub use id::{SessionId, SessionSecret};
pub use in_memory::Session;
pub use origins::{Origin, Origins};
pub use record::{ApiKeyDetails, LoginDetails, SessionKind, SessionRecord, StoredSession};
pub use rules::{SessionRules, SessionTerms};
pub use table::{Held, SessionTable};
pub use tag::{Provenance, SecretKind, TAG_KEY_BYTES, TagKey, TagKeyCell};

/// The sessions of one configuration.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// The rules for them.
    pub rules: Arc<SessionRules>,
    /// The sessions in memory, shared by all configurations of the process.
    pub table: Arc<SessionTable>,
    /// The key that distinguishes our own secrets from invented ones, shared by all configurations.
    pub tags: Arc<TagKeyCell>,
}

impl Sessions {
    /// The session of this cookie. `None` if the secret is [`Provenance::Unproven`]: any client can
    /// invent a well-formed one.
    pub fn perhaps_ours(&self, secret: &SessionSecret) -> Option<SessionId> {
        match secret.provenance(&self.tags) {
            Provenance::Ours | Provenance::Unknown => Some(secret.id()),
            Provenance::Unproven => None,
        }
    }
}

#[cfg(test)]
mod tests;

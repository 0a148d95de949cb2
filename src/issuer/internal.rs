//! Internal tokens: a short-lived signed identity in one format for every upstream, whatever the
//! credential.
//!
//! A token is made once for a principal and an audience, and used until a quarter of its lifetime
//! is left. So signing costs nothing in the steady state. Every caller has a permit, so no revoked
//! caller gets a token.

use std::sync::Arc;

use ahash::RandomState;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use moka::sync::Cache;
use serde_json::{Map, Value, json};

use super::key_pairs::SigningError;
use super::signer::{Signer, TokenType};
use crate::gate::authentic::{Authentic, Serial};
use crate::gate::internal::{InternalToken, InternalTokenId, InternalTokenTerms, TokenHeader};
use crate::gate::time::{Moment, SteadyTime, UnixTime};

/// How many bytes the cached tokens may take: enough for about 100,000.
const BYTES_MAX: u64 = 128 << 20;

/// What an entry takes in addition to the token, in bytes.
const ENTRY_BYTES: usize = 200;

/// Why there is no internal token.
#[derive(Debug, thiserror::Error)]
pub enum InternalTokenError {
    /// It would be longer than allowed.
    #[error("the internal token is too long")]
    TooLarge,
    /// It cannot be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// The internal tokens of one process.
#[derive(Debug)]
pub struct InternalTokens {
    made: Cache<(Serial, InternalTokenId), Arc<MadeToken>, RandomState>,
}

/// A token that was made, or the note that it would be too long.
#[derive(Debug)]
struct MadeToken {
    /// `None`: it would be too long.
    value: Option<HeaderValue>,
    /// The key that signed it. If another key signs now, another token is made.
    key: Box<str>,
    begun: SteadyTime,
    /// How long after `begun` it is used, in milliseconds.
    used_for_ms: u64,
    /// The end of that time, on the clock with which upstreams check it.
    used_until: UnixTime,
}

/// Whether a token had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minted {
    /// It was cached.
    Before,
    /// It was made for this request.
    Now,
}

impl Default for InternalTokens {
    fn default() -> Self {
        let weigh = |_: &(Serial, InternalTokenId), made: &Arc<MadeToken>| {
            let length = made.value.as_ref().map_or(0, HeaderValue::len);
            u32::try_from(ENTRY_BYTES + length).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(BYTES_MAX).weigher(weigh);
        Self { made: cache.build_with_hasher(RandomState::new()) }
    }
}

impl InternalTokens {
    /// The value of the header that tells an upstream who `authentic` is, signed by `signer` in the
    /// name of `issuer`.
    ///
    /// # Errors
    ///
    /// [`InternalTokenError`].
    pub fn value(
        &self,
        authentic: &Authentic,
        requested: &InternalToken,
        issuer: &str,
        signer: &Signer,
        now: Moment,
    ) -> Result<(HeaderValue, Minted), InternalTokenError> {
        let key = (authentic.serial(), requested.id());
        if let Some(made) = self.made.get(&key)
            && made.is_usable(signer, now)
        {
            let value = made.value.clone().ok_or(InternalTokenError::TooLarge)?;
            return Ok((value, Minted::Before));
        }
        let made = Arc::new(make(authentic, requested.terms(), issuer, signer, now)?);
        self.made.insert(key, made.clone());
        let value = made.value.clone().ok_or(InternalTokenError::TooLarge)?;
        Ok((value, Minted::Now))
    }
}

impl MadeToken {
    fn is_usable(&self, signer: &Signer, now: Moment) -> bool {
        // Checked on both clocks: a token that is too old is not used after a step of one or a stop
        // of the other.
        *self.key == *signer.id()
            && now.steady.millis_since(self.begun) < self.used_for_ms
            && now.wall < self.used_until
    }
}

fn make(
    authentic: &Authentic,
    terms: &InternalTokenTerms,
    issuer: &str,
    signer: &Signer,
    now: Moment,
) -> Result<MadeToken, InternalTokenError> {
    let expires = now.wall.plus(terms.lifetime_s).min(authentic.end());
    let claims = claims_of(authentic, terms, issuer, now.wall, expires)?;
    let token = signer.sign(TokenType::Internal, claims.to_string().as_bytes())?;
    let value = match terms.header {
        TokenHeader::Authorization => HeaderValue::try_from(format!("Bearer {token}")),
        TokenHeader::Own(_) => HeaderValue::try_from(&token),
    };
    // A token consists of letters, digits, `-`, `_` and dots, so it is always a valid header value.
    let mut value = value.ok().filter(|_| token.len() <= terms.bytes_max);
    if let Some(value) = &mut value {
        value.set_sensitive(true);
    }
    let life_s = expires.since(now.wall).max(0);
    let used_for_ms = u64::try_from(life_s).unwrap_or(0).saturating_mul(750);
    Ok(MadeToken {
        value,
        key: signer.id().into(),
        begun: now.steady,
        used_for_ms,
        used_until: now.wall.plus(life_s - life_s / 4),
    })
}

/// The claims of the token. They have the same form for every credential: `idp` is the issuer that
/// vouches for `sub`.
fn claims_of(
    authentic: &Authentic,
    terms: &InternalTokenTerms,
    issuer: &str,
    now: UnixTime,
    expires: UnixTime,
) -> Result<Value, SigningError> {
    let claims = authentic.claims();
    let mut all = Map::new();
    for path in &terms.claims {
        if let Some(value) = claims.asked(path) {
            all.insert(name_of(path), value.clone());
        }
    }
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id)?;
    // Set after the configured claims, which therefore cannot replace these.
    let mut set = |name: &str, value: Value| all.insert(name.to_owned(), value);
    set("iss", json!(issuer));
    set("aud", json!(terms.audience));
    set("sub", json!(claims.subject.as_str()));
    set("idp", json!(authentic.issued_by()));
    set("iat", json!(now.as_seconds()));
    set("exp", json!(expires.as_seconds()));
    set("jti", json!(URL_SAFE_NO_PAD.encode(id)));
    if !claims.scopes.is_empty() {
        set("scope", json!(claims.scopes.join(" ")));
    }
    if !claims.roles.is_empty() {
        set("roles", json!(claims.roles));
    }
    for (name, value) in [("sid", &claims.session_id), ("client_id", &claims.client_id)] {
        if let Some(value) = value {
            set(name, json!(value));
        }
    }
    Ok(Value::Object(all))
}

/// The claim's name in the token: the last part of a name or a JSON pointer.
fn name_of(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or(path);
    last.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests;

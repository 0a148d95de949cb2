//! Values that may be used once, at whichever gateway: the ids of client assertions (RFC 7523 §3),
//! for example.

use std::fmt;

use async_trait::async_trait;

use super::error::StoreError;
use crate::gate::time::UnixTime;

/// How long a value is remembered after it could last be used, in seconds: the clocks of gateways
/// may differ.
pub(super) const ONE_TIME_MARGIN_S: i64 = 3600;

/// The used values. Those that need not be remembered any more are dropped with ended sessions
/// ([`SessionStore::prune`](super::session::SessionStore::prune)).
#[async_trait]
pub trait OneTimeStore: fmt::Debug + Send + Sync {
    /// Records the use of a one-time value: `false` if it was used before. The use is remembered
    /// until at least an hour after `until`, by the clock that is behind. `key` is a digest, in
    /// base64url.
    async fn spend(&self, key: &str, until: UnixTime, now: UnixTime) -> Result<bool, StoreError>;
}

//! Values that may be used once, whichever gateway they are shown to: the ids of client assertions
//! (RFC 7523 §3), for example.

use std::fmt;

use async_trait::async_trait;

use super::error::StoreError;
use crate::gate::time::UnixTime;

/// How long a value is remembered after it could last be used, in seconds: the clocks of gateways
/// may be apart.
pub(super) const ONE_TIME_MARGIN_S: i64 = 3600;

/// The values that were used. What need not be remembered any more is dropped where sessions are
/// ([`SessionStore::prune`](super::session::SessionStore::prune)).
#[async_trait]
pub trait OneTimeStore: fmt::Debug + Send + Sync {
    /// Notes that something was used that may be used once: `false` if it was before. It is
    /// remembered until an hour after `until` at least, by the clock that is behind. `key` is a
    /// digest, in base64url.
    async fn spend(&self, key: &str, until: UnixTime, now: UnixTime) -> Result<bool, StoreError>;
}

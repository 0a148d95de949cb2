//! `revocation`: how the revocation list is kept current, and how old it may be.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use super::text;

/// The revocation list: every gateway holds it in memory and follows the store.
///
/// The list is stale when the last contact with the store is older than `max_staleness`. What the
/// list already revokes stays revoked. Until the list was loaded for the first time, every route
/// that authenticates answers 503. With the embedded store the list is never stale: no other
/// process writes to the store.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Revocation {
    /// How old the last contact with the store may be. After that the revocation list is stale, and
    /// `when_stale` decides. 1s to 1h.
    #[schemars(with = "text::Duration", example = &"30s", extend("default" = "5s"))]
    pub(crate) max_staleness: Option<String>,
    /// What a request with a credential gets while the revocation list is stale. What the list
    /// revokes is refused in any case. `deny`: 503 `revocation_stale`. `allow`: it passes.
    /// `deny_writes`: GET, HEAD and OPTIONS pass, everything else is denied. `{ allow_for: 30s }`:
    /// it passes until the list is that much older than `max_staleness`, and is denied after that. A
    /// route may have a rule of its own.
    #[schemars(with = "text::WhenStale", example = &"deny_writes", extend("default" = "deny"))]
    pub(crate) when_stale: Option<Value>,
    /// How many records of revocations the store may hold. Beyond it, new ones are refused with 507
    /// `revocation_list_full`. Revocations by accounts and their clients may use nine tenths of it.
    #[schemars(
        range(min = 1, max = 100_000_000),
        example = 1_000_000,
        extend("default" = 5_000_000, "x-unit" = "records")
    )]
    pub(crate) max_entries: Option<u64>,
    /// Whether this gateway applies a revocation while the store is unavailable, and delivers it
    /// later: 202 with `durable: false`. Without it, such a revocation is refused with 503
    /// `store_unavailable`.
    #[schemars(example = true, extend("default" = false))]
    pub(crate) accept_local: Option<bool>,
}

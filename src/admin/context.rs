//! Holds what the admin listener reads and acts on.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::readiness::Readiness;
use super::token_cache::metrics::TokenCacheMetrics;
use crate::feed::jwks::metrics::KeySetMetrics;
use crate::feed::revocations::RevocationFeed;
use crate::feed::sessions::SessionFeed;
use crate::feed::signing::SigningFeed;
use crate::runtime::InForce;
use crate::secret::Secret;
use crate::telemetry::registry::MetricRegistry;

/// What the admin listener reads and acts on.
#[derive(Clone, Debug)]
pub struct AdminContext {
    /// The configuration in force.
    pub configuration: InForce,
    /// The token that the admin API requires. The supervisor replaces it.
    pub admin_token: Arc<ArcSwap<Secret>>,
    /// All metrics.
    pub registry: Arc<MetricRegistry>,
    /// Metrics of the issuers' keys, whose age is measured when metrics are requested.
    pub key_sets: KeySetMetrics,
    /// Metrics of the cache of verified tokens, which is measured when metrics are requested.
    pub token_cache: TokenCacheMetrics,
    /// Whether the gateway should receive requests.
    pub readiness: Arc<Readiness>,
    /// Who is cut off.
    pub revocations: Arc<RevocationFeed>,
    /// Who is logged in.
    pub sessions: Arc<SessionFeed>,
    /// The keys with which the gateway signs.
    pub signing: Arc<SigningFeed>,
}

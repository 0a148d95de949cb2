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
    /// What the admin API asks for; the supervisor replaces it.
    pub admin_token: Arc<ArcSwap<Secret>>,
    /// All metrics.
    pub registry: Arc<MetricRegistry>,
    /// Of the keys of issuers, whose age is measured when somebody asks.
    pub key_sets: KeySetMetrics,
    /// Of the cache of verified tokens, which is asked when somebody asks.
    pub token_cache: TokenCacheMetrics,
    /// Whether requests should be sent here.
    pub readiness: Arc<Readiness>,
    /// Who is cut off.
    pub revocations: Arc<RevocationFeed>,
    /// Who is logged in.
    pub sessions: Arc<SessionFeed>,
    /// With which keys the gateway signs.
    pub signing: Arc<SigningFeed>,
}

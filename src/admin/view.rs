//! Holds what the admin listener looks at.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::readiness::Readiness;
use crate::feed::revocations::RevocationFeed;
use crate::feed::sessions::SessionFeed;
use crate::feed::signing::SigningFeed;
use crate::runtime::InForce;
use crate::secret::Secret;
use crate::telemetry::families::Families;

/// What the admin listener looks at.
#[derive(Clone, Debug)]
pub struct View {
    /// The configuration in force.
    pub configuration: InForce,
    /// What the admin API asks for; the supervisor replaces it.
    pub admin_token: Arc<ArcSwap<Secret>>,
    /// The metrics.
    pub families: Arc<Families>,
    /// Whether requests should be sent here.
    pub readiness: Arc<Readiness>,
    /// Who is cut off.
    pub revocations: Arc<RevocationFeed>,
    /// Who is logged in.
    pub sessions: Arc<SessionFeed>,
    /// With which keys the gateway signs.
    pub signing: Arc<SigningFeed>,
}

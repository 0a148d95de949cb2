//! Builds the services of each part of the process: requests, the endpoints, the admin API.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::feeds::Feeds;
use super::registration::AllMetrics;
use crate::admin::{AdminContext, Readiness};
use crate::edge::limits::descriptors::Descriptors;
use crate::edge::limits::in_flight::InFlight;
use crate::edge::publication::Services;
use crate::endpoints::{EndpointServices, Endpoints};
use crate::runtime::InForce;
use crate::secret::Secret;
use crate::store::Store;
use crate::telemetry::access_log::AccessLog;

impl Feeds {
    /// What the gateway's own endpoints read and write.
    pub(super) fn for_endpoints(
        &self,
        store: Store,
        in_force: &InForce,
        metrics: &AllMetrics,
        descriptors: Descriptors,
    ) -> EndpointServices {
        EndpointServices {
            in_force: in_force.clone(),
            sessions: self.sessions.clone(),
            revocations: self.revocations.clone(),
            signing: self.signing.clone(),
            attempts: store.attempts,
            refresh_families: store.families,
            one_time: store.one_time,
            hand_offs_max: descriptors.hand_offs(),
            login_metrics: metrics.logins.clone(),
            token_metrics: metrics.tokens.clone(),
            store_metrics: metrics.store.clone(),
        }
    }

    /// What requests are served with, apart from the configuration.
    pub(super) fn for_requests(
        &self,
        metrics: &AllMetrics,
        log: AccessLog,
        endpoints: Arc<Endpoints>,
        descriptors: Descriptors,
    ) -> Services {
        Services {
            metrics: metrics.edge.clone(),
            route_metrics: metrics.routes.clone(),
            log,
            sessions: self.sessions.clone(),
            signing: self.signing.clone(),
            internal_tokens: Arc::default(),
            endpoints,
            in_flight: InFlight::new(&metrics.edge),
            descriptors,
        }
    }

    /// What the admin API reads and writes.
    pub(super) fn for_admin(
        &self,
        admin_token: Arc<ArcSwap<Secret>>,
        in_force: &InForce,
        metrics: AllMetrics,
        readiness: Arc<Readiness>,
    ) -> AdminContext {
        AdminContext {
            configuration: in_force.clone(),
            admin_token,
            registry: Arc::new(metrics.registry),
            token_cache: metrics.token_cache,
            key_sets: metrics.key_sets,
            readiness,
            revocations: self.revocations.clone(),
            sessions: self.sessions.clone(),
            signing: self.signing.clone(),
        }
    }
}

//! Metric handles of one configuration, resolved once: so a request costs a few atomic additions
//! and no look-up.
//!
//! Series start at 0 with the configuration, so that rates include the first event. With thousands
//! of routes that would use more memory than everything else, here and in Prometheus. Then the
//! series of a route start with its first request.

pub mod metrics;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use crate::gate::credential::Carrier;
use crate::gate::denial::{Outcome, Slug};
use crate::gate::route::Route;
use crate::gate::verifier::CacheResult;
use metrics::{RouteMetrics, STATUS_CLASSES};

/// The label of requests for which no route was found.
const NO_ROUTE: &str = "";

/// The label of requests to the gateway itself. No route can have this name.
const OWN_ROUTE: &str = "gateway:own";

/// Up to this many routes have their series from the start.
const ROUTES_RESOLVED_MAX: usize = 500;

/// One value for each carrier, by [`Carrier::index`].
type ByCarrier<T> = [T; Carrier::ALL.len()];

/// The handles of one route.
#[derive(Debug)]
struct RouteHandles {
    permitted_public: IntCounter,
    permitted: ByCarrier<IntCounter>,
    statuses: [IntCounter; 5],
    seconds: Histogram,
    upstream_seconds: Histogram,
}

/// The handles of one configuration.
#[derive(Debug)]
pub struct Handles {
    metrics: RouteMetrics,
    routes: Vec<OnceLock<Box<RouteHandles>>>,
    names: Vec<Arc<str>>,
    none: OnceLock<Box<RouteHandles>>,
    decision_public: Histogram,
    decisions_from_cache: ByCarrier<Histogram>,
    decisions_anew: ByCarrier<Histogram>,
}

impl Handles {
    /// The handles for `routes`.
    pub fn new(metrics: &RouteMetrics, routes: &[Route]) -> Self {
        let decision =
            |carrier, cache| metrics.decision_seconds.with_label_values(&[carrier, cache]);
        let names: Vec<Arc<str>> =
            routes.iter().map(|route| route.name.clone()).chain([OWN_ROUTE.into()]).collect();
        let handles = Self {
            metrics: metrics.clone(),
            routes: names.iter().map(|_| OnceLock::new()).collect(),
            names,
            none: OnceLock::new(),
            decision_public: decision("none", "none"),
            decisions_from_cache: Carrier::ALL.map(|carrier| decision(carrier.as_str(), "hit")),
            decisions_anew: Carrier::ALL.map(|carrier| decision(carrier.as_str(), "miss")),
        };
        handles.of(None);
        if routes.len() <= ROUTES_RESOLVED_MAX {
            (0..handles.names.len()).for_each(|index| {
                handles.of(Some(index));
            });
        }
        handles
    }

    /// The index that stands for a route in requests that the gateway answers itself.
    pub fn own(&self) -> usize {
        self.names.len() - 1
    }

    /// The name of the route at `index`, as a label.
    pub fn name(&self, route: Option<usize>) -> &str {
        route.and_then(|index| self.names.get(index)).map_or(NO_ROUTE, |name| name)
    }

    /// Counts a decision and the time it took.
    pub fn decided(
        &self,
        route: Option<usize>,
        carrier: Option<Carrier>,
        cache: Option<CacheResult>,
        denial: Option<Slug>,
        took: Duration,
    ) {
        let timer = match (carrier, cache) {
            (Some(carrier), Some(CacheResult::Hit)) => &self.decisions_from_cache[carrier.index()],
            (Some(carrier), Some(CacheResult::Miss) | None) => {
                &self.decisions_anew[carrier.index()]
            }
            (None, _) => &self.decision_public,
        };
        timer.observe(took.as_secs_f64());
        match (denial, carrier) {
            (None, None) => self.of(route).permitted_public.inc(),
            (None, Some(carrier)) => self.of(route).permitted[carrier.index()].inc(),
            (Some(slug), carrier) => {
                let carrier = carrier.map_or("none", Carrier::as_str);
                let labels = [self.name(route), carrier, slug.outcome().as_str(), slug.as_str()];
                self.metrics.decisions.with_label_values(&labels).inc();
            }
        }
    }

    /// Counts a response and the time it took.
    pub fn answered(&self, route: Option<usize>, status: u16, took: Duration) {
        let handles = self.of(route);
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        handles.statuses[class].inc();
        handles.seconds.observe(took.as_secs_f64());
    }

    /// Counts the time until an upstream began its response.
    pub fn upstream_answered(&self, route: Option<usize>, took: Duration) {
        self.of(route).upstream_seconds.observe(took.as_secs_f64());
    }

    fn of(&self, route: Option<usize>) -> &RouteHandles {
        let handles = route.and_then(|index| self.routes.get(index)).unwrap_or(&self.none);
        handles.get_or_init(|| Box::new(RouteHandles::resolve(&self.metrics, self.name(route))))
    }
}

impl RouteHandles {
    fn resolve(metrics: &RouteMetrics, route: &str) -> Self {
        let permitted = |carrier| {
            let labels = [route, carrier, Outcome::Permitted.as_str(), ""];
            metrics.decisions.with_label_values(&labels)
        };
        Self {
            permitted_public: permitted("none"),
            permitted: Carrier::ALL.map(|carrier| permitted(carrier.as_str())),
            statuses: STATUS_CLASSES
                .map(|class| metrics.requests.with_label_values(&[route, class])),
            seconds: metrics.request_seconds.with_label_values(&[route]),
            upstream_seconds: metrics.upstream_seconds.with_label_values(&[route]),
        }
    }
}

//! Counts and times requests, by route.

use prometheus::{HistogramVec, IntCounterVec};

use crate::telemetry::label::{CARRIER, Label, ROUTE, named, one_of};
use crate::telemetry::registrar::metrics;

/// Decisions take microseconds.
const DECISION_BUCKETS: [f64; 14] =
    [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.25, 2.5];

/// Requests take milliseconds.
const REQUEST_BUCKETS: [f64; 13] =
    [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The classes of statuses, by their first digit.
pub(super) const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The outcomes of decisions.
const OUTCOMES: [&str; 3] = ["permitted", "denied", "unavailable"];

/// Why a request was refused.
const SLUG: Label = named("slug", "slug of the denial; empty: permitted");

metrics! {
    /// Decisions and responses, by route.
    pub struct RouteMetrics {
        pub(super) decisions: IntCounterVec = counters(
            "portcullis_decisions_total",
            "Decisions by route, carrier of the credential, outcome and slug.",
            &[ROUTE, CARRIER, one_of("outcome", &OUTCOMES), SLUG]);
        pub(super) decision_seconds: HistogramVec = histograms(
            "portcullis_decision_seconds",
            "Time to decide, without waiting for the upstream.",
            &DECISION_BUCKETS, &[CARRIER, one_of("cache", &["hit", "miss", "none"])]);
        pub(super) requests: IntCounterVec = counters(
            "portcullis_requests_total",
            "Requests answered.",
            &[ROUTE, one_of("status_class", &STATUS_CLASSES)]);
        pub(super) request_seconds: HistogramVec = histograms(
            "portcullis_request_seconds",
            "Time from the request's head to the end of its answer.",
            &REQUEST_BUCKETS, &[ROUTE]);
        pub(super) upstream_seconds: HistogramVec = histograms(
            "portcullis_upstream_seconds",
            "Time from choosing a peer to the upstream's response head.",
            &REQUEST_BUCKETS, &[ROUTE]);
    }
}

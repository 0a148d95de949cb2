//! Counts connections, the requests in flight, and the tokens that are verified for them.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use crate::gate::lapse::Lapse;
use crate::telemetry::count::Count;
use crate::telemetry::label::{ISSUER, named, one_of};
use crate::telemetry::registrar::metrics;

metrics! {
    /// Connections and requests.
    pub struct EdgeMetrics {
        pub(super) connections_open: IntGauge = gauge(
            "portcullis_connections_open",
            "Client connections open now.");
        pub(super) connections_max: IntGauge = gauge(
            "portcullis_connections_max",
            "Client connections that may be open at once.");
        pub(super) connections_refused: IntCounter = counter(
            "portcullis_connections_refused_total",
            "Client connections closed because there were too many.");
        pub(super) in_flight: Count = count(
            "portcullis_requests_in_flight",
            "Requests to upstreams that are being served now.");
        pub(super) in_flight_max: IntGauge = gauge(
            "portcullis_requests_in_flight_max",
            "Requests to upstreams that may be served at once.");
        pub(super) in_flight_own: Count = count(
            "portcullis_requests_in_flight_own",
            "Requests to the gateway itself that are being answered now.");
        pub(super) tokens_verified: IntCounterVec = counters(
            "portcullis_tokens_verified_total",
            "Tokens verified anew, that is not found in the cache.",
            &[ISSUER, named("result", "`ok`, or the slug of the denial")]);
        pub(super) streams_ended: IntCounterVec = counters(
            "portcullis_streams_ended_total",
            "Permitted requests given up because their principal lapsed meanwhile.",
            &[one_of("cause", &["revoked", "expired"])]);
    }
}

impl EdgeMetrics {
    /// Series that may never count are reported as 0.
    pub fn begin(&self) {
        for lapse in [Lapse::Revoked, Lapse::Expired] {
            self.streams_ended.with_label_values(&[lapse.as_str()]);
        }
    }
}

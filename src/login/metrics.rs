//! Counts attempts to log in.

use prometheus::IntCounterVec;

use crate::telemetry::label::one_of;
use crate::telemetry::registrar::metrics;

/// How an attempt to log in can end.
const RESULTS: [&str; 5] = ["ok", "refused", "limited", "malformed", "unavailable"];

metrics! {
    /// Attempts to log in.
    pub struct LoginMetrics {
        pub(crate) logins: IntCounterVec = counters(
            "portcullis_logins_total",
            "Attempts to log in.",
            &[one_of("method", &["password", "handoff"]), one_of("result", &RESULTS)]);
    }
}

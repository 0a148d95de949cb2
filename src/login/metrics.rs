//! Counts attempts to log in.

use prometheus::IntCounterVec;

use crate::telemetry::registrar::metrics;

metrics! {
    /// Attempts to log in.
    pub struct LoginMetrics {
        pub(crate) logins: IntCounterVec = counters(
            "portcullis_logins_total",
            "Attempts to log in.",
            &["method", "result"]);
    }
}

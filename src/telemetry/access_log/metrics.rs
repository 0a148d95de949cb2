//! Counts the lines that the access log dropped.

use prometheus::IntCounter;

use crate::telemetry::registrar::metrics;

metrics! {
    /// The lines of the access log.
    pub struct AccessLogMetrics {
        pub(super) dropped: IntCounter = counter(
            "portcullis_access_log_dropped_total",
            "Access log lines dropped because nobody read them fast enough.");
    }
}

//! Counts what clients ask of the token endpoints.

use prometheus::IntCounterVec;

use crate::telemetry::registrar::metrics;

metrics! {
    /// What clients ask of the token endpoints.
    pub struct TokenMetrics {
        pub(crate) refreshes: IntCounterVec = counters(
            "portcullis_refreshes_total",
            "Attempts to exchange a refresh token, by what carried it.",
            &["method", "result"]);
        pub(super) client_authentications: IntCounterVec = counters(
            "portcullis_client_authentications_total",
            "Attempts of clients to show that they are who they say.",
            &["method", "result"]);
    }
}

//! Counts what clients ask of the token endpoints.

use prometheus::IntCounterVec;

use crate::telemetry::label::one_of;
use crate::telemetry::registrar::metrics;

/// How an attempt to exchange a refresh token can end.
const REFRESH_RESULTS: [&str; 13] = [
    "ok",
    "replayed",
    "reuse_detected",
    "expired",
    "revoked",
    "unknown",
    "wrong_client",
    "client_refused",
    "forged",
    "limited",
    "malformed",
    "refused",
    "unavailable",
];

/// How clients can show who they are.
const CLIENT_METHODS: [&str; 4] = ["basic", "post", "private_key_jwt", "none"];

/// How an attempt of a client to do so can end.
const CLIENT_RESULTS: [&str; 5] = ["ok", "refused", "limited", "malformed", "unavailable"];

metrics! {
    /// What clients ask of the token endpoints.
    pub struct TokenMetrics {
        pub(crate) refreshes: IntCounterVec = counters(
            "portcullis_refreshes_total",
            "Attempts to exchange a refresh token, by what carried it.",
            &[one_of("method", &["body", "cookie"]), one_of("result", &REFRESH_RESULTS)]);
        pub(super) client_authentications: IntCounterVec = counters(
            "portcullis_client_authentications_total",
            "Attempts of clients to authenticate.",
            &[one_of("method", &CLIENT_METHODS), one_of("result", &CLIENT_RESULTS)]);
    }
}

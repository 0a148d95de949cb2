//! Counts the gateway's own signing keys, and the tokens that they sign.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::listing::KeyState;
use crate::issuer::ring::Cause;
use crate::telemetry::label::{one_of, words};
use crate::telemetry::registrar::metrics;

/// The grants for which tokens are issued.
const GRANTS: [&str; 4] = ["login", "refresh_token", "client_credentials", "none"];

metrics! {
    /// The gateway's own signing keys and tokens.
    pub struct SigningMetrics {
        pub(super) keys: IntGaugeVec = gauges(
            "portcullis_signing_keys",
            "The gateway's own signing keys that are published, by what they do.",
            &[one_of("state", words!(KeyState::PUBLISHED))]);
        pub(super) rotations: IntCounterVec = counters(
            "portcullis_signing_key_rotations_total",
            "Signing keys made by this gateway, and why.",
            &[one_of("cause", words!(Cause::ALL))]);
        tokens_issued: IntCounterVec = counters(
            "portcullis_tokens_issued_total",
            "Tokens that the gateway issued itself, by what they are and for what.",
            &[one_of("kind", &["access", "refresh", "internal"]), one_of("grant", &GRANTS)]);
    }
}

impl SigningMetrics {
    /// Shows the counters as 0 before anything is counted.
    pub(super) fn begin(&self) {
        for cause in Cause::ALL {
            self.rotations.with_label_values(&[cause.as_str()]);
        }
        for state in KeyState::PUBLISHED {
            self.keys.with_label_values(&[state.as_str()]);
        }
    }

    /// Counts a token of a kind that was issued for a grant.
    pub fn issued(&self, kind: &'static str, grant: &'static str) {
        self.tokens_issued.with_label_values(&[kind, grant]).inc();
    }
}

//! Counts the fetches of issuers' keys, and measures how old the keys are.

use prometheus::{GaugeVec, IntCounterVec};

use crate::gate::keys::KeyCell;
use crate::gate::time::UnixTime;
use crate::telemetry::label::{ISSUER, RESULT};
use crate::telemetry::registrar::metrics;

metrics! {
    /// The keys of issuers that are fetched.
    pub struct KeySetMetrics {
        fetches: IntCounterVec = counters(
            "portcullis_key_set_fetches_total",
            "Attempts to fetch an issuer's keys.",
            &[ISSUER, RESULT]);
        age: GaugeVec = float_gauges(
            "portcullis_key_set_age_seconds",
            "Seconds since an issuer's keys were last fetched with success.",
            &[ISSUER]);
    }
}

impl KeySetMetrics {
    /// Shows an issuer's counters as 0 before anything is counted.
    pub(super) fn begin(&self, issuer: &str) {
        for result in ["ok", "failed"] {
            self.fetches.with_label_values(&[issuer, result]);
        }
    }

    /// Counts a fetch.
    pub(super) fn fetched(&self, issuer: &str, result: &'static str) {
        self.fetches.with_label_values(&[issuer, result]).inc();
    }

    /// Measures the age of the keys of these issuers, when the metrics are read.
    pub fn measure<'a>(
        &self,
        fetched: impl IntoIterator<Item = (&'a str, &'a KeyCell)>,
        now: UnixTime,
    ) {
        // Without the reset, the age for an issuer that is no longer fetched would stay at its last
        // value.
        self.age.reset();
        for (issuer, cell) in fetched {
            if let Some(published_at) = cell.published_at() {
                let age = now.since(published_at).max(0);
                self.age.with_label_values(&[issuer]).set(age as f64);
            }
        }
    }
}

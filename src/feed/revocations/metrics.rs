//! Counts the revocations that this gateway knows of, and how it received them.

use prometheus::{Gauge, Histogram, IntCounterVec, IntGauge};

use crate::gate::revocation::{LIFT, RevocationList, ScopeKind};
use crate::gate::time::SteadyTime;
use crate::telemetry::label::{one_of, words};
use crate::telemetry::registrar::metrics;

/// Propagation takes from a fraction of a millisecond to as long as a gateway was partitioned.
const PROPAGATION_BUCKETS: [f64; 14] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.0, 10.0, 60.0];

/// From which share of the bound on a list counts as nearly full, in percent.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Why the whole list can be loaded.
const LOAD_CAUSES: [&str; 5] = ["start", "trimmed", "went_backwards", "unmarked", "clock"];

metrics! {
    /// The revocations that this gateway knows of.
    pub struct RevocationMetrics {
        pub(super) applied: IntCounterVec = counters(
            "portcullis_revocations_applied_total",
            "Revocations taken into the list, from the log or from a snapshot.",
            &[one_of("scope", words!(ScopeKind::ALL, LIFT))]);
        pub(super) propagation: Histogram = histogram(
            "portcullis_revocation_propagation_seconds",
            "Time from writing a revocation to applying it here, by the clocks of both.",
            &PROPAGATION_BUCKETS);
        pub(super) clock_ahead: Gauge = float_gauge(
            "portcullis_clock_ahead_seconds",
            "Seconds that this machine's clock is ahead of the store's; not ready beyond 300; 0 without such a store.");
        pub(super) records: IntGauge = gauge(
            "portcullis_revocation_records",
            "Records in the store, by which max_entries is counted; spent ones stay for an hour.");
        pub(super) pending: IntGauge = gauge(
            "portcullis_revocations_pending",
            "Revocations applied here that the store has not taken yet.");
        pub(super) snapshots: IntCounterVec = counters(
            "portcullis_revocation_snapshots_total",
            "Times that the whole list was loaded, and why.",
            &[one_of("cause", &LOAD_CAUSES)]);
        entries: IntGauge = gauge(
            "portcullis_revocation_entries",
            "Live revocations in memory, about.");
        entries_max: IntGauge = gauge(
            "portcullis_revocation_entries_max",
            "How many live revocations there may be.");
        nearly_full: IntGauge = gauge(
            "portcullis_revocation_nearly_full",
            "1 from 80 % of the revocations that there may be, in memory or in the store; else 0.");
        staleness: Gauge = float_gauge(
            "portcullis_revocation_staleness_seconds",
            "Seconds since the log was last read to its end; -1 if it never was.");
    }
}

impl RevocationMetrics {
    /// Shows the counters as 0 before anything is counted.
    pub(super) fn begin(&self) {
        for word in ScopeKind::ALL.map(ScopeKind::as_str).into_iter().chain([LIFT]) {
            self.applied.with_label_values(&[word]);
        }
    }

    /// Measures the list, which may have `entries_max` entries, when the metrics are read.
    pub fn measure(&self, list: &RevocationList, entries_max: u64, now: SteadyTime) {
        let entries = list.entries();
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.entries.set(gauge(entries));
        self.entries_max.set(gauge(entries_max));
        let fullest = entries.max(self.records());
        self.nearly_full.set(is_nearly_full(fullest, entries_max).into());
        self.staleness.set(list.age_ms(now).map_or(-1.0, |age| age as f64 / 1000.0));
    }

    /// How many records the store had when it was last asked.
    pub(super) fn records(&self) -> u64 {
        u64::try_from(self.records.get()).unwrap_or(0)
    }
}

/// Whether an operator should make room, or allow more entries.
pub(super) fn is_nearly_full(entries: u64, entries_max: u64) -> bool {
    entries.saturating_mul(100) >= entries_max.saturating_mul(NEARLY_FULL_PERCENT)
}

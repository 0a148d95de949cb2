//! Counts sessions: how they begin and end, and whether they are in memory when they are needed.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use crate::gate::session::SessionTable;
use crate::store::session_end::SessionEnd;
use crate::telemetry::label::{one_of, words};
use crate::telemetry::registrar::metrics;

metrics! {
    /// Sessions here, and in memory.
    pub struct SessionMetrics {
        hits: IntCounter = counter(
            "portcullis_session_cache_hits_total",
            "Sessions found in memory.");
        misses: IntCounter = counter(
            "portcullis_session_cache_misses_total",
            "Sessions that had to be read from the store.");
        entries: IntGauge = gauge(
            "portcullis_session_cache_entries",
            "Sessions in memory, about.");
        created: IntCounterVec = counters(
            "portcullis_sessions_created_total",
            "Sessions begun here, by the way to log in.",
            &[one_of("method", &["password", "handoff", "api_key"])]);
        ended: IntCounterVec = counters(
            "portcullis_sessions_ended_total",
            "Sessions ended here before their time.",
            &[one_of("cause", words!(SessionEnd::ALL))]);
    }
}

impl SessionMetrics {
    /// Shows the counters as 0 before anything is counted.
    pub(super) fn begin(&self) {
        for cause in SessionEnd::ALL {
            self.ended.with_label_values(&[cause.as_str()]);
        }
    }

    /// Counts a session that was in memory when it was needed.
    pub fn hit(&self) {
        self.hits.inc();
    }

    /// Counts a session that was not in memory when it was needed.
    pub fn miss(&self) {
        self.misses.inc();
    }

    /// The sessions that began by a method, counted.
    pub fn created(&self, method: &'static str) -> IntCounter {
        self.created.with_label_values(&[method])
    }

    /// The sessions that ended for a reason, counted.
    pub fn ended(&self, why: SessionEnd) -> IntCounter {
        self.ended.with_label_values(&[why.as_str()])
    }

    /// Measures the sessions in memory, when the metrics are read.
    pub fn measure(&self, table: &SessionTable) {
        self.entries.set(i64::try_from(table.entries()).unwrap_or(i64::MAX));
    }
}

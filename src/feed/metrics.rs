//! Measures how the store answers, for the feeds and for all other callers.

use std::future::Future;
use std::time::Instant;

use prometheus::{HistogramVec, IntCounter, IntGauge};

use crate::telemetry::label::{RESULT, named};
use crate::telemetry::registrar::metrics;

/// A store takes as long as a network or a disk.
const OPERATION_BUCKETS: [f64; 12] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1.0, 5.0];

metrics! {
    /// How the store answers.
    pub struct StoreMetrics {
        operations: HistogramVec = histograms(
            "portcullis_store_operations_seconds",
            "Time that the store took.",
            &OPERATION_BUCKETS, &[named("operation", "what was asked, for example `find_session`"), RESULT]);
        pub(super) up: IntGauge = gauge(
            "portcullis_store_up",
            "Whether the store answered when last asked.");
        pub(super) server_changes: IntCounter = counter(
            "portcullis_store_server_changes_total",
            "Times that another server answered as the store, or the same one was started again; needs the Redis right `+info`.");
    }
}

impl StoreMetrics {
    /// Calls the store, and counts its answer or the failure to answer.
    ///
    /// # Errors
    ///
    /// The error of the store.
    pub async fn timed<T, E>(
        &self,
        operation: &'static str,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let answer = question.await;
        let result = if answer.is_ok() { "ok" } else { "failed" };
        let seconds = self.operations.with_label_values(&[operation, result]);
        seconds.observe(begun.elapsed().as_secs_f64());
        answer
    }
}

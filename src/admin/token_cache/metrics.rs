//! Metrics of the cache of verified tokens.

use prometheus::{Gauge, IntCounter};

use crate::telemetry::registrar::metrics;

metrics! {
    /// The cache of verified tokens. The gate, which keeps it, knows no metrics.
    pub struct TokenCacheMetrics {
        pub(super) hits: IntCounter = counter(
            "portcullis_token_cache_hits_total",
            "Tokens found in the cache.");
        pub(super) misses: IntCounter = counter(
            "portcullis_token_cache_misses_total",
            "Tokens not found in the cache.");
        pub(super) evictions: IntCounter = counter(
            "portcullis_token_cache_evictions_total",
            "Tokens dropped from the cache to make room.");
        pub(super) entries: Gauge = float_gauge(
            "portcullis_token_cache_entries",
            "Tokens in the cache.");
    }
}

//! Measures the cache of verified tokens.

use prometheus::{Gauge, IntCounter};

use crate::gate::verifier::Verifier;
use crate::telemetry::registrar::metrics;

metrics! {
    /// The cache of verified tokens. The gate, which keeps it, knows no metrics.
    pub struct TokenCacheMetrics {
        hits: IntCounter = counter(
            "portcullis_token_cache_hits_total",
            "Tokens found in the cache.");
        misses: IntCounter = counter(
            "portcullis_token_cache_misses_total",
            "Tokens not found in the cache.");
        evictions: IntCounter = counter(
            "portcullis_token_cache_evictions_total",
            "Tokens dropped from the cache to make room.");
        entries: Gauge = float_gauge(
            "portcullis_token_cache_entries",
            "Tokens in the cache, about.");
    }
}

impl TokenCacheMetrics {
    /// Measures the cache, when somebody asks.
    pub(super) fn measure(&self, verifier: &Verifier) {
        let counters = verifier.counters();
        let advance = |counter: &IntCounter, total: u64| {
            counter.inc_by(total.saturating_sub(counter.get()));
        };
        advance(&self.hits, counters.hits());
        advance(&self.misses, counters.misses());
        advance(&self.evictions, counters.evictions());
        self.entries.set(verifier.entries() as f64);
    }
}

//! Measures the cache of verified tokens for the gate, which keeps it and knows no metrics.

pub mod metrics;

use prometheus::IntCounter;

use crate::gate::verifier::Verifier;
use metrics::TokenCacheMetrics;

impl TokenCacheMetrics {
    /// Measures the cache when metrics are requested.
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

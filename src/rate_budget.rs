//! Budgets: how often one client, subject or network may cause a certain work in a minute, at this
//! gateway alone. What all gateways count together is in the store (`store/attempts.rs`).

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;

/// The span of a budget.
const SPAN: Duration = Duration::from_secs(60);

/// How many clients, subjects or networks one budget counts at once.
const COUNTED_MAX: u64 = 50_000;

/// What each key has used up of the same budget.
#[derive(Debug)]
pub(crate) struct RateBudget<K: Hash + Eq + Send + Sync + 'static> {
    max: u32,
    spent: Cache<K, Arc<AtomicU32>>,
}

impl<K: Hash + Eq + Send + Sync + 'static> RateBudget<K> {
    /// A budget of `max` a minute for each key.
    pub(crate) fn new(max: u32) -> Self {
        let spent = Cache::builder().max_capacity(COUNTED_MAX).time_to_live(SPAN).build();
        Self { max, spent }
    }

    /// When to ask again, in seconds, if the budget of this key is used up.
    pub(crate) fn spent(&self, whom: &K) -> Option<u32> {
        let spent = self.spent.get(whom)?;
        let is_spent = spent.load(Ordering::Relaxed) >= self.max;
        is_spent.then_some(u32::try_from(SPAN.as_secs()).unwrap_or(u32::MAX))
    }

    /// Counts one against this key.
    pub(crate) fn spend(&self, whom: K) {
        self.spent.get_with(whom, Arc::default).fetch_add(1, Ordering::Relaxed);
    }
}

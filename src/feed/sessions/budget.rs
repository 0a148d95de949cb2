//! How many reads of the store a client may cause that lead to nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::network::network_of;

/// How many in which time. A browser that comes back after a logout causes one.
const ABSENT_MAX: u32 = 1000;
const SPAN: Duration = Duration::from_secs(60);

/// How many clients are counted.
const CLIENTS_MAX: u64 = 50_000;

/// What clients have used up.
#[derive(Debug)]
pub(super) struct Budget(Cache<IpAddr, Arc<AtomicU32>>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(CLIENTS_MAX).time_to_live(SPAN).build())
    }

    /// When a client may ask again, in seconds, if it has to wait.
    pub(super) fn spent(&self, client: Option<IpAddr>) -> Option<u32> {
        let spent = self.0.get(&network_of(client?))?;
        let is_spent = spent.load(Ordering::Relaxed) >= ABSENT_MAX;
        is_spent.then_some(u32::try_from(SPAN.as_secs()).unwrap_or(u32::MAX))
    }

    /// Counts one.
    pub(super) fn spend(&self, client: Option<IpAddr>) {
        let Some(client) = client else { return };
        let spent = self.0.get_with(network_of(client), Arc::default);
        spent.fetch_add(1, Ordering::Relaxed);
    }
}

//! Remembers exchanges of refresh tokens for a while, in this gateway alone: those that the store did not answer,
//! and clients that presented tokens of others.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use crate::gate::session::SessionId;
use crate::issuer::refresh::RefreshToken;

/// For how long, and of how many.
const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);
const REMEMBERED_MAX: u64 = 10_000;

/// What is remembered of exchanges.
#[derive(Debug)]
pub(super) struct RecentExchanges {
    /// By the digest of a token, what it was to be exchanged for when the store gave no answer. It
    /// may have been done: asked the same again, the store says so, however late that is. Another
    /// successor would look like theft.
    unanswered: Cache<[u8; 32], Arc<RefreshToken>>,
    /// The clients that presented a token of somebody else's family.
    mistaken: Cache<(SessionId, Box<str>), ()>,
}

impl Default for RecentExchanges {
    fn default() -> Self {
        Self { unanswered: cache(), mistaken: cache() }
    }
}

fn cache<K, V>() -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBERED_FOR).build()
}

impl RecentExchanges {
    /// What a token was to be exchanged for, if nobody knows whether it was.
    pub(super) async fn unanswered(&self, token: &RefreshToken) -> Option<Arc<RefreshToken>> {
        self.unanswered.get(&token.digest()).await
    }

    /// Notes that nobody knows whether a token was exchanged for this one.
    pub(super) async fn remember(&self, token: &RefreshToken, successor: Arc<RefreshToken>) {
        self.unanswered.insert(token.digest(), successor).await;
    }

    /// Notes that it is known.
    pub(super) async fn forget(&self, token: &RefreshToken) {
        self.unanswered.invalidate(&token.digest()).await;
    }

    /// Notes that a client presented a token of this family, which is not its own; whether that is
    /// news.
    pub(super) async fn is_new_mistake(&self, family: SessionId, client: &str) -> bool {
        self.mistaken.entry((family, client.into())).or_insert(()).await.is_fresh()
    }
}

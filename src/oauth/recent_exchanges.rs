//! Remembers exchanges of refresh tokens for a while, in this gateway alone: those to which the
//! store gave no answer, and clients that presented tokens of others.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use crate::gate::session::SessionId;
use crate::issuer::refresh::RefreshToken;

/// How long exchanges are remembered, and how many.
const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);
const REMEMBERED_MAX: u64 = 10_000;

/// What is remembered of exchanges.
#[derive(Debug)]
pub(super) struct RecentExchanges {
    /// By the digest of a token: the successor that was proposed when the store gave no answer. The
    /// exchange may have been made. Asked again with the same successor, the store confirms it,
    /// however late. Another successor would look like theft.
    unanswered: Cache<[u8; 32], Arc<RefreshToken>>,
    /// The clients that presented a token of another client's family.
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
    /// The successor proposed for a token, if it is unknown whether the exchange was made.
    pub(super) async fn unanswered(&self, token: &RefreshToken) -> Option<Arc<RefreshToken>> {
        self.unanswered.get(&token.digest()).await
    }

    /// Notes that it is unknown whether a token was exchanged for this one.
    pub(super) async fn remember(&self, token: &RefreshToken, successor: Arc<RefreshToken>) {
        self.unanswered.insert(token.digest(), successor).await;
    }

    /// Notes that the outcome is known.
    pub(super) async fn forget(&self, token: &RefreshToken) {
        self.unanswered.invalidate(&token.digest()).await;
    }

    /// Notes that a client presented a token of this family, which is not its own. Returns whether
    /// this is new.
    pub(super) async fn is_new_mistake(&self, family: SessionId, client: &str) -> bool {
        self.mistaken.entry((family, client.into())).or_insert(()).await.is_fresh()
    }
}

//! Keeps the keys that all gateways share: their own signing keys, as one document, and the key of
//! the tags in secrets. Their contents, and their encryption, are the business of those who write
//! them.

use async_trait::async_trait;

use super::error::StoreError;

/// Where the keys are kept.
#[async_trait]
pub trait KeyRingStore: std::fmt::Debug + Send + Sync {
    /// The document, if there is one.
    async fn ring(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces the document, if it still is `expected` (`None`: there is none), and returns once
    /// that is durable, as far as the store can be. Whether it is `ring` now: it is, too, if it was
    /// before, and who asks again because the answer was lost is told so.
    async fn replace_ring(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError>;

    /// The key of the tags, if there is one.
    async fn tag_key(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes a key of the tags down, unless there is one. Which it is then. Another than this gateway has found there
    /// is not written where one may have been lost that others know: [`StoreError::Unavailable`].
    async fn keep_tag_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError>;
}

//! Keeps the keys that all gateways share: their own signing keys, as one document, and the key of
//! the tags in secrets. The writers decide on their contents and their encryption.

use async_trait::async_trait;

use super::error::StoreError;

/// The place of the keys.
#[async_trait]
pub trait KeyRingStore: std::fmt::Debug + Send + Sync {
    /// The document, if there is one.
    async fn ring(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces the document, if it still is `expected` (`None`: there is none), and returns once
    /// that is durable, as far as the store can be. Returns whether the document is `ring` now.
    /// That is also true if it was `ring` before: a gateway that lost the answer can ask again.
    async fn replace_ring(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError>;

    /// The key of the tags, if there is one.
    async fn tag_key(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores a key of the tags, unless there is one, and returns the one that is stored then. If
    /// the store may have lost a key that other gateways know, a key that differs from the one last
    /// found there is not stored: [`StoreError::Unavailable`].
    async fn keep_tag_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError>;
}

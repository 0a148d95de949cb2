//! The gateway's own signing keys, as one document that all gateways share. What is in it, and that
//! nobody can read it, is for those who write it.

use async_trait::async_trait;

use super::StoreError;

/// Where the signing keys are kept.
#[async_trait]
pub trait KeyRingStore: std::fmt::Debug + Send + Sync {
    /// The document, if there is one.
    async fn ring(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces the document, if it still is `expected` (`None`: there is none), and returns once
    /// that is durable, as far as the store can be. Whether it is `ring` now: it is, too, if it was
    /// before, and who asks again because the answer was lost is told so.
    async fn replace_ring(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError>;
}

//! The gateway's own signing keys and the key of the tags, in the file.

use async_trait::async_trait;

use super::Embedded;
use super::tables::keyring;
use crate::store::StoreError;
use crate::store::keyring::KeyRingStore;

#[async_trait]
impl KeyRingStore for Embedded {
    async fn ring(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(keyring::ring).await
    }

    async fn replace_ring(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError> {
        let (expected, ring) = (expected.map(<[u8]>::to_vec), ring.to_vec());
        self.write(move |tables| tables.keyring.replace(expected.as_deref(), &ring)).await
    }

    async fn tag_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(keyring::tag_key).await
    }

    async fn keep_tag_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        let key = key.to_vec();
        self.write(move |tables| tables.keyring.keep_tag_key(&key)).await
    }
}

//! The gateway's own signing keys.

use async_trait::async_trait;

use super::Redis;
use super::script::keyring::REPLACE;
use crate::store::StoreError;
use crate::store::keyring::KeyRingStore;

#[async_trait]
impl KeyRingStore for Redis {
    async fn ring(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let key = &self.keys.keyring;
        self.link
            .ask(&self.master, "reading the signing keys", move |mut connection| async move {
                redis::cmd("GET").arg(key).query_async(&mut connection).await
            })
            .await
    }

    async fn replace_ring(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError> {
        let mut replacing = REPLACE.key(&self.keys.keyring);
        replacing.arg(ring);
        if let Some(expected) = expected {
            replacing.arg(expected);
        }
        let replacing = &replacing;
        self.link
            .ask(&self.master, "replacing the signing keys", move |mut connection| async move {
                replacing.invoke_async(&mut connection).await
            })
            .await
    }
}

//! Keeps the gateway's own signing keys, and the key of the tags in secrets, in Redis.

use async_trait::async_trait;

use super::Redis;
use super::dial::ANSWER_TIMEOUT;
use super::reply::Flag;
use super::script::keyring::{KEEP, REPLACE};
use crate::clock;
use crate::store::StoreError;
use crate::store::keyring::KeyRingStore;

impl Redis {
    /// Writes the key that the server had again, unless it has one.
    pub(super) async fn keep_tag_key_again(&self) -> Result<(), StoreError> {
        let known = self.known_tag_key.known().clone();
        match known {
            Some(key) => self.keep_key(&key).await.map(drop),
            None => Ok(()),
        }
    }

    async fn keep_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut keeping = KEEP.key(&self.keys.tag_key);
        keeping.arg(key);
        let keeping = &keeping;
        self.link
            .ask(&self.master, "writing the key of the tags", move |mut connection| async move {
                keeping.invoke_async(&mut connection).await
            })
            .await
    }
}

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
        replacing.arg(clock::shared_deadline_ms(ANSWER_TIMEOUT).unwrap_or_default());
        if let Some(expected) = expected {
            replacing.arg(expected);
        }
        let replacing = &replacing;
        let Flag(is_replaced) = self
            .link
            .ask(&self.master, "replacing the signing keys", move |mut connection| async move {
                replacing.invoke_async(&mut connection).await
            })
            .await?;
        Ok(is_replaced)
    }

    async fn tag_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let key = &self.keys.tag_key;
        let there: Option<Vec<u8>> = self
            .link
            .ask(&self.master, "reading the key of the tags", move |mut connection| async move {
                redis::cmd("GET").arg(key).query_async(&mut connection).await
            })
            .await?;
        if let Some(there) = &there {
            self.known_tag_key.note(there);
        }
        Ok(there)
    }

    async fn keep_tag_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        if !self.known_tag_key.is(key) {
            // A server that has lost its key gets it back from the gateways that know it.
            self.await_complete().await?;
        }
        let kept = self.keep_key(key).await?;
        self.known_tag_key.note(&kept);
        Ok(kept)
    }
}

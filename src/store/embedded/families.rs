//! The families of refresh tokens, in the file.

use async_trait::async_trait;

use super::Embedded;
use super::tables::exchanges::Instant;
use super::tables::families::ReadFamilies;
use crate::clock;
use crate::gate::session::SessionId;
use crate::store::StoreError;
use crate::store::family::{Exchange, Family, FamilyStore, Rotation, StoredFamily, TokenDigest};

#[async_trait]
impl FamilyStore for Embedded {
    async fn begin(&self, family: &Family, first: TokenDigest) -> Result<bool, StoreError> {
        let family = family.clone();
        self.write(move |tables| tables.begin_family(&family, first)).await
    }

    async fn find(&self, id: SessionId) -> Result<Option<StoredFamily>, StoreError> {
        // Taken before reading: what is read is not older than that.
        let read_ms = clock::steady().as_millis();
        self.read(move |transaction| ReadFamilies::open(transaction)?.find(id, read_ms)).await
    }

    async fn rotate(&self, exchange: &Exchange) -> Result<Rotation, StoreError> {
        let (exchange, process) = (exchange.clone(), self.process);
        let rotating = self.write(move |tables| tables.rotate(&exchange, Instant::now(process)));
        Ok(rotating.await??)
    }
}

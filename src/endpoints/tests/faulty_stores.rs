//! Stores that fail when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::gate::revocation::Lifted;
use crate::gate::session::SessionId;
use crate::gate::time::UnixTime;
use crate::store::family::{Exchange, Family, FamilyStore, Rotation, StoredFamily, TokenDigest};
use crate::store::record::Record;
use crate::store::{
    AppendBounds, AppendError, Charged, LiftPremise, Listing, Position, RevocationLog, StoreError,
    Tail, Writers,
};

/// Families that cannot begin while `is_barren` is set.
#[derive(Debug)]
pub(super) struct FaultyFamilies {
    pub(super) families: Arc<dyn FamilyStore>,
    pub(super) is_barren: Arc<AtomicBool>,
    /// Whether an exchange happens but its result is lost.
    pub(super) is_mute: Arc<AtomicBool>,
    /// Whether it omits how a login ends, as an earlier version does.
    pub(super) is_earlier: Arc<AtomicBool>,
}

#[async_trait]
impl FamilyStore for FaultyFamilies {
    async fn begin(&self, family: &Family, first: TokenDigest) -> Result<bool, StoreError> {
        if self.is_barren.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("on purpose".to_owned()));
        }
        self.families.begin(family, first).await
    }

    async fn find(&self, id: SessionId) -> Result<Option<StoredFamily>, StoreError> {
        self.families.find(id).await
    }

    async fn rotate(&self, exchange: &Exchange) -> Result<Rotation, StoreError> {
        let mut asked = exchange.clone();
        if self.is_earlier.load(Ordering::Relaxed) {
            asked.end = None;
        }
        let rotated = self.families.rotate(&asked).await;
        match self.is_mute.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable("on purpose".to_owned())),
            false => rotated,
        }
    }
}

/// A log that accepts a limited number of entries.
#[derive(Debug)]
pub(super) struct LimitedLog {
    pub(super) log: Arc<dyn RevocationLog>,
    pub(super) left: Arc<AtomicU64>,
    /// Who else can append to it, according to this log.
    pub(super) writers: Writers,
}

impl LimitedLog {
    fn take_one(&self) -> Result<(), StoreError> {
        let ordering = Ordering::Relaxed;
        let taken = self.left.fetch_update(ordering, ordering, |left| left.checked_sub(1));
        taken.map(drop).map_err(|_| StoreError::Unavailable("on purpose".to_owned()))
    }
}

#[async_trait]
impl RevocationLog for LimitedLog {
    fn writers(&self) -> Writers {
        self.writers
    }

    async fn append(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Position, AppendError> {
        self.take_one()?;
        self.log.append(record, bounds).await
    }

    async fn charge(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Charged, AppendError> {
        self.take_one()?;
        self.log.charge(record, bounds).await
    }

    async fn find_liftable(&self, sought: &[Lifted]) -> Result<Vec<Record>, StoreError> {
        self.log.find_liftable(sought).await
    }

    async fn lift(
        &self,
        lift: &Record,
        premise: LiftPremise,
        now: UnixTime,
    ) -> Result<Option<Position>, StoreError> {
        self.log.lift(lift, premise, now).await
    }

    async fn snapshot(
        &self,
        take: &mut (dyn FnMut(Vec<Record>) + Send),
    ) -> Result<Position, StoreError> {
        self.log.snapshot(take).await
    }

    async fn tail(&self, position: Position, patience: Duration) -> Result<Tail, StoreError> {
        self.log.tail(position, patience).await
    }

    async fn list(&self, offset: u64, limit: u64, now: UnixTime) -> Result<Listing, StoreError> {
        self.log.list(offset, limit, now).await
    }

    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.log.prune(now).await
    }
}

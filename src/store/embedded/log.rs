//! The revocation log, in the file.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::Embedded;
use super::tables::Tables;
use super::tables::log::{PRUNED_AT_ONCE_MAX, ReadLog};
use crate::gate::revocation::Lifted;
use crate::gate::time::UnixTime;
use crate::store::account::EndedScope;
use crate::store::record::Record;
use crate::store::session::EndedSessions;
use crate::store::{
    AppendBounds, AppendError, Charged, LiftPremise, Listing, Position, RevocationLog, StoreError,
    Tail, Writers,
};

/// How many pieces of a snapshot may wait for the caller.
const PIECES_WAITING_MAX: usize = 2;

#[async_trait]
impl RevocationLog for Embedded {
    fn writers(&self) -> Writers {
        // The lock on the file ensures it.
        Writers::ThisGateway
    }

    async fn append(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Position, AppendError> {
        let AppendBounds { entries_max, now, login_issuer } = bounds;
        let (record, mark) = (record.clone(), record.mark);
        let ended = EndedSessions::of(&record.entry, login_issuer);
        let appending = self.write(move |tables| {
            let sequence = tables.log.append(&record, entries_max, now)?;
            if sequence.is_some() {
                tables.end_sessions(&ended)?;
            }
            Ok(sequence)
        });
        let sequence = appending.await?.ok_or(AppendError::Full)?;
        Ok(Position { sequence, mark: Some(mark) })
    }

    async fn charge(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Charged, AppendError> {
        let AppendBounds { entries_max, now, login_issuer: _ } = bounds;
        if EndedScope::of(record).is_none() {
            let position = self.append(record, bounds).await?;
            return Ok(Charged { written: vec![record.clone()], position });
        }
        let record = record.clone();
        let charging = self.write(move |tables| tables.charge(&record, entries_max, now));
        charging.await?.ok_or(AppendError::Full)
    }

    async fn find_liftable(&self, sought: &[Lifted]) -> Result<Vec<Record>, StoreError> {
        let sought = sought.to_vec();
        self.read_log(move |log| log.find_liftable(&sought)).await
    }

    async fn lift(
        &self,
        lift: &Record,
        premise: LiftPremise,
        _: UnixTime,
    ) -> Result<Option<Position>, StoreError> {
        let (lift, mark) = (lift.clone(), lift.mark);
        let sequence = self.write(move |tables| tables.log.lift(&lift, premise)).await?;
        Ok(sequence.map(|sequence| Position { sequence, mark: Some(mark) }))
    }

    async fn snapshot(
        &self,
        take: &mut (dyn FnMut(Vec<Record>) + Send),
    ) -> Result<Position, StoreError> {
        let (pieces, mut arrived) = mpsc::channel(PIECES_WAITING_MAX);
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || {
            file.read(|transaction| {
                let log = ReadLog::open(transaction)?;
                log.snapshot(|piece| pieces.blocking_send(piece).is_ok())
            })
        });
        while let Some(piece) = arrived.recv().await {
            take(piece);
        }
        reading.await.unwrap_or_else(|error| Err(self.broken_off(&error)))
    }

    async fn tail(&self, position: Position, patience: Duration) -> Result<Tail, StoreError> {
        let mut bell = self.bell.clone();
        // Before reading: a later append is either read or notified.
        bell.borrow_and_update();
        if let Some(tail) = self.read_log(move |log| log.after(position)).await? {
            return Ok(tail);
        }
        let nothing = Tail::Records(Vec::new(), position);
        match tokio::time::timeout(patience, bell.changed()).await {
            Ok(Ok(())) => {
                Ok(self.read_log(move |log| log.after(position)).await?.unwrap_or(nothing))
            }
            Ok(Err(_)) => Err(self.stopped()),
            Err(_) => Ok(nothing),
        }
    }

    async fn list(&self, offset: u64, limit: u64, now: UnixTime) -> Result<Listing, StoreError> {
        self.read_log(move |log| log.list(offset, limit, now)).await
    }

    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError> {
        let mut pruned = 0;
        // In pieces, so that appends do not have to wait.
        loop {
            let pruning = move |tables: &mut Tables<'_>| tables.log.prune(now, PRUNED_AT_ONCE_MAX);
            let piece = self.write(pruning).await?;
            pruned += piece;
            if piece < PRUNED_AT_ONCE_MAX {
                return Ok(pruned);
            }
        }
    }
}

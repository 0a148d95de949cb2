//! The store in a file beside the gateway, for one gateway: durable before it is acknowledged, and
//! the log delivered in process.

mod file;
mod log;
mod roster;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinError;

use super::record::Record;
use super::{
    AppendBounds, AppendError, Fleet, GatewayState, KnownGateway, Listing, Position, RevocationLog,
    Roster, StoreError, Tail,
};
use crate::clock;
use crate::gate::time::UnixTime;
use file::{Fault, File};
use log::ReadLog;
use roster::Members;
use writer::{Append, Order, Prune, Writer};

/// How many pieces of a snapshot may wait to be taken.
const PIECES_WAITING_MAX: usize = 2;

/// The store in a file. The file is locked, and closed when this is dropped; dropping waits for
/// the write in progress.
#[derive(Debug)]
pub struct Embedded {
    file: Arc<File>,
    writer: Writer,
    /// Rings after every append.
    bell: watch::Receiver<()>,
    members: Members,
}

impl Embedded {
    /// Opens the file, or makes it, with the directories above. Blocking.
    ///
    /// # Errors
    ///
    /// A text for people: the file is in use, cannot be opened, or is not one of ours. It is then
    /// left as it is.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = Arc::new(File::open(path)?);
        let (ring, bell) = watch::channel(());
        let writer = Writer::start(file.clone(), ring)
            .map_err(|error| format!("{}: no thread to write it: {error}", path.display()))?;
        Ok(Self { file, writer, bell, members: Members::default() })
    }

    /// Reads in one transaction, away from the runtime's threads: a disk may take its time.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&ReadLog) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || file.read(job));
        reading.await.unwrap_or_else(|error| Err(self.broken_off(&error)))
    }

    /// Has the writer do something.
    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> Order,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.take(order(answer)).await.map_err(|_| self.stopped())?;
        answered.await.map_err(|_| self.stopped())
    }

    fn stopped(&self) -> StoreError {
        let path = self.file.path().display();
        StoreError::Unavailable(format!("{path}: its writer has failed: restart the gateway"))
    }

    fn broken_off(&self, error: &JoinError) -> StoreError {
        StoreError::Unavailable(format!("{}: {error}", self.file.path().display()))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // In this order: a transaction that is being written would keep the file open.
        self.writer.stop();
        self.file.close();
    }
}

#[async_trait]
impl RevocationLog for Embedded {
    async fn append(&self, record: &Record, bounds: AppendBounds) -> Result<Position, AppendError> {
        let (json, mark, expires) = (record.encode(), record.mark, record.entry.expires);
        self.order(|answer| Order::Append(Append { json, mark, expires, bounds, answer })).await?
    }

    async fn snapshot(
        &self,
        take: &mut (dyn FnMut(Vec<Record>) + Send),
    ) -> Result<Position, StoreError> {
        let (pieces, mut arrived) = mpsc::channel(PIECES_WAITING_MAX);
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || {
            file.read(|log| log.snapshot(|piece| pieces.blocking_send(piece).is_ok()))
        });
        while let Some(piece) = arrived.recv().await {
            take(piece);
        }
        reading.await.unwrap_or_else(|error| Err(self.broken_off(&error)))
    }

    async fn tail(&self, position: Position, patience: Duration) -> Result<Tail, StoreError> {
        let mut bell = self.bell.clone();
        // Before reading: what is appended from here on is either read or heard.
        bell.borrow_and_update();
        if let Some(tail) = self.read(move |log| log.after(position)).await? {
            return Ok(tail);
        }
        let nothing = Tail::Records(Vec::new(), position);
        match tokio::time::timeout(patience, bell.changed()).await {
            Ok(Ok(())) => Ok(self.read(move |log| log.after(position)).await?.unwrap_or(nothing)),
            Ok(Err(_)) => Err(self.stopped()),
            Err(_) => Ok(nothing),
        }
    }

    async fn list(&self, offset: u64, limit: u64, now: UnixTime) -> Result<Listing, StoreError> {
        self.read(move |log| log.list(offset, limit, now)).await
    }

    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError> {
        let mut pruned = 0;
        // Piece by piece, so that appends are not kept waiting.
        loop {
            let piece = self.order(|answer| Order::Prune(Prune { now, answer })).await??;
            pruned += piece;
            if piece < log::PRUNED_AT_ONCE_MAX {
                return Ok(pruned);
            }
        }
    }
}

#[async_trait]
impl Fleet for Embedded {
    async fn announce(&self, state: &GatewayState) -> Result<(), StoreError> {
        self.members.announce(state, clock::steady());
        Ok(())
    }

    async fn remind(&self, _: &KnownGateway) -> Result<(), StoreError> {
        // What is in this process is not forgotten.
        Ok(())
    }

    async fn leave(&self, instance: &str) -> Result<(), StoreError> {
        self.members.leave(instance);
        Ok(())
    }

    async fn roster(&self) -> Result<Roster, StoreError> {
        let (head, records) = self.read(|log| Ok((log.head()?, log.kept()?))).await?;
        // The only gateway there is does not ask about itself once it has left.
        let gateways = self.members.list(clock::steady());
        Ok(Roster { head, records, gateways, left: Vec::new() })
    }
}

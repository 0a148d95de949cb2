//! The store in a file beside the gateway, for one gateway: writes are durable before they are
//! acknowledged, and the log is delivered in process.

mod attempts;
mod families;
mod fault;
mod file;
mod fleet;
mod keyring;
mod log;
mod one_time;
mod roster;
mod sessions;
mod tables;
mod writer;

use std::path::Path;
use std::sync::Arc;

use redb::ReadTransaction;
use tokio::sync::watch;
use tokio::task::JoinError;

use super::StoreError;
use fault::FileFault;
use file::File;
use roster::Members;
use tables::Tables;
use tables::log::ReadLog;
use tables::sessions::ReadSessions;
use writer::Writer;

/// The store in a file. The file is locked, and closed when this is dropped; dropping waits for
/// the write in progress.
#[derive(Debug)]
pub struct Embedded {
    file: Arc<File>,
    writer: Writer,
    /// Notifies after every append.
    bell: watch::Receiver<()>,
    members: Members,
    /// A random number of this process, which identifies the times of its steady clock.
    process: u64,
}

impl Embedded {
    /// Opens the file, or creates it and the directories above. Blocking.
    ///
    /// # Errors
    ///
    /// A message for the operator: the file is in use, cannot be opened, or is not a store of the
    /// gateway. The file is then left unchanged.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = Arc::new(File::open(path)?);
        let (ring, bell) = watch::channel(());
        let writer = Writer::start(file.clone(), ring)
            .map_err(|error| format!("{}: no thread to write it: {error}", path.display()))?;
        Ok(Self { file, writer, bell, members: Members::default(), process: fastrand::u64(1..) })
    }

    /// Reads in one transaction, on a thread that may block: a disk may be slow.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&ReadTransaction) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || file.read(job));
        reading.await.unwrap_or_else(|error| Err(self.broken_off(&error)))
    }

    async fn read_log<T: Send + 'static>(
        &self,
        job: impl FnOnce(&ReadLog) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read(|transaction| job(&ReadLog::open(transaction)?)).await
    }

    async fn read_sessions<T: Send + 'static>(
        &self,
        job: impl FnOnce(&ReadSessions) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read(|transaction| job(&ReadSessions::open(transaction)?)).await
    }

    /// Has the writer do `work`; the result is on disk when this returns.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answered) = writer::job(work);
        self.writer.take(job).await.map_err(|_| self.stopped())?;
        answered.await.unwrap_or_else(|_| Err(self.stopped()))
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
        // In this order: a transaction in progress would keep the file open.
        self.writer.stop();
        self.file.close();
    }
}

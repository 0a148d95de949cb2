//! The one thread that writes. All waiting jobs share a transaction, and so one wait for the disk.

use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Database, Durability};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::fault::FileFault;
use super::file::File;
use super::tables::Tables;
use crate::store::StoreError;

/// How many jobs may wait, and how many share a transaction.
const JOBS_MAX: usize = 256;

/// A write that a caller waits for.
pub(super) trait WriteJob: Send {
    /// Makes the changes, in a transaction that other jobs share.
    fn write(&mut self, tables: &mut Tables<'_>) -> Result<(), FileFault>;

    /// Reports the outcome: the changes are on disk, or the transaction failed.
    fn answer(self: Box<Self>, committed: Result<(), &StoreError>);
}

/// A job that does `work`, and the receiver of its outcome.
pub(super) fn job<T, J>(work: J) -> (Box<dyn WriteJob>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    J: FnOnce(&mut Tables<'_>) -> Result<T, FileFault> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    (Box::new(Job { work: Some(work), outcome: None, answer }), answered)
}

struct Job<J, T> {
    work: Option<J>,
    outcome: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, J> WriteJob for Job<J, T>
where
    T: Send,
    J: FnOnce(&mut Tables<'_>) -> Result<T, FileFault> + Send,
{
    fn write(&mut self, tables: &mut Tables<'_>) -> Result<(), FileFault> {
        if let Some(work) = self.work.take() {
            self.outcome = Some(work(tables)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), &StoreError>) {
        let Self { work: _, outcome, answer } = *self;
        // A caller that no longer waits needs no answer: the change is made.
        match (committed, outcome) {
            (Ok(()), Some(outcome)) => drop(answer.send(Ok(outcome))),
            (Ok(()), None) => {}
            (Err(error), _) => drop(answer.send(Err(error.clone()))),
        }
    }
}

/// The thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn WriteJob>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which notifies `ring` after every append to the log.
    pub(super) fn start(file: Arc<File>, ring: watch::Sender<()>) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || run(&file, waiting, &ring))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Takes a job, once there is room for it.
    pub(super) async fn take(
        &self,
        job: Box<dyn WriteJob>,
    ) -> Result<(), SendError<Box<dyn WriteJob>>> {
        match &self.jobs {
            Some(jobs) => jobs.send(job).await,
            None => Err(SendError(job)),
        }
    }

    /// Stops the thread, after the jobs that it already has.
    pub(super) fn stop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, standard error has the message, and there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn run(file: &File, mut jobs: mpsc::Receiver<Box<dyn WriteJob>>, ring: &watch::Sender<()>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < JOBS_MAX
            && let Ok(next) = jobs.try_recv()
        {
            batch.push(next);
        }
        let committed = file.with(|database| commit(&mut batch, database));
        if let Ok(Log::Grown) = committed {
            ring.send_replace(());
        }
        for job in batch {
            job.answer(committed.as_ref().map(|_| ()));
        }
    }
}

/// The effect of a transaction on the log.
enum Log {
    Grown,
    Same,
}

/// Does the jobs of a batch. When this returns, they are on disk.
fn commit(batch: &mut [Box<dyn WriteJob>], database: &Database) -> Result<Log, FileFault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut tables = Tables::open(&transaction)?;
    for job in batch {
        job.write(&mut tables)?;
    }
    let is_changed = tables.is_changed();
    let log = if tables.log.has_grown() { Log::Grown } else { Log::Same };
    drop(tables);
    if is_changed {
        transaction.commit()?;
    } else {
        // Writes to a full log must not keep the disk busy, and neither must clients that try to
        // log in too often.
        transaction.abort()?;
    }
    Ok(log)
}

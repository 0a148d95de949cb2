//! The one thread that writes. Whatever waits for it shares a transaction: the disk is waited for
//! once for each.

use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Database, Durability};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::file::{Fault, File};
use super::log::{PRUNED_AT_ONCE_MAX, WriteLog};
use crate::gate::time::UnixTime;
use crate::store::{AppendBounds, AppendError, Position, StoreError};

/// How many orders may wait, and how many share a transaction.
const ORDERS_MAX: usize = 256;

/// Something to be written.
#[derive(Debug)]
pub(super) enum Order {
    Append(Append),
    Prune(Prune),
}

/// A record is to be appended.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) json: String,
    pub(super) mark: u64,
    pub(super) expires: UnixTime,
    pub(super) bounds: AppendBounds,
    pub(super) answer: oneshot::Sender<Result<Position, AppendError>>,
}

/// At most [`PRUNED_AT_ONCE_MAX`] records are to go; the answer is how many went.
#[derive(Debug)]
pub(super) struct Prune {
    pub(super) now: UnixTime,
    pub(super) answer: oneshot::Sender<Result<u64, StoreError>>,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Writer {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; it rings after every append.
    pub(super) fn start(file: Arc<File>, ring: watch::Sender<()>) -> std::io::Result<Self> {
        let (orders, waiting) = mpsc::channel(ORDERS_MAX);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || run(&file, waiting, &ring))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Takes an order, once there is room for it.
    pub(super) async fn take(&self, order: Order) -> Result<(), SendError<Order>> {
        match &self.orders {
            Some(orders) => orders.send(order).await,
            None => Err(SendError(order)),
        }
    }

    /// Ends the thread, after what it was already given.
    pub(super) fn stop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that was told on standard error, and there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn run(file: &File, mut orders: mpsc::Receiver<Order>, ring: &watch::Sender<()>) {
    while let Some(first) = orders.blocking_recv() {
        let mut batch = Batch::default();
        batch.add(first);
        while batch.len() < ORDERS_MAX
            && let Ok(next) = orders.try_recv()
        {
            batch.add(next);
        }
        match file.with(|database| batch.commit(database)) {
            Ok(outcome) => {
                if outcome.appended.iter().any(Result::is_ok) {
                    ring.send_replace(());
                }
                batch.answer(outcome);
            }
            Err(error) => batch.refuse(&error),
        }
    }
}

/// What shares a transaction.
#[derive(Default)]
struct Batch {
    prunes: Vec<Prune>,
    appends: Vec<Append>,
}

/// What became of a batch, in its order.
struct Outcome {
    pruned: Vec<u64>,
    appended: Vec<Result<Position, AppendError>>,
}

impl Batch {
    fn add(&mut self, order: Order) {
        match order {
            Order::Append(append) => self.appends.push(append),
            Order::Prune(prune) => self.prunes.push(prune),
        }
    }

    fn len(&self) -> usize {
        self.prunes.len() + self.appends.len()
    }

    /// Does what was ordered. When this returns, it is on disk.
    fn commit(&self, database: &Database) -> Result<Outcome, Fault> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let mut log = WriteLog::open(&transaction)?;
        let prune = |prune: &Prune| log.prune(prune.now, PRUNED_AT_ONCE_MAX);
        let pruned = self.prunes.iter().map(prune).collect::<Result<_, _>>()?;
        let append = |Append { json, mark, expires, bounds, answer: _ }: &Append| {
            let sequence = log.append(json, *expires, *bounds)?;
            let position = |sequence| Position { sequence, mark: Some(*mark) };
            Ok(sequence.map(position).ok_or(AppendError::Full))
        };
        let appended = self.appends.iter().map(append).collect::<Result<_, Fault>>()?;
        let is_changed = log.is_changed();
        drop(log);
        if is_changed {
            transaction.commit()?;
        } else {
            // A full log that is written to all the same must not keep the disk busy.
            transaction.abort()?;
        }
        Ok(Outcome { pruned, appended })
    }

    // Whoever does not wait any more needs no answer: what was ordered is done.

    fn answer(self, Outcome { pruned, appended }: Outcome) {
        for (prune, count) in self.prunes.into_iter().zip(pruned) {
            let _ = prune.answer.send(Ok(count));
        }
        for (append, outcome) in self.appends.into_iter().zip(appended) {
            let _ = append.answer.send(outcome);
        }
    }

    fn refuse(self, error: &StoreError) {
        for prune in self.prunes {
            let _ = prune.answer.send(Err(error.clone()));
        }
        for append in self.appends {
            let _ = append.answer.send(Err(error.clone().into()));
        }
    }
}

//! Keeps revocations that were accepted while the store was unavailable, until they are delivered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::store::record::Record;

/// How many may wait.
const PENDING_MAX: usize = 10_000;

/// There is no room.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoRoom;

/// The revocations that wait to be delivered.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: Mutex<VecDeque<Record>>,
    grown: Notify,
}

impl Pending {
    /// Adds one.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if too many wait.
    pub(super) fn push(&self, record: Record) -> Result<(), NoRoom> {
        let mut waiting = self.waiting();
        if waiting.len() >= PENDING_MAX {
            return Err(NoRoom);
        }
        waiting.push_back(record);
        self.grown.notify_one();
        Ok(())
    }

    /// Waits for one, and leaves it where it is.
    pub(super) async fn first(&self) -> Record {
        loop {
            if let Some(record) = self.waiting().front() {
                return record.clone();
            }
            self.grown.notified().await;
        }
    }

    /// Takes the first one off, if that is still `record`.
    pub(super) fn delivered(&self, record: &Record) {
        let mut waiting = self.waiting();
        if waiting.front() == Some(record) {
            waiting.pop_front();
        }
    }

    /// Moves the first one behind the others, if that is still `record`.
    pub(super) fn postpone(&self, record: &Record) {
        let mut waiting = self.waiting();
        if waiting.front() == Some(record) {
            waiting.rotate_left(1);
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> i64 {
        i64::try_from(self.waiting().len()).unwrap_or(i64::MAX)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

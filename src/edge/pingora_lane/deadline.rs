//! How long one operation on a connection may take.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::edge::deferrable_timer::DeferrableTimer;

/// How long one operation may take.
#[derive(Debug)]
pub(super) struct Deadline {
    /// `None` for no bound.
    timeout: Option<Duration>,
    /// When the operation that is waited for has to be done.
    until: Option<Instant>,
    timer: DeferrableTimer,
}

impl Deadline {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, until: None, timer: DeferrableTimer::default() }
    }

    /// From now on any operation may take as long as it likes.
    pub(super) fn lift(&mut self) {
        self.timeout = None;
    }

    /// What becomes of an operation: it is done, or has to wait, or has waited for too long.
    pub(super) fn bound<T>(
        &mut self,
        operation: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let Some(timeout) = self.timeout.filter(|_| operation.is_pending()) else {
            self.until = None;
            return operation;
        };
        let until = *self.until.get_or_insert_with(|| Instant::now() + timeout);
        self.timer.poll(context, until).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

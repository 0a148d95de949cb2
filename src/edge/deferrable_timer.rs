//! A timer for a time that is mostly put off before it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// A timer of a poll function. It holds nothing before it is first needed.
#[derive(Debug, Default)]
pub(super) struct DeferrableTimer(Option<Pin<Box<Sleep>>>);

impl DeferrableTimer {
    /// Ready at `until`, which may be another time at each call. A later one costs nothing: the
    /// timer is set again when it fires too early, and not each time that something came.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, until: Instant) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        while timer.as_mut().poll(context).is_ready() {
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

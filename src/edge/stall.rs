//! How long a client may leave what it is sent untaken.
//!
//! Only time in which bytes wait for the client counts: a WebSocket or an event stream on which there is
//! nothing to say may be silent for as long as it likes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::pace::Pace;
use crate::config::Limits;

/// Watches the writes to one client.
#[derive(Debug)]
pub(super) struct Stall {
    pace: Pace,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// A connection that begins now.
    pub(super) fn new(limits: &Limits) -> Self {
        Self { pace: Pace::begin(limits.send_pace, Instant::now()), alarm: None }
    }

    /// What becomes of a write: `taken` bytes are gone, or it has to wait, or it waited for too long.
    pub(super) fn bound<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Ok(done)) => {
                if self.pace.is_waiting() {
                    self.pace.arrived(taken(done), Instant::now);
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => self.poll_late(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Ready when the client is late.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = self.pace.wait(Instant::now());
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if alarm.deadline() != until {
            alarm.as_mut().reset(until);
        }
        alarm.as_mut().poll(context)
    }
}

//! How long a client may leave what it is sent untaken.
//!
//! Only time in which bytes wait for the client counts: a WebSocket or an event stream on which there is
//! nothing to say may be silent for as long as it likes.

use std::io;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::pace::Pace;
use crate::config::Limits;
use crate::edge::deferrable_timer::DeferrableTimer;

/// Watches the writes to one client.
#[derive(Debug)]
pub(in crate::edge) struct SendWatch {
    pace: Pace,
    timer: DeferrableTimer,
}

impl SendWatch {
    /// A connection that begins now.
    pub(in crate::edge) fn new(limits: &Limits) -> Self {
        Self {
            pace: Pace::begin(limits.send_pace, Instant::now()),
            timer: DeferrableTimer::default(),
        }
    }

    /// What becomes of a write: `taken` bytes are gone, or it has to wait, or it waited for too long.
    pub(in crate::edge) fn bound<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Ok(done)) => {
                // Also what is taken without a wait: it pays for the next one.
                self.pace.arrived(taken(done), Instant::now);
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => self.poll_late(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Ready when the client is late.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = self.pace.wait(Instant::now());
        self.timer.poll(context, until)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::*;
    use crate::config::PaceRules;

    const RULES: PaceRules =
        PaceRules { timeout: Duration::from_millis(600), rate: 1000, deadline: None };

    /// Lets the gateway wait, twenty times for 50 ms. Each time, so many pieces of ten bytes are taken.
    async fn is_given_up(pieces: usize) -> bool {
        let mut watch = SendWatch {
            pace: Pace::begin(RULES, Instant::now()),
            timer: DeferrableTimer::default(),
        };
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..20 {
            let blocked = Poll::<io::Result<usize>>::Pending;
            if watch.bound(blocked, |taken| *taken, &mut context).is_ready() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            let blocked = Poll::<io::Result<usize>>::Pending;
            if watch.bound(blocked, |taken| *taken, &mut context).is_ready() {
                return true;
            }
            for _ in 0..pieces {
                let taken = watch.bound(Poll::Ready(Ok(10)), |taken| *taken, &mut context);
                assert!(taken.is_ready());
            }
        }
        false
    }

    #[tokio::test]
    async fn every_byte_that_is_taken_counts_and_not_only_what_ends_a_wait() {
        assert!(!is_given_up(100).await, "20,000 bytes in some seconds");
        assert!(is_given_up(1).await, "200 bytes in a second");
    }
}

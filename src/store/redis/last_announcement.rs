//! Says whether the server must still have what this gateway announced.

use std::sync::{Mutex, PoisonError};

use crate::gate::time::SteadyTime;
use crate::store::GATEWAY_FORGOTTEN_AFTER_MS;

/// When a server last took down what this gateway told, and in which epoch. It must be there for a
/// while. Another server may lack it, and all that it lacks is asked for elsewhere (`await_complete`).
#[derive(Default)]
pub(super) struct LastAnnouncement(Mutex<Option<(SteadyTime, u64)>>);

impl LastAnnouncement {
    /// Whether the server cannot have forgotten it of its own accord.
    pub(super) fn must_be_there(&self, now: SteadyTime, epoch: u64) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|(at, of)| {
            of == epoch && now.millis_since(at) < GATEWAY_FORGOTTEN_AFTER_MS / 2
        })
    }

    /// The server has taken it down at this time or later.
    pub(super) fn is_there(&self, since: SteadyTime, epoch: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, epoch));
    }
}

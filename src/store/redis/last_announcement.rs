//! Decides whether the server must still have this gateway's announcement.

use std::sync::{Mutex, PoisonError};

use crate::gate::time::SteadyTime;
use crate::store::GATEWAY_FORGOTTEN_AFTER_MS;

/// When a server last stored this gateway's announcement, and in which epoch. The announcement must
/// be there for a while. Another server may lack it, and `await_complete` deals with all that such
/// a server lacks.
#[derive(Default)]
pub(super) struct LastAnnouncement(Mutex<Option<(SteadyTime, u64)>>);

impl LastAnnouncement {
    /// Whether the server must still have it, unless it lost data.
    pub(super) fn must_be_there(&self, now: SteadyTime, epoch: u64) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|(at, of)| {
            of == epoch && now.millis_since(at) < GATEWAY_FORGOTTEN_AFTER_MS / 2
        })
    }

    /// Records that the server stored it at this time or later.
    pub(super) fn is_there(&self, since: SteadyTime, epoch: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, epoch));
    }
}

//! Goes by a store only once it has all that it had.
//!
//! A store that comes back with older data has forgotten who was cut off. Those who know better write
//! it down again; until they have, or were waited for long enough, no read of it is contact, neither for
//! a gateway that starts nor for one that was there.

use std::sync::atomic::Ordering;

use super::RevocationFeed;
use crate::clock;
use crate::gate::time::SteadyTime;
use crate::store::{COMPLETE_WITHIN_MS, Knows, StoreError};

/// In no epoch.
pub(super) const NEVER: u64 = u64::MAX;

/// When a read began, and whether the store had then all that it had.
#[derive(Clone, Copy, Debug)]
pub(super) struct BegunRead {
    pub(super) at: SteadyTime,
    epoch: u64,
    is_complete: bool,
}

impl RevocationFeed {
    /// Before a read: asks whether the store has all that it had, if that is not known, and tells it what
    /// this gateway knows.
    pub(super) async fn begin_read(&self) -> Result<BegunRead, StoreError> {
        let is_complete = self.fleet.is_complete() || self.ask_complete().await?;
        let counter = &self.store_metrics.server_changes;
        counter.inc_by(self.fleet.server_changes().saturating_sub(counter.get()));
        Ok(BegunRead { at: clock::steady(), epoch: self.fleet.epoch(), is_complete })
    }

    async fn ask_complete(&self) -> Result<bool, StoreError> {
        if !self.is_asking.swap(true, Ordering::AcqRel) {
            // An earlier reading does not show what is missing now.
            self.read_in.store(NEVER, Ordering::Release);
            self.has_reminded.store(false, Ordering::Release);
        }
        let mut knows = self.knows();
        if knows == Knows::NoMore && !self.has_reminded.load(Ordering::Acquire) {
            // Those that the store has forgotten may know more.
            match self.remind().await {
                Ok(()) => self.has_reminded.store(true, Ordering::Release),
                // This gateway still knows what the store refuses to write.
                Err(StoreError::Refused(_)) => knows = Knows::More,
                Err(error) => return Err(error),
            }
        }
        let asking = self.fleet.ask_complete(&self.instance, knows);
        let is_complete = self.timed("settle", asking).await?;
        self.is_asking.store(!is_complete, Ordering::Release);
        let was_waiting = self.is_waiting.swap(!is_complete, Ordering::Relaxed);
        match (was_waiting, is_complete) {
            (false, false) => tracing::warn!(
                longest_s = COMPLETE_WITHIN_MS / 1000,
                "the store was started again, is another one, or has lost data: waiting for the \
                 gateways that may know what it lacks"
            ),
            (true, true) => tracing::info!("the store has every revocation that the gateways know"),
            (false, true) | (true, false) => {}
        }
        Ok(is_complete)
    }

    /// Whether gateways are waited for that may know what the store lacks.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// Whether this gateway knows something that the store may have lost.
    fn knows(&self) -> Knows {
        let is_new = !*self.in_contact.borrow();
        let recent = self.recent();
        let now = clock::moment();
        let has_read = self.read_in.load(Ordering::Acquire) == self.fleet.epoch();
        let is_missing = !recent.missing(now).is_empty() || recent.next_again(now.wall).is_some();
        match (has_read && !is_missing, is_new) {
            (true, false) => Knows::NoMore,
            // It may be the last to know what it has loaded.
            (false, true) if !recent.is_empty() => Knows::More,
            (_, true) => Knows::Nothing,
            (false, false) => Knows::More,
        }
    }

    /// The log was read to its end, or all of it was loaded, since then. Whether that is contact.
    pub(super) fn end_read(&self, begun: BegunRead) -> bool {
        let BegunRead { at, epoch, is_complete } = begun;
        let is_same = self.fleet.epoch() == epoch;
        let is_contact = is_same && is_complete && self.fleet.is_complete();
        if is_contact {
            self.was_in_contact(at);
        }
        // The missing records were found.
        self.read_in.store(if is_same { epoch } else { NEVER }, Ordering::Release);
        is_contact
    }

    /// The log lost records: what was read before says nothing of what it lacks.
    pub(super) fn found_loss(&self) {
        self.read_in.store(NEVER, Ordering::Release);
        self.fleet.doubt();
    }
}

//! Trusts a store only once it is complete: once it has everything that it had before.
//!
//! A store that comes back with older data has lost revocations. The gateways that know these write
//! them again. Until they have done so, or the wait for them has ended, no read of the store counts
//! as contact, neither for a gateway that starts nor for one that was running.

use std::sync::atomic::Ordering;

use super::RevocationFeed;
use crate::clock;
use crate::gate::time::SteadyTime;
use crate::store::{COMPLETE_WITHIN_MS, Knows, StoreError};

/// No epoch.
pub(super) const NEVER: u64 = u64::MAX;

/// When a read began, and whether the store was complete at that time.
#[derive(Clone, Copy, Debug)]
pub(super) struct BegunRead {
    pub(super) at: SteadyTime,
    epoch: u64,
    is_complete: bool,
}

impl RevocationFeed {
    /// Called before a read. If it is unknown whether the store is complete, asks it, and reports
    /// what this gateway knows.
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
            // The gateways that the store has forgotten may know more.
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

    /// Whether gateways that may know what the store lacks are still awaited.
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
            // This gateway may be the last that knows what it has loaded.
            (false, true) if !recent.is_empty() => Knows::More,
            (_, true) => Knows::Nothing,
            (false, false) => Knows::More,
        }
    }

    /// Called after the log was read to its end or loaded in full since `begun`. Returns whether
    /// that is contact.
    pub(super) fn end_read(&self, begun: BegunRead) -> bool {
        let BegunRead { at, epoch, is_complete } = begun;
        let is_same = self.fleet.epoch() == epoch;
        let is_contact = is_same && is_complete && self.fleet.is_complete();
        if is_contact {
            self.was_in_contact(at);
        }
        // If the epoch is the same, the read has shown which records are missing.
        self.read_in.store(if is_same { epoch } else { NEVER }, Ordering::Release);
        is_contact
    }

    /// The log lost records: earlier reads do not show what it lacks.
    pub(super) fn found_loss(&self) {
        self.read_in.store(NEVER, Ordering::Release);
        self.fleet.doubt();
    }
}

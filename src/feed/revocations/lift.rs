//! Lifts revocations that an operator made by mistake.
//!
//! A lifted revocation stays lifted, even if it is written again: a lift names revocations by their
//! unique ids. So neither a log that lost the lift nor a partitioned gateway brings it back.

use super::RevocationFeed;
use crate::clock;
use crate::gate::revocation::{Lifted, RevocationId, Scope};
use crate::store::record::Record;
use crate::store::{LiftPremise, Position, StoreError};

/// What this gateway knows of the revocations to be lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liftable {
    /// These are live. At least one.
    Live(Vec<Record>),
    /// They have been lifted.
    Lifted,
    /// There are none, or not any more.
    Absent,
}

impl RevocationFeed {
    /// The revocation of this id, as the store has it.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or the list was never loaded.
    pub async fn liftable(&self, id: RevocationId) -> Result<Liftable, StoreError> {
        self.has_loaded()?;
        let known = self.writer().find_liftable(id);
        self.live(known.as_slice()).await
    }

    /// The revocations of this scope that can be lifted, as the store has them.
    ///
    /// # Errors
    ///
    /// As [`liftable`](Self::liftable).
    pub async fn liftable_of(&self, scope: &Scope) -> Result<Liftable, StoreError> {
        self.has_loaded()?;
        let known = self.writer().liftable(scope);
        self.live(&known).await
    }

    async fn live(&self, known: &[Lifted]) -> Result<Liftable, StoreError> {
        if known.is_empty() {
            return Ok(Liftable::Absent);
        }
        // Not read from memory: a lifted revocation may be back in a store that lost the lift.
        let mut records = self.timed("find_liftable", self.log.find_liftable(known)).await?;
        records.sort_by_key(Record::id);
        records.dedup_by_key(|record| record.id());
        if !records.is_empty() {
            return Ok(Liftable::Live(records));
        }
        let writer = self.writer();
        let were_lifted = known.iter().all(|one| writer.is_lifted(one.id));
        Ok(if were_lifted { Liftable::Lifted } else { Liftable::Absent })
    }

    fn has_loaded(&self) -> Result<(), StoreError> {
        let loaded = self.applied.borrow().is_some();
        let why = || StoreError::Unavailable("the revocation list has not been loaded".to_owned());
        loaded.then_some(()).ok_or_else(why)
    }

    /// Writes a lift to the log and applies it at this gateway. Returns its position, or `None` if
    /// none of its revocations is live any more. A lift is never only local: no other gateway would
    /// know of it.
    ///
    /// # Errors
    ///
    /// If the store cannot be written. The lift may have been written anyway.
    pub async fn lift(&self, lift: Record) -> Result<Option<u64>, StoreError> {
        let position = self.lift_durably(&lift, LiftPremise::IsLive).await?;
        if position.is_some() {
            self.enforce(&lift);
        }
        Ok(position.map(|position| position.sequence))
    }

    /// Appends a lift to the log, and remembers it; `None` if `premise` does not hold.
    pub(super) async fn lift_durably(
        &self,
        lift: &Record,
        premise: LiftPremise,
    ) -> Result<Option<Position>, StoreError> {
        let lifting = self.log.lift(lift, premise, clock::now());
        let position = self.timed("lift", lifting).await?;
        if position.is_some() {
            self.recent().wrote(lift.clone(), clock::steady());
        }
        Ok(position)
    }

    /// Applies a record at this gateway.
    pub(super) fn enforce(&self, record: &Record) {
        let Record { entry, lifts, .. } = record;
        let now = clock::now();
        if !record.is_lift() {
            return match record.liftable_id() {
                Some(id) => self.writer().apply_liftable(entry, id, now),
                None => self.writer().apply(entry, now),
            };
        }
        if self.writer().has_any(&entry.scope, lifts) {
            // Sessions that were revoked are gone from the store, but may still be in memory.
            let configuration = self.configuration.load();
            let gate = &configuration.gate;
            gate.sessions.table.cut_off_changed(&gate.revocations, clock::moment());
        }
        self.writer().lift(&entry.scope, lifts, now);
    }

    /// Whether it is a revocation that was lifted.
    pub(super) fn was_lifted(&self, record: &Record) -> bool {
        record.liftable_id().is_some_and(|id| self.writer().is_lifted(id))
    }
}

//! The used one-time values in their tables, in one transaction.

use redb::{ReadableTable, Table, TableDefinition, TableHandle, WriteTransaction};

use crate::gate::time::UnixTime;
use crate::store::embedded::fault::FileFault;
use crate::store::one_time::ONE_TIME_MARGIN_S;

/// By key: until when it must be remembered.
const SPENT: TableDefinition<&str, i64> = TableDefinition::new("spent");

/// Until when a value must be remembered, and its key.
const BY_EXPIRY: TableDefinition<(i64, &str), ()> = TableDefinition::new("spent_by_expiry");

/// The names of the tables.
pub(in crate::store::embedded) fn names() -> [&'static str; 2] {
    [SPENT.name(), BY_EXPIRY.name()]
}

/// The used one-time values, in a write transaction.
pub(in crate::store::embedded) struct WriteSpent<'t> {
    spent: Table<'t, &'static str, i64>,
    by_expiry: Table<'t, (i64, &'static str), ()>,
    is_changed: bool,
}

impl<'t> WriteSpent<'t> {
    /// Opens the tables, and creates missing ones.
    pub(in crate::store::embedded) fn open(
        transaction: &'t WriteTransaction,
    ) -> Result<Self, FileFault> {
        Ok(Self {
            spent: transaction.open_table(SPENT)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            is_changed: false,
        })
    }

    /// Whether anything was written.
    pub(in crate::store::embedded) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Records the use of a value; returns whether it is the first.
    pub(in crate::store::embedded) fn spend(
        &mut self,
        key: &str,
        until: UnixTime,
    ) -> Result<bool, FileFault> {
        if self.spent.get(key)?.is_some() {
            return Ok(false);
        }
        let until = until.as_seconds();
        self.spent.insert(key, until)?;
        self.by_expiry.insert((until, key), ())?;
        self.is_changed = true;
        Ok(true)
    }

    /// Forgets values that need not be remembered any more; returns how many.
    pub(in crate::store::embedded) fn prune(
        &mut self,
        now: UnixTime,
        at_most: usize,
    ) -> Result<usize, FileFault> {
        let last = now.plus(-ONE_TIME_MARGIN_S).as_seconds();
        let mut forgotten = Vec::new();
        // The keys of the next second begin with the empty key.
        for entry in self.by_expiry.range(..(last.saturating_add(1), ""))?.take(at_most) {
            let entry = entry?.0;
            let (until, key) = entry.value();
            forgotten.push((until, key.to_owned()));
        }
        for (until, key) in &forgotten {
            self.by_expiry.remove((*until, key.as_str()))?;
            self.spent.remove(key.as_str())?;
            self.is_changed = true;
        }
        Ok(forgotten.len())
    }
}

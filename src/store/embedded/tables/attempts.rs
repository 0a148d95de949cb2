//! The ledger of attempts in its tables, in one transaction.

use redb::{ReadableTable, Table, TableDefinition, TableHandle, WriteTransaction};

use crate::gate::time::UnixTime;
use crate::store::attempts::{Attempt, AttemptAccount};
use crate::store::embedded::fault::FileFault;

/// By account: how many attempts were made, when the last one was, and when they are forgotten.
const MADE: TableDefinition<&str, (u32, i64, i64)> = TableDefinition::new("attempts");

/// When an account's attempts are forgotten, and the account.
const BY_EXPIRY: TableDefinition<(i64, &str), ()> = TableDefinition::new("attempts_by_expiry");

/// The names of the tables.
pub(in crate::store::embedded) fn names() -> [&'static str; 2] {
    [MADE.name(), BY_EXPIRY.name()]
}

/// The attempts, in a write transaction.
pub(in crate::store::embedded) struct WriteAttempts<'t> {
    made: Table<'t, &'static str, (u32, i64, i64)>,
    by_expiry: Table<'t, (i64, &'static str), ()>,
    is_changed: bool,
}

/// An account's attempts, as they are stored.
#[derive(Clone, Copy)]
struct AttemptEntry {
    made: u32,
    last: i64,
    expires: i64,
}

impl<'t> WriteAttempts<'t> {
    /// Opens the ledger, and creates missing tables.
    pub(in crate::store::embedded) fn open(
        transaction: &'t WriteTransaction,
    ) -> Result<Self, FileFault> {
        Ok(Self {
            made: transaction.open_table(MADE)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            is_changed: false,
        })
    }

    /// Whether anything was written.
    pub(in crate::store::embedded) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Counts an attempt against all accounts, or none.
    pub(in crate::store::embedded) fn attempt(
        &mut self,
        accounts: &[AttemptAccount],
        now: UnixTime,
    ) -> Result<Attempt, FileFault> {
        let now = now.as_seconds();
        let mut wait_s = 0;
        let mut counted = Vec::with_capacity(accounts.len());
        for account in accounts {
            let AttemptAccount { key, budget, pace: _ } = account;
            let span_s = i64::from(budget.span_s);
            let next =
                |made: u32| AttemptEntry { made, last: now, expires: now.saturating_add(span_s) };
            let Some(entry) = self.entry(key)? else {
                counted.push((account, next(1)));
                continue;
            };
            let mut last = entry.last;
            if last > now {
                // The clock was set back: the last attempt counts as made just now. Otherwise
                // clients would have to wait until the clock has caught up.
                last = now;
                self.put(key, next(entry.made))?;
            }
            let made = if now.saturating_sub(last) < span_s { entry.made } else { 0 };
            let may_be = last.saturating_add(i64::from(account.delay_s(made)));
            wait_s = wait_s.max(may_be.saturating_sub(now));
            counted.push((account, next(made.saturating_add(1))));
        }
        if wait_s > 0 {
            return Ok(Attempt::Early(u32::try_from(wait_s).unwrap_or(u32::MAX)));
        }
        for (account, entry) in counted {
            self.put(&account.key, entry)?;
        }
        Ok(Attempt::Counted)
    }

    /// Forgets all attempts against some accounts, and one attempt against each of the others.
    pub(in crate::store::embedded) fn absolve(
        &mut self,
        forgotten: &[AttemptAccount],
        returned: &[AttemptAccount],
    ) -> Result<(), FileFault> {
        for account in forgotten {
            self.forget(&account.key)?;
        }
        for account in returned {
            match self.entry(&account.key)? {
                Some(entry @ AttemptEntry { made: 2.., .. }) => {
                    self.put(&account.key, AttemptEntry { made: entry.made - 1, ..entry })?;
                }
                Some(AttemptEntry { made: 0..2, .. }) => self.forget(&account.key)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Forgets accounts whose last attempt was long enough ago; returns how many.
    pub(in crate::store::embedded) fn prune(
        &mut self,
        now: UnixTime,
        at_most: usize,
    ) -> Result<usize, FileFault> {
        let mut spent = Vec::new();
        // The keys of the next second begin with the empty name.
        let end = (now.as_seconds().saturating_add(1), "");
        for entry in self.by_expiry.range(..end)?.take(at_most) {
            spent.push(entry?.0.value().1.to_owned());
        }
        for key in &spent {
            self.forget(key)?;
        }
        Ok(spent.len())
    }

    fn entry(&self, key: &str) -> Result<Option<AttemptEntry>, FileFault> {
        Ok(self.made.get(key)?.map(|entry| {
            let (made, last, expires) = entry.value();
            AttemptEntry { made, last, expires }
        }))
    }

    fn put(&mut self, key: &str, entry: AttemptEntry) -> Result<(), FileFault> {
        self.forget(key)?;
        let AttemptEntry { made, last, expires } = entry;
        self.made.insert(key, (made, last, expires))?;
        self.by_expiry.insert((expires, key), ())?;
        self.is_changed = true;
        Ok(())
    }

    fn forget(&mut self, key: &str) -> Result<(), FileFault> {
        if let Some(AttemptEntry { expires, .. }) = self.entry(key)? {
            self.made.remove(key)?;
            self.by_expiry.remove((expires, key))?;
            self.is_changed = true;
        }
        Ok(())
    }
}

//! Keeps the account of each record of the log, in one transaction.

use redb::{ReadableTable, Table, TableDefinition, TableHandle, WriteTransaction};

use crate::store::account::{Cut, Span};
use crate::store::embedded::fault::FileFault;

/// A subject's digest, and an entry's kind, time and sequence.
type AccountKey<'a> = (&'a [u8; 32], u8, i64, u64);

/// When an entry expires.
const BY_OWNER: TableDefinition<AccountKey<'_>, i64> = TableDefinition::new("revocations_by_owner");

/// By sequence: the rest of the key.
const OWNERS: TableDefinition<u64, (&[u8; 32], u8, i64)> =
    TableDefinition::new("revocations_owners");

/// The names of the tables.
pub(super) fn names() -> [&'static str; 2] {
    [BY_OWNER.name(), OWNERS.name()]
}

/// The kind of an entry, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountEntryKind {
    Single = 0,
    Grants = 1,
    Subject = 2,
}

impl From<Cut> for AccountEntryKind {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Grants => Self::Grants,
            Cut::Subject => Self::Subject,
        }
    }
}

/// A record of a subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccountEntry {
    pub(super) sequence: u64,
    pub(super) span: Span,
}

/// The accounts and their entries, in a write transaction.
pub(super) struct WriteAccountEntries<'t> {
    by_owner: Table<'t, AccountKey<'static>, i64>,
    owners: Table<'t, u64, (&'static [u8; 32], u8, i64)>,
}

impl<'t> WriteAccountEntries<'t> {
    /// Opens the tables, and creates missing ones.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, FileFault> {
        Ok(Self {
            by_owner: transaction.open_table(BY_OWNER)?,
            owners: transaction.open_table(OWNERS)?,
        })
    }

    /// The records of a subject of this kind, the earliest first.
    pub(super) fn of(
        &self,
        subject: &[u8; 32],
        kind: AccountEntryKind,
    ) -> Result<Vec<AccountEntry>, FileFault> {
        let kind = kind as u8;
        let all = (subject, kind, i64::MIN, u64::MIN)..=(subject, kind, i64::MAX, u64::MAX);
        let mut owned = Vec::new();
        for entry in self.by_owner.range(all)? {
            let (key, expires) = entry?;
            let (_, _, dated, sequence) = key.value();
            owned.push(AccountEntry { sequence, span: Span { dated, expires: expires.value() } });
        }
        Ok(owned)
    }

    /// Adds a record to its account.
    pub(super) fn note(
        &mut self,
        subject: &[u8; 32],
        kind: AccountEntryKind,
        AccountEntry { sequence, span: Span { dated, expires } }: AccountEntry,
    ) -> Result<(), FileFault> {
        self.by_owner.insert((subject, kind as u8, dated, sequence), expires)?;
        self.owners.insert(sequence, (subject, kind as u8, dated))?;
        Ok(())
    }

    /// Removes a record that is dropped from its account, if it has one.
    pub(super) fn forget(&mut self, sequence: u64) -> Result<(), FileFault> {
        let Some(owner) = self.owners.remove(sequence)? else { return Ok(()) };
        let (subject, kind, dated) = owner.value();
        self.by_owner.remove((subject, kind, dated, sequence))?;
        Ok(())
    }
}

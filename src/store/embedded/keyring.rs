//! The gateway's own signing keys in their table, inside one transaction.

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, TableHandle, WriteTransaction};

use super::file::Fault;

/// The document, if there is one.
const RING: TableDefinition<(), &[u8]> = TableDefinition::new("keyring");

/// The names of the tables.
pub(super) fn names() -> [&'static str; 1] {
    [RING.name()]
}

/// The document as it was when the transaction began.
pub(super) fn ring(transaction: &ReadTransaction) -> Result<Option<Vec<u8>>, Fault> {
    Ok(transaction.open_table(RING)?.get(())?.map(|ring| ring.value().to_vec()))
}

/// The document, being written.
pub(super) struct WriteKeyRing<'t> {
    ring: Table<'t, (), &'static [u8]>,
    is_changed: bool,
}

impl<'t> WriteKeyRing<'t> {
    /// The document; its table is made if it is not there.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self { ring: transaction.open_table(RING)?, is_changed: false })
    }

    /// Whether anything was written.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Replaces the document, if it is as expected; whether it is `ring` now.
    pub(super) fn replace(&mut self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, Fault> {
        let held = self.ring.get(())?.map(|held| held.value().to_vec());
        let held = held.as_deref();
        if held == Some(ring) {
            return Ok(true);
        }
        if held != expected {
            return Ok(false);
        }
        self.ring.insert((), ring)?;
        self.is_changed = true;
        Ok(true)
    }
}

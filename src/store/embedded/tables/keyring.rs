//! The gateway's own signing keys, and the key of the tags in secrets, each in its table, in one
//! transaction.

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, TableHandle, WriteTransaction};

use crate::store::embedded::fault::FileFault;

/// The document, if there is one.
const RING: TableDefinition<(), &[u8]> = TableDefinition::new("keyring");

/// The key of the tags, if there is one.
const TAG_KEY: TableDefinition<(), &[u8]> = TableDefinition::new("tag_key");

/// The names of the tables.
pub(in crate::store::embedded) fn names() -> [&'static str; 2] {
    [RING.name(), TAG_KEY.name()]
}

/// The document as it was when the transaction began.
pub(in crate::store::embedded) fn ring(
    transaction: &ReadTransaction,
) -> Result<Option<Vec<u8>>, FileFault> {
    Ok(transaction.open_table(RING)?.get(())?.map(|ring| ring.value().to_vec()))
}

/// The key of the tags as it was when the transaction began.
pub(in crate::store::embedded) fn tag_key(
    transaction: &ReadTransaction,
) -> Result<Option<Vec<u8>>, FileFault> {
    Ok(transaction.open_table(TAG_KEY)?.get(())?.map(|key| key.value().to_vec()))
}

/// The document and the key, in a write transaction.
pub(in crate::store::embedded) struct WriteKeyRing<'t> {
    ring: Table<'t, (), &'static [u8]>,
    tag_key: Table<'t, (), &'static [u8]>,
    is_changed: bool,
}

impl<'t> WriteKeyRing<'t> {
    /// Opens the document and the key, and creates missing tables.
    pub(in crate::store::embedded) fn open(
        transaction: &'t WriteTransaction,
    ) -> Result<Self, FileFault> {
        let (ring, tag_key) = (transaction.open_table(RING)?, transaction.open_table(TAG_KEY)?);
        Ok(Self { ring, tag_key, is_changed: false })
    }

    /// Whether anything was written.
    pub(in crate::store::embedded) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Replaces the document, if it is the expected one; returns whether it is `ring` now.
    pub(in crate::store::embedded) fn replace(
        &mut self,
        expected: Option<&[u8]>,
        ring: &[u8],
    ) -> Result<bool, FileFault> {
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

    /// Stores a key of the tags, unless there is one; returns the one that is stored then.
    pub(in crate::store::embedded) fn keep_tag_key(
        &mut self,
        key: &[u8],
    ) -> Result<Vec<u8>, FileFault> {
        if let Some(held) = self.tag_key.get(())? {
            return Ok(held.value().to_vec());
        }
        self.tag_key.insert((), key)?;
        self.is_changed = true;
        Ok(key.to_vec())
    }
}

//! All the tables, inside one transaction that writes.

use std::collections::BTreeSet;

use redb::{ReadTransaction, TableHandle, WriteTransaction};

use super::attempts::{self, WriteAttempts};
use super::families::{self, WriteFamilies};
use super::file::Fault;
use super::keyring::{self, WriteKeyRing};
use super::log::{self, WriteLog};
use super::sessions::{self, WriteSessions};
use super::spent::{self, WriteSpent};

/// The tables, being written.
pub(super) struct Tables<'t> {
    pub(super) log: WriteLog<'t>,
    pub(super) sessions: WriteSessions<'t>,
    pub(super) attempts: WriteAttempts<'t>,
    pub(super) families: WriteFamilies<'t>,
    pub(super) spent: WriteSpent<'t>,
    pub(super) keyring: WriteKeyRing<'t>,
}

impl<'t> Tables<'t> {
    /// The tables; those are made that are not there.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            log: WriteLog::open(transaction)?,
            sessions: WriteSessions::open(transaction)?,
            attempts: WriteAttempts::open(transaction)?,
            families: WriteFamilies::open(transaction)?,
            spent: WriteSpent::open(transaction)?,
            keyring: WriteKeyRing::open(transaction)?,
        })
    }

    /// Whether anything was written.
    pub(super) fn is_changed(&self) -> bool {
        let Self { log, sessions, attempts, families, spent, keyring } = self;
        log.is_changed()
            || sessions.is_changed()
            || attempts.is_changed()
            || families.is_changed()
            || spent.is_changed()
            || keyring.is_changed()
    }
}

/// Whether all tables are there. Some are not if an earlier version wrote the file.
pub(super) fn are_complete(transaction: &ReadTransaction) -> Result<bool, Fault> {
    let there: BTreeSet<String> =
        transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    let names = log::names().into_iter().chain(sessions::names()).chain(attempts::names());
    let names = names.chain(families::names()).chain(spent::names()).chain(keyring::names());
    Ok(names.into_iter().all(|name| there.contains(name)))
}

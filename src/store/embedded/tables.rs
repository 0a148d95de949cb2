//! All the tables, inside one transaction that writes.

use std::collections::BTreeSet;

use redb::{ReadTransaction, TableHandle, WriteTransaction};

use super::attempts::{self, WriteAttempts};
use super::families::{self, WriteFamilies};
use super::file::Fault;
use super::keyring::{self, WriteKeyRing};
use super::log::{self, WriteLog};
use super::sessions::{self, Pruned, WriteSessions};
use super::spent::{self, WriteSpent};
use crate::gate::session::{SessionId, StoredSession};
use crate::gate::time::UnixTime;
use crate::store::family::{Family, TokenDigest};
use crate::store::session::{Displaced, EndedSessions};

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

/// What concerns sessions and their families, which go together.
impl Tables<'_> {
    /// Writes a session down; those that had to make room are gone with their families.
    pub(super) fn create_session(
        &mut self,
        id: SessionId,
        session: &StoredSession,
    ) -> Result<Vec<Displaced>, Fault> {
        let displaced = self.sessions.create(id, session)?;
        for Displaced { id, .. } in &displaced {
            self.families.end(*id)?;
        }
        Ok(displaced)
    }

    /// Writes a family down, if its session is there; whether it is.
    pub(super) fn begin_family(
        &mut self,
        family: &Family,
        first: TokenDigest,
    ) -> Result<bool, Fault> {
        let is_there = self.sessions.holds(family.session)?;
        if is_there {
            self.families.begin(family, first)?;
        }
        Ok(is_there)
    }

    /// Deletes a session with its family; whether it was there.
    pub(super) fn delete_session(&mut self, id: SessionId) -> Result<bool, Fault> {
        self.families.end(id)?;
        self.sessions.delete(id)
    }

    /// Deletes the sessions that an entry of the log ends.
    pub(super) fn end_sessions(&mut self, ended: &EndedSessions) -> Result<(), Fault> {
        let ids = match ended {
            EndedSessions::None => Vec::new(),
            EndedSessions::One(id) => vec![*id],
            EndedSessions::Until(subject, cut_off) => self.sessions.until(subject, *cut_off)?,
        };
        for id in ids {
            self.delete_session(id)?;
        }
        Ok(())
    }

    /// Drops sessions that ended a while ago; how many were looked at, and dropped.
    pub(super) fn prune_sessions(
        &mut self,
        now: UnixTime,
        at_most: usize,
    ) -> Result<(usize, u64), Fault> {
        let Pruned { looked_at, dropped } = self.sessions.prune(now, at_most)?;
        for id in &dropped {
            self.families.end(*id)?;
        }
        Ok((looked_at, dropped.len() as u64))
    }
}

/// Whether all tables are there. Some are not if an earlier version wrote the file.
pub(super) fn are_complete(transaction: &ReadTransaction) -> Result<bool, Fault> {
    let there: BTreeSet<String> =
        transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    let names = log::names().chain(sessions::names()).chain(attempts::names());
    let names = names.chain(families::names()).chain(spent::names()).chain(keyring::names());
    Ok(names.into_iter().all(|name| there.contains(name)))
}

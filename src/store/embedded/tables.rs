//! Opens all tables in one write transaction, and makes the changes that span several of them.

mod account_entries;
mod attempts;
pub(super) mod exchanges;
pub(super) mod families;
pub(super) mod keyring;
pub(super) mod log;
pub(super) mod sessions;
mod spent;

use std::collections::BTreeSet;

use redb::{ReadTransaction, TableHandle, WriteTransaction};

use super::fault::FileFault;
use crate::gate::session::{SessionId, StoredSession};
use crate::gate::time::UnixTime;
use crate::store::account::EndedScope;
use crate::store::digest::SubjectDigest;
use crate::store::family::{Exchange, Family, Rotation, TokenDigest};
use crate::store::login_end::LoginEnd;
use crate::store::record::{Record, Unreadable};
use crate::store::session::{Displaced, EndedSessions};
use crate::store::{Charged, Position};
use attempts::WriteAttempts;
use exchanges::Instant;
use families::WriteFamilies;
use keyring::WriteKeyRing;
use log::WriteLog;
use sessions::{Pruned, WriteSessions};
use spent::WriteSpent;

/// The tables in a write transaction.
pub(super) struct Tables<'t> {
    pub(super) log: WriteLog<'t>,
    pub(super) sessions: WriteSessions<'t>,
    pub(super) attempts: WriteAttempts<'t>,
    pub(super) families: WriteFamilies<'t>,
    pub(super) spent: WriteSpent<'t>,
    pub(super) keyring: WriteKeyRing<'t>,
}

impl<'t> Tables<'t> {
    /// Opens the tables, and creates missing ones.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, FileFault> {
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

/// Changes to sessions together with their families of refresh tokens.
impl Tables<'_> {
    /// Stores a session. The sessions that make room for it are deleted with their families, and
    /// their `end` is written to the log.
    pub(super) fn create_session(
        &mut self,
        id: SessionId,
        session: &StoredSession,
        end: Option<&LoginEnd>,
    ) -> Result<Vec<Displaced>, FileFault> {
        let mut displaced = self.sessions.create(id, session)?;
        for Displaced { id, .. } in &displaced {
            self.families.end(*id)?;
        }
        if let Some(login) = end {
            for Displaced { id, created, end } in &mut displaced {
                *end =
                    self.charge(&login.record_of(*id, *created), login.entries_max, login.now)?;
            }
        }
        Ok(displaced)
    }

    /// Exchanges a token. An unreadable family does not fail the transaction, which other jobs
    /// share.
    pub(super) fn rotate(
        &mut self,
        exchange: &Exchange,
        at: Instant,
    ) -> Result<Result<Rotation, Unreadable>, FileFault> {
        let Exchange { family: id, end, .. } = exchange;
        if !self.sessions.holds(*id)? {
            return Ok(Ok(Rotation::Absent));
        }
        let rotated = self.families.rotate(exchange, &mut self.sessions, at)?;
        let (Ok(Rotation::Reused), Some(login)) = (&rotated, end) else { return Ok(rotated) };
        let charged = self.charge(&login.record, login.entries_max, login.now)?;
        // Even if there was no room in the log.
        self.delete_session(*id)?;
        Ok(Ok(Rotation::Ended(charged)))
    }

    /// Appends a record of an account, or a cut-off in its place, and ends sessions; `None` if
    /// there is no room, or the record has no account.
    pub(super) fn charge(
        &mut self,
        record: &Record,
        entries_max: u64,
        now: UnixTime,
    ) -> Result<Option<Charged>, FileFault> {
        let Some((owner, ending)) = EndedScope::of(record) else { return Ok(None) };
        let account = SubjectDigest::of(&owner.issuer, &owner.subject);
        let charged = self.log.append_of(record, &account, ending, entries_max, now)?;
        let Some((written, sequence)) = charged else { return Ok(None) };
        for entry in written.iter().chain([record]).map(|record| &record.entry) {
            // An entry with an account names its issuer.
            self.end_sessions(&EndedSessions::of(entry, None))?;
        }
        let mark = written.last().map(|record| record.mark);
        Ok(Some(Charged { written, position: Position { sequence, mark } }))
    }

    /// Stores a family, if its session exists; returns whether it does.
    pub(super) fn begin_family(
        &mut self,
        family: &Family,
        first: TokenDigest,
    ) -> Result<bool, FileFault> {
        let is_there = self.sessions.holds(family.session)?;
        if is_there {
            self.families.begin(family, first)?;
        }
        Ok(is_there)
    }

    /// Deletes a session with its family; returns whether it existed.
    pub(super) fn delete_session(&mut self, id: SessionId) -> Result<bool, FileFault> {
        self.families.end(id)?;
        self.sessions.delete(id)
    }

    /// Deletes the sessions that an entry of the log ends.
    pub(super) fn end_sessions(&mut self, ended: &EndedSessions) -> Result<(), FileFault> {
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

    /// Drops sessions that ended a while ago; returns how many were looked at, and how many were
    /// dropped.
    pub(super) fn prune_sessions(
        &mut self,
        now: UnixTime,
        at_most: usize,
    ) -> Result<(usize, u64), FileFault> {
        let Pruned { looked_at, dropped } = self.sessions.prune(now, at_most)?;
        for id in &dropped {
            self.families.end(*id)?;
        }
        Ok((looked_at, dropped.len() as u64))
    }
}

/// Whether all tables exist. If an earlier version wrote the file, some do not.
pub(super) fn are_complete(transaction: &ReadTransaction) -> Result<bool, FileFault> {
    let there: BTreeSet<String> =
        transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    let names = log::names().chain(sessions::names()).chain(attempts::names());
    let names = names.chain(families::names()).chain(spent::names()).chain(keyring::names());
    Ok(names.into_iter().all(|name| there.contains(name)))
}

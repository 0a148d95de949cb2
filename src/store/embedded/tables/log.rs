//! The log in its tables, in one transaction.

use std::collections::BTreeSet;
use std::ops::Bound;

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    TableHandle, WriteTransaction,
};

use super::account_entries::{self, AccountEntry, AccountEntryKind, WriteAccountEntries};
use crate::gate::revocation::Lifted;
use crate::gate::time::UnixTime;
use crate::store::account::{AccountEntries, Cut, EndedScope, Plan, Room, Span};
use crate::store::digest::SubjectDigest;
use crate::store::embedded::fault::FileFault;
use crate::store::record::{Read, Record};
use crate::store::{LiftPremise, Listing, Loss, PRUNE_MARGIN_S, Position, TAIL_RECORDS_MAX, Tail};

/// How many records a piece of a snapshot has.
const SNAPSHOT_PIECE: usize = 2000;

/// How many records are dropped in one transaction at most.
pub(in crate::store::embedded) const PRUNED_AT_ONCE_MAX: u64 = 10_000;

/// Numbers about the file, by name.
pub(in crate::store::embedded) const META: TableDefinition<&str, u64> =
    TableDefinition::new("meta");

/// How many records were ever appended. Kept apart from the records, so that pruning the last one
/// does not restart the count.
const SEQUENCE: &str = "revocations_sequence";

/// By sequence, which begins at 1: the record as JSON.
const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("revocations");

/// When a record expires, and its sequence.
const BY_EXPIRY: TableDefinition<(i64, u64), ()> = TableDefinition::new("revocations_by_expiry");

/// The names of the tables.
pub(in crate::store::embedded) fn names() -> impl Iterator<Item = &'static str> {
    [META.name(), RECORDS.name(), BY_EXPIRY.name()].into_iter().chain(account_entries::names())
}

/// The log, in a write transaction.
pub(in crate::store::embedded) struct WriteLog<'t> {
    records: Table<'t, u64, &'static [u8]>,
    by_expiry: Table<'t, (i64, u64), ()>,
    meta: Table<'t, &'static str, u64>,
    account_entries: WriteAccountEntries<'t>,
    is_changed: bool,
    has_grown: bool,
}

impl<'t> WriteLog<'t> {
    /// Opens the log, and creates missing tables.
    pub(in crate::store::embedded) fn open(
        transaction: &'t WriteTransaction,
    ) -> Result<Self, FileFault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            meta: transaction.open_table(META)?,
            account_entries: WriteAccountEntries::open(transaction)?,
            is_changed: false,
            has_grown: false,
        })
    }

    /// Whether anything was written.
    pub(in crate::store::embedded) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether a record was appended.
    pub(in crate::store::embedded) fn has_grown(&self) -> bool {
        self.has_grown
    }

    /// Appends a record; returns its sequence, or `None` if the log is full.
    pub(in crate::store::embedded) fn append(
        &mut self,
        record: &Record,
        entries_max: u64,
        now: UnixTime,
    ) -> Result<Option<u64>, FileFault> {
        let is_full = self.len_for(entries_max, now)? >= entries_max;
        if is_full { Ok(None) } else { self.put(record).map(Some) }
    }

    /// Appends a record of an account, or a cut-off in its place. Returns the records that were
    /// written and the last sequence, or `None` if there is no room.
    pub(in crate::store::embedded) fn append_of(
        &mut self,
        record: &Record,
        account: &SubjectDigest,
        ending: EndedScope,
        entries_max: u64,
        now: UnixTime,
    ) -> Result<Option<(Vec<Record>, u64)>, FileFault> {
        let room = Room::of(entries_max);
        let all = self.len_for(room.more, now)?;
        let subject = account.as_bytes();
        let singles = self.account_entries.of(subject, AccountEntryKind::Single)?;
        let once = |kind| Ok::<_, FileFault>(self.account_entries.of(subject, kind)?.pop());
        let (grants, everything) =
            (once(AccountEntryKind::Grants)?, once(AccountEntryKind::Subject)?);
        let entries: Vec<Span> = singles.iter().map(|held| held.span).collect();
        let known = [grants, everything].into_iter().flatten().count() + entries.len();
        let held = AccountEntries {
            entries: &entries,
            grants: grants.map(|held| held.span),
            subject: everything.map(|held| held.span),
            others: all.saturating_sub(known as u64),
        };
        let (kind, plan) = match ending {
            EndedScope::Single { span, until } => (Cut::Grants, held.add(span, until, room)),
            EndedScope::Cut { kind, cut } => (kind, held.cut(kind, cut, room)),
        };
        let (cut, adds) = match plan {
            Plan::Covered => return Ok(Some((Vec::new(), self.last()?))),
            Plan::Full => return Ok(None),
            Plan::Add => (None, true),
            Plan::Merge { cut, folded, drops_grants, adds } => {
                let replaced = match kind {
                    Cut::Grants => [grants, None],
                    Cut::Subject => [everything, grants.filter(|_| drops_grants)],
                };
                let folded = singles.into_iter().take(folded);
                for gone in folded.chain(replaced.into_iter().flatten()) {
                    self.remove(gone)?;
                }
                (Some(cut), adds)
            }
        };
        let mut written = Vec::new();
        if let (true, EndedScope::Single { span, .. }) = (adds, ending) {
            self.put_entry(record, subject, AccountEntryKind::Single, span)?;
            written.push(record.clone());
        }
        if let Some(span) = cut {
            let record = ending.merged(record, kind, span);
            self.put_entry(&record, subject, kind.into(), span)?;
            written.push(record);
        }
        Ok(Some((written, self.last()?)))
    }

    /// Puts a record into the log, and notes it as an entry of its account.
    fn put_entry(
        &mut self,
        record: &Record,
        subject: &[u8; 32],
        kind: AccountEntryKind,
        span: Span,
    ) -> Result<(), FileFault> {
        let sequence = self.put(record)?;
        self.account_entries.note(subject, kind, AccountEntry { sequence, span })
    }

    /// Appends a lift, which replaces what it lifts. Returns its sequence, or `None` if the premise
    /// is that a revocation is live and none is.
    pub(in crate::store::embedded) fn lift(
        &mut self,
        lift: &Record,
        premise: LiftPremise,
    ) -> Result<Option<u64>, FileFault> {
        let found = bearing(&lift.lifts, &self.records, &self.by_expiry)?;
        if found.is_empty() && premise == LiftPremise::IsLive {
            return Ok(None);
        }
        for (sequence, record) in found {
            self.records.remove(sequence)?;
            self.by_expiry.remove((record.entry.expires.as_seconds(), sequence))?;
        }
        self.put(lift).map(Some)
    }

    /// How many records there are; if there are `at_most` or more, spent ones are dropped first.
    fn len_for(&mut self, at_most: u64, now: UnixTime) -> Result<u64, FileFault> {
        if self.records.len()? >= at_most {
            self.prune(now, PRUNED_AT_ONCE_MAX)?;
        }
        Ok(self.records.len()?)
    }

    fn last(&self) -> Result<u64, FileFault> {
        Ok(self.meta.get(SEQUENCE)?.map_or(0, |sequence| sequence.value()))
    }

    fn put(&mut self, record: &Record) -> Result<u64, FileFault> {
        let sequence = self.last()? + 1;
        self.records.insert(sequence, record.encode().as_bytes())?;
        self.by_expiry.insert((record.entry.expires.as_seconds(), sequence), ())?;
        self.meta.insert(SEQUENCE, sequence)?;
        self.is_changed = true;
        self.has_grown = true;
        Ok(sequence)
    }

    fn remove(&mut self, AccountEntry { sequence, span }: AccountEntry) -> Result<(), FileFault> {
        self.records.remove(sequence)?;
        self.by_expiry.remove((span.expires, sequence))?;
        self.account_entries.forget(sequence)?;
        self.is_changed = true;
        Ok(())
    }

    /// Drops records that have been spent for a while, in the order of their expiry; returns how
    /// many.
    pub(in crate::store::embedded) fn prune(
        &mut self,
        now: UnixTime,
        at_most: u64,
    ) -> Result<u64, FileFault> {
        let Self { records, by_expiry, account_entries, is_changed, meta: _, has_grown: _ } = self;
        let last = (now.plus(-PRUNE_MARGIN_S).as_seconds(), u64::MAX);
        let mut pruned = 0;
        let mut spent = by_expiry.extract_from_if(..=last, |_, ()| true)?;
        while pruned < at_most
            && let Some(entry) = spent.next()
        {
            let (_, sequence) = entry?.0.value();
            records.remove(sequence)?;
            account_entries.forget(sequence)?;
            *is_changed = true;
            pruned += 1;
        }
        Ok(pruned)
    }
}

/// The log as it was when the transaction began.
pub(in crate::store::embedded) struct ReadLog {
    records: ReadOnlyTable<u64, &'static [u8]>,
    by_expiry: ReadOnlyTable<(i64, u64), ()>,
    meta: ReadOnlyTable<&'static str, u64>,
}

impl ReadLog {
    /// The log, as the transaction sees it.
    pub(in crate::store::embedded) fn open(
        transaction: &ReadTransaction,
    ) -> Result<Self, FileFault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            meta: transaction.open_table(META)?,
        })
    }

    /// How many records were ever appended.
    pub(in crate::store::embedded) fn head(&self) -> Result<u64, FileFault> {
        Ok(self.meta.get(SEQUENCE)?.map_or(0, |sequence| sequence.value()))
    }

    /// How many records there are, including those that are about to be pruned: they count against
    /// the limit.
    pub(in crate::store::embedded) fn kept(&self) -> Result<u64, FileFault> {
        Ok(self.records.len()?)
    }

    /// The records after a position; `None` at the end of the log.
    pub(in crate::store::embedded) fn after(
        &self,
        position: Position,
    ) -> Result<Option<Tail>, FileFault> {
        let head = self.head()?;
        let is_another = match (position.mark, self.mark(position.sequence)?) {
            (Some(read), Some(here)) => read != here,
            (None, _) | (_, None) => false,
        };
        if position.sequence > head || is_another {
            return Ok(Some(Tail::Lost(Loss::WentBackwards)));
        }
        if position.sequence == head {
            return Ok(None);
        }
        let mut records = Vec::new();
        let mut read = position.sequence;
        let mut rest = self.records.range::<u64>((Bound::Excluded(read), Bound::Included(head)))?;
        for entry in rest.by_ref().take(count(TAIL_RECORDS_MAX)) {
            let (sequence, json) = entry?;
            match revocation(json.value()) {
                Ok(record) => records.extend(record),
                // The records before it are returned first.
                Err(_) if read != position.sequence => {
                    return Ok(Some(Tail::Records(records, self.position(read)?)));
                }
                Err(error) => return Err(error),
            }
            read = sequence.value();
        }
        if rest.next().is_none() {
            // The last records may have been pruned. They are spent, so the reader does not need
            // them.
            read = head;
        }
        Ok(Some(Tail::Records(records, self.position(read)?)))
    }

    /// Passes on every record, in pieces, until `take` returns false; returns the position of the
    /// log's end.
    pub(in crate::store::embedded) fn snapshot(
        &self,
        mut take: impl FnMut(Vec<Record>) -> bool,
    ) -> Result<Position, FileFault> {
        let mut piece = Vec::new();
        for entry in self.records.iter()? {
            piece.extend(revocation(entry?.1.value())?);
            if piece.len() == SNAPSHOT_PIECE && !take(std::mem::take(&mut piece)) {
                break;
            }
        }
        if !piece.is_empty() {
            take(piece);
        }
        self.position(self.head()?)
    }

    /// Some of the records that are not spent, in the order of their expiry.
    pub(in crate::store::embedded) fn list(
        &self,
        offset: u64,
        limit: u64,
        now: UnixTime,
    ) -> Result<Listing, FileFault> {
        let last_spent = (now.as_seconds(), u64::MAX);
        // There are few spent records, because they are pruned.
        let mut total = self.by_expiry.len()?;
        for spent in self.by_expiry.range(..=last_spent)? {
            spent?;
            total -= 1;
        }
        let live = (Bound::Excluded(last_spent), Bound::Unbounded);
        let page = self.by_expiry.range(live)?.skip(count(offset)).take(count(limit));
        let mut records = Vec::new();
        for entry in page {
            let (_, sequence) = entry?.0.value();
            if let Some(json) = self.records.get(sequence)? {
                records.extend(revocation(json.value())?);
            }
        }
        Ok(Listing { records, total })
    }

    /// The records with these ids.
    pub(in crate::store::embedded) fn find_liftable(
        &self,
        sought: &[Lifted],
    ) -> Result<Vec<Record>, FileFault> {
        let found = bearing(sought, &self.records, &self.by_expiry)?;
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    fn position(&self, sequence: u64) -> Result<Position, FileFault> {
        Ok(Position { sequence, mark: self.mark(sequence)? })
    }

    /// The mark of a record, if it is still there.
    fn mark(&self, sequence: u64) -> Result<Option<u64>, FileFault> {
        match self.records.get(sequence)? {
            Some(json) => Ok(revocation(json.value())?.map(|record| record.mark)),
            None => Ok(None),
        }
    }
}

/// The revocations with one of these ids, and their sequences. They are found by their expiry.
fn bearing(
    sought: &[Lifted],
    records: &impl ReadableTable<u64, &'static [u8]>,
    by_expiry: &impl ReadableTable<(i64, u64), ()>,
) -> Result<Vec<(u64, Record)>, FileFault> {
    let ids: BTreeSet<_> = sought.iter().map(|one| one.id).collect();
    let ends: BTreeSet<_> = sought.iter().map(|one| one.expires.as_seconds()).collect();
    let mut found = Vec::new();
    for end in ends {
        for entry in by_expiry.range((end, u64::MIN)..=(end, u64::MAX))? {
            let (_, sequence) = entry?.0.value();
            let Some(json) = records.get(sequence)? else { continue };
            if let Some(record) = revocation(json.value())?
                && record.liftable_id().is_some_and(|id| ids.contains(&id))
            {
                found.push((sequence, record));
            }
        }
    }
    Ok(found)
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn revocation(json: &[u8]) -> Result<Option<Record>, FileFault> {
    match Record::decode(json)? {
        Read::Record(record) => Ok(Some(record)),
        Read::Other => Ok(None),
    }
}

//! Families of refresh tokens in their tables, in one transaction.

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableHandle,
    WriteTransaction,
};

use super::exchanges::{self, Date, Exchanges, Instant, MadeExchange, SpentAnswer};
use super::sessions::WriteSessions;
use crate::gate::session::SessionId;
use crate::gate::time::UnixTime;
use crate::store::embedded::fault::FileFault;
use crate::store::family::{
    Exchange, FAMILY_MARGIN_S, Family, Rotation, StoredFamily, TokenDigest, decode, encode,
    rests_until,
};
use crate::store::record::Unreadable;

/// By id: the record as JSON. Written once.
const RECORDS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("families");

/// The digest of the one good token, its place, when a token was last used, when the family becomes
/// unusable, and whether it is dead.
type Facts<'a> = (&'a [u8; 32], u64, i64, i64, bool);

/// By id: the state of the family besides its record.
const STATES: TableDefinition<&[u8; 32], Facts<'_>> = TableDefinition::new("families_state");

/// The digest of the token that was exchanged last, the wall clock's time of that in milliseconds,
/// and the sealed successor.
type Last<'a> = (&'a [u8; 32], u64, &'a [u8]);

/// By id: the last exchange. Absent before the first one, and for a dead family.
const LAST: TableDefinition<&[u8; 32], Last<'_>> = TableDefinition::new("families_last_exchange");

/// By id: the exchanges before the last one, and the notes about the last, as JSON.
const EXCHANGES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("families_exchanges");

/// When a family becomes unusable, and its id.
const BY_DUE: TableDefinition<(i64, &[u8; 32]), ()> = TableDefinition::new("families_by_due");

/// The names of the tables.
pub(in crate::store::embedded) fn names() -> [&'static str; 5] {
    [RECORDS.name(), STATES.name(), LAST.name(), EXCHANGES.name(), BY_DUE.name()]
}

/// The families, in a write transaction.
pub(in crate::store::embedded) struct WriteFamilies<'t> {
    records: Table<'t, &'static [u8; 32], &'static [u8]>,
    states: Table<'t, &'static [u8; 32], Facts<'static>>,
    last: Table<'t, &'static [u8; 32], Last<'static>>,
    exchanges: Table<'t, &'static [u8; 32], &'static [u8]>,
    by_due: Table<'t, (i64, &'static [u8; 32]), ()>,
    is_changed: bool,
}

/// The state of a family: what its record does not hold.
#[derive(Clone, Copy)]
struct FamilyState {
    current: TokenDigest,
    used: i64,
    due: i64,
    is_dead: bool,
}

impl<'t> WriteFamilies<'t> {
    /// Opens the families, and creates missing tables.
    pub(in crate::store::embedded) fn open(
        transaction: &'t WriteTransaction,
    ) -> Result<Self, FileFault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            states: transaction.open_table(STATES)?,
            last: transaction.open_table(LAST)?,
            exchanges: transaction.open_table(EXCHANGES)?,
            by_due: transaction.open_table(BY_DUE)?,
            is_changed: false,
        })
    }

    /// Whether anything was written.
    pub(in crate::store::embedded) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Stores a family, unless it exists.
    pub(in crate::store::embedded) fn begin(
        &mut self,
        family: &Family,
        first: TokenDigest,
    ) -> Result<(), FileFault> {
        let id = family.session;
        if self.records.get(id.as_bytes())?.is_some() {
            return Ok(());
        }
        self.records.insert(id.as_bytes(), encode(family).as_bytes())?;
        let due = rests_until(family, family.created).as_seconds();
        let used = family.created.as_seconds();
        self.put(id, FamilyState { current: first, used, due, is_dead: false })
    }

    /// [`FamilyStore::rotate`](crate::store::family::FamilyStore::rotate) for a family whose
    /// session exists. The caller ends the login.
    pub(in crate::store::embedded) fn rotate(
        &mut self,
        exchange: &Exchange,
        sessions: &mut WriteSessions<'_>,
        at: Instant,
    ) -> Result<Result<Rotation, Unreadable>, FileFault> {
        let Exchange { family: id, presented, premise, now, .. } = exchange;
        let Some(record) = self.records.get(id.as_bytes())? else {
            return Ok(Ok(Rotation::Absent));
        };
        let family = match decode(*id, record.value()) {
            Ok(family) => family,
            Err(error) => return Ok(Err(error)),
        };
        drop(record);
        let Some(state) = self.state(*id)? else { return Ok(Ok(Rotation::Absent)) };
        if !Exchanges::is_in_time(premise, at) {
            return Ok(Ok(Rotation::TooLate));
        }
        if state.is_dead {
            return Ok(Ok(Rotation::Reused));
        }
        if *now >= rests_until(&family, UnixTime::from_seconds(state.used)) {
            return Ok(Ok(Rotation::Expired));
        }
        let exchanges = match self.exchanges(*id, state.current)? {
            Ok(exchanges) => exchanges,
            Err(error) => return Ok(Err(error)),
        };
        // A later token was given out, and the file is an older copy.
        if *presented == state.current || presented.place > state.current.place {
            self.advance(exchange, &family, state, exchanges, at)?;
            sessions.touch(&[(*id, *now)])?;
            return Ok(Ok(Rotation::Rotated));
        }
        Ok(Ok(self.answer_spent(exchange, state, exchanges, at)?))
    }

    /// Replaces the current token with the successor of a good one.
    fn advance(
        &mut self,
        exchange: &Exchange,
        family: &Family,
        state: FamilyState,
        mut exchanges: Exchanges,
        at: Instant,
    ) -> Result<(), FileFault> {
        let Exchange { family: id, presented, successor, grace_ms, now, .. } = exchange;
        let used = UnixTime::from_seconds(state.used).max(*now);
        let due = rests_until(family, used).as_seconds();
        let current = successor.digest;
        self.put(*id, FamilyState { current, used: used.as_seconds(), due, ..state })?;
        exchanges.is_shared &= *presented == state.current;
        let sealed = successor.sealed.clone();
        let made = MadeExchange { token: *presented, date: Date::of(at), sealed };
        exchanges.add(made, *grace_ms, at);
        self.put_exchanges(*id, &exchanges)
    }

    /// Answers a token that was exchanged before: within its grace, or by marking the family dead.
    fn answer_spent(
        &mut self,
        exchange: &Exchange,
        state: FamilyState,
        mut exchanges: Exchanges,
        at: Instant,
    ) -> Result<Rotation, FileFault> {
        let id = exchange.family;
        Ok(match exchanges.answer(exchange, state.current, at) {
            SpentAnswer::Repeated => Rotation::Rotated,
            SpentAnswer::Way(way) => {
                if !exchanges.is_shared {
                    exchanges.is_shared = true;
                    self.put_exchanges(id, &exchanges)?;
                }
                Rotation::Replayed(way)
            }
            SpentAnswer::Changed => Rotation::Changed,
            SpentAnswer::Reused => {
                self.put(id, FamilyState { is_dead: true, ..state })?;
                self.last.remove(id.as_bytes())?;
                self.exchanges.remove(id.as_bytes())?;
                Rotation::Reused
            }
        })
    }

    /// The exchanges that a family remembers.
    fn exchanges(
        &self,
        id: SessionId,
        current: TokenDigest,
    ) -> Result<Result<Exchanges, Unreadable>, FileFault> {
        let Some(last) = self.last.get(id.as_bytes())? else { return Ok(Ok(Exchanges::default())) };
        let written = self.exchanges.get(id.as_bytes())?;
        let written = written.as_ref().map(redb::AccessGuard::value);
        Ok(exchanges::decode(written, last.value(), current))
    }

    fn put_exchanges(&mut self, id: SessionId, exchanges: &Exchanges) -> Result<(), FileFault> {
        if let Some(MadeExchange { token, date, sealed }) = exchanges.made.last() {
            let last = (&token.digest, date.wall_ms, &**sealed);
            self.last.insert(id.as_bytes(), last)?;
            self.exchanges.insert(id.as_bytes(), exchanges::encode(exchanges).as_bytes())?;
            self.is_changed = true;
        }
        Ok(())
    }

    /// Deletes a family; returns whether it existed.
    pub(in crate::store::embedded) fn end(&mut self, id: SessionId) -> Result<bool, FileFault> {
        let was_there = self.records.remove(id.as_bytes())?.is_some();
        let state = self.state(id)?;
        if let Some(FamilyState { due, .. }) = state {
            self.by_due.remove((due, id.as_bytes()))?;
            self.states.remove(id.as_bytes())?;
            self.last.remove(id.as_bytes())?;
            self.exchanges.remove(id.as_bytes())?;
        }
        self.is_changed |= was_there || state.is_some();
        Ok(was_there)
    }

    /// Drops families, readable or not, that became unusable a while ago; returns how many.
    pub(in crate::store::embedded) fn prune(
        &mut self,
        now: UnixTime,
        at_most: usize,
    ) -> Result<usize, FileFault> {
        let last = now.plus(-FAMILY_MARGIN_S).as_seconds();
        let mut spent = Vec::new();
        for entry in self.by_due.range(..=(last, &[u8::MAX; 32]))?.take(at_most) {
            spent.push(SessionId::from_bytes(*entry?.0.value().1));
        }
        for id in &spent {
            self.end(*id)?;
        }
        Ok(spent.len())
    }

    fn state(&self, id: SessionId) -> Result<Option<FamilyState>, FileFault> {
        Ok(self.states.get(id.as_bytes())?.map(|state| FamilyState::read(state.value())))
    }

    fn put(&mut self, id: SessionId, state: FamilyState) -> Result<(), FileFault> {
        let FamilyState { current, used, due, is_dead } = state;
        let TokenDigest { place, digest } = current;
        let before = self.states.insert(id.as_bytes(), (&digest, place, used, due, is_dead))?;
        let before = before.map(|before| FamilyState::read(before.value()).due);
        if before != Some(due) {
            if let Some(before) = before {
                self.by_due.remove((before, id.as_bytes()))?;
            }
            self.by_due.insert((due, id.as_bytes()), ())?;
        }
        self.is_changed = true;
        Ok(())
    }
}

impl FamilyState {
    fn read((digest, place, used, due, is_dead): Facts<'_>) -> Self {
        Self { current: TokenDigest { place, digest: *digest }, used, due, is_dead }
    }
}

/// The families as they were when the transaction began.
pub(in crate::store::embedded) struct ReadFamilies {
    records: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    states: ReadOnlyTable<&'static [u8; 32], Facts<'static>>,
}

impl ReadFamilies {
    /// The families, as the transaction sees them.
    pub(in crate::store::embedded) fn open(
        transaction: &ReadTransaction,
    ) -> Result<Self, FileFault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            states: transaction.open_table(STATES)?,
        })
    }

    /// A family, if it exists. `read_ms` is the time of this reading.
    pub(in crate::store::embedded) fn find(
        &self,
        id: SessionId,
        read_ms: u64,
    ) -> Result<Option<StoredFamily>, FileFault> {
        let Some(record) = self.records.get(id.as_bytes())? else { return Ok(None) };
        let family = decode(id, record.value())?;
        let Some(state) = self.states.get(id.as_bytes())? else { return Ok(None) };
        let FamilyState { current, used, due: _, is_dead } = FamilyState::read(state.value());
        let used = UnixTime::from_seconds(used);
        Ok(Some(StoredFamily { family, current, used, is_dead, read_ms }))
    }
}

#[cfg(test)]
mod tests;

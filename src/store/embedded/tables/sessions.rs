//! The sessions in their tables, in one transaction.

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableHandle,
    WriteTransaction,
};

use crate::gate::session::{SessionId, StoredSession};
use crate::gate::time::UnixTime;
use crate::store::digest::SubjectDigest;
use crate::store::embedded::fault::FileFault;
use crate::store::session::{
    Displaced, SESSION_MARGIN_S, decode, encode, listed_under, rests_until, room_for,
};

/// How many due sessions are looked at in one transaction at most.
pub(in crate::store::embedded) const LOOKED_AT_ONCE_MAX: usize = 2000;

/// How long an unreadable record is left alone, in seconds, before the next look.
const UNREADABLE_FOR_S: i64 = 86_400;

/// By id: the record as JSON. Written once.
const RECORDS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("sessions");

/// By id: when it was last used, when it is due, when the login was, and the subject that it is
/// listed under. These are needed even for a session whose record cannot be read.
const STATES: TableDefinition<&[u8; 32], (i64, i64, i64, &[u8; 32])> =
    TableDefinition::new("sessions_state");

/// The subject, when the login was, and the id.
const BY_SUBJECT: TableDefinition<(&[u8; 32], i64, &[u8; 32]), ()> =
    TableDefinition::new("sessions_by_subject");

/// When a session is due, which is when to look whether it has ended; and its id. A session that
/// was used since is due again later: using a session does not write here.
const BY_DUE: TableDefinition<(i64, &[u8; 32]), ()> = TableDefinition::new("sessions_by_due");

/// The names of the tables.
pub(in crate::store::embedded) fn names() -> [&'static str; 4] {
    [RECORDS.name(), STATES.name(), BY_SUBJECT.name(), BY_DUE.name()]
}

/// The sessions, in a write transaction.
pub(in crate::store::embedded) struct WriteSessions<'t> {
    records: Table<'t, &'static [u8; 32], &'static [u8]>,
    states: Table<'t, &'static [u8; 32], (i64, i64, i64, &'static [u8; 32])>,
    by_subject: Table<'t, (&'static [u8; 32], i64, &'static [u8; 32]), ()>,
    by_due: Table<'t, (i64, &'static [u8; 32]), ()>,
    is_changed: bool,
}

/// The state of a session: what its record does not hold.
#[derive(Clone, Copy)]
struct SessionState {
    last_seen: i64,
    due: i64,
    created: i64,
    subject: [u8; 32],
}

/// The outcome of pruning.
pub(in crate::store::embedded) struct Pruned {
    /// How many sessions were looked at.
    pub(in crate::store::embedded) looked_at: usize,
    /// The sessions that were dropped.
    pub(in crate::store::embedded) dropped: Vec<SessionId>,
}

impl<'t> WriteSessions<'t> {
    /// Opens the sessions, and creates missing tables.
    pub(in crate::store::embedded) fn open(
        transaction: &'t WriteTransaction,
    ) -> Result<Self, FileFault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            states: transaction.open_table(STATES)?,
            by_subject: transaction.open_table(BY_SUBJECT)?,
            by_due: transaction.open_table(BY_DUE)?,
            is_changed: false,
        })
    }

    /// Whether anything was written.
    pub(in crate::store::embedded) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Stores a session, unless it exists; returns the subject's sessions that made room for it.
    pub(in crate::store::embedded) fn create(
        &mut self,
        id: SessionId,
        session: &StoredSession,
    ) -> Result<Vec<Displaced>, FileFault> {
        if self.records.get(id.as_bytes())?.is_some() {
            return Ok(Vec::new());
        }
        let StoredSession { record, last_seen } = session;
        let state = SessionState {
            last_seen: last_seen.as_seconds(),
            due: rests_until(session).as_seconds(),
            created: record.created.as_seconds(),
            subject: *listed_under(record).as_bytes(),
        };
        self.records.insert(id.as_bytes(), encode(record).as_bytes())?;
        self.by_subject.insert((&state.subject, state.created, id.as_bytes()), ())?;
        self.by_due.insert((state.due, id.as_bytes()), ())?;
        self.put(id, state)?;
        match room_for(record) {
            Some(sessions_max) => self.displace(id, &state.subject, sessions_max),
            None => Ok(Vec::new()),
        }
    }

    /// Deletes the oldest sessions of a subject that has too many; never `newest`, whatever the
    /// clock of another gateway says.
    fn displace(
        &mut self,
        newest: SessionId,
        subject: &[u8; 32],
        sessions_max: usize,
    ) -> Result<Vec<Displaced>, FileFault> {
        let logins = logins_of(&self.by_subject, subject, i64::MAX)?;
        let excess = logins.len().saturating_sub(sessions_max);
        let oldest = logins.into_iter().filter(|login| login.id != newest).take(excess);
        let displaced: Vec<Displaced> = oldest.collect();
        for Displaced { id, .. } in &displaced {
            self.delete(*id)?;
        }
        Ok(displaced)
    }

    /// The sessions of a subject that had begun by then.
    pub(in crate::store::embedded) fn until(
        &self,
        subject: &SubjectDigest,
        cut_off: UnixTime,
    ) -> Result<Vec<SessionId>, FileFault> {
        let logins = logins_of(&self.by_subject, subject.as_bytes(), cut_off.as_seconds())?;
        Ok(logins.into_iter().map(|login| login.id).collect())
    }

    /// Whether a session exists.
    pub(in crate::store::embedded) fn holds(&self, id: SessionId) -> Result<bool, FileFault> {
        Ok(self.records.get(id.as_bytes())?.is_some())
    }

    /// Records when sessions were last used.
    pub(in crate::store::embedded) fn touch(
        &mut self,
        seen: &[(SessionId, UnixTime)],
    ) -> Result<(), FileFault> {
        for (id, seen) in seen {
            let seen = seen.as_seconds();
            if let Some(state) = self.state(*id)?
                && seen > state.last_seen
            {
                self.put(*id, SessionState { last_seen: seen, ..state })?;
            }
        }
        Ok(())
    }

    /// Deletes a session, whether its record is readable or not; returns whether it existed.
    pub(in crate::store::embedded) fn delete(&mut self, id: SessionId) -> Result<bool, FileFault> {
        let was_there = self.records.remove(id.as_bytes())?.is_some();
        let state = self.state(id)?;
        if let Some(SessionState { due, created, subject, last_seen: _ }) = state {
            self.by_due.remove((due, id.as_bytes()))?;
            self.by_subject.remove((&subject, created, id.as_bytes()))?;
            self.states.remove(id.as_bytes())?;
        }
        self.is_changed |= was_there || state.is_some();
        Ok(was_there)
    }

    /// Looks at the due sessions, and drops those that ended a while ago.
    pub(in crate::store::embedded) fn prune(
        &mut self,
        now: UnixTime,
        at_most: usize,
    ) -> Result<Pruned, FileFault> {
        let last = now.plus(-SESSION_MARGIN_S);
        let mut looked_at = Vec::new();
        for entry in self.by_due.range(..=(last.as_seconds(), &[u8::MAX; 32]))?.take(at_most) {
            let entry = entry?.0;
            let (due, id) = entry.value();
            looked_at.push((due, SessionId::from_bytes(*id)));
        }
        let mut dropped = Vec::new();
        for (due, id) in &looked_at {
            self.by_due.remove((*due, id.as_bytes()))?;
            self.is_changed = true;
            match self.next_look(*id, last)? {
                Some((state, next)) => {
                    self.by_due.insert((next.as_seconds(), id.as_bytes()), ())?;
                    self.put(*id, SessionState { due: next.as_seconds(), ..state })?;
                }
                None => dropped.extend(self.delete(*id)?.then_some(*id)),
            }
        }
        Ok(Pruned { looked_at: looked_at.len(), dropped })
    }

    /// When a session is due again; `None` if it ended by `last`.
    fn next_look(
        &self,
        id: SessionId,
        last: UnixTime,
    ) -> Result<Option<(SessionState, UnixTime)>, FileFault> {
        let (Some(state), Some(json)) = (self.state(id)?, self.records.get(id.as_bytes())?) else {
            return Ok(None);
        };
        let next = match decode(json.value()) {
            Ok(record) => {
                let last_seen = UnixTime::from_seconds(state.last_seen);
                rests_until(&StoredSession { record, last_seen })
            }
            // A record of a later version: a gateway of that version knows when it ends.
            Err(_) => last.plus(UNREADABLE_FOR_S),
        };
        Ok((next > last).then_some((state, next)))
    }

    fn state(&self, id: SessionId) -> Result<Option<SessionState>, FileFault> {
        Ok(self.states.get(id.as_bytes())?.map(|state| SessionState::read(state.value())))
    }

    fn put(&mut self, id: SessionId, state: SessionState) -> Result<(), FileFault> {
        let SessionState { last_seen, due, created, subject } = state;
        self.states.insert(id.as_bytes(), (last_seen, due, created, &subject))?;
        self.is_changed = true;
        Ok(())
    }
}

impl SessionState {
    fn read((last_seen, due, created, subject): (i64, i64, i64, &[u8; 32])) -> Self {
        Self { last_seen, due, created, subject: *subject }
    }
}

/// The sessions as they were when the transaction began.
pub(in crate::store::embedded) struct ReadSessions {
    records: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    states: ReadOnlyTable<&'static [u8; 32], (i64, i64, i64, &'static [u8; 32])>,
    by_subject: ReadOnlyTable<(&'static [u8; 32], i64, &'static [u8; 32]), ()>,
}

impl ReadSessions {
    /// The sessions, as the transaction sees them.
    pub(in crate::store::embedded) fn open(
        transaction: &ReadTransaction,
    ) -> Result<Self, FileFault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            states: transaction.open_table(STATES)?,
            by_subject: transaction.open_table(BY_SUBJECT)?,
        })
    }

    /// A session, unless there is none.
    pub(in crate::store::embedded) fn find(
        &self,
        id: SessionId,
    ) -> Result<Option<StoredSession>, FileFault> {
        let Some(json) = self.records.get(id.as_bytes())? else { return Ok(None) };
        let record = decode(json.value())?;
        let state = self.states.get(id.as_bytes())?.map(|state| SessionState::read(state.value()));
        let last_seen =
            state.map_or(record.created, |state| UnixTime::from_seconds(state.last_seen));
        Ok(Some(StoredSession { record, last_seen }))
    }

    /// The sessions of a subject that can be used, the latest login first.
    pub(in crate::store::embedded) fn of_subject(
        &self,
        subject: &SubjectDigest,
        now: UnixTime,
    ) -> Result<Vec<(SessionId, StoredSession)>, FileFault> {
        let mut sessions = Vec::new();
        let logins = logins_of(&self.by_subject, subject.as_bytes(), i64::MAX)?;
        for Displaced { id, .. } in logins.into_iter().rev() {
            match self.find(id) {
                Ok(Some(session)) if now < rests_until(&session) => sessions.push((id, session)),
                // A record of a later version must not hide the other sessions.
                Ok(_) | Err(FileFault::Record(_)) => {}
                Err(error @ FileFault::File(_)) => return Err(error),
            }
        }
        Ok(sessions)
    }
}

/// A subject's sessions that had begun by then, the earliest login first.
fn logins_of(
    by_subject: &impl ReadableTable<(&'static [u8; 32], i64, &'static [u8; 32]), ()>,
    subject: &[u8; 32],
    until: i64,
) -> Result<Vec<Displaced>, FileFault> {
    let first = (subject, i64::MIN, &[u8::MIN; 32]);
    let last = (subject, until, &[u8::MAX; 32]);
    let mut logins = Vec::new();
    for entry in by_subject.range(first..=last)? {
        let entry = entry?.0;
        let (_, created, id) = entry.value();
        let created = UnixTime::from_seconds(created);
        logins.push(Displaced { id: SessionId::from_bytes(*id), created, end: None });
    }
    Ok(logins)
}

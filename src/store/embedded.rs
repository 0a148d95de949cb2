//! The store in a file beside the gateway, for one gateway: durable before it is acknowledged, and
//! the log delivered in process.

mod attempts;
mod exchanges;
mod families;
mod fault;
mod file;
mod keyring;
mod log;
mod owned;
mod roster;
mod sessions;
mod spent;
mod tables;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redb::ReadTransaction;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use super::account::EndedScope;
use super::attempts::{Attempt, AttemptAccount, AttemptLedger};
use super::digest::SubjectDigest;
use super::family::{Exchange, Family, FamilyStore, Rotation, StoredFamily, TokenDigest};
use super::keyring::KeyRingStore;
use super::login_end::LoginEnd;
use super::record::Record;
use super::session::{Displaced, EndedSessions, SessionNotice, SessionStore};
use super::{
    AppendBounds, AppendError, Charged, Fleet, GatewayState, KnownGateway, Knows, LiftPremise,
    Listing, Position, RevocationLog, Roster, StoreError, Tail, Writers,
};
use crate::clock;
use crate::gate::revocation::Lifted;
use crate::gate::session::{SessionId, StoredSession};
use crate::gate::time::UnixTime;
use exchanges::Instant;
use families::ReadFamilies;
use fault::FileFault;
use file::File;
use log::ReadLog;
use roster::Members;
use sessions::ReadSessions;
use tables::Tables;
use writer::Writer;

/// How many pieces of a snapshot may wait to be taken.
const PIECES_WAITING_MAX: usize = 2;

/// How much is dropped in one transaction at most, of what is small.
const DROPPED_AT_ONCE_MAX: usize = 10_000;

/// How often those who listen for changes are told that there were none.
const CONTACT_EVERY: Duration = Duration::from_millis(500);

/// The store in a file. The file is locked, and closed when this is dropped; dropping waits for
/// the write in progress.
#[derive(Debug)]
pub struct Embedded {
    file: Arc<File>,
    writer: Writer,
    /// Rings after every append.
    bell: watch::Receiver<()>,
    members: Members,
    /// A number that this process has made up: by it times of its steady clock are known.
    process: u64,
}

/// Drops some of what is spent, so much at most; how much.
type PruneSome = fn(&mut Tables<'_>, UnixTime, usize) -> Result<usize, FileFault>;

impl Embedded {
    /// Opens the file, or makes it, with the directories above. Blocking.
    ///
    /// # Errors
    ///
    /// A text for people: the file is in use, cannot be opened, or is not one of ours. It is then
    /// left as it is.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = Arc::new(File::open(path)?);
        let (ring, bell) = watch::channel(());
        let writer = Writer::start(file.clone(), ring)
            .map_err(|error| format!("{}: no thread to write it: {error}", path.display()))?;
        Ok(Self { file, writer, bell, members: Members::default(), process: fastrand::u64(1..) })
    }

    /// Reads in one transaction, away from the runtime's threads: a disk may take its time.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&ReadTransaction) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || file.read(job));
        reading.await.unwrap_or_else(|error| Err(self.broken_off(&error)))
    }

    async fn read_log<T: Send + 'static>(
        &self,
        job: impl FnOnce(&ReadLog) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read(|transaction| job(&ReadLog::open(transaction)?)).await
    }

    async fn read_sessions<T: Send + 'static>(
        &self,
        job: impl FnOnce(&ReadSessions) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read(|transaction| job(&ReadSessions::open(transaction)?)).await
    }

    /// Has the writer do something; it is on disk when this returns.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tables<'_>) -> Result<T, FileFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (order, answered) = writer::order(job);
        self.writer.take(order).await.map_err(|_| self.stopped())?;
        answered.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    fn stopped(&self) -> StoreError {
        let path = self.file.path().display();
        StoreError::Unavailable(format!("{path}: its writer has failed: restart the gateway"))
    }

    fn broken_off(&self, error: &JoinError) -> StoreError {
        StoreError::Unavailable(format!("{}: {error}", self.file.path().display()))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // In this order: a transaction that is being written would keep the file open.
        self.writer.stop();
        self.file.close();
    }
}

#[async_trait]
impl RevocationLog for Embedded {
    fn writers(&self) -> Writers {
        // The file is locked.
        Writers::ThisGateway
    }

    async fn append(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Position, AppendError> {
        let AppendBounds { entries_max, now, login_issuer } = bounds;
        let (record, mark) = (record.clone(), record.mark);
        let ended = EndedSessions::of(&record.entry, login_issuer);
        let appending = self.write(move |tables| {
            let sequence = tables.log.append(&record, entries_max, now)?;
            if sequence.is_some() {
                tables.end_sessions(&ended)?;
            }
            Ok(sequence)
        });
        let sequence = appending.await?.ok_or(AppendError::Full)?;
        Ok(Position { sequence, mark: Some(mark) })
    }

    async fn charge(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Charged, AppendError> {
        let AppendBounds { entries_max, now, login_issuer: _ } = bounds;
        if EndedScope::of(record).is_none() {
            let position = self.append(record, bounds).await?;
            return Ok(Charged { written: vec![record.clone()], position });
        }
        let record = record.clone();
        let charging = self.write(move |tables| tables.charge(&record, entries_max, now));
        charging.await?.ok_or(AppendError::Full)
    }

    async fn find_liftable(&self, sought: &[Lifted]) -> Result<Vec<Record>, StoreError> {
        let sought = sought.to_vec();
        self.read_log(move |log| log.find_liftable(&sought)).await
    }

    async fn lift(
        &self,
        lift: &Record,
        premise: LiftPremise,
        _: UnixTime,
    ) -> Result<Option<Position>, StoreError> {
        let (lift, mark) = (lift.clone(), lift.mark);
        let sequence = self.write(move |tables| tables.log.lift(&lift, premise)).await?;
        Ok(sequence.map(|sequence| Position { sequence, mark: Some(mark) }))
    }

    async fn snapshot(
        &self,
        take: &mut (dyn FnMut(Vec<Record>) + Send),
    ) -> Result<Position, StoreError> {
        let (pieces, mut arrived) = mpsc::channel(PIECES_WAITING_MAX);
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || {
            file.read(|transaction| {
                let log = ReadLog::open(transaction)?;
                log.snapshot(|piece| pieces.blocking_send(piece).is_ok())
            })
        });
        while let Some(piece) = arrived.recv().await {
            take(piece);
        }
        reading.await.unwrap_or_else(|error| Err(self.broken_off(&error)))
    }

    async fn tail(&self, position: Position, patience: Duration) -> Result<Tail, StoreError> {
        let mut bell = self.bell.clone();
        // Before reading: what is appended from here on is either read or heard.
        bell.borrow_and_update();
        if let Some(tail) = self.read_log(move |log| log.after(position)).await? {
            return Ok(tail);
        }
        let nothing = Tail::Records(Vec::new(), position);
        match tokio::time::timeout(patience, bell.changed()).await {
            Ok(Ok(())) => {
                Ok(self.read_log(move |log| log.after(position)).await?.unwrap_or(nothing))
            }
            Ok(Err(_)) => Err(self.stopped()),
            Err(_) => Ok(nothing),
        }
    }

    async fn list(&self, offset: u64, limit: u64, now: UnixTime) -> Result<Listing, StoreError> {
        self.read_log(move |log| log.list(offset, limit, now)).await
    }

    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError> {
        let mut pruned = 0;
        // Piece by piece, so that appends are not kept waiting.
        loop {
            let pruning =
                move |tables: &mut Tables<'_>| tables.log.prune(now, log::PRUNED_AT_ONCE_MAX);
            let piece = self.write(pruning).await?;
            pruned += piece;
            if piece < log::PRUNED_AT_ONCE_MAX {
                return Ok(pruned);
            }
        }
    }
}

#[async_trait]
impl Fleet for Embedded {
    async fn time_ms(&self) -> Result<Option<u64>, StoreError> {
        // The clock of this machine is the only one.
        Ok(None)
    }

    async fn announce(&self, state: &GatewayState) -> Result<(), StoreError> {
        self.members.announce(state, clock::steady());
        Ok(())
    }

    async fn settle(&self, _: &str, _: Knows) -> Result<bool, StoreError> {
        // One file, which nobody else has had.
        Ok(true)
    }

    fn is_settled(&self) -> bool {
        true
    }

    fn doubt(&self) {}

    fn server_changes(&self) -> u64 {
        0
    }

    fn reign(&self) -> u64 {
        0
    }

    async fn remind(&self, _: &KnownGateway) -> Result<(), StoreError> {
        // What is in this process is not forgotten.
        Ok(())
    }

    async fn leave(&self, instance: &str) -> Result<(), StoreError> {
        self.members.leave(instance);
        Ok(())
    }

    async fn roster(&self) -> Result<Roster, StoreError> {
        let (head, records) = self.read_log(|log| Ok((log.head()?, log.kept()?))).await?;
        // The only gateway there is does not ask about itself once it has left.
        let gateways = self.members.list(clock::steady());
        Ok(Roster { head, records, gateways, ..Roster::default() })
    }
}

#[async_trait]
impl SessionStore for Embedded {
    async fn create(
        &self,
        id: SessionId,
        session: &StoredSession,
        end: Option<&LoginEnd>,
    ) -> Result<Vec<Displaced>, StoreError> {
        let (session, end) = (session.clone(), end.cloned());
        self.write(move |tables| tables.create_session(id, &session, end.as_ref())).await
    }

    async fn find(&self, id: SessionId) -> Result<Option<StoredSession>, StoreError> {
        self.read_sessions(move |sessions| sessions.find(id)).await
    }

    fn era(&self) -> u64 {
        // It is the same file for as long as the process lives.
        0
    }

    async fn touch(&self, seen: &[(SessionId, UnixTime)]) -> Result<(), StoreError> {
        let seen = seen.to_vec();
        self.write(move |tables| tables.sessions.touch(&seen)).await
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        self.write(move |tables| tables.delete_session(id)).await
    }

    async fn of_subject(
        &self,
        issuer: &str,
        subject: &str,
        now: UnixTime,
    ) -> Result<Vec<(SessionId, StoredSession)>, StoreError> {
        let subject = SubjectDigest::of(issuer, subject);
        self.read_sessions(move |sessions| sessions.of_subject(&subject, now)).await
    }

    async fn api_keys(&self, now: UnixTime) -> Result<Vec<(SessionId, StoredSession)>, StoreError> {
        let all = SubjectDigest::of_api_keys();
        self.read_sessions(move |sessions| sessions.of_subject(&all, now)).await
    }

    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError> {
        let mut pruned = 0;
        // Piece by piece, so that logins are not kept waiting.
        loop {
            let looking = move |tables: &mut Tables<'_>| {
                tables.prune_sessions(now, sessions::LOOKED_AT_ONCE_MAX)
            };
            let (looked_at, dropped) = self.write(looking).await?;
            pruned += dropped;
            if looked_at < sessions::LOOKED_AT_ONCE_MAX {
                break;
            }
        }
        let others: [PruneSome; 3] = [
            |tables, now, at_most| tables.attempts.prune(now, at_most),
            |tables, now, at_most| tables.families.prune(now, at_most),
            |tables, now, at_most| tables.spent.prune(now, at_most),
        ];
        for prune in others {
            let some = move |tables: &mut Tables<'_>| prune(tables, now, DROPPED_AT_ONCE_MAX);
            while self.write(some).await? == DROPPED_AT_ONCE_MAX {}
        }
        Ok(pruned)
    }

    async fn listen(&self, hear: &mut (dyn FnMut(SessionNotice) + Send)) -> StoreError {
        // The file is locked: all changes come through this process, which knows of them.
        hear(SessionNotice::Begun);
        loop {
            hear(SessionNotice::Contact(0));
            tokio::time::sleep(CONTACT_EVERY).await;
        }
    }
}

#[async_trait]
impl AttemptLedger for Embedded {
    async fn attempt(
        &self,
        accounts: &[AttemptAccount],
        now: UnixTime,
    ) -> Result<Attempt, StoreError> {
        let accounts = accounts.to_vec();
        self.write(move |tables| tables.attempts.attempt(&accounts, now)).await
    }

    async fn absolve(
        &self,
        forgotten: &[AttemptAccount],
        returned: &[AttemptAccount],
    ) -> Result<(), StoreError> {
        let (forgotten, returned) = (forgotten.to_vec(), returned.to_vec());
        self.write(move |tables| tables.attempts.absolve(&forgotten, &returned)).await
    }
}

#[async_trait]
impl FamilyStore for Embedded {
    async fn begin(&self, family: &Family, first: TokenDigest) -> Result<bool, StoreError> {
        let family = family.clone();
        self.write(move |tables| tables.begin_family(&family, first)).await
    }

    async fn find(&self, id: SessionId) -> Result<Option<StoredFamily>, StoreError> {
        // Before it is read: what is read is not older than that.
        let read_ms = clock::steady().as_millis();
        self.read(move |transaction| ReadFamilies::open(transaction)?.find(id, read_ms)).await
    }

    async fn rotate(&self, exchange: &Exchange) -> Result<Rotation, StoreError> {
        let (exchange, process) = (exchange.clone(), self.process);
        let rotating = self.write(move |tables| tables.rotate(&exchange, Instant::now(process)));
        Ok(rotating.await??)
    }

    async fn spend(&self, key: &str, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        let (key, until) = (key.to_owned(), until.max(now));
        self.write(move |tables| tables.spent.spend(&key, until)).await
    }
}

#[async_trait]
impl KeyRingStore for Embedded {
    async fn ring(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(keyring::ring).await
    }

    async fn replace_ring(&self, expected: Option<&[u8]>, ring: &[u8]) -> Result<bool, StoreError> {
        let (expected, ring) = (expected.map(<[u8]>::to_vec), ring.to_vec());
        self.write(move |tables| tables.keyring.replace(expected.as_deref(), &ring)).await
    }

    async fn tag_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(keyring::tag_key).await
    }

    async fn keep_tag_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        let key = key.to_vec();
        self.write(move |tables| tables.keyring.keep_tag_key(&key)).await
    }
}

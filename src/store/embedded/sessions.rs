//! The sessions, in the file.

use std::time::Duration;

use async_trait::async_trait;

use super::Embedded;
use super::fault::FileFault;
use super::tables::Tables;
use super::tables::sessions::LOOKED_AT_ONCE_MAX;
use crate::gate::session::{SessionId, StoredSession};
use crate::gate::time::UnixTime;
use crate::store::StoreError;
use crate::store::digest::SubjectDigest;
use crate::store::login_end::LoginEnd;
use crate::store::session::{Displaced, SessionNotice, SessionStore};

/// How many small items are dropped in one transaction at most.
const DROPPED_AT_ONCE_MAX: usize = 10_000;

/// How often listeners for changes are notified that there were none.
const CONTACT_EVERY: Duration = Duration::from_millis(500);

/// Drops at most so many spent items; returns how many.
type PruneSome = fn(&mut Tables<'_>, UnixTime, usize) -> Result<usize, FileFault>;

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
        // It is the same file for as long as the process runs.
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
        // In pieces, so that logins do not have to wait.
        loop {
            let looking =
                move |tables: &mut Tables<'_>| tables.prune_sessions(now, LOOKED_AT_ONCE_MAX);
            let (looked_at, dropped) = self.write(looking).await?;
            pruned += dropped;
            if looked_at < LOOKED_AT_ONCE_MAX {
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
        // The file is locked: this process makes all changes, and knows them.
        hear(SessionNotice::Begun);
        loop {
            hear(SessionNotice::Contact(0));
            tokio::time::sleep(CONTACT_EVERY).await;
        }
    }
}

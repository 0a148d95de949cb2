//! Keeps sessions in Redis, and lists those of a subject.

use async_trait::async_trait;

use super::account_arguments::{self, AccountArguments};
use super::dial::ANSWER_TIMEOUT;
use super::keys::EXPIRY_MAX_S;
use super::reply::{self, Flag, ReplyList};
use super::score::score;
use super::script::sessions::{CREATE, DELETE, FIND, OF_SUBJECT, PRUNE};
use super::{Redis, fault, listener};
use crate::clock;
use crate::gate::session::{SessionId, SessionRecord, StoredSession};
use crate::gate::time::UnixTime;
use crate::store::digest::SubjectDigest;
use crate::store::login_end::LoginEnd;
use crate::store::session::{
    Displaced, SESSION_MARGIN_S, SessionNotice, SessionStore, VERSION, decode, encode,
    listed_under, rests_until, room_for,
};
use crate::store::{Charged, StoreError};

/// How many due sessions are looked at in one step of pruning.
const LOOKED_AT_ONCE: u64 = 250;

/// How many uses are written in one step.
const TOUCHED_AT_ONCE: usize = 1000;

/// The upper bound of the first mark that a script uses: it counts on from there in a double.
const MARK_FIRST_MAX: u64 = 1 << 52;

/// A session that was deleted to make room: its id, its login time, and what was written about its
/// end.
type DisplacedReply = (String, f64, i64, ReplyList<Vec<u8>>);

#[async_trait]
impl SessionStore for Redis {
    async fn create(
        &self,
        id: SessionId,
        session: &StoredSession,
        end: Option<&LoginEnd>,
    ) -> Result<Vec<Displaced>, StoreError> {
        let StoredSession { record, last_seen } = session;
        let subject = listed_under(record);
        let expires = record.ends.plus(SESSION_MARGIN_S).as_seconds().clamp(1, EXPIRY_MAX_S);
        let mut creating = CREATE.key(self.keys.record_of(id));
        creating.key(&self.keys.sessions).key(&self.keys.due).key(self.keys.sessions_of(&subject));
        creating.arg(id.to_string()).arg(encode(record)).arg(expires);
        creating.arg(score(record.created)).arg(score(*last_seen));
        creating.arg(score(rests_until(session))).arg(subject.to_string());
        // Empty means no limit.
        let sessions_max = room_for(record).map(|sessions_max| sessions_max.to_string());
        creating.arg(sessions_max.unwrap_or_default()).arg(&self.keys.session);
        creating.arg(&self.keys.family);
        creating.arg(clock::shared_deadline_ms(ANSWER_TIMEOUT).unwrap_or_default());
        // Each displaced session gets a mark of its own, and so may a cut-off with it.
        creating.arg(fastrand::u64(..MARK_FIRST_MAX));
        if let Some(end) = end
            && let Some(arguments) = AccountArguments::of_any(end)
        {
            arguments.add_to(&mut creating, &self.keys, end.entries_max, end.now);
        }
        let creating = &creating;
        let (ReplyList(displaced), link): (ReplyList<DisplacedReply>, _) = self
            .link
            .ask_and_tell(
                &self.master,
                "writing a session down",
                move |mut connection| async move {
                    reply::about(&id.to_string(), creating.invoke_async(&mut connection).await?)
                },
            )
            .await?;
        let displaced = displaced.into_iter().map(|(id, created, sequence, written)| {
            let id = SessionId::parse(&id).ok_or_else(|| fault::nonsense("a session's id"))?;
            let end = account_arguments::charged((sequence, written))?;
            if let Some(Charged { position, .. }) = &end {
                self.head.moved_to(&link, *position);
            }
            Ok(Displaced { id, created: UnixTime::from_seconds(created as i64), end })
        });
        displaced.collect()
    }

    async fn find(&self, id: SessionId) -> Result<Option<StoredSession>, StoreError> {
        let name = id.to_string();
        let mut asking = FIND.key(self.keys.record_of(id));
        asking.key(&self.keys.sessions).arg(&name);
        let (asking, name) = (&asking, &*name);
        let (record, last_seen) = self
            .link
            .ask(&self.master, "reading a session", move |mut connection| async move {
                let (about, record, last_seen): (String, Option<Vec<u8>>, Option<f64>) =
                    asking.invoke_async(&mut connection).await?;
                // Taken for the answer, an answer to another question would make one user another.
                reply::about(name, (about, (record, last_seen)))
            })
            .await?;
        let Some(record) = record else { return Ok(None) };
        Ok(Some(stored(decode(&record)?, last_seen)))
    }

    fn era(&self) -> u64 {
        self.link.era(&self.master)
    }

    async fn touch(&self, seen: &[(SessionId, UnixTime)]) -> Result<(), StoreError> {
        for some in seen.chunks(TOUCHED_AT_ONCE) {
            let mut noting = redis::cmd("ZADD");
            // Only existing sessions are updated, and a time never moves back.
            noting.arg(&self.keys.sessions).arg("XX").arg("GT");
            for (id, seen) in some {
                noting.arg(score(*seen)).arg(id.to_string());
            }
            let noting = &noting;
            self.link
                .ask(&self.master, "noting that sessions are used", move |mut connection| {
                    async move { noting.query_async::<()>(&mut connection).await }
                })
                .await?;
        }
        Ok(())
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        let subject = self.owner_of(id).await?.unwrap_or_else(SubjectDigest::of_nobody);
        let mut deleting = DELETE.key(self.keys.record_of(id));
        deleting.key(&self.keys.sessions).key(&self.keys.due).key(self.keys.sessions_of(&subject));
        deleting.key(self.keys.family_of(id));
        deleting.arg(id.to_string()).arg(subject.to_string());
        let deleting = &deleting;
        let Flag(was_there) = self
            .link
            .ask(&self.master, "deleting a session", move |mut connection| async move {
                deleting.invoke_async(&mut connection).await
            })
            .await?;
        Ok(was_there)
    }

    async fn of_subject(
        &self,
        issuer: &str,
        subject: &str,
        now: UnixTime,
    ) -> Result<Vec<(SessionId, StoredSession)>, StoreError> {
        self.listed(&SubjectDigest::of(issuer, subject), now).await
    }

    async fn api_keys(&self, now: UnixTime) -> Result<Vec<(SessionId, StoredSession)>, StoreError> {
        self.listed(&SubjectDigest::of_api_keys(), now).await
    }

    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError> {
        let mut pruning = PRUNE.key(&self.keys.due);
        pruning.key(&self.keys.sessions);
        pruning.arg(score(now)).arg(SESSION_MARGIN_S).arg(LOOKED_AT_ONCE);
        pruning.arg(&self.keys.session).arg(&self.keys.subject).arg(VERSION).arg(&self.keys.family);
        let pruning = &pruning;
        let mut pruned = 0;
        loop {
            let (looked_at, dropped): (u64, u64) = self
                .link
                .ask(&self.master, "dropping sessions", move |mut connection| async move {
                    pruning.invoke_async(&mut connection).await
                })
                .await?;
            pruned += dropped;
            if looked_at < LOOKED_AT_ONCE {
                return Ok(pruned);
            }
        }
    }

    async fn listen(&self, hear: &mut (dyn FnMut(SessionNotice) + Send)) -> StoreError {
        match listener::listen(&self.master, &self.head, &self.keys, hear).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }
}

impl Redis {
    /// The subject that a session is listed under, if the session exists;
    /// [`SubjectDigest::of_nobody`] if its record cannot be read: it can still be deleted.
    pub(super) async fn owner_of(
        &self,
        id: SessionId,
    ) -> Result<Option<SubjectDigest>, StoreError> {
        let record = self.keys.record_of(id);
        let asking = &record;
        let known: Option<Vec<u8>> = self
            .link
            .ask(&self.master, "reading a session", move |mut connection| async move {
                redis::cmd("GET").arg(asking).query_async(&mut connection).await
            })
            .await?;
        let listed = |known: Vec<u8>| decode(&known).map(|record| listed_under(&record));
        Ok(known.map(|known| listed(known).unwrap_or_else(|_| SubjectDigest::of_nobody())))
    }

    /// The sessions of a subject that can be used.
    async fn listed(
        &self,
        subject: &SubjectDigest,
        now: UnixTime,
    ) -> Result<Vec<(SessionId, StoredSession)>, StoreError> {
        let name = subject.to_string();
        let mut asking = OF_SUBJECT.key(self.keys.sessions_of(subject));
        asking.key(&self.keys.sessions).key(&self.keys.due);
        asking.arg(&name).arg(&self.keys.session);
        let (asking, name) = (&asking, &*name);
        let found: ReplyList<(String, Vec<u8>, Option<f64>)> = self
            .link
            .ask(&self.master, "listing sessions", move |mut connection| async move {
                reply::about(name, asking.invoke_async(&mut connection).await?)
            })
            .await?;
        let usable = |(id, record, last_seen): (String, Vec<u8>, Option<f64>)| {
            // A record of a later version must not hide the other sessions.
            let session = stored(decode(&record).ok()?, last_seen);
            (now < rests_until(&session)).then_some((SessionId::parse(&id)?, session))
        };
        Ok(found.0.into_iter().filter_map(usable).collect())
    }
}

/// A session with the time of its last use; with that of its login, if that is not known.
fn stored(record: SessionRecord, last_seen: Option<f64>) -> StoredSession {
    let last_seen =
        last_seen.map_or(record.created, |seconds| UnixTime::from_seconds(seconds as i64));
    StoredSession { record, last_seen }
}

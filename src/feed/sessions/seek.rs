//! Reads into the table the sessions that the gate cannot judge from memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::loads::Loaded;
use super::{Charge, SessionFeed, Sought};
use crate::clock;
use crate::gate::WantedSession;
use crate::gate::session::{Session, SessionId, StoredSession};
use crate::gate::time::SteadyTime;
use crate::store::StoreError;

/// How long after a failure requests with a known session do not wait for the store.
const SPARE_MS: u64 = 500;

/// How long a request waits for the store on behalf of a session that is known.
const KNOWN_PATIENCE: Duration = Duration::from_millis(100);

impl SessionFeed {
    /// Reads a session that the gate cannot judge, once for all callers at the same time.
    ///
    /// A session whose secret is provably ours is read for every client. Other reads are limited by
    /// a budget of the client. Reads that find nothing are counted against it.
    pub async fn seek(
        self: &Arc<Self>,
        wanted: &WantedSession,
        client: Option<IpAddr>,
        charge: Charge,
    ) -> Sought {
        let WantedSession { id, carrier: _, aged, provenance } = wanted;
        // The session is known, but too old to be certain. The revocation list decides whether it
        // will do.
        let known = || match aged {
            Some(session) if !session.is_changed() => Sought::Found(session.clone()),
            Some(_) | None => Sought::Unavailable,
        };
        if aged.is_some() && self.has_just_failed() {
            return known();
        }
        if self.loads.is_known_absent(id, self.era(*id)).await {
            return Sought::Absent;
        }
        if aged.is_none()
            && let Some(seconds) = self.refused_for(client, *provenance, charge)
        {
            return Sought::Refused(seconds);
        }
        let (feed, id) = (self.clone(), *id);
        let reading = async move { feed.loads.load(id, feed.load(id)).await };
        let read = match aged {
            None => Some(reading.await),
            // The read continues even after the request stops waiting: also with a slow store, a
            // session must be trusted for a limited time only.
            Some(_) => {
                let read = tokio::time::timeout(KNOWN_PATIENCE, tokio::spawn(reading)).await;
                read.ok().and_then(Result::ok)
            }
        };
        match read {
            Some(Ok(Loaded::Found(session))) => Sought::Found(session),
            Some(Ok(Loaded::Absent(_))) => {
                self.spend(client, charge);
                Sought::Absent
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a session cannot be read");
                known()
            }
            None => {
                self.failed();
                known()
            }
        }
    }

    /// One read of the store, into the table.
    async fn load(&self, id: SessionId) -> Result<Loaded, StoreError> {
        // A change that is reported during the read is newer than the result, or already in it.
        let begun = self.loads.begin(id);
        loop {
            let as_of = clock::steady();
            // The era is taken before the read: the answering store may change during it.
            let era = self.era(id);
            let found = self.store_metrics.timed("find_session", self.store.find(id)).await;
            if let Err(error) = &found {
                self.doubt(id, error);
            }
            let Some(stored) = found? else {
                self.table.changed(&id);
                return Ok(Loaded::Absent(era));
            };
            let session = self.compile(id, &stored, as_of);
            if begun.publish(|| self.table.publish(session.clone())) {
                return Ok(Loaded::Found(session));
            }
        }
    }

    /// Forgets what may be outdated, after the store failed to say whether a session exists.
    pub(super) fn doubt(&self, id: SessionId, error: &StoreError) {
        match error {
            StoreError::Unavailable(_) => {
                self.loads.forget_all_absent();
                self.failed();
            }
            StoreError::Refused(_) => self.loads.forget_all_absent(),
            // One record is damaged, or of a later version. That says nothing about others.
            StoreError::Unreadable(_) => self.loads.forget_absent(id),
        }
    }

    /// Compiles a stored session for the gate, as of this time.
    pub(super) fn compile(
        &self,
        id: SessionId,
        stored: &StoredSession,
        as_of: SteadyTime,
    ) -> Arc<Session> {
        let rules = self.configuration.load().gate.sessions.rules.clone();
        let session = Session::compile(id, stored, &rules, as_of);
        // A use that this gateway has not written to the store yet.
        if let Some(seen) = self.seen.of(id) {
            session.was_seen(seen);
        }
        Arc::new(session)
    }

    fn failed(&self) {
        self.failed.store(clock::steady().as_millis(), Ordering::Relaxed);
    }

    fn has_just_failed(&self) -> bool {
        let failed = SteadyTime::from_millis(self.failed.load(Ordering::Relaxed));
        clock::steady().millis_since(failed) < SPARE_MS
    }
}

//! Keeps the sessions in memory current, and writes their changes to the store.
//!
//! ```text
//! cookie of a session that is not in memory ─seek→ one read for all callers ─publish→ table
//! change in the store, with a notification ─changed→ table
//! ```
//!
//! Logouts arrive through the revocation log. The store's notifications cover what others change in
//! the store by hand, and what the store changes itself.

mod loads;
pub mod metrics;
mod seek;
mod seen;
mod upkeep;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::metrics::StoreMetrics;
use crate::clock;
use crate::gate::session::{
    Provenance, Session, SessionId, SessionRecord, SessionTable, StoredSession,
};
use crate::gate::time::UnixTime;
use crate::network::network_of;
use crate::rate_budget::RateBudget;
use crate::runtime::InForce;
use crate::store::StoreError;
use crate::store::login_end::LoginEnd;
use crate::store::session::{Displaced, SessionStore};
use loads::{Era, Loads};
use metrics::SessionMetrics;
use seen::Seen;

/// How many reads of the store that find nothing a network may cause in a minute. A browser that
/// comes back after a logout causes one.
const ABSENT_MAX: u32 = 1000;

/// The feed of the sessions in memory.
#[derive(Debug)]
pub struct SessionFeed {
    store: Arc<dyn SessionStore>,
    table: Arc<SessionTable>,
    configuration: InForce,
    metrics: SessionMetrics,
    store_metrics: StoreMetrics,
    loads: Loads,
    budget: RateBudget<IpAddr>,
    logout_budget: RateBudget<IpAddr>,
    seen: Seen,
    /// When the store last failed, in steady milliseconds.
    failed: AtomicU64,
}

/// The client's budget that is charged for reads that find nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The budget for ordinary requests.
    Client,
    /// The budget for logouts. Requests of other clients behind the same address must not keep
    /// users from logging out.
    Logout,
}

/// The outcome of looking for a session.
#[derive(Clone, Debug)]
pub enum Sought {
    /// The session.
    Found(Arc<Session>),
    /// There is no such session.
    Absent,
    /// The store did not answer.
    Unavailable,
    /// This client has asked for too many sessions that do not exist. When to ask again, in
    /// seconds.
    Refused(u32),
}

impl SessionFeed {
    /// A feed from `store` into the table of the configuration in force.
    pub fn new(
        store: Arc<dyn SessionStore>,
        configuration: InForce,
        metrics: SessionMetrics,
        store_metrics: StoreMetrics,
    ) -> Arc<Self> {
        metrics.begin();
        let table = configuration.load().gate.sessions.table.clone();
        Arc::new(Self {
            store,
            table,
            configuration,
            metrics,
            store_metrics,
            loads: Loads::new(),
            budget: RateBudget::new(ABSENT_MAX),
            logout_budget: RateBudget::new(ABSENT_MAX),
            seen: Seen::default(),
            failed: AtomicU64::new(0),
        })
    }

    /// The metrics.
    pub fn metrics(&self) -> &SessionMetrics {
        &self.metrics
    }

    /// Keeps the table current, for ever.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.listen(), self.write_seen(), self.prune());
    }

    /// In how many seconds the store may be read for a client again, if too many of its reads found
    /// nothing. A secret that is provably ours is never refused.
    pub fn refused_for(
        &self,
        client: Option<IpAddr>,
        provenance: Provenance,
        charge: Charge,
    ) -> Option<u32> {
        match provenance {
            Provenance::Ours => None,
            Provenance::Unproven | Provenance::Unknown => {
                self.budget_of(charge).spent(&network_of(client?))
            }
        }
    }

    /// Counts a read of the store that found nothing.
    pub fn spend(&self, client: Option<IpAddr>, charge: Charge) {
        if let Some(client) = client {
            self.budget_of(charge).spend(network_of(client));
        }
    }

    fn budget_of(&self, charge: Charge) -> &RateBudget<IpAddr> {
        match charge {
            Charge::Client => &self.budget,
            Charge::Logout => &self.logout_budget,
        }
    }

    /// Writes a new session to the store. Returns the sessions that were ended to make room for it.
    /// Their `end` is in the log, if there was room.
    ///
    /// # Errors
    ///
    /// If the store cannot be written. The session may have been written anyway, but its secret is
    /// known to no one.
    pub async fn begin(
        &self,
        id: SessionId,
        record: SessionRecord,
        end: Option<&LoginEnd>,
    ) -> Result<Vec<Displaced>, StoreError> {
        let last_seen = record.created;
        let stored = StoredSession { record, last_seen };
        let as_of = clock::steady();
        let creating = self.store.create(id, &stored, end);
        // Another gateway may delete the session before this one has it.
        let begun = self.loads.begin(id);
        let displaced = self.store_metrics.timed("create_session", creating).await?;
        begun.publish(|| self.table.publish(self.compile(id, &stored, as_of)));
        for Displaced { id, .. } in &displaced {
            self.changed(*id);
        }
        Ok(displaced)
    }

    /// Forgets a session that a revocation has ended and that is gone from the store.
    pub fn forget(&self, id: SessionId) {
        self.changed(id);
    }

    /// Deletes a session. Returns whether it existed. Gateways that have it in memory, and requests
    /// in flight, learn of it through the revocation log.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        let was_there = self.store_metrics.timed("delete_session", self.store.delete(id)).await?;
        self.changed(id);
        Ok(was_there)
    }

    /// A session as it is stored.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn stored(&self, id: SessionId) -> Result<Option<StoredSession>, StoreError> {
        self.store_metrics.timed("find_session", self.store.find(id)).await
    }

    /// A session as it is stored, and the result of `belonging`, which reads what ends with the
    /// session. Neither is read if the session was found to be absent a moment ago.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn stored_with<T>(
        &self,
        id: SessionId,
        belonging: impl Future<Output = Result<Option<T>, StoreError>>,
    ) -> Result<(Option<T>, Option<StoredSession>), StoreError> {
        // The era is taken before the read: the answering store may change during it.
        let era = self.era(id);
        if self.loads.is_known_absent(&id, era).await {
            return Ok((None, None));
        }
        match tokio::try_join!(belonging, self.stored(id)) {
            Ok((None, None)) => {
                self.loads.note_absent(id, era).await;
                Ok((None, None))
            }
            Ok(found) => Ok(found),
            Err(error) => {
                self.doubt(id, &error);
                Err(error)
            }
        }
    }

    /// The sessions of a subject that can still be used, the latest login first.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn of_subject(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Vec<(SessionId, StoredSession)>, StoreError> {
        let listing = self.store.of_subject(issuer, subject, clock::shared());
        self.store_metrics.timed("list_sessions", listing).await
    }

    /// The API keys that can still be used, the latest first.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn api_keys(&self) -> Result<Vec<(SessionId, StoredSession)>, StoreError> {
        self.store_metrics.timed("list_api_keys", self.store.api_keys(clock::shared())).await
    }

    /// Notes that a session is used. That is written to the store later.
    pub fn touch(&self, session: &Session, now: UnixTime) {
        if session.touch(now) {
            self.seen.note(session.id(), now);
        }
    }

    fn era(&self, id: SessionId) -> Era {
        self.loads.era(id, self.store.era())
    }

    fn changed(&self, id: SessionId) {
        // The order matters: a read in progress must not publish an outdated session.
        self.loads.spoil(id);
        self.table.changed(&id);
    }
}

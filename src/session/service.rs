//! Ends sessions and tokens for good, everywhere.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Login;
use crate::feed::revocations::{RevocationFeed, Taken};
use crate::feed::sessions::SessionFeed;
use crate::gate::denial::{Denial, Slug};
use crate::gate::revocation::Scope;
use crate::gate::session::SessionId;
use crate::runtime::{InForce, Running};
use crate::session::budgets::Budgets;
use crate::session::revocation::{self, Account, Actor};
use crate::store::record::Record;
use crate::store::session_end::SessionEnd;
use crate::store::{AppendError, StoreError};
use crate::web::context::EndpointContext;

/// The sessions and revocations, shared by all configurations of the process.
#[derive(Debug)]
pub(crate) struct SessionService {
    /// The configuration in force.
    pub(crate) in_force: InForce,
    /// The sessions.
    pub(crate) feed: Arc<SessionFeed>,
    /// The revocations.
    pub(crate) revocations: Arc<RevocationFeed>,
    /// The budgets for requests about sessions.
    pub(super) budgets: Budgets,
}

/// A request about the caller's own sessions, and everything that is needed to answer it.
pub(crate) type SessionContext<'a> = EndpointContext<'a, SessionService, Login>;

impl SessionService {
    /// The service, at the start of the process.
    pub(crate) fn new(
        in_force: InForce,
        feed: Arc<SessionFeed>,
        revocations: Arc<RevocationFeed>,
    ) -> Self {
        Self { in_force, feed, revocations, budgets: Budgets::new() }
    }

    /// Ends one session for good, everywhere.
    pub(crate) async fn cut_off_session(
        &self,
        id: SessionId,
        account: Option<&Account>,
        actor: Actor<'_>,
        why: SessionEnd,
        configuration: &Running,
    ) -> Result<(), Denial> {
        self.cut_off(revocation::of_session(id, account, actor, why, configuration)).await?;
        self.count_end(why);
        self.feed.forget(id);
        Ok(())
    }

    /// Ends a login that the store does not have, so that it cannot come back: the store may be an
    /// earlier state of itself or a deposed server, and get the login back.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] if the client's network ended too many: no account limits these.
    pub(crate) async fn cut_off_lost(
        &self,
        id: SessionId,
        client: Option<IpAddr>,
        (actor, why): (Actor<'_>, SessionEnd),
        configuration: &Running,
    ) -> Result<(), Denial> {
        if configuration.gate.revocations.names(&Scope::Session(id.to_string().into())) {
            return Ok(());
        }
        self.budgets.count_lost(client)?;
        let record = revocation::of_lost_session(id, actor, why, configuration);
        taken(self.revocations.append(record).await)?;
        self.feed.forget(id);
        Ok(())
    }

    /// Writes a revocation.
    pub(crate) async fn cut_off(&self, record: Record) -> Result<(), Denial> {
        taken(self.revocations.append(record).await)
    }

    /// Counts the end of a session, for the metric.
    pub(crate) fn count_end(&self, why: SessionEnd) {
        self.feed.metrics().ended(why).inc();
    }
}

/// Whether a revocation was taken: by the store, or here until the store takes it.
fn taken(taken: Result<Taken, AppendError>) -> Result<(), Denial> {
    match taken {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::error!(%error, "a session or token cannot be ended");
            Err(Slug::StoreUnavailable.into())
        }
    }
}

/// A store that cannot be asked or written now may be available later.
pub(crate) fn unavailable(error: StoreError) -> Denial {
    tracing::warn!(%error, "the store does not serve a login");
    Slug::StoreUnavailable.into()
}

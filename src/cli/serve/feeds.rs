//! The feeds that run as long as the process, whatever configuration is in force.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::registration::AllMetrics;
use crate::feed::revocations::RevocationFeed;
use crate::feed::sessions::SessionFeed;
use crate::feed::signing::SigningFeed;
use crate::feed::tags::TagFeed;
use crate::gate::revocation::ListWriter;
use crate::runtime::InForce;
use crate::store::Store;

/// How long the deregistration from the other gateways may take.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(super) struct Feeds {
    tags: Arc<TagFeed>,
    pub(super) signing: Arc<SigningFeed>,
    pub(super) sessions: Arc<SessionFeed>,
    pub(super) revocations: Arc<RevocationFeed>,
}

impl Feeds {
    pub(super) fn new(
        store: &Store,
        writer: ListWriter,
        in_force: &InForce,
        metrics: &AllMetrics,
    ) -> Self {
        let all = store.clone();
        let Store { sessions, keyring, .. } = store.clone();
        Self {
            tags: TagFeed::new(keyring.clone(), in_force.clone(), metrics.store.clone()),
            signing: SigningFeed::new(
                keyring,
                in_force.clone(),
                metrics.signing.clone(),
                metrics.store.clone(),
            ),
            sessions: SessionFeed::new(
                sessions,
                in_force.clone(),
                metrics.sessions.clone(),
                metrics.store.clone(),
            ),
            revocations: RevocationFeed::new(
                all,
                writer,
                in_force.clone(),
                metrics.revocations.clone(),
                metrics.store.clone(),
            ),
        }
    }

    /// Keeps everything current, for as long as `control` runs.
    pub(super) fn start(&self, control: &Runtime) {
        control.spawn(self.revocations.clone().run());
        control.spawn(self.sessions.clone().run());
        let (clock, keys) = (self.revocations.clone(), self.signing.clone());
        control.spawn(async move {
            // No key is made before the clock is known, and a short wait avoids a warning. Keys
            // from files need no store.
            clock.dated_soon().await;
            keys.run().await;
        });
        control.spawn(self.tags.clone().run());
    }

    /// Waits until requests can be judged.
    pub(super) async fn loaded(&self) {
        self.revocations.loaded().await;
        // Before that, no token of ours can be verified.
        self.signing.loaded().await;
        // Before that, it is not known which secrets are ours.
        self.tags.asked().await;
    }

    /// Leaves the fleet, within a time limit.
    pub(super) async fn leave(&self) {
        // Otherwise a session might seem unused for longer than it was.
        drop(tokio::time::timeout(LEAVE_TIMEOUT, self.sessions.flush()).await);
        // Otherwise the others would wait up to a minute for this gateway to confirm.
        drop(tokio::time::timeout(LEAVE_TIMEOUT, self.revocations.leave()).await);
    }
}

//! The feeds that run for as long as the process, whatever configuration is in force.

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

/// How long the other gateways may take to be told that this one is gone.
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
            // No key is made before; waiting a moment spares a warning. Keys of files need no store.
            clock.dated_soon().await;
            keys.run().await;
        });
        control.spawn(self.tags.clone().run());
    }

    /// Waits until requests can be judged.
    pub(super) async fn loaded(&self) {
        self.revocations.loaded().await;
        // Before, no token of ours could be verified.
        self.signing.loaded().await;
        // Before, nobody could tell whose session it is.
        self.tags.asked().await;
    }

    /// Leaves the fleet, in the time that there is.
    pub(super) async fn leave(&self) {
        // Else a session might seem to have rested for longer than it has.
        drop(tokio::time::timeout(LEAVE_TIMEOUT, self.sessions.flush()).await);
        // Else the others would wait for this one to confirm, for a minute.
        drop(tokio::time::timeout(LEAVE_TIMEOUT, self.revocations.leave()).await);
    }
}

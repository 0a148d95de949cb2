//! How the process ends: at a signal, once the last request has ended, or after the grace period.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::feeds::Feeds;
use crate::admin::Readiness;
use crate::cli::Failure;
use crate::edge::drain::Drain;
use crate::runtime::InForce;

/// The parts of the process that must know that it is about to end.
pub(super) struct Stopping {
    in_force: InForce,
    readiness: Arc<Readiness>,
    drain: Arc<Drain>,
}

impl Stopping {
    pub(super) fn new(in_force: &InForce) -> Self {
        let readiness = Arc::new(Readiness::default());
        Self { in_force: in_force.clone(), readiness, drain: Drain::new() }
    }

    /// Whether requests should be sent here.
    pub(super) fn readiness(&self) -> Arc<Readiness> {
        self.readiness.clone()
    }

    /// The counter of connections.
    pub(super) fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }

    /// Waits for a signal, then for requests in flight: until the configured grace period ends, or
    /// another signal arrives. Then this gateway leaves the fleet.
    pub(super) async fn run(self, feeds: &Feeds) -> Result<(), Failure> {
        let Self { in_force, readiness, drain } = self;
        stop_signal().await?;
        let grace = in_force.load().settings.server.shutdown_grace;
        tracing::info!(grace_s = grace.as_secs(), open = drain.open(), "stopping");
        readiness.stopping();
        drain.begin();
        tokio::select! {
            () = drain.emptied() => tracing::info!("stopped"),
            () = tokio::time::sleep(grace) => {
                tracing::warn!(open = drain.open(), "stopped with connections still open");
            }
            again = stop_signal() => {
                again?;
                tracing::warn!(open = drain.open(), "stopped at once");
            }
        }
        feeds.leave().await;
        Ok(())
    }
}

async fn stop_signal() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

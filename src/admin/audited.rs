//! Writes to the audit log what an operator changed, or tried to.

use std::net::SocketAddr;

use super::context::AdminContext;
use super::problem::Problem;
use crate::clock;
use crate::feed::revocations::Taken;
use crate::telemetry::audit::{self, AuditRecord};

/// A change for the audit log: its name, its target, who makes it, from where, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audited<'a> {
    pub(super) audit: &'static str,
    pub(super) target: &'a str,
    pub(super) actor: &'a str,
    pub(super) client: SocketAddr,
    pub(super) reason: &'a str,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChangeOutcome<'a> {
    /// The revocation log has it, or not yet.
    Taken(&'a Taken),
    /// The store has it.
    Written,
    Refused(&'a Problem),
}

impl Audited<'_> {
    /// Writes the line.
    ///
    /// # Errors
    ///
    /// If the audit log cannot be written. That is logged.
    pub(super) async fn write(
        self,
        context: &AdminContext,
        outcome: ChangeOutcome<'_>,
    ) -> std::io::Result<()> {
        let Self { audit, target, actor, client, reason } = self;
        let (result, position, durable) = match outcome {
            ChangeOutcome::Taken(Taken::Durable(position)) => ("ok", Some(*position), true),
            ChangeOutcome::Taken(Taken::Locally) => ("ok", None, false),
            ChangeOutcome::Written => ("ok", None, true),
            ChangeOutcome::Refused(problem) => (problem.slug(), None, false),
        };
        let client = client.ip().to_canonical();
        let time = clock::wall();
        let record =
            AuditRecord { audit, time, actor, client, target, reason, result, position, durable };
        let file = context.configuration.load().settings.audit_log.clone();
        let written = audit::append(file, record.line()).await;
        written.inspect_err(|error| tracing::error!(%error, "the audit log cannot be written"))
    }
}

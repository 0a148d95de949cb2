//! Carries out a revocation or a lift for an operator. Writes it to the revocation log, then to the
//! audit log, and waits for the gateways to confirm it if that is requested.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::audited::{Audited, ChangeOutcome};
use super::context::AdminContext;
use super::gateways;
use super::problem::Problem;
use crate::clock;
use crate::feed::revocations::Taken;
use crate::feed::revocations::confirm::Confirmation;
use crate::gate::revocation::{Entry, Lifted, Scope};
use crate::gate::time::UnixTime;
use crate::store::record::Record;
use crate::store::{AppendError, StoreError};
use crate::web::date::date;

/// The longest that a request may wait for the gateways to confirm.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);

/// Something to be done, in words that were understood.
#[derive(Clone, Debug)]
pub(super) struct RevocationChange {
    /// The word for it in the audit log.
    audit: &'static str,
    /// The target, for the audit log.
    target: Box<str>,
    /// The revocation, or the lift, that does it.
    record: Record,
    /// How long to wait for the gateways, if at all.
    wait: Option<Duration>,
}

impl RevocationChange {
    /// A request that was made now.
    pub(super) fn new(
        audit: &'static str,
        entry: Entry,
        actor: Box<str>,
        reason: Box<str>,
        wait: Option<Duration>,
    ) -> Self {
        let mark = fastrand::u64(..);
        let written_us = clock::micros();
        let target = entry.scope.to_string().into();
        let lifts = Box::default();
        let (owner, is_for_nobody) = (None, false);
        let record = Record { entry, written_us, actor, reason, owner, is_for_nobody, mark, lifts };
        Self { audit, target, record, wait }
    }

    /// A request to lift these, which are of one scope; `None` for nothing.
    pub(super) fn lift(
        audit: &'static str,
        revocations: &[Record],
        actor: Box<str>,
        reason: Box<str>,
        wait: Option<Duration>,
    ) -> Option<Self> {
        let entries = || revocations.iter().map(|record| &record.entry);
        // As long as any of them could come back.
        let entry = Entry {
            scope: entries().next()?.scope.clone(),
            cut_off: entries().map(|entry| entry.cut_off).max()?,
            expires: entries().map(|entry| entry.expires).max()?,
        };
        let lifted = |record: &Record| Lifted { id: record.id(), expires: record.entry.expires };
        let lifts: Box<[_]> = revocations.iter().map(lifted).collect();
        let ids: Vec<_> = lifts.iter().map(|lifted| lifted.id.to_string()).collect();
        let mut change = Self::new(audit, entry, actor, reason, wait);
        change.target = format!("{} (revocation {})", change.target, ids.join(", ")).into();
        change.record.lifts = lifts;
        Some(change)
    }

    /// The same request for another entry.
    pub(super) fn with_entry(&self, entry: Entry) -> Self {
        let Self { audit, record, wait, target: _ } = self.clone();
        let target = entry.scope.to_string().into();
        let record = Record { entry, mark: fastrand::u64(..), ..record };
        Self { audit, target, record, wait }
    }

    /// What was issued at or before this time is cut off.
    pub(super) fn cut_off(&self) -> UnixTime {
        self.record.entry.cut_off
    }

    /// Appends it to the log.
    pub(super) async fn append(&self, context: &AdminContext) -> Result<Taken, Problem> {
        context.revocations.append(self.record.clone()).await.map_err(|error| match error {
            AppendError::Full => Problem::ListFull,
            AppendError::Lifted => Problem::AlreadyLifted,
            AppendError::Store(error) => failed(error),
        })
    }

    /// Writes the lift to the log.
    pub(super) async fn write_lift(&self, context: &AdminContext) -> Result<Taken, Problem> {
        let position = context.revocations.lift(self.record.clone()).await.map_err(failed)?;
        position.map(Taken::Durable).ok_or(Problem::RevocationUnknown)
    }

    /// Writes the outcome to the audit log, and returns it.
    ///
    /// # Errors
    ///
    /// The problem that it was, or [`Problem::Unaudited`].
    pub(super) async fn audit(
        &self,
        context: &AdminContext,
        client: SocketAddr,
        taken: Result<Taken, Problem>,
    ) -> Result<Taken, Problem> {
        let Record { actor, reason, .. } = &self.record;
        let change = Audited { audit: self.audit, target: &self.target, actor, client, reason };
        let outcome = taken.as_ref().map_or_else(ChangeOutcome::Refused, ChangeOutcome::Taken);
        let audited = change.write(context, outcome).await;
        let taken = taken?;
        audited.map_err(|error| {
            let durable = matches!(taken, Taken::Durable(_));
            Problem::Unaudited { durable, why: error.to_string() }
        })?;
        Ok(taken)
    }

    /// The answer: what was done, and `more`. Its status is `status` if the change is durable.
    /// Waits for the gateways if that was requested.
    pub(super) async fn answer(
        &self,
        context: &AdminContext,
        taken: Taken,
        begun: Instant,
        status: StatusCode,
        more: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Response {
        let mut answer = describe(&self.record);
        for (name, value) in more {
            answer[name] = value;
        }
        let status = match taken {
            Taken::Locally => {
                answer["durable"] = json!(false);
                StatusCode::ACCEPTED
            }
            Taken::Durable(position) => {
                answer["durable"] = json!(true);
                answer["position"] = json!(position);
                if let Some(wait) = self.wait {
                    let wait = wait.min(WAIT_MAX);
                    match context.revocations.confirm(&self.record, position, begun, wait).await {
                        Ok(confirmation) => tell(&mut answer, &confirmation, position),
                        Err(error) => answer["unconfirmed"] = json!(error.to_string()),
                    }
                }
                status
            }
        };
        answer["elapsed_ms"] = json!(millis(begun.elapsed()));
        (status, Json(answer)).into_response()
    }
}

/// Runs the work in a task of its own: the client may disconnect before it is done, and it must not
/// stay half done.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let broken_off =
        |error: tokio::task::JoinError| Err(Problem::StoreUnavailable(error.to_string()));
    tokio::spawn(work).await.unwrap_or_else(broken_off)
}

/// The problem to report when the store fails.
pub(super) fn failed(error: StoreError) -> Problem {
    let (StoreError::Unavailable(why) | StoreError::Refused(why) | StoreError::Unreadable(why)) =
        error;
    Problem::StoreUnavailable(why)
}

fn tell(answer: &mut Value, confirmation: &Confirmation, position: u64) {
    let Confirmation { confirmed, gateways, missing, elapsed: _ } = confirmation;
    answer["confirmed"] = json!(confirmed);
    answer["gateways"] = json!(gateways);
    if !missing.is_empty() {
        let missing: Vec<_> =
            missing.iter().map(|known| gateways::describe(known, position)).collect();
        answer["missing"] = json!(missing);
    }
}

/// A revocation, or a lift, for people and programs.
pub(super) fn describe(record: &Record) -> Value {
    let Record { entry: Entry { scope, cut_off, expires }, written_us, actor, reason, .. } = record;
    let lifts: Vec<_> = record.lifts.iter().map(|lifted| lifted.id.to_string()).collect();
    let mut value = json!({
        "scope": scope.kind().as_str(),
        "written_at": date(UnixTime::from_seconds((written_us / 1_000_000) as i64)),
        "actor": actor,
        "reason": reason,
    });
    match record.is_lift() {
        true => value["lifts"] = json!(lifts),
        false => value["id"] = json!(record.id().to_string()),
    }
    match scope {
        Scope::Token { issuer, id } => {
            value["issuer"] = json!(issuer);
            value["jti"] = json!(id);
        }
        Scope::Session(id) => value["session"] = json!(id),
        Scope::Subject { issuer, subject } => {
            value["subject"] = json!(subject);
            value["issuer"] = json!(issuer);
        }
        Scope::Client(id) => value["client"] = json!(id),
        Scope::Key { issuer, id } => {
            value["key"] = json!(id);
            value["issuer"] = json!(issuer);
        }
        Scope::Issuer(issuer) => value["issuer"] = json!(issuer),
        Scope::Everything => {}
        Scope::Grants { issuer, subject } => {
            value["subject"] = json!(subject);
            value["issuer"] = json!(issuer);
        }
    }
    value["issued_until"] = date(*cut_off);
    value["expires_at"] = date(*expires);
    value
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

//! Lifting cut-offs that were made by mistake: one by its id, or all of a scope.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::super::audited::{Audited, ChangeOutcome};
use crate::admin::AdminContext;
use crate::admin::input::{self, bad, known_issuer};
use crate::admin::problem::Problem;
use crate::admin::revocation_change::{self, RevocationChange};
use crate::feed::revocations::Taken;
use crate::feed::revocations::lift::Liftable;
use crate::gate::revocation::{MadeBy, RevocationId, Scope, ScopeKind};
use crate::runtime::Running;
use crate::store::StoreError;
use crate::store::record::{LIFTED_AT_ONCE_MAX, Record};

/// The word for it in the audit log.
const AUDIT: &str = "lift_revocation";

/// What can be lifted, in a clause.
const WHICH: &str =
    "only an operator's revocation of a subject, a client or an issuer can be lifted";

/// The query of `DELETE /v1/revocations/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct LiftOne {
    reason: Option<String>,
    actor: Option<String>,
    wait_ms: Option<u64>,
}

/// The query of `DELETE /v1/revocations`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct LiftAll {
    scope: ScopeKind,
    subject: Option<String>,
    client: Option<String>,
    /// `iss`, or the name of the issuer in the configuration.
    issuer: Option<String>,
    reason: Option<String>,
    actor: Option<String>,
    wait_ms: Option<u64>,
}

/// What is to be lifted.
#[derive(Clone, Debug)]
enum Target {
    One(RevocationId),
    All(Scope),
}

/// Who lifts it, why, and how long to wait for the gateways.
#[derive(Clone, Debug)]
struct LiftRequest {
    actor: Box<str>,
    reason: Box<str>,
    wait: Option<Duration>,
}

/// Lifts one revocation.
pub(in crate::admin) async fn lift_one(
    State(context): State<AdminContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<LiftOne>, QueryRejection>,
) -> Result<Response, Problem> {
    let Some(id) = id.ok().and_then(|Path(id)| RevocationId::parse(&id)) else {
        return bad("the value is not the id of a revocation, which has 16 hexadecimal digits");
    };
    if let Some(why) = not_liftable(id) {
        return bad(why);
    }
    let LiftOne { reason, actor, wait_ms } = input::query(query)?;
    lift(context, client, Target::One(id), LiftRequest::compile(actor, reason, wait_ms)?).await
}

/// Lifts everything that an operator cut off for a scope.
pub(in crate::admin) async fn lift_all(
    State(context): State<AdminContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    query: Result<Query<LiftAll>, QueryRejection>,
) -> Result<Response, Problem> {
    let LiftAll { scope, subject, client: of_client, issuer, reason, actor, wait_ms } =
        input::query(query)?;
    let scope = whole(scope, (subject, of_client, issuer), &context.configuration.load())?;
    lift(context, client, Target::All(scope), LiftRequest::compile(actor, reason, wait_ms)?).await
}

async fn lift(
    context: AdminContext,
    client: SocketAddr,
    target: Target,
    wish: LiftRequest,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    let lifting = write_down(context.clone(), client, target, wish);
    let (change, taken, lifted) = revocation_change::to_the_end(lifting).await?;
    let lifted: Vec<_> = lifted.iter().map(ToString::to_string).collect();
    Ok(change.answer(&context, taken, begun, StatusCode::OK, [("lifts", json!(lifted))]).await)
}

/// Writes as many lifts as are needed. Returns the last of them, and everything that was lifted.
async fn write_down(
    context: AdminContext,
    client: SocketAddr,
    target: Target,
    wish: LiftRequest,
) -> Result<(RevocationChange, Taken, Vec<RevocationId>), Problem> {
    let records = match target.find(&context).await {
        Ok(Liftable::Live(records)) => records,
        Ok(Liftable::Lifted) => return Err(Problem::AlreadyLifted),
        Ok(Liftable::Absent) => return Err(Problem::RevocationUnknown),
        Err(error) => {
            let problem = revocation_change::failed(error);
            let LiftRequest { actor, reason, .. } = &wish;
            let target = &*target.to_string();
            let change = Audited { audit: AUDIT, target, actor, client, reason };
            // The client gets the store's error, even if the audit log fails, too.
            drop(change.write(&context, ChangeOutcome::Refused(&problem)).await);
            return Err(problem);
        }
    };
    let mut last = None;
    for some in records.chunks(LIFTED_AT_ONCE_MAX) {
        let LiftRequest { actor, reason, wait } = wish.clone();
        let Some(change) = RevocationChange::lift(AUDIT, some, actor, reason, wait) else {
            continue;
        };
        let taken = change.write_lift(&context).await;
        let taken = change.audit(&context, client, taken).await?;
        last = Some((change, taken));
    }
    let (change, taken) = last.ok_or(Problem::RevocationUnknown)?;
    Ok((change, taken, records.iter().map(Record::id).collect()))
}

impl Target {
    async fn find(&self, context: &AdminContext) -> Result<Liftable, StoreError> {
        match self {
            Self::One(id) => context.revocations.liftable(*id).await,
            Self::All(scope) => context.revocations.liftable_of(scope).await,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(id) => write!(f, "revocation {id}"),
            Self::All(scope) => write!(f, "revocations of {scope}"),
        }
    }
}

impl LiftRequest {
    fn compile(
        actor: Option<String>,
        reason: Option<String>,
        wait_ms: Option<u64>,
    ) -> Result<Self, Problem> {
        let (reason, actor) = (input::reason(reason)?, input::actor(actor)?);
        Ok(Self { actor, reason, wait: wait_ms.map(Duration::from_millis) })
    }
}

/// Why what has this id cannot be lifted; `None` if it can be.
fn not_liftable(id: RevocationId) -> Option<String> {
    if id.is_liftable() {
        return None;
    }
    let own = match (id.kind(), id.made_by()) {
        (ScopeKind::Token, _) => "the revocation of one token".to_owned(),
        (ScopeKind::Session, _) => "the revocation of one session".to_owned(),
        (ScopeKind::Key, _) => "the revocation of one key".to_owned(),
        (ScopeKind::Subject, MadeBy::Account) => {
            "a logout everywhere, which the subject asked for itself".to_owned()
        }
        (kind, _) => format!("a revocation of the scope `{}`", kind.as_str()),
    };
    Some(format!("the id belongs to {own}: {WHICH}"))
}

/// The scope that is named.
fn whole(
    kind: ScopeKind,
    (subject, client, issuer): (Option<String>, Option<String>, Option<String>),
    configuration: &Running,
) -> Result<Scope, Problem> {
    let issuer = issuer.map(|issuer| known_issuer(configuration, &issuer)).transpose()?;
    match (kind, subject, client, issuer) {
        (ScopeKind::Subject, subject, None, issuer) => {
            Ok(Scope::Subject { issuer, subject: input::id(subject, "subject")? })
        }
        (ScopeKind::Client, None, client, None) => Ok(Scope::Client(input::id(client, "client")?)),
        (ScopeKind::Issuer, None, None, Some(issuer)) => Ok(Scope::Issuer(issuer)),
        (ScopeKind::Issuer, None, None, None) => bad("`issuer` is missing"),
        (ScopeKind::Subject | ScopeKind::Client | ScopeKind::Issuer, ..) => {
            bad("the body names something that does not belong to this scope")
        }
        (
            ScopeKind::Token
            | ScopeKind::Session
            | ScopeKind::Key
            | ScopeKind::Everything
            | ScopeKind::Grants,
            ..,
        ) => bad(format!("`{}` cannot be lifted: {WHICH}", kind.as_str())),
    }
}

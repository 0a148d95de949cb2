//! Answers `/v1/sessions`: lists a user's sessions, and ends them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::AdminContext;
use super::input::{self, bad, known_issuer};
use super::problem::Problem;
use super::revocation_change::{self, RevocationChange};
use crate::clock;
use crate::config::WhenUnreachable;
use crate::feed::revocations::Taken;
use crate::gate::revocation::{Entry, Scope};
use crate::gate::session::{LoginDetails, Session, SessionId, SessionRecord, StoredSession};
use crate::runtime::Running;
use crate::store::session_end::SessionEnd;
use crate::web::date::date;

/// The query for the sessions of a user.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionQuery {
    subject: Option<String>,
    issuer: Option<String>,
}

/// The query that ends one session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndOne {
    reason: Option<String>,
    actor: Option<String>,
    wait_ms: Option<u64>,
}

/// The query that ends all sessions of a user.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndAll {
    subject: Option<String>,
    issuer: Option<String>,
    reason: Option<String>,
    actor: Option<String>,
    wait_ms: Option<u64>,
}

/// A user who may have sessions.
#[derive(Clone, Debug)]
struct Person {
    issuer: Box<str>,
    subject: Box<str>,
}

/// A session that can be used.
#[derive(Debug)]
struct UsableSession {
    session: Session,
    record: SessionRecord,
}

/// Lists the sessions of a subject, the latest login first.
pub(super) async fn list(
    State(context): State<AdminContext>,
    query: Result<Query<SessionQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let SessionQuery { subject, issuer } = input::query(query)?;
    let person = Person::compile(subject, issuer, &context.configuration.load())?;
    let sessions: Vec<_> = live(&context, &person).await?.iter().map(describe).collect();
    let Person { issuer, subject } = person;
    Ok(Json(json!({ "subject": subject, "issuer": issuer, "sessions": sessions })))
}

/// Ends one session.
pub(super) async fn end_one(
    State(context): State<AdminContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<EndOne>, QueryRejection>,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    let id = match id.ok().and_then(|Path(id)| SessionId::parse(&id)) {
        Some(id) => id,
        None => return bad("the value is not the id of a session, which has 43 characters"),
    };
    let EndOne { reason, actor, wait_ms } = input::query(query)?;
    let scope = Scope::Session(id.to_string().into());
    let change = change("end_session", scope, (reason, actor, wait_ms), &context)?;
    let ending = forget_one(context.clone(), client, id, change.clone());
    let (taken, record) = revocation_change::to_the_end(ending).await?;
    let more = record.map(|record| {
        let SessionRecord { subject, issuer, .. } = record;
        [("subject", json!(subject)), ("issuer", json!(issuer))]
    });
    Ok(change.answer(&context, taken, begun, StatusCode::OK, more.into_iter().flatten()).await)
}

/// Cuts a session off and removes it from the store in the same step. Returns its record, if that
/// could be read.
async fn forget_one(
    context: AdminContext,
    client: SocketAddr,
    id: SessionId,
    change: RevocationChange,
) -> Result<(Taken, Option<SessionRecord>), Problem> {
    let (taken, record) = match context.sessions.stored(id).await {
        Ok(None) => return Err(Problem::SessionUnknown),
        Ok(Some(stored)) => (change.append(&context).await, Some(stored.record)),
        // Cutting off a session that does not exist does no harm.
        Err(_) if accepts_locally(&context) => (change.append(&context).await, None),
        Err(error) => (Err(revocation_change::failed(error)), None),
    };
    if taken.is_ok() {
        context.sessions.forget(id);
        count(&context, 1);
    }
    Ok((change.audit(&context, client, taken).await?, record))
}

/// Ends all sessions of a subject.
pub(super) async fn end_all(
    State(context): State<AdminContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    query: Result<Query<EndAll>, QueryRejection>,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    let EndAll { subject, issuer, reason, actor, wait_ms } = input::query(query)?;
    let configuration = context.configuration.load();
    let person = Person::compile(subject, issuer, &configuration)?;
    // Only the login's issuer has sessions here, and the request was not about tokens.
    if configuration.settings.login.as_ref().is_some_and(|login| login.issuer != person.issuer) {
        let Person { issuer, .. } = person;
        return bad(format!(
            "sessions here do not come from `{issuer}`; revoke the subject instead"
        ));
    }
    let Person { issuer, subject } = person.clone();
    let scope = Scope::Subject { issuer: Some(issuer), subject };
    context.revocations.dated_soon().await;
    let change = change("end_sessions", scope, (reason, actor, wait_ms), &context)?;
    let ending = forget_all(context.clone(), client, person, change.clone());
    let (taken, ended) = revocation_change::to_the_end(ending).await?;
    Ok(change.answer(&context, taken, begun, StatusCode::OK, [("ended", json!(ended))]).await)
}

/// Cuts a user's sessions off and removes them from the store in the same step. Returns how many
/// there were, if that could be read.
async fn forget_all(
    context: AdminContext,
    client: SocketAddr,
    person: Person,
    change: RevocationChange,
) -> Result<(Taken, Option<usize>), Problem> {
    // The sessions are read before the cut-off, because there are none after it.
    let (taken, found) = match live(&context, &person).await {
        Ok(found) => (cut_all_off(&context, &change, &found).await, Some(found)),
        Err(_) if accepts_locally(&context) => (change.append(&context).await, None),
        Err(problem) => (Err(problem), None),
    };
    let ended = found.map(|found| found.iter().map(|live| live.session.id()).collect::<Vec<_>>());
    if let (Ok(_), Some(ended)) = (&taken, &ended) {
        ended.iter().for_each(|id| context.sessions.forget(*id));
        count(&context, ended.len());
    }
    let taken = change.audit(&context, client, taken).await?;
    Ok((taken, ended.map(|ended| ended.len())))
}

/// Makes the change. Sessions that were created by a gateway whose clock is ahead are cut off
/// first: the change would take them for new logins.
async fn cut_all_off(
    context: &AdminContext,
    change: &RevocationChange,
    found: &[UsableSession],
) -> Result<Taken, Problem> {
    for UsableSession { session, record } in found {
        if record.created > change.cut_off() {
            let now = clock::shared();
            let dies = context.configuration.load().gate.sessions.rules.terms().forgotten_at(now);
            let scope = Scope::Session(session.id().to_string().into());
            let entry = Entry::compile(scope, None, Some(dies), [], now);
            change.with_entry(entry).append(context).await?;
        }
    }
    change.append(context).await
}

fn count(context: &AdminContext, ended: usize) {
    let ended = u64::try_from(ended).unwrap_or(u64::MAX);
    context.sessions.metrics().ended(SessionEnd::Operator).inc_by(ended);
}

/// Whether a change is accepted when the store cannot be reached.
fn accepts_locally(context: &AdminContext) -> bool {
    match context.configuration.load().settings.revocation.unreachable {
        WhenUnreachable::AcceptLocally => true,
        WhenUnreachable::Refuse => false,
    }
}

/// The sessions of a user that can be used.
async fn live(context: &AdminContext, person: &Person) -> Result<Vec<UsableSession>, Problem> {
    let Person { issuer, subject } = person;
    let stored =
        context.sessions.of_subject(issuer, subject).await.map_err(revocation_change::failed)?;
    let configuration = context.configuration.load();
    let (gate, now) = (&configuration.gate, clock::moment());
    let compiled = stored.into_iter().map(|(id, stored)| {
        let session = Session::compile_login(id, &stored, &gate.sessions.rules, now.steady);
        let StoredSession { record, .. } = stored;
        UsableSession { session, record }
    });
    let is_usable = |UsableSession { session, .. }: &UsableSession| {
        session.authentic().end().min(session.idle_ends()) > now.shared()
            && !session.authentic().is_revoked(&gate.revocations, now)
    };
    Ok(compiled.filter(is_usable).collect())
}

/// A session, for people and programs.
fn describe(UsableSession { session, record }: &UsableSession) -> Value {
    let ends = session.authentic().end();
    let LoginDetails { family, user_agent, address } = record.login().cloned().unwrap_or_default();
    json!({
        "id": session.id().to_string(),
        "method": record.method,
        "created_at": date(record.created),
        "last_seen_at": date(session.last_seen()),
        "expires_at": date(ends),
        "idle_expires_at": date(session.idle_ends().min(ends)),
        "roles": record.roles,
        "scopes": record.scopes,
        "family": family,
        "user_agent": user_agent,
        "address": address,
    })
}

impl Person {
    /// Without a named `issuer`, it is that of the login.
    fn compile(
        subject: Option<String>,
        issuer: Option<String>,
        configuration: &Running,
    ) -> Result<Self, Problem> {
        let Some(login) = &configuration.settings.login else {
            return bad("nobody can log in: the configuration has no `login`");
        };
        let subject = input::id(subject, "subject")?;
        let issuer = match issuer {
            Some(named) => known_issuer(configuration, &named)?,
            None => login.issuer.clone(),
        };
        Ok(Self { issuer, subject })
    }
}

fn change(
    audit: &'static str,
    scope: Scope,
    (reason, actor, wait_ms): (Option<String>, Option<String>, Option<u64>),
    context: &AdminContext,
) -> Result<RevocationChange, Problem> {
    let (reason, actor) = (input::reason(reason)?, input::actor(actor)?);
    let reaches_s = context.configuration.load().reaches_s(&scope);
    let entry = Entry::compile(scope, None, None, reaches_s, clock::shared());
    Ok(RevocationChange::new(audit, entry, actor, reason, wait_ms.map(Duration::from_millis)))
}

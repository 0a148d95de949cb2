//! Answers `/v1/api-keys`: makes, lists and revokes keys for clients that cannot do OAuth. Each key
//! is shown once, when it is made.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::audited::{Audited, ChangeOutcome};
use super::context::AdminContext;
use super::input::{self, bad};
use super::problem::Problem;
use super::revocation_change::{self, RevocationChange};
use crate::clock;
use crate::config;
use crate::config::tokens::ApiKeySettings;
use crate::feed::revocations::Taken;
use crate::gate::revocation::{Entry, Scope};
use crate::gate::session::{
    ApiKey, ApiKeyDetails, Session, SessionId, SessionKind, SessionRecord, StoredSession,
};
use crate::issuer::random;
use crate::store::session::API_KEYS_MAX;
use crate::store::session_end::SessionEnd;
use crate::web::date::date;

/// The login method in the records of API keys.
const METHOD: &str = "api_key";

/// How many scopes, roles and claims one key may have, each.
const ITEMS_MAX: usize = 100;

/// The body that creates a key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyRequest {
    subject: Option<String>,
    label: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    expires_in: Option<String>,
    reason: Option<String>,
    actor: Option<String>,
}

/// The query for keys: those of one subject, or all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyQuery {
    subject: Option<String>,
}

/// The query that revokes a key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyRevocation {
    reason: Option<String>,
    actor: Option<String>,
    wait_ms: Option<u64>,
}

/// Makes a key. The answer is the only place where it is ever shown.
pub(super) async fn create(
    State(context): State<AdminContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Result<Json<ApiKeyRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let request = input::body(request)?;
    let (reason, actor) =
        (input::reason(request.reason.clone())?, input::actor(request.actor.clone())?);
    if !context.revocations.is_dated_soon().await {
        return Err(Problem::StoreUnavailable("the store's clock was not read yet".to_owned()));
    }
    let record = record(request, &context)?;
    let bits = random::bits().map_err(|error| Problem::StoreUnavailable(error.to_string()))?;
    let key = ApiKey::generate(bits, &context.configuration.load().gate.sessions.tags);
    let id = key.id();
    let making = make(context, client, id, record.clone(), (actor, reason));
    revocation_change::to_the_end(making).await?;
    let mut answer = describe(id, &StoredSession { last_seen: record.created, record });
    answer["key"] = json!(key.expose());
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Writes a key to the store, and that to the audit log. A key that could not be audited is not
/// shown.
async fn make(
    context: AdminContext,
    client: SocketAddr,
    id: SessionId,
    record: SessionRecord,
    (actor, reason): (Box<str>, Box<str>),
) -> Result<(), Problem> {
    let target = format!("API key {id} of {}", record.subject);
    let made = write_down(&context, id, record).await;
    let outcome = made.as_ref().map_or_else(ChangeOutcome::Refused, |()| ChangeOutcome::Written);
    let change = Audited {
        audit: "create_api_key",
        target: &target,
        actor: &actor,
        client,
        reason: &reason,
    };
    let audited = change.write(&context, outcome).await;
    made?;
    if let Err(error) = audited {
        drop(context.sessions.end(id).await);
        return Err(Problem::Unaudited { durable: false, why: error.to_string() });
    }
    Ok(())
}

async fn write_down(
    context: &AdminContext,
    id: SessionId,
    record: SessionRecord,
) -> Result<(), Problem> {
    if context.sessions.api_keys().await.map_err(revocation_change::failed)?.len() >= API_KEYS_MAX {
        return Err(Problem::ApiKeysFull);
    }
    context.sessions.begin(id, record, None).await.map_err(revocation_change::failed)?;
    context.sessions.metrics().created(METHOD).inc();
    Ok(())
}

/// Lists the keys, the latest first. The answer shows none of them: the gateway no longer has them.
pub(super) async fn list(
    State(context): State<AdminContext>,
    query: Result<Query<ApiKeyQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let ApiKeyQuery { subject } = input::query(query)?;
    settings(&context)?;
    let stored = context.sessions.api_keys().await.map_err(revocation_change::failed)?;
    let configuration = context.configuration.load();
    let (gate, now) = (&configuration.gate, clock::moment());
    let is_wanted = |(id, stored): &(SessionId, StoredSession)| {
        let session = Session::compile(*id, stored, &gate.sessions.rules, now.steady);
        subject.as_ref().is_none_or(|subject| **subject == *stored.record.subject)
            && session.authentic().end() > now.shared()
            && !session.authentic().is_revoked(&gate.revocations, now)
    };
    let keys: Vec<_> =
        stored.iter().filter(|key| is_wanted(key)).map(|(id, key)| describe(*id, key)).collect();
    Ok(Json(json!({ "api_keys": keys })))
}

/// Revokes a key.
pub(super) async fn revoke(
    State(context): State<AdminContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ApiKeyRevocation>, QueryRejection>,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    let Some(id) = id.ok().and_then(|Path(id)| SessionId::parse(&id)) else {
        return bad("the value is not the id of an API key, which has 43 characters");
    };
    let ApiKeyRevocation { reason, actor, wait_ms } = input::query(query)?;
    let (reason, actor) = (input::reason(reason)?, input::actor(actor)?);
    let now = clock::shared();
    let dies = now.plus(context.configuration.load().gate.sessions.rules.terms().reach_s());
    let scope = Scope::Session(id.to_string().into());
    let entry = Entry::compile(scope, None, Some(dies), [], now);
    let wait = wait_ms.map(Duration::from_millis);
    let change = RevocationChange::new("revoke_api_key", entry, actor, reason, wait);
    let (taken, subject) =
        revocation_change::to_the_end(cut_off(context.clone(), client, id, change.clone())).await?;
    let more = [("api_key", json!(id.to_string())), ("subject", json!(subject))];
    Ok(change.answer(&context, taken, begun, StatusCode::OK, more).await)
}

/// Cuts a key off, and deletes it. Returns whose it was.
async fn cut_off(
    context: AdminContext,
    client: SocketAddr,
    id: SessionId,
    change: RevocationChange,
) -> Result<(Taken, Box<str>), Problem> {
    let (taken, subject) = match context.sessions.stored(id).await {
        Ok(stored) => {
            let record = stored.map(|stored| stored.record);
            let Some(record) = record.filter(|record| record.api_key().is_some()) else {
                return Err(Problem::ApiKeyUnknown);
            };
            (end(&context, id, &change).await, record.subject)
        }
        Err(error) => (Err(revocation_change::failed(error)), "".into()),
    };
    Ok((change.audit(&context, client, taken).await?, subject))
}

/// A key that is cut off is refused by every gateway. It is deleted in the same step, so that it
/// stays refused when the list has dropped the entry.
async fn end(
    context: &AdminContext,
    id: SessionId,
    change: &RevocationChange,
) -> Result<Taken, Problem> {
    let taken = change.append(context).await?;
    context.sessions.metrics().ended(SessionEnd::Operator).inc();
    context.sessions.forget(id);
    Ok(taken)
}

/// What a key is, by the words in which it is wanted.
fn record(request: ApiKeyRequest, context: &AdminContext) -> Result<SessionRecord, Problem> {
    let ApiKeyRequest { subject, label, scopes, roles, claims, expires_in, reason: _, actor: _ } =
        request;
    let ApiKeySettings { issuer, lifetime_max_s, .. } = settings(context)?;
    let lifetime_s = match expires_in {
        None => lifetime_max_s,
        Some(text) => {
            let Some(lifetime) = config::duration(&text) else {
                return bad(format!("`{text}` is not a duration: write 90d, 12h …"));
            };
            i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX)
        }
    };
    if !(1..=lifetime_max_s).contains(&lifetime_s) {
        return bad(format!(
            "the lifetime of a key is 1s to {lifetime_max_s}s (`api_keys.max_lifetime`)"
        ));
    }
    if scopes.len().max(roles.len()).max(claims.len()) > ITEMS_MAX {
        return bad(format!("a key may have {ITEMS_MAX} scopes, roles and claims, each"));
    }
    let is_scope = |scope: &String| {
        // RFC 6749 §3.3.
        !scope.is_empty()
            && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
        return bad(format!("`{scope}` is not a scope"));
    }
    let ids = |list: Vec<String>, name: &str| -> Result<Vec<Box<str>>, Problem> {
        list.into_iter().map(|id| input::id(Some(id), name)).collect()
    };
    let created = clock::shared();
    Ok(SessionRecord {
        kind: SessionKind::ApiKey(ApiKeyDetails { label: input::label(label)? }),
        subject: input::id(subject, "subject")?,
        issuer,
        method: METHOD.into(),
        roles: ids(roles, "roles")?,
        scopes: ids(scopes, "scopes")?,
        claims,
        created,
        ends: created.plus(lifetime_s),
        // An API key has no idle limit.
        idle_s: lifetime_s,
    })
}

/// What API keys must be like, if there are to be any.
fn settings(context: &AdminContext) -> Result<ApiKeySettings, Problem> {
    let settings = context.configuration.load().settings.api_keys.clone();
    settings.map_or_else(|| bad("the configuration has no `api_keys`"), Ok)
}

/// A key, for people and programs.
fn describe(id: SessionId, StoredSession { record, last_seen }: &StoredSession) -> Value {
    // What was never used was last seen when it was made.
    let used = (*last_seen > record.created).then(|| date(*last_seen));
    json!({
        "id": id.to_string(),
        "subject": record.subject,
        "label": record.api_key().map(|key| &*key.label).unwrap_or_default(),
        "scopes": record.scopes,
        "roles": record.roles,
        "claims": record.claims,
        "created_at": date(record.created),
        "last_used_at": used,
        "expires_at": date(record.ends),
    })
}

//! `/v1/revocations`: cutting off, and who is.

mod draft;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::View;
use super::gateways;
use super::problem::Problem;
use crate::clock;
use crate::feed::revocations::{Confirmation, Taken};
use crate::gate::revocation::{Entry, Scope};
use crate::gate::time::UnixTime;
use crate::store::record::Record;
use crate::store::{AppendError, StoreError};
use crate::telemetry::audit::{self, Change};
use draft::Draft;

/// The longest that a request may wait for the gateways to confirm.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long a line may take to get into the audit log.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How many lines may be on their way to the audit log.
static AUDIT_PLACES: Semaphore = Semaphore::const_new(4);

/// How many revocations one page may hold.
const PAGE_MAX: u64 = 1000;

/// Writes a revocation down.
pub(super) async fn create(
    State(view): State<View>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    body: Result<Json<Draft>, JsonRejection>,
) -> Response {
    let begun = Instant::now();
    let compiled = match body {
        Ok(Json(draft)) => draft.compile(&view.configuration.load(), clock::now()),
        Err(rejection) => Err(Problem::BadRequest(rejection.body_text())),
    };
    let (record, wait) = match compiled {
        Ok(compiled) => compiled,
        Err(problem) => return problem.into_response(),
    };
    // A task of its own: whoever asked may leave before it is done, and it must not stay half done.
    let written = tokio::spawn(write_down(view.clone(), client, record.clone())).await;
    let broken_off = |error: JoinError| Err(Problem::StoreUnavailable(error.to_string()));
    let taken = match written.unwrap_or_else(broken_off) {
        Ok(taken) => taken,
        Err(problem) => return problem.into_response(),
    };
    let mut answer = describe(&record);
    let status = match taken {
        Taken::Locally => {
            answer["durable"] = json!(false);
            StatusCode::ACCEPTED
        }
        Taken::Durable(position) => {
            answer["durable"] = json!(true);
            answer["position"] = json!(position);
            if let Some(wait) = wait {
                match view.revocations.confirm(&record, position, begun, wait.min(WAIT_MAX)).await {
                    Ok(confirmation) => tell(&mut answer, &confirmation, position),
                    Err(error) => answer["unconfirmed"] = json!(error.to_string()),
                }
            }
            StatusCode::CREATED
        }
    };
    answer["elapsed_ms"] = json!(millis(begun.elapsed()));
    (status, Json(answer)).into_response()
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

/// Appends a record to the log, and to the audit log what came of that.
async fn write_down(view: View, client: SocketAddr, record: Record) -> Result<Taken, Problem> {
    let taken = view.revocations.append(record.clone()).await.map_err(|error| match error {
        AppendError::Full => Problem::ListFull,
        AppendError::Store(
            StoreError::Unavailable(why) | StoreError::Refused(why) | StoreError::Unreadable(why),
        ) => Problem::StoreUnavailable(why),
    });
    let audited = audit(&view, client, &record, taken.as_ref()).await;
    let taken = taken?;
    audited.map_err(|error| {
        tracing::error!(%error, "the audit log cannot be written");
        let durable = matches!(taken, Taken::Durable(_));
        Problem::Unaudited { durable, why: error.to_string() }
    })?;
    Ok(taken)
}

async fn audit(
    view: &View,
    client: SocketAddr,
    record: &Record,
    taken: Result<&Taken, &Problem>,
) -> std::io::Result<()> {
    let (result, position) = match taken {
        Ok(Taken::Durable(position)) => ("ok", Some(*position)),
        Ok(Taken::Locally) => ("ok", None),
        Err(problem) => (problem.slug(), None),
    };
    let change = Change {
        audit: "revoke",
        time: clock::wall(),
        actor: &record.actor,
        client: client.ip().to_canonical(),
        target: &record.entry.scope.to_string(),
        reason: &record.reason,
        result,
        position,
        durable: position.is_some(),
    };
    let line = change.line();
    let file = view.configuration.load().audit_log.clone();
    // Away from the threads that follow the log: nobody may be reading standard output. And never
    // many at once, however long nobody does.
    let writing = async {
        let place = AUDIT_PLACES.acquire().await.map_err(std::io::Error::other)?;
        let writing = tokio::task::spawn_blocking(move || {
            let _held_while_it_takes = place;
            audit::write(file.as_deref(), &line)
        });
        writing.await.map_err(std::io::Error::other)?
    };
    match tokio::time::timeout(AUDIT_TIMEOUT, writing).await {
        Ok(written) => written,
        Err(_) => Err(std::io::Error::other("nobody takes the line")),
    }
}

/// Which page is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default)]
    offset: u64,
    limit: Option<u64>,
}

/// Lists the live revocations, those that expire first at the top.
pub(super) async fn list(
    State(view): State<View>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(page) = page.map_err(|rejection| Problem::BadRequest(rejection.body_text()))?;
    let limit = page.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let listing = view
        .revocations
        .list(page.offset, limit)
        .await
        .map_err(|error| Problem::StoreUnavailable(error.to_string()))?;
    let records: Vec<_> = listing.records.iter().map(describe).collect();
    Ok(Json(json!({ "total": listing.total, "offset": page.offset, "revocations": records })))
}

/// A revocation, for people and programs.
fn describe(record: &Record) -> Value {
    let Record { entry: Entry { scope, cut_off, expires }, written_us, actor, reason, mark: _ } =
        record;
    let mut value = json!({
        "scope": scope.kind().as_str(),
        "written_at": date(UnixTime::from_seconds((written_us / 1_000_000) as i64)),
        "actor": actor,
        "reason": reason,
    });
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
    }
    value["issued_until"] = date(*cut_off);
    value["expires_at"] = date(*expires);
    value
}

/// RFC 3339; `null` for never.
fn date(time: UnixTime) -> Value {
    match clock::system_time(time) {
        Some(time) => json!(humantime::format_rfc3339_seconds(time).to_string()),
        None => Value::Null,
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

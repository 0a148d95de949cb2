//! Answers `/v1/keys`: lists the gateway's own signing keys, and makes another. It never shows a
//! private key.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::audited::{Audited, ChangeOutcome};
use super::context::AdminContext;
use super::input;
use super::problem::Problem;
use super::revocation_change;
use crate::feed::signing::{ListedKey, NewKey, Refused};
use crate::issuer::ring::BeginsTo;
use crate::web::date::date;

/// The body that makes another signing key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RotationRequest {
    now: bool,
    reason: Option<String>,
    actor: Option<String>,
}

/// Who makes it, and why.
struct Attribution {
    actor: Box<str>,
    reason: Box<str>,
}

/// Lists the signing keys, those that sign later last.
pub(super) async fn list(State(context): State<AdminContext>) -> Result<Json<Value>, Problem> {
    let keys = context.signing.list().await.map_err(refused)?;
    let keys: Vec<_> = keys.iter().map(describe).collect();
    Ok(Json(json!({ "keys": keys })))
}

/// Makes another signing key.
pub(super) async fn rotate(
    State(context): State<AdminContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Result<Json<RotationRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let RotationRequest { now, reason, actor } = input::body(request)?;
    let attribution = Attribution { actor: input::actor(actor)?, reason: input::reason(reason)? };
    let begins = if now { BeginsTo::SignNow } else { BeginsTo::SignAfterPublication };
    let NewKey { id, signs_from } =
        revocation_change::to_the_end(make(context, client, begins, attribution)).await?;
    let answer = json!({ "id": id, "signs_from": date(signs_from) });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Makes the key, and writes the outcome to the audit log.
async fn make(
    context: AdminContext,
    client: SocketAddr,
    begins: BeginsTo,
    Attribution { actor, reason }: Attribution,
) -> Result<NewKey, Problem> {
    let made = context.signing.rotate(begins).await.map_err(refused);
    let target = made.as_ref().map_or("signing keys".to_owned(), |new| format!("key {}", new.id));
    let outcome = made.as_ref().map_or_else(ChangeOutcome::Refused, |_| ChangeOutcome::Written);
    let change =
        Audited { audit: "rotate_keys", target: &target, actor: &actor, client, reason: &reason };
    let audited = change.write(&context, outcome).await;
    let new = made?;
    audited.map_err(|error| Problem::Unaudited { durable: true, why: error.to_string() })?;
    Ok(new)
}

fn refused(refused: Refused) -> Problem {
    let why = refused.to_string();
    match refused {
        Refused::NoTokens | Refused::Given => Problem::BadRequest(why),
        Refused::TooMany => Problem::TooManyKeys(why),
        Refused::Unavailable(why) => Problem::KeysUnavailable(why),
    }
}

/// A key, for people and programs.
fn describe(key: &ListedKey) -> Value {
    let ListedKey { id, algorithm, state, created, signs_from, retires_at } = key;
    json!({
        "id": id,
        "algorithm": algorithm,
        "state": state.as_str(),
        "created_at": created.map(date),
        "signs_from": signs_from.map(date),
        "retires_at": retires_at.map(date),
    })
}

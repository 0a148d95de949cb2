//! Answers `/v1/revocations`: makes, lists and lifts revocations.

mod draft;
mod lift;
mod reach;

use std::net::SocketAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::AdminContext;
use super::input;
use super::problem::Problem;
use super::revocation_change::{self, RevocationChange};
use crate::clock;
use crate::feed::revocations::Taken;
use draft::RevocationDraft;
pub(super) use lift::{lift_all, lift_one};

/// How many revocations one page may hold.
const PAGE_MAX: u64 = 1000;

/// Writes a revocation down.
pub(super) async fn create(
    State(context): State<AdminContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    body: Result<Json<RevocationDraft>, JsonRejection>,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    let draft = input::body(body)?;
    context.revocations.dated_soon().await;
    let change = draft.compile(&context.configuration.load(), clock::shared())?;
    let taken =
        revocation_change::to_the_end(write_down(context.clone(), client, change.clone())).await?;
    Ok(change.answer(&context, taken, begun, StatusCode::CREATED, []).await)
}

async fn write_down(
    context: AdminContext,
    client: SocketAddr,
    change: RevocationChange,
) -> Result<Taken, Problem> {
    let taken = change.append(&context).await;
    change.audit(&context, client, taken).await
}

/// Which page is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    #[serde(default)]
    offset: u64,
    limit: Option<u64>,
}

/// Lists the live revocations, those that expire first at the top.
pub(super) async fn list(
    State(context): State<AdminContext>,
    page: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let PageQuery { offset, limit } = input::query(page)?;
    let limit = limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let listing = context
        .revocations
        .list(offset, limit)
        .await
        .map_err(|error| Problem::StoreUnavailable(error.to_string()))?;
    // Lifts are listed apart, so that they are not taken for revocations.
    let (lifts, revocations): (Vec<_>, Vec<_>) =
        listing.records.iter().partition(|record| record.is_lift());
    let described =
        |records: Vec<_>| records.into_iter().map(revocation_change::describe).collect::<Vec<_>>();
    Ok(Json(json!({
        "total": listing.total,
        "offset": offset,
        "revocations": described(revocations),
        "lifts": described(lifts),
    })))
}

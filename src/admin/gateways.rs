//! Answers `GET /v1/gateways`: which gateways follow the revocation log, and how far they are.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::context::AdminContext;
use super::problem::Problem;
use crate::store::KnownGateway;

/// Lists the gateways.
pub(super) async fn list(State(context): State<AdminContext>) -> Result<Json<Value>, Problem> {
    let roster = context
        .revocations
        .roster()
        .await
        .map_err(|error| Problem::StoreUnavailable(error.to_string()))?;
    let gateways: Vec<_> =
        roster.gateways.iter().map(|known| listed(&context, known, roster.head)).collect();
    Ok(Json(json!({ "position": roster.head, "gateways": gateways })))
}

/// A gateway, and where its settings differ from those of the one that is asked.
fn listed(context: &AdminContext, known: &KnownGateway, head: u64) -> Value {
    let mut described = describe(known, head);
    described["differs_in"] = json!(context.revocations.differs_in(known));
    described
}

/// A gateway, for people and programs.
pub(super) fn describe(known: &KnownGateway, head: u64) -> Value {
    let state = &known.state;
    json!({
        "id": state.instance,
        "name": state.name,
        "version": state.version,
        "position": state.applied,
        "lag": head.saturating_sub(state.applied),
        "follows": known.follows,
        "silent_ms": known.silent_ms,
        "clock_ahead_ms": state.clock_ahead_ms,
    })
}

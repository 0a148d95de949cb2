//! Exposes all metrics. Some are measured only when they are requested.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::context::AdminContext;
use crate::clock;

/// Answers `GET /metrics`.
pub(super) async fn answer(State(context): State<AdminContext>) -> Response {
    let configuration = context.configuration.load();
    let feeds = configuration.key_feeds.iter().map(|feed| (&*feed.issuer, &*feed.cell));
    let now = clock::moment();
    let entries_max = configuration.settings.revocation.entries_max;
    context.revocations.metrics().measure(&configuration.gate.revocations, entries_max, now.steady);
    context.sessions.metrics().measure(&configuration.gate.sessions.table);
    context.key_sets.measure(feeds, now.wall);
    context.token_cache.measure(&configuration.gate.verifier);
    match context.registry.expose() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot expose metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

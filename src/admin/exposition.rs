//! Exposes all metrics, and measures first what is measured only when somebody asks.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::view::View;
use crate::clock;

/// Answers `GET /metrics`.
pub(super) async fn answer(State(view): State<View>) -> Response {
    let configuration = view.configuration.load();
    let feeds = configuration.key_feeds.iter().map(|feed| (&*feed.issuer, &*feed.cell));
    let now = clock::moment();
    let entries_max = configuration.settings.revocation.entries_max;
    view.revocations.metrics().measure(&configuration.gate.revocations, entries_max, now.steady);
    view.sessions.metrics().measure(&configuration.gate.sessions.table);
    view.key_sets.measure(feeds, now.wall);
    view.token_cache.measure(&configuration.gate.verifier);
    match view.registry.expose() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot expose metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

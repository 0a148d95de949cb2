//! OPERATE. Answers what operators and machines ask (is it alive, is it ready, how is it doing) and
//! does what operators change: who is cut off, and who stays logged in.

mod api_keys;
mod audited;
mod body;
mod context;
mod exposition;
mod gateways;
mod guard;
mod input;
mod keys;
mod listener;
mod problem;
mod readiness;
mod revocation_change;
mod revocations;
mod sessions;
pub mod token;
pub mod token_cache;

use std::convert::Infallible;
use std::net::TcpListener;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};

use crate::clock;
pub use context::AdminContext;
use listener::ListenerBounds;
pub use readiness::Readiness;

/// Serves the admin listener, `connections_max` connections at once, for as long as the process
/// lives: a probe still learns that the gateway is stopping.
///
/// # Errors
///
/// If the socket cannot be used.
pub async fn serve(
    listener: TcpListener,
    context: AdminContext,
    connections_max: usize,
) -> std::io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // Probes come from machines that hold no token. They learn one word.
    let open = Router::new().route("/livez", get(async || "alive\n")).route("/readyz", get(readyz));
    let no_pages = || middleware::from_fn_with_state(context.clone(), guard::refuse_pages);
    let metrics = Router::new()
        .route("/metrics", get(exposition::answer))
        .route_layer(middleware::from_fn_with_state(context.clone(), guard::require_given_token))
        .route_layer(no_pages());
    let api = Router::new()
        .route(
            "/v1/revocations",
            get(revocations::list).post(revocations::create).delete(revocations::lift_all),
        )
        .route("/v1/revocations/{id}", delete(revocations::lift_one))
        .route("/v1/sessions", get(sessions::list).delete(sessions::end_all))
        .route("/v1/sessions/{id}", delete(sessions::end_one))
        .route("/v1/api-keys", get(api_keys::list).post(api_keys::create))
        .route("/v1/api-keys/{id}", delete(api_keys::revoke))
        .route("/v1/keys", get(keys::list))
        .route("/v1/keys/rotate", post(keys::rotate))
        .route("/v1/gateways", get(gateways::list))
        .route_layer(middleware::from_fn(body::read_in_time))
        .route_layer(middleware::from_fn_with_state(context.clone(), guard::require_token))
        .route_layer(no_pages());
    let router = open.merge(metrics).merge(api).with_state(context);
    Ok(listener::serve(listener, router, ListenerBounds::of(connections_max)).await)
}

async fn readyz(State(context): State<AdminContext>) -> impl IntoResponse {
    let configuration = context.configuration.load();
    let age_ms = configuration.gate.revocations.age_ms(clock::steady()).unwrap_or(0);
    let is_stale = u128::from(age_ms) > configuration.settings.revocation.max_staleness.as_millis();
    context.readiness.answer(is_stale)
}

//! What operators and machines ask: is it alive, is it ready, how is it doing.

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use subtle::ConstantTimeEq;

use crate::clock;
use crate::config::Configuration;
use crate::telemetry::families::Families;

/// Whether requests should be sent here. A flag of our own: what is not known to be ready is not.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Readiness {
    /// From now on, unless it is stopping.
    pub fn ready(&self) {
        let _ = self.0.compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Never again.
    pub fn stopping(&self) {
        self.0.store(STOPPING, Ordering::Release);
    }

    fn answer(&self) -> (StatusCode, &'static str) {
        match self.0.load(Ordering::Acquire) {
            READY => (StatusCode::OK, "ready\n"),
            STOPPING => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        }
    }
}

/// What the admin listener looks at.
#[derive(Clone, Debug)]
pub struct View {
    /// The configuration in force.
    pub configuration: Arc<ArcSwap<Configuration>>,
    /// The metrics.
    pub families: Arc<Families>,
    /// Whether requests should be sent here.
    pub readiness: Arc<Readiness>,
}

/// Serves the admin listener until `stop` resolves.
///
/// # Errors
///
/// If the socket cannot be used.
pub async fn serve(
    listener: TcpListener,
    view: View,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // Probes come from machines that hold no token; what they learn is one word.
    let open = Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(async |State(view): State<View>| view.readiness.answer()));
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route_layer(middleware::from_fn_with_state(view.clone(), require_token));
    let router = open.merge(guarded).with_state(view);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn metrics(State(view): State<View>) -> Response {
    let configuration = view.configuration.load_full();
    let feeds = configuration.key_feeds.iter().map(|feed| (&*feed.issuer, &*feed.cell));
    match view.families.expose(&configuration.gate.verifier, feeds, clock::now()) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot expose metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn require_token(State(view): State<View>, request: Request, next: Next) -> Response {
    let configuration = view.configuration.load_full();
    let admitted = match &configuration.admin.token {
        // Without a token the listener is on a loopback address; the compiler saw to that.
        None => true,
        Some(token) => presented(request.headers())
            .is_some_and(|presented| bool::from(presented.ct_eq(token.expose()))),
    };
    if admitted {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"portcullis-admin\"")];
    (StatusCode::UNAUTHORIZED, challenge, "the admin token is required\n").into_response()
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

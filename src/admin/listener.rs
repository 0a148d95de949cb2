//! Accepts the connections of the admin listener, within bounds: each takes a descriptor of those
//! that are kept for the store, too.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::body::BODY_TIMEOUT;
use super::revocation_change::WAIT_MAX;
use crate::network::OpenConnections;

/// How long the head of a request may take, from when a connection was accepted or its last answer
/// was written: an idle connection is closed by it, too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to read its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause after a failed `accept`, which means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the log reports connections that were closed at once.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(1);

/// How many connections there may be, and how long they may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListenerBounds {
    connections_max: usize,
    connections_per_address_max: usize,
    head_timeout: Duration,
    /// From the end of a request's head to the end of its answer.
    exchange_timeout: Duration,
}

impl ListenerBounds {
    /// So many connections, half of them for one client network.
    pub(super) fn of(connections_max: usize) -> Self {
        Self {
            connections_max,
            connections_per_address_max: (connections_max / 2).max(1),
            head_timeout: HEAD_TIMEOUT,
            exchange_timeout: BODY_TIMEOUT.saturating_add(WAIT_MAX).saturating_add(ANSWER_TIMEOUT),
        }
    }
}

/// Serves `router` on `socket`.
pub(super) async fn serve(
    socket: TcpListener,
    router: Router,
    bounds: ListenerBounds,
) -> Infallible {
    let connections = Arc::new(OpenConnections::default());
    let mut refusals = Refusals::new();
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let ListenerBounds { connections_max, connections_per_address_max, .. } = bounds;
        let client = peer.ip().to_canonical();
        match connections.admit(client, connections_max, Some(connections_per_address_max)) {
            Some(place) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve_connection(stream, peer, router, bounds).await;
                    drop(place);
                });
            }
            None => refusals.tell(client),
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    bounds: ListenerBounds,
) {
    let (begins, begun) = watch::channel(Instant::now());
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        begins.send_replace(Instant::now());
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head_timeout)
            .serve_connection(TokioIo::new(stream), service)
    );
    // hyper has no deadline for an answer. Each request starts this one anew. Between requests, the
    // deadline of the head applies.
    loop {
        let given_up_at = *begun.borrow() + bounds.exchange_timeout;
        // Whether it ended well is for the client to say.
        let ended = timeout_at(given_up_at, connection.as_mut()).await.is_ok();
        if ended || begun.borrow().elapsed() >= bounds.exchange_timeout {
            return;
        }
    }
}

/// Logs connections that were closed at once, with a limited frequency.
struct Refusals {
    untold: u64,
    told_next: Instant,
}

impl Refusals {
    fn new() -> Self {
        Self { untold: 0, told_next: Instant::now() }
    }

    fn tell(&mut self, client: IpAddr) {
        self.untold += 1;
        let now = Instant::now();
        if now >= self.told_next {
            let refused = std::mem::take(&mut self.untold);
            self.told_next = now + REFUSALS_TOLD_EVERY;
            tracing::warn!(%client, refused, "too many connections to the admin listener");
        }
    }
}

//! Accepts connections, within bounds, and hands them on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};

use super::client::is_trusted;
use super::client_stream::wire::Wire;
use super::connection::Server;
use super::drain::Drain;
use super::pingora_lane::proxy_hooks::ProxyHooks;
use super::pingora_lane::revocable_proxy::RevocableProxy;
use super::publication::Current;
use super::revocation_sweep::Streams;
use super::upstream_connections::UpstreamConnections;
use crate::network::OpenConnections;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed `accept`, which means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// More tries than any upstream is configured for; the hooks count.
const TRIES_MAX: usize = 8;

/// A bound socket, not yet accepting.
#[derive(Debug)]
pub struct Bound {
    address: SocketAddr,
    listener: std::net::TcpListener,
    tls: TlsCell,
}

/// The certificate of a listener; a reload replaces it.
#[derive(Clone, Debug, Default)]
pub struct TlsCell(Arc<ArcSwapOption<rustls::ServerConfig>>);

impl TlsCell {
    /// Uses another certificate for handshakes from now on.
    pub fn publish(&self, tls: Option<Arc<rustls::ServerConfig>>) {
        self.0.store(tls);
    }
}

impl Bound {
    /// Binds a listener's address, at which handshakes use `tls` if there are any.
    ///
    /// # Errors
    ///
    /// If it is taken, or not ours.
    pub fn bind(
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> std::io::Result<Self> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let cell = TlsCell::default();
        cell.publish(tls);
        Ok(Self { address: socket.local_addr()?, listener: socket, tls: cell })
    }

    /// The address, with the port that the system chose if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its certificate is kept.
    pub fn tls(&self) -> TlsCell {
        self.tls.clone()
    }
}

/// Serves `bound` until the drain begins. Must be called on the runtime that serves.
///
/// # Errors
///
/// If the runtime cannot take a socket.
pub fn serve(
    bound: Vec<Bound>,
    current: &Current,
    drain: &Arc<Drain>,
    threads: usize,
) -> std::io::Result<()> {
    let published = current.load();
    let conf = Arc::new(ServerConf {
        threads,
        max_retries: TRIES_MAX,
        // Both lanes share connections of our own.
        upstream_keepalive_pool_size: 1,
        ..ServerConf::default()
    });
    let upstreams = UpstreamConnections::start(&conf, published.bounds.idle_max);
    let mut proxy = http_proxy(&conf, ProxyHooks::new(current.clone(), upstreams.clone()));
    let configuration = &published.configuration;
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(configuration.settings.limits.keepalive_timeout);
    proxy.server_options = Some(options);
    let streams = Streams::new();
    // All configurations of the process share the list.
    tokio::spawn(streams.clone().sweep(configuration.gate.revocations.clone()));
    let app = Arc::new(RevocableProxy::new(proxy, streams));
    let server = Server { app, upstreams, current: current.clone(), drain: drain.clone() };
    let connections = Arc::new(OpenConnections::default());
    for Bound { address: _, listener, tls } in bound {
        let socket = TcpListener::from_std(listener)?;
        tokio::spawn(accept(socket, tls, server.clone(), connections.clone()));
    }
    Ok(())
}

async fn accept(
    socket: TcpListener,
    tls: TlsCell,
    server: Server,
    connections: Arc<OpenConnections>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = server.drain.begun() => return,
        };
        match accepted {
            Ok((stream, peer)) => accept_one(stream, peer, &tls, &server, &connections),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn accept_one(
    stream: TcpStream,
    peer: SocketAddr,
    tls: &TlsCell,
    server: &Server,
    connections: &Arc<OpenConnections>,
) {
    let client = peer.ip().to_canonical();
    let published = server.current.load();
    let bounds = published.bounds;
    // A proxy is not a client: those behind it may need all.
    let is_client = !is_trusted(client, &published.configuration.settings.trusted_proxies);
    let of_client = is_client.then_some(bounds.connections_per_address_max);
    let Some(place) = connections.admit(client, bounds.connections_max, of_client) else {
        published.metrics.connections_refused.inc();
        return;
    };
    let open = published.metrics.connections_open.clone();
    let counted = server.drain.enter();
    // A connection that cannot be configured is about to fail anyway.
    drop(stream.set_nodelay(true));
    let stream = Wire::new(stream, peer, &published.configuration.settings.limits);
    let acceptor = tls.0.load_full().map(Acceptor::from_server_config);
    let server = server.clone();
    tokio::spawn(async move {
        open.inc();
        // Also when the task panics: one bad connection must not make the gauge lie.
        let gauge = OpenGauge(open);
        if let Some(stream) = handshake(stream, acceptor, &server.drain).await {
            server.serve(stream, client).await;
        }
        drop((gauge, place, counted));
    });
}

/// `None` if it fails, takes too long, or the edge stops meanwhile.
async fn handshake(stream: Wire, acceptor: Option<Acceptor>, drain: &Drain) -> Option<Stream> {
    let gathers = stream.gathers();
    let stream: Stream = match acceptor {
        None => Box::new(stream),
        // Boxed: the connection needs its memory only now.
        Some(acceptor) => Box::pin(handshake_tls(stream, acceptor, drain)).await?,
    };
    gathers.store(true, Ordering::Relaxed);
    (!drain.is_begun()).then_some(stream)
}

async fn handshake_tls(stream: Wire, acceptor: Acceptor, drain: &Drain) -> Option<Stream> {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.tls_handshake(stream)) => shaken,
        () = drain.begun() => return None,
    };
    match shaken {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// Takes a connection off the gauge when dropped.
struct OpenGauge(IntGauge);

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

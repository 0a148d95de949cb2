//! A named destination, and the cell that holds its current addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

/// What the configuration says of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Its name.
    pub name: Box<str>,
    /// `host:port` each.
    pub peers: Vec<Box<str>>,
    /// TLS towards it.
    pub tls: Option<UpstreamTls>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for each read.
    pub read_timeout: Duration,
    /// How long to wait for each write.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How often a request that could not be sent is tried on another peer.
    pub retries: usize,
    /// How many requests it may have at once; a share of all if nothing is said.
    pub in_flight_max: Option<usize>,
}

/// TLS towards an upstream; certificates are always verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that the certificate must carry, and SNI.
    pub server_name: Box<str>,
    /// Certificate authorities (DER) to trust instead of the system's.
    pub ca: Option<Vec<Vec<u8>>>,
}

/// A named destination.
#[derive(Debug)]
pub struct Upstream {
    settings: UpstreamSettings,
    addresses: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
    in_flight: AtomicUsize,
}

/// A request is at an upstream until this is dropped.
#[derive(Debug)]
pub struct AtUpstream(Arc<Upstream>);

impl Drop for AtUpstream {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// An upstream whose numeric peers are known at once; names wait for the resolver.
    pub fn new(settings: UpstreamSettings) -> Self {
        let numeric = settings.peers.iter().filter_map(|peer| peer.parse().ok()).collect();
        Self {
            settings,
            addresses: ArcSwap::new(Arc::new(numeric)),
            turn: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// What the configuration says of it.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// Whether a peer is a name that has to be resolved.
    pub fn has_names(&self) -> bool {
        self.settings.peers.iter().any(|peer| peer.parse::<SocketAddr>().is_err())
    }

    /// Replaces the addresses (the resolver, its only writer).
    pub fn publish(&self, addresses: Vec<SocketAddr>) {
        if **self.addresses.load() != addresses {
            self.addresses.store(Arc::new(addresses));
        }
    }

    /// The current addresses.
    pub fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.addresses.load_full()
    }

    /// Counts a request, unless the upstream has `max` already.
    pub fn enter(self: &Arc<Self>, max: usize) -> Option<AtUpstream> {
        // Given back by the guard, whichever way this goes.
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let counted = AtUpstream(self.clone());
        (before < max).then_some(counted)
    }

    /// The next address in turn, if there is any.
    pub fn next(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        addresses.get(turn.checked_rem(addresses.len())?).copied()
    }
}

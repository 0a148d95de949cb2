//! REACH. A named destination: its current addresses, and what Pingora needs to connect to them.

mod peer;
pub mod resolver;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use pingora::upstreams::peer::HttpPeer;

use crate::config::UpstreamSettings;

/// A named destination.
#[derive(Debug)]
pub struct Upstream {
    settings: UpstreamSettings,
    template: HttpPeer,
    addresses: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
    in_flight: AtomicUsize,
}

/// A request that is in flight at an upstream, until this is dropped.
#[derive(Debug)]
pub struct AtUpstream(Arc<Upstream>);

impl Drop for AtUpstream {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// An upstream. Numeric peers are known at once; names wait for the resolver.
    pub fn new(settings: UpstreamSettings) -> Self {
        let numeric = settings.peers.iter().filter_map(|peer| peer.parse().ok()).collect();
        Self {
            template: peer::template(&settings),
            settings,
            addresses: ArcSwap::new(Arc::new(numeric)),
            turn: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// The configuration of the upstream.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// Whether a peer is a name that must be resolved.
    pub fn has_names(&self) -> bool {
        self.settings.peers.iter().any(|peer| peer.parse::<SocketAddr>().is_err())
    }

    /// Replaces the addresses. Only the resolver calls this.
    pub fn publish(&self, addresses: Vec<SocketAddr>) {
        if **self.addresses.load() != addresses {
            self.addresses.store(Arc::new(addresses));
        }
    }

    /// The current addresses.
    pub fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.addresses.load_full()
    }

    /// The peer at one of its addresses.
    pub fn peer_at(&self, address: SocketAddr) -> Box<HttpPeer> {
        peer::at(&self.template, address)
    }

    /// The `Host` that the upstream gets at this address if a request came without one: the
    /// upstream's own name. No part of it comes from the client.
    pub fn host_at(&self, address: SocketAddr) -> String {
        match &self.settings.tls {
            Some(tls) => tls.server_name.to_string(),
            None => address.to_string(),
        }
    }

    /// Counts a request, unless `max` are in flight at the upstream already.
    pub fn enter(self: &Arc<Self>, max: usize) -> Option<AtUpstream> {
        // The guard gives it back in either case.
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let counted = AtUpstream(self.clone());
        (before < max).then_some(counted)
    }

    /// The next address in rotation, if there is any.
    pub fn next(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        addresses.get(turn.checked_rem(addresses.len())?).copied()
    }
}

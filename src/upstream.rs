//! REACH. A named destination: its current addresses, and what Pingora needs to talk to them.

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
            template: peer::template(&settings),
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

    /// The peer at one of its addresses.
    pub fn peer_at(&self, address: SocketAddr) -> Box<HttpPeer> {
        peer::at(&self.template, address)
    }

    /// What it is told as `Host`, at this address, of a request that came without: its own name.
    /// Nothing that the client sent has a part in it.
    pub fn host_at(&self, address: SocketAddr) -> String {
        match &self.settings.tls {
            Some(tls) => tls.server_name.to_string(),
            None => address.to_string(),
        }
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

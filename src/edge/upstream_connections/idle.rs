//! Connections to upstreams that wait for the next request.
//!
//! Pingora's pool has a task and a timer for each of them, which costs more than the request itself. Here
//! one task looks at all of them once a second, and each is looked at once more when it is taken.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use ahash::RandomState;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

/// How often idle connections are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// To whom a connection leads: what is not the same here must not share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PeerIdentity {
    pub(super) address: SocketAddr,
    /// The name that its certificate was verified for; `None` in clear.
    pub(super) server_name: Option<Box<str>>,
    /// Stands for the authorities that vouched for it.
    pub(super) authorities: u64,
}

/// The idle connections of a process.
pub(super) struct IdleConnections {
    peers: Mutex<HashMap<PeerIdentity, Arc<IdlePeer>, RandomState>>,
    /// How many there are, and how many there may be.
    count: AtomicUsize,
    max: usize,
}

/// Those to one peer, the latest last.
#[derive(Debug, Default)]
pub(super) struct IdlePeer(Mutex<Vec<IdleConnection>>);

#[derive(Debug)]
struct IdleConnection {
    stream: Stream,
    until: Instant,
}

impl IdleConnections {
    /// None yet. Must be called on a runtime, which looks after them.
    pub(super) fn start(max: usize) -> Arc<Self> {
        let idle = Arc::new(Self { peers: Mutex::default(), count: AtomicUsize::new(0), max });
        let weak = Arc::downgrade(&idle);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                match weak.upgrade() {
                    Some(idle) => idle.sweep(Instant::now()),
                    None => return,
                }
            }
        });
        idle
    }

    /// Those to this peer.
    pub(super) fn of(&self, identity: PeerIdentity) -> Arc<IdlePeer> {
        lock(&self.peers).entry(identity).or_default().clone()
    }

    /// The latest connection to a peer that is still silent.
    pub(super) fn take(&self, peer: &IdlePeer) -> Option<Stream> {
        let mut connections = lock(&peer.0);
        let now = Instant::now();
        while let Some(IdleConnection { mut stream, until }) = connections.pop() {
            self.count.fetch_sub(1, Ordering::Relaxed);
            if now < until && is_silent(&mut stream) {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection to a peer for so long, if there is room.
    pub(super) fn put(&self, peer: &IdlePeer, stream: Stream, patience: Duration) {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        lock(&peer.0).push(IdleConnection { stream, until: Instant::now() + patience });
    }

    /// Closes what was idle for too long, or was closed by the upstream.
    fn sweep(&self, now: Instant) {
        let mut peers = lock(&self.peers);
        peers.retain(|_, peer| {
            let mut connections = lock(&peer.0);
            let before = connections.len();
            connections.retain_mut(|idle| now < idle.until && is_silent(&mut idle.stream));
            self.count.fetch_sub(before - connections.len(), Ordering::Relaxed);
            // Who holds it may put something in.
            !connections.is_empty() || Arc::strong_count(peer) > 1
        });
    }
}

/// Whether nothing has come on a connection, not even its end.
fn is_silent(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(stream).poll_read(&mut context, &mut buffer).is_pending()
}

/// Nothing that holds one of these locks can leave things half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

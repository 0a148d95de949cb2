//! Stopping without losing a request: no new connections, idle ones closed, the others finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

/// Whether the edge is stopping, and what is still open.
#[derive(Debug)]
pub struct Drain {
    begun: AtomicBool,
    idle: Notify,
    open: AtomicUsize,
    emptied: Notify,
    /// The form in which Pingora takes the news.
    shutdown: watch::Sender<bool>,
    /// Has seen nothing yet. A copy also learns of a stop that began before.
    unaware: watch::Receiver<bool>,
}

impl Drain {
    /// Nothing is stopping yet.
    pub fn new() -> Arc<Self> {
        let (shutdown, unaware) = watch::channel(false);
        Arc::new(Self {
            begun: AtomicBool::new(false),
            idle: Notify::new(),
            open: AtomicUsize::new(0),
            emptied: Notify::new(),
            shutdown,
            unaware,
        })
    }

    /// Begins to stop.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.shutdown.send_replace(true);
        self.idle.notify_waiters();
    }

    /// Returns once no connection is open.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Returns once the edge is stopping; for connections that wait for a request.
    pub(super) async fn begun(&self) {
        let notified = self.idle.notified();
        if self.begun.load(Ordering::Acquire) {
            return;
        }
        notified.await;
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    pub(super) fn shutdown_watch(&self) -> watch::Receiver<bool> {
        self.unaware.clone()
    }

    /// Counts a connection until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::AcqRel);
        OpenConnection(self.clone())
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<Drain>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

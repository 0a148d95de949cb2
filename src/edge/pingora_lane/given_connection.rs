//! What becomes of the connection that Pingora was given for one try.

use std::sync::atomic::{AtomicBool, Ordering};

/// A connection that an exchange was given.
#[derive(Debug, Default)]
pub(in crate::edge) struct GivenConnection {
    is_reused: AtomicBool,
    has_answered: AtomicBool,
}

impl GivenConnection {
    /// Whether it was a kept one on which nothing was answered: the upstream may have closed it before the
    /// request.
    pub(in crate::edge) fn was_dead(&self) -> bool {
        self.is_reused.load(Ordering::Relaxed) && !self.has_answered.load(Ordering::Relaxed)
    }

    /// It served a request before.
    pub(super) fn reused(&self) {
        self.is_reused.store(true, Ordering::Relaxed);
    }

    /// Something was answered on it.
    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }
}

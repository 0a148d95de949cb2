//! Whether the server must have what this gateway told.

use std::sync::{Mutex, PoisonError};

use crate::gate::time::SteadyTime;
use crate::store::GATEWAY_FORGOTTEN_AFTER_MS;

/// When the server last took down what this gateway told. It must be there for a while.
#[derive(Default)]
pub(super) struct Told(Mutex<Option<SteadyTime>>);

impl Told {
    /// Whether the server cannot have forgotten it of its own accord.
    pub(super) fn must_be_there(&self, now: SteadyTime) -> bool {
        let told = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.is_some_and(|at| now.millis_since(at) < GATEWAY_FORGOTTEN_AFTER_MS / 2)
    }

    /// The server has taken it down at this time or later.
    pub(super) fn is_there(&self, since: SteadyTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(since);
    }
}

//! Tells whether the gateway should receive requests.

use std::sync::atomic::{AtomicU8, Ordering};

use axum::http::StatusCode;

use crate::clock;

/// Whether the gateway should receive requests. The gateway counts as not ready until it says so.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Readiness {
    /// The gateway is ready from now on, unless it is stopping.
    pub fn ready(&self) {
        let _ = self.0.compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The gateway is stopping, and will never be ready again.
    pub fn stopping(&self) {
        self.0.store(STOPPING, Ordering::Release);
    }

    /// The answer to a probe. A gateway whose revocation list is too old still serves public
    /// routes, and routes that permit a stale list: it stays ready, and says that it is stale.
    pub(super) fn answer(&self, is_stale: bool) -> (StatusCode, &'static str) {
        match self.0.load(Ordering::Acquire) {
            READY if clock::ahead_ms().is_some_and(|ms| ms.abs() > clock::APART_MAX_MS) => {
                (StatusCode::SERVICE_UNAVAILABLE, "clock\n")
            }
            READY if is_stale => (StatusCode::OK, "stale\n"),
            READY => (StatusCode::OK, "ready\n"),
            STOPPING => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        }
    }
}

//! Starts the real gateway on free ports, an upstream that records bytes, and speaks HTTP to both.

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod commands;
pub(crate) mod exposition;
pub(crate) mod fleet;
pub(crate) mod gateway;
pub(crate) mod identity;
pub(crate) mod issuing;
pub(crate) mod jwks;
pub(crate) mod login;
pub(crate) mod oauth;
pub(crate) mod outcome;
pub(crate) mod password_login;
pub(crate) mod people;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod relay;
pub(crate) mod revocations;
pub(crate) mod script;
pub(crate) mod sessions;
pub(crate) mod signing_keys;
pub(crate) mod switch;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod upstream;
pub(crate) mod webdriver;
pub(crate) mod wrong_clock;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a condition may take to come true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What an overloaded machine may add to any time that is measured.
pub(crate) const SLACK: Duration = Duration::from_secs(4);

/// Waits until `condition` gives a value.
pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, condition)
}

/// The same, for what may take so long.
pub(crate) fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < patience, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says who may read and write a file.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

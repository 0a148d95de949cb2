//! The only place that asks the system what time it is.

use std::time::SystemTime;

use crate::gate::time::UnixTime;

/// The time now.
#[allow(clippy::disallowed_methods, reason = "this is the one caller")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// The time now, as the gate takes it. A clock set before 1970 counts as 1970: everything has
/// then not yet begun, and is refused.
pub fn now() -> UnixTime {
    let since_epoch = wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_seconds(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

//! The only place that asks the system what time it is.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use crate::gate::time::{Moment, SteadyTime, UnixTime};

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

/// The time now on the clock that nobody can set.
pub fn steady() -> SteadyTime {
    steady_at(Instant::now())
}

/// The same for an instant that was taken already.
pub fn steady_at(instant: Instant) -> SteadyTime {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    // A minute ahead of the first look, so that no instant of this process is before it.
    let beginning = BEGINNING.get_or_init(|| {
        let now = Instant::now();
        now.checked_sub(Duration::from_secs(60)).unwrap_or(now)
    });
    let elapsed = instant.saturating_duration_since(*beginning);
    SteadyTime::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// Now, on both clocks.
pub fn moment() -> Moment {
    Moment { wall: now(), steady: steady() }
}

/// Microseconds since 1970, for measuring how long something took between machines.
pub fn micros() -> u64 {
    let since_epoch = wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

/// A time of the gate's as the system writes it; `None` for one that no clock shows.
pub fn system_time(time: UnixTime) -> Option<SystemTime> {
    const SECONDS_MAX: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z
    let seconds = time.as_seconds();
    let since_epoch = Duration::from_secs(u64::try_from(seconds).ok()?);
    (seconds <= SECONDS_MAX).then(|| SystemTime::UNIX_EPOCH + since_epoch)
}

/// A time of the system's as the gate takes it; `None` if it is before 1970.
pub fn unix_time(time: SystemTime) -> Option<UnixTime> {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(UnixTime::from_seconds(i64::try_from(since_epoch.as_secs()).ok()?))
}

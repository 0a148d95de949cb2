//! The only place that asks the system what time it is.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
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

/// The time now on the steady clock, which cannot be set.
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

/// How far the store's clock is ahead of the steady clock, in milliseconds.
static SHARED_AHEAD_MS: AtomicI64 = AtomicI64::new(NOT_SHARED);

/// The store's time is not known yet.
const NOT_SHARED: i64 = i64::MIN;

/// How far the wall clock may be from the store's before the gateway is not ready: that far apart
/// gateways judge tokens differently. In milliseconds.
pub const APART_MAX_MS: i64 = 300_000;

/// Takes note that it was `store_ms` by the store's clock, in milliseconds since 1970, at `steady`.
pub fn share(store_ms: u64, steady: SteadyTime) {
    let millis = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let ahead_ms = millis(store_ms).saturating_sub(millis(steady.as_millis()));
    SHARED_AHEAD_MS.store(ahead_ms, Ordering::Relaxed);
}

/// The time with which gateways date what they share: the time of their store. Without a store, or
/// until its time is known, it is this gateway's wall clock. The store's time advances with the
/// steady clock, so setting the wall clock does not change it.
pub fn shared() -> UnixTime {
    match shared_ms() {
        None => now(),
        Some(millis) => UnixTime::from_seconds(millis.div_euclid(1000)),
    }
}

/// Whether the store's time is known.
pub fn is_shared() -> bool {
    shared_ms().is_some()
}

/// When `patience` from now ends by the store's clock, in milliseconds since 1970. After that, the
/// store must not carry out the request any more. `None` if the store's time is not known.
pub fn shared_deadline_ms(patience: Duration) -> Option<String> {
    let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
    Some(shared_ms()?.saturating_add(patience_ms).to_string())
}

/// How far the wall clock is ahead of the store's, in milliseconds; `None` if that is not known.
pub fn ahead_ms() -> Option<i64> {
    let wall_ms = i64::try_from(micros() / 1000).unwrap_or(i64::MAX);
    Some(wall_ms.saturating_sub(shared_ms()?))
}

/// How long the current second of the shared time still lasts.
pub fn until_next_shared_second() -> Duration {
    let into_second_us = match shared_ms() {
        None => micros() % 1_000_000,
        Some(millis) => u64::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1000,
    };
    Duration::from_micros(1_000_000 - into_second_us)
}

fn shared_ms() -> Option<i64> {
    shared_ms_at(steady())
}

fn shared_ms_at(steady: SteadyTime) -> Option<i64> {
    match SHARED_AHEAD_MS.load(Ordering::Relaxed) {
        NOT_SHARED => None,
        ahead_ms => {
            let steady_ms = i64::try_from(steady.as_millis()).unwrap_or(i64::MAX);
            Some(steady_ms.saturating_add(ahead_ms).max(0))
        }
    }
}

/// Now, on all clocks.
pub fn moment() -> Moment {
    moment_at(steady())
}

/// All clocks, for a steady time that was taken a moment ago.
pub fn moment_at(steady: SteadyTime) -> Moment {
    let wall = now();
    let shared_ahead_s = match shared_ms_at(steady) {
        None => 0,
        Some(millis) => millis.div_euclid(1000).saturating_sub(wall.as_seconds()),
    };
    Moment { wall, steady, shared_ahead_s }
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

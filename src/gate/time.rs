//! Points in time, as the gate sees them: an argument, never a question to the system.

use std::fmt;

/// How far the clocks of gateways may be apart, in seconds.
pub const GATEWAYS_APART_S: i64 = 300;

/// Seconds since 1970-01-01T00:00:00Z, ignoring leap seconds (RFC 7519 §2, `NumericDate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(i64);

impl UnixTime {
    /// A time so far away that no clock reaches it.
    pub const NEVER: Self = Self(i64::MAX);

    /// The time `seconds` after the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub const fn as_seconds(self) -> i64 {
        self.0
    }

    /// This time moved by `seconds` (negative: earlier), saturating at both ends.
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this time; negative if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds on a clock that cannot be set, since a time in the past that is the same for the
/// whole process. It measures ages: a step of the wall clock must not make old data look fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SteadyTime(u64);

impl SteadyTime {
    /// The time `milliseconds` after the clock's beginning.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the clock's beginning.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Milliseconds from `earlier` to this time; 0 if `earlier` is in fact later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Now, on all clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moment {
    /// The clock that other issuers date credentials with.
    pub wall: UnixTime,
    /// How far that clock is ahead of the shared clock of the gateways, in seconds.
    pub shared_ahead_s: i64,
    /// The clock that ages are measured with.
    pub steady: SteadyTime,
}

impl Moment {
    /// The time on the shared clock, with which gateways date what they share.
    pub const fn shared(self) -> UnixTime {
        self.wall.plus(self.shared_ahead_s)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

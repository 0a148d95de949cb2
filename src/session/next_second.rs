//! Waits for the next second after a cut-off: they count in seconds, and a login in the same one
//! would be cut off, too.

use std::time::Duration;

use crate::clock;

/// How long a login waits for the second to end in which its subject was cut off.
pub(crate) const SECOND_PATIENCE: Duration = Duration::from_secs(2);

/// Until then nobody can tell what is new from what was cut off.
pub(crate) fn until_next_second() -> Duration {
    // And a little more: timers may be early where the clock is corrected.
    clock::until_next_shared_second() + Duration::from_millis(1)
}

#[cfg(test)]
mod tests {
    use crate::session::next_second::*;

    #[test]
    fn next_second_is_at_most_one_away() {
        assert!(until_next_second() <= Duration::from_millis(1001));
    }
}

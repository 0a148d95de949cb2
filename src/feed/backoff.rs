//! Backoff: pauses that grow with each failure, randomized so that gateways do not retry in step.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// Well below the staleness that is usually tolerated.
const LONGEST: Duration = Duration::from_secs(2);

/// The pauses between attempts at something that fails.
#[derive(Debug)]
pub(in crate::feed) struct Backoff {
    pause: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: FIRST }
    }
}

impl Backoff {
    /// The next pause: between half and all of twice the last one.
    pub(in crate::feed) fn next(&mut self) -> Duration {
        let pause = self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.pause = (self.pause * 2).min(LONGEST);
        pause
    }

    /// After a success.
    pub(in crate::feed) fn reset(&mut self) {
        self.pause = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        assert!(backoff.next() <= FIRST);
        for _ in 0..100 {
            assert!(backoff.next() <= LONGEST);
        }
        assert!(backoff.next() >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}

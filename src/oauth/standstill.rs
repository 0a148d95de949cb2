//! Notices that the gateway stood still a moment ago because its process was stopped. A request
//! that it reads afterwards may have arrived long before, and its sender may have gone on
//! elsewhere.
//!
//! A machine that is suspended is not noticed: its steady clock stands still as well.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::gate::time::SteadyTime;

/// How often the gateway records that it is running.
const BEAT_EVERY: Duration = Duration::from_millis(200);

/// How long the gateway must have recorded nothing to have stood still, in milliseconds. A shorter
/// gap is a busy machine.
const STILL_MS: u64 = 500;

/// How soon after a standstill everything that arrived meanwhile has been read, in milliseconds.
const READ_WITHIN_MS: u64 = 1_000;

/// When the gateway last ran and last stood still, in steady milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Standstill {
    /// When it last recorded that it is running; 0: never.
    beat: AtomicU64,
    /// When its last standstill began and ended.
    from: AtomicU64,
    until: AtomicU64,
}

impl Standstill {
    /// Records, for ever, that the gateway is running. Runs on the runtime that reads requests.
    pub(crate) async fn watch(&self) {
        loop {
            self.goes_on(clock::steady());
            tokio::time::sleep(BEAT_EVERY).await;
        }
    }

    fn goes_on(&self, now: SteadyTime) {
        // Only this function writes these. `beat` comes last: a reader that sees it sees the
        // others, too.
        let before = self.beat.load(Ordering::Acquire);
        if before > 0 && now.as_millis().saturating_sub(before) >= STILL_MS {
            self.from.store(before, Ordering::Release);
            self.until.store(now.as_millis(), Ordering::Release);
        }
        self.beat.store(now.as_millis(), Ordering::Release);
    }

    /// How long before `read` a request may have arrived, in milliseconds; 0 if the gateway did not
    /// stand still.
    pub(super) fn unread_ms(&self, read: SteadyTime) -> u64 {
        let since = |time: u64| read.as_millis().saturating_sub(time);
        // This may be the first thing done after a standstill.
        let beat = self.beat.load(Ordering::Acquire);
        if beat > 0 && since(beat) >= STILL_MS {
            return since(beat);
        }
        let until = self.until.load(Ordering::Acquire);
        match until > 0 && since(until) < READ_WITHIN_MS {
            true => since(self.from.load(Ordering::Acquire)),
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::oauth::standstill::*;

    #[test]
    fn what_is_read_within_a_second_after_a_standstill_may_have_come_since_it_began() {
        let at = |milliseconds| SteadyTime::from_millis(60_000 + milliseconds);
        let standstill = Standstill::default();
        assert_eq!(standstill.unread_ms(at(0)), 0, "nobody watches");
        standstill.goes_on(at(0));
        standstill.goes_on(at(200));
        assert_eq!(standstill.unread_ms(at(200 + STILL_MS - 1)), 0);
        assert_eq!(standstill.unread_ms(at(3_000)), 2_800, "before it is found out");
        standstill.goes_on(at(3_000));
        for later in [3_000, 3_200, 3_400, 3_600, 3_800, 3_000 + READ_WITHIN_MS - 1] {
            standstill.goes_on(at(later));
            assert_eq!(standstill.unread_ms(at(later)), later - 200);
        }
        standstill.goes_on(at(3_000 + READ_WITHIN_MS));
        assert_eq!(standstill.unread_ms(at(3_000 + READ_WITHIN_MS)), 0);
    }
}

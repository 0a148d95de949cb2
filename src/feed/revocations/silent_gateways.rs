//! Tracks since when gateways have been silent. They may serve sessions from memory, and other
//! gateways only learn of that use when they are back.

use std::sync::{Mutex, PoisonError};

use crate::gate::time::{SteadyTime, UnixTime};
use crate::store::KnownGateway;

/// How long a gateway must be silent to count as unreachable. Gateways announce themselves once a
/// second.
const SILENT_MS: u64 = 3_000;

/// A time in milliseconds: what a gateway used this long before it fell silent may not be written
/// yet, and once it is back it needs this long to write it.
const WRITES_WITHIN_MS: u64 = 3_000;

/// Since when there have been silent gateways.
#[derive(Debug, Default)]
pub(super) struct SilentGateways(Mutex<Option<(UnixTime, SteadyTime)>>);

impl SilentGateways {
    /// Since when a silent gateway may have used sessions that other gateways do not know of;
    /// `None` if none can have.
    pub(super) fn since(
        &self,
        gateways: &[KnownGateway],
        instance: &str,
        now: UnixTime,
        steady: SteadyTime,
    ) -> Option<UnixTime> {
        let others = gateways.iter().filter(|known| known.state.instance != instance);
        let longest_ms = others.map(|known| known.silent_ms).max().unwrap_or(0);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if longest_ms > SILENT_MS {
            let ago_ms = longest_ms.saturating_add(WRITES_WITHIN_MS);
            let since = now.plus(-i64::try_from(ago_ms / 1000).unwrap_or(i64::MAX));
            // A gateway that was silent for longer and is back may not have written everything yet.
            let since = last.map_or(since, |(known, _)| known.min(since));
            *last = Some((since, steady));
        }
        *last = last.filter(|(_, seen)| steady.millis_since(*seen) < WRITES_WITHIN_MS);
        last.map(|(since, _)| since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_000);

    #[test]
    fn gateway_that_is_not_heard_of_may_have_used_sessions_since() {
        let unheard = SilentGateways::default();
        let at = |ms: u64| SteadyTime::from_millis(100_000 + ms);
        let since = |other_ms, ms: u64| {
            let gateways =
                [KnownGateway::example("we", 9_000), KnownGateway::example("other", other_ms)];
            unheard.since(&gateways, "we", NOW, at(ms))
        };
        assert_eq!(since(3_000, 0), None);
        assert_eq!(since(7_000, 1_000), Some(NOW.plus(-10)));
        // The other gateway is back, and writes what it knows.
        assert_eq!(since(0, 2_000), Some(NOW.plus(-10)));
        assert_eq!(since(0, 3_999), Some(NOW.plus(-10)));
        assert_eq!(since(0, 4_000), None);
    }
}

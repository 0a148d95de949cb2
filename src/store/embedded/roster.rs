//! The gateways that follow the log, kept in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::gate::time::SteadyTime;
use crate::store::{GatewayState, KnownGateway};

/// The last announcement of each gateway, and when it arrived; by instance.
#[derive(Debug, Default)]
pub(super) struct Members(Mutex<BTreeMap<String, (GatewayState, SteadyTime)>>);

impl Members {
    /// Records a gateway's announcement at this time.
    pub(super) fn announce(&self, state: &GatewayState, now: SteadyTime) {
        self.lock().insert(state.instance.clone(), (state.clone(), now));
    }

    /// Removes a gateway from the roster, because it has left.
    pub(super) fn leave(&self, instance: &str) {
        self.lock().remove(instance);
    }

    /// The gateways that are not forgotten, by name.
    pub(super) fn list(&self, now: SteadyTime) -> Vec<KnownGateway> {
        let mut members = self.lock();
        members.retain(|_, (state, announced)| {
            now.millis_since(*announced) <= state.forgotten_after_ms()
        });
        let known = |(state, announced): &(GatewayState, SteadyTime)| KnownGateway {
            state: state.clone(),
            silent_ms: now.millis_since(*announced),
            // There is one log, and it never goes backwards.
            follows: true,
        };
        let mut list: Vec<_> = members.values().map(known).collect();
        list.sort_by(|one, other| one.state.name.cmp(&other.state.name));
        list
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (GatewayState, SteadyTime)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GATEWAY_FORGOTTEN_AFTER_MS;

    #[test]
    fn silent_gateway_is_forgotten_after_a_minute_and_not_before() {
        let members = Members::default();
        let state = GatewayState {
            instance: "1".into(),
            name: "a".into(),
            version: "0".into(),
            applied: 7,
            mark: None,
            counted_for_ms: 0,
            clock_ahead_ms: None,
            settings: Default::default(),
        };
        let after = |milliseconds| SteadyTime::from_millis(1_000 + milliseconds);
        members.announce(&state, after(0));
        let silent_ms = GATEWAY_FORGOTTEN_AFTER_MS;
        assert_eq!(
            members.list(after(silent_ms)),
            [KnownGateway { state, silent_ms, follows: true }]
        );
        assert_eq!(members.list(after(silent_ms + 1)), []);
    }
}

//! Completes the store's roster with gateways that the store has forgotten.
//!
//! A server that lost its data does not know a gateway until that gateway announces itself again.
//! Until then it may still be serving, and nothing is confirmed without it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::gate::time::SteadyTime;
use crate::store::{KnownGateway, Roster};

/// The gateways that this one knows of, and when they last announced themselves.
#[derive(Debug, Default)]
pub(super) struct KnownGateways(Mutex<HashMap<String, (KnownGateway, SteadyTime)>>);

impl KnownGateways {
    /// Adds the gateways that the store's roster lacks, unless they have left or have been silent
    /// for long enough to be forgotten.
    pub(super) fn complete(&self, mut roster: Roster, now: SteadyTime) -> Roster {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for gateway in &roster.gateways {
            let heard_ms = now.as_millis().saturating_sub(gateway.silent_ms);
            let heard = (gateway.clone(), SteadyTime::from_millis(heard_ms));
            known.insert(gateway.state.instance.clone(), heard);
        }
        known.retain(|instance, (gateway, heard_at)| {
            let is_forgotten = now.millis_since(*heard_at) > gateway.state.forgotten_after_ms();
            !is_forgotten && !roster.left.contains(instance)
        });
        for (instance, (gateway, heard_at)) in known.iter() {
            if !roster.gateways.iter().any(|listed| listed.state.instance == *instance) {
                let silent_ms = now.millis_since(*heard_at);
                roster.gateways.push(KnownGateway { silent_ms, follows: false, ..gateway.clone() });
            }
        }
        roster.gateways.sort_by(|one, other| {
            let order =
                |known: &KnownGateway| (known.state.name.clone(), known.state.instance.clone());
            order(one).cmp(&order(other))
        });
        roster
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GATEWAY_FORGOTTEN_AFTER_MS;

    fn roster(gateways: &[KnownGateway], left: &[&str]) -> Roster {
        let left = left.iter().map(ToString::to_string).collect();
        Roster { head: 7, gateways: gateways.to_vec(), left, ..Roster::default() }
    }

    fn names(known: &KnownGateways, roster: Roster, at_ms: u64) -> Vec<(String, bool)> {
        let complete = known.complete(roster, SteadyTime::from_millis(100_000 + at_ms));
        complete.gateways.into_iter().map(|known| (known.state.name, known.follows)).collect()
    }

    #[test]
    fn gateway_that_the_store_forgot_is_counted_until_it_has_been_silent_for_long() {
        let known = KnownGateways::default();
        let (one, two) = (KnownGateway::example("one", 0), KnownGateway::example("two", 10));
        let both = |follows| vec![("one".to_owned(), true), ("two".to_owned(), follows)];
        assert_eq!(names(&known, roster(&[one.clone(), two], &[]), 0), both(true));
        let only = || roster(std::slice::from_ref(&one), &[]);
        let last = GATEWAY_FORGOTTEN_AFTER_MS - 10;
        assert_eq!(names(&known, only(), 1), both(false));
        assert_eq!(names(&known, only(), last), both(false));
        assert_eq!(names(&known, only(), last + 1), both(true)[..1]);
    }

    #[test]
    fn gateway_that_took_its_leave_is_not_counted() {
        let known = KnownGateways::default();
        let (one, two) = (KnownGateway::example("one", 0), KnownGateway::example("two", 0));
        names(&known, roster(&[one.clone(), two], &[]), 0);
        let told = names(&known, roster(&[one], &["two"]), 1);
        assert_eq!(told, [("one".to_owned(), true)]);
    }
}

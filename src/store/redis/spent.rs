//! Remembers the one-time values that were used at this gateway, in case the server loses them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use redis::Pipeline;

use super::keys::EXPIRY_MAX_S;
use super::keys::KeyNames;
use crate::gate::time::UnixTime;
use crate::store::one_time::ONE_TIME_MARGIN_S;

/// How many uses are remembered: the latest ones.
const REMEMBERED_MAX: usize = 10_000;

/// How many are written again in one step.
pub(super) const AT_ONCE: usize = 500;

/// The latest uses.
#[derive(Debug, Default)]
pub(super) struct Spent(Mutex<VecDeque<Use>>);

/// One use of a one-time value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) key: String,
    /// A random number that tells this use from any other.
    pub(super) number: u64,
    /// Until when the use must be remembered.
    pub(super) until: UnixTime,
}

impl Spent {
    /// Remembers a use; beyond [`REMEMBERED_MAX`], forgets the oldest.
    pub(super) fn note(&self, used: Use) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() >= REMEMBERED_MAX {
            uses.pop_front();
        }
        uses.push_back(used);
    }

    /// The uses that must still be remembered.
    pub(super) fn live(&self, now: UnixTime) -> Vec<Use> {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.iter().filter(|used| used.until > now).cloned().collect()
    }
}

/// The commands that write the uses again, unless the server has them.
pub(super) fn note_again(uses: &[Use], keys: &KeyNames) -> Pipeline {
    let mut noting = redis::pipe();
    for Use { key, number, until } in uses {
        let expires = until.plus(ONE_TIME_MARGIN_S).as_seconds().clamp(1, EXPIRY_MAX_S);
        noting.cmd("SET").arg(keys.spent_of(key)).arg(*number).arg("NX").arg("EXAT").arg(expires);
        noting.ignore();
    }
    noting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(number: u64, until_s: i64) -> Use {
        Use { key: number.to_string(), number, until: UnixTime::from_seconds(until_s) }
    }

    #[test]
    fn last_uses_are_remembered_for_as_long_as_they_count() {
        let spent = Spent::default();
        for number in 0..=REMEMBERED_MAX as u64 {
            spent.note(used(number, if number == 5 { 10 } else { 20 }));
        }
        let live = spent.live(UnixTime::from_seconds(10));
        assert_eq!((live.len(), live.first()), (REMEMBERED_MAX - 1, Some(&used(1, 20))));
        assert!(!live.contains(&used(5, 10)));
        assert!(spent.live(UnixTime::from_seconds(20)).is_empty());
    }
}

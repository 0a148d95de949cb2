//! When tokens were exchanged, by the clock that nobody can set: a step of the wall clock must not
//! make a grace longer, nor end it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::gate::session::SessionId;
use crate::gate::time::SteadyTime;
use crate::store::family::TokenDigest;

/// For how long an exchange is remembered at least, unless there are too many. In milliseconds.
const REMEMBERED_FOR_MS: u64 = 3_600_000;

/// How many exchanges are remembered; of more, the earliest are forgotten.
const REMEMBERED_MAX: usize = 1 << 16;

/// Now, in milliseconds: on the clock that goes on when this process has ended, and on the one that
/// nobody can set.
#[derive(Clone, Copy)]
pub(super) struct Instant {
    /// Since 1970.
    pub(super) wall_ms: u64,
    pub(super) steady: SteadyTime,
}

impl Instant {
    pub(super) fn now() -> Self {
        Self { wall_ms: clock::micros() / 1000, steady: clock::steady() }
    }
}

/// The last exchanges that this process made.
#[derive(Debug, Default)]
pub(super) struct Exchanges(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// By family: what its token was exchanged for, and when.
    last: HashMap<SessionId, (TokenDigest, SteadyTime)>,
    /// In the order in which they were made.
    made: VecDeque<(SessionId, SteadyTime)>,
}

impl Exchanges {
    /// Remembers an exchange for this successor. Whether it gets to the disk is not known yet: it
    /// counts while the successor is the current token.
    pub(super) fn note(&self, family: SessionId, successor: TokenDigest, now: SteadyTime) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Remembered { last, made } = &mut *remembered;
        last.insert(family, (successor, now));
        made.push_back((family, now));
        while let Some((family, at)) = made.front().copied()
            && (made.len() > REMEMBERED_MAX || now.millis_since(at) > REMEMBERED_FOR_MS)
        {
            made.pop_front();
            if last.get(&family).is_some_and(|(_, last)| *last == at) {
                last.remove(&family);
            }
        }
    }

    /// How long ago a family's last exchange was, which led to `current`; `None` if it is not
    /// known.
    pub(super) fn age_ms(
        &self,
        family: SessionId,
        current: TokenDigest,
        now: SteadyTime,
    ) -> Option<u64> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (successor, at) = remembered.last.get(&family)?;
        (*successor == current).then(|| now.millis_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(number: usize) -> SessionId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    const ONE: TokenDigest = TokenDigest { place: 0, digest: [1; 32] };
    const OTHER: TokenDigest = TokenDigest { place: 1, digest: [2; 32] };

    #[test]
    fn exchange_is_known_by_what_it_led_to() {
        let exchanges = Exchanges::default();
        let at = SteadyTime::from_millis;
        exchanges.note(family(1), ONE, at(100));
        assert_eq!(exchanges.age_ms(family(1), ONE, at(107)), Some(7));
        assert_eq!(exchanges.age_ms(family(1), OTHER, at(107)), None);
        assert_eq!(exchanges.age_ms(family(2), ONE, at(107)), None);
        exchanges.note(family(1), OTHER, at(110));
        assert_eq!(exchanges.age_ms(family(1), ONE, at(111)), None);
        assert_eq!(exchanges.age_ms(family(1), OTHER, at(111)), Some(1));
    }

    #[test]
    fn exchange_is_forgotten_after_an_hour_and_not_before() {
        let exchanges = Exchanges::default();
        let at = SteadyTime::from_millis;
        exchanges.note(family(1), ONE, at(0));
        exchanges.note(family(1), OTHER, at(10));
        exchanges.note(family(2), ONE, at(REMEMBERED_FOR_MS + 10));
        let known = |family, current, now| exchanges.age_ms(family, current, at(now)).is_some();
        assert!(known(family(1), OTHER, REMEMBERED_FOR_MS + 10), "the first is not the last");
        exchanges.note(family(3), ONE, at(REMEMBERED_FOR_MS + 11));
        assert!(!known(family(1), OTHER, REMEMBERED_FOR_MS + 11));
        assert!(known(family(2), ONE, REMEMBERED_FOR_MS + 11));
    }

    #[test]
    fn memory_is_bounded() {
        let exchanges = Exchanges::default();
        let now = SteadyTime::from_millis(5);
        for number in 0..=REMEMBERED_MAX {
            exchanges.note(family(number), ONE, now);
        }
        assert_eq!(exchanges.age_ms(family(0), ONE, now), None);
        assert_eq!(exchanges.age_ms(family(1), ONE, now), Some(0));
        let remembered = exchanges.0.lock().expect("no panic");
        assert_eq!(
            (remembered.last.len(), remembered.made.len()),
            (REMEMBERED_MAX, REMEMBERED_MAX)
        );
    }
}

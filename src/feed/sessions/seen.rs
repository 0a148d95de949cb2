//! Remembers when sessions were last used until that is written to the store. Those that have
//! waited longest come first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::gate::session::SessionId;
use crate::gate::time::UnixTime;

/// How many uses are written at once.
const WRITTEN_AT_ONCE_MAX: usize = 1000;

/// How many uses may wait while the store is unavailable. Beyond that a session may end too early.
/// The bound limits memory.
const WAITING_MAX: usize = 1_000_000;

/// The uses that are still to be written.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<UnwrittenUse>);

#[derive(Debug, Default)]
struct UnwrittenUse {
    /// Every session that waits, once.
    order: VecDeque<SessionId>,
    last: HashMap<SessionId, UnixTime>,
}

impl Seen {
    /// Notes that a session was used at this time.
    pub(super) fn note(&self, id: SessionId, at: UnixTime) {
        let mut waiting = self.waiting();
        if let Some(last) = waiting.last.get_mut(&id) {
            *last = at;
        } else if waiting.last.len() < WAITING_MAX {
            waiting.last.insert(id, at);
            waiting.order.push_back(id);
        }
    }

    /// When a session was last used, if that is not written yet.
    pub(super) fn of(&self, id: SessionId) -> Option<UnixTime> {
        self.waiting().last.get(&id).copied()
    }

    /// The sessions that have waited longest.
    pub(super) fn some(&self) -> Vec<(SessionId, UnixTime)> {
        let waiting = self.waiting();
        let first = waiting.order.iter().take(WRITTEN_AT_ONCE_MAX);
        first.filter_map(|id| Some((*id, *waiting.last.get(id)?))).collect()
    }

    /// These uses, which waited longest, have been written. A session used meanwhile waits again.
    pub(super) fn written(&self, some: &[(SessionId, UnixTime)]) {
        let mut waiting = self.waiting();
        for (id, at) in some {
            waiting.order.pop_front();
            if waiting.last.get(id) == Some(at) {
                waiting.last.remove(id);
            } else {
                waiting.order.push_back(*id);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, UnwrittenUse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> SessionId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    #[test]
    fn those_that_wait_longest_go_first() {
        let seen = Seen::default();
        for n in 0..2500 {
            seen.note(id(n), at(1));
        }
        let first = seen.some();
        assert_eq!((first.len(), first[0].0), (1000, id(0)));
        seen.note(id(3), at(2));
        seen.written(&first);
        assert_eq!((seen.of(id(2)), seen.of(id(3))), (None, Some(at(2))));
        seen.written(&seen.some());
        assert_eq!(seen.some().last().copied(), Some((id(3), at(2))));
        seen.written(&seen.some());
        assert!(seen.some().is_empty());
    }
}

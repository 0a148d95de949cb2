//! Keeps the logins whose end is being written down: one task for each, and a limited number.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gate::session::SessionId;

/// How many ends may be waiting to be written down.
const WAITING_MAX: usize = 1000;

/// The logins whose end is being written down.
#[derive(Debug, Default)]
pub(super) struct EndingLogins(Mutex<HashSet<SessionId>>);

/// A login's place among them, until it is dropped.
pub(super) struct EndingPlace {
    ending: Arc<EndingLogins>,
    pub(super) id: SessionId,
}

impl EndingLogins {
    fn ids(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        // A set is whole after each change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves a place for a login, unless it has one already or none is left.
    pub(super) fn place(self: &Arc<Self>, id: SessionId) -> Option<EndingPlace> {
        let mut ids = self.ids();
        let is_new = ids.len() < WAITING_MAX && ids.insert(id);
        is_new.then(|| EndingPlace { ending: self.clone(), id })
    }
}

impl Drop for EndingPlace {
    fn drop(&mut self) {
        self.ending.ids().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use crate::oauth::ending_logins::*;

    #[test]
    fn a_login_is_ended_by_one_at_a_time_and_not_too_many_are() {
        let ending = Arc::new(EndingLogins::default());
        let id = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            SessionId::from_bytes(bytes)
        };
        let first = ending.place(id(0)).expect("a place");
        assert!(ending.place(id(0)).is_none(), "somebody is at it");
        let others: Vec<_> = (1..WAITING_MAX).map(|n| ending.place(id(n)).expect("one")).collect();
        assert!(ending.place(id(WAITING_MAX)).is_none(), "there is none left");
        drop(first);
        assert!(ending.place(id(WAITING_MAX)).is_some());
        drop(others);
        assert!(ending.ids().is_empty());
    }
}

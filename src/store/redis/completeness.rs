//! Remembers whether a server has all that it had, as far as this gateway knows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::gate::time::SteadyTime;
use crate::store::COMPLETE_WITHIN_MS;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Completeness(Mutex<CompletenessState>);

/// What is known of one server, told by its epoch.
#[derive(Debug, Default)]
pub(super) struct CompletenessState {
    /// In which epoch it was so.
    pub(super) complete_in: Option<u64>,
    /// Records were lost, and the server was not told.
    pub(super) has_lost: bool,
    /// In which epoch was written down again what is in no log: what was used once, and the key of the tags.
    pub(super) written_again: Option<u64>,
    /// Since when a server of this epoch does not take down that it is asked.
    pub(super) refused: Option<(u64, SteadyTime)>,
}

impl Completeness {
    /// Whether it is so in this epoch.
    pub(super) fn is_complete(&self, epoch: u64) -> bool {
        let state = self.state();
        state.complete_in == Some(epoch) && !state.has_lost
    }

    /// Records were lost: it is no longer so.
    pub(super) fn doubt(&self) {
        *self.state() = CompletenessState { has_lost: true, ..CompletenessState::default() };
    }

    /// Others have found that it is not so.
    pub(super) fn ask_again(&self) {
        let mut state = self.state();
        *state = CompletenessState { has_lost: state.has_lost, ..CompletenessState::default() };
    }

    /// Whether records were lost that the server was not told of yet.
    pub(super) fn has_lost(&self) -> bool {
        self.state().has_lost
    }

    /// The server was told whether records were lost, and said whether it is so.
    pub(super) fn answered(&self, epoch: u64, has_lost: bool, is_complete: bool) {
        let mut state = self.state();
        state.has_lost &= !has_lost;
        state.refused = None;
        state.complete_in = is_complete.then_some(epoch);
    }

    /// The server takes nothing down for now: one that goes on like that is not waited for any
    /// longer than another. Whether that is over.
    pub(super) fn refused(&self, epoch: u64, now: SteadyTime) -> bool {
        let mut state = self.state();
        let since = state.refused.filter(|(known, _)| *known == epoch).map_or(now, |(_, at)| at);
        state.refused = Some((epoch, since));
        let is_over = now.millis_since(since) >= COMPLETE_WITHIN_MS;
        if is_over {
            state.complete_in = Some(epoch);
            state.has_lost = false;
        }
        is_over
    }

    /// The state, locked.
    pub(super) fn state(&self) -> MutexGuard<'_, CompletenessState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> SteadyTime {
        SteadyTime::from_millis(100_000 + milliseconds)
    }

    #[test]
    fn what_one_server_said_is_not_said_of_another() {
        let completeness = Completeness::default();
        completeness.answered(7, false, true);
        assert!(completeness.is_complete(7) && !completeness.is_complete(8));
        completeness.ask_again();
        assert!(!completeness.is_complete(7));
    }

    #[test]
    fn loss_counts_until_the_server_was_told_of_it() {
        let completeness = Completeness::default();
        completeness.doubt();
        // An answer to an earlier question arrives late.
        completeness.answered(7, false, true);
        assert!(!completeness.is_complete(7) && completeness.has_lost());
        completeness.answered(7, true, true);
        assert!(completeness.is_complete(7) && !completeness.has_lost());
    }

    #[test]
    fn server_that_takes_nothing_down_is_waited_for_no_longer() {
        let completeness = Completeness::default();
        assert!(!completeness.refused(7, at(0)));
        assert!(!completeness.refused(7, at(COMPLETE_WITHIN_MS - 1)));
        assert!(!completeness.refused(8, at(COMPLETE_WITHIN_MS)), "another one");
        assert!(completeness.refused(8, at(2 * COMPLETE_WITHIN_MS)));
        assert!(completeness.is_complete(8));
    }
}

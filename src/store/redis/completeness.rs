//! Remembers whether a server has all the data that it had, as far as this gateway knows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::gate::time::SteadyTime;
use crate::store::COMPLETE_WITHIN_MS;

/// What this gateway knows of it.
#[derive(Debug, Default)]
pub(super) struct Completeness(Mutex<CompletenessState>);

/// What is known of one server, which its epoch identifies.
#[derive(Debug, Default)]
pub(super) struct CompletenessState {
    /// The epoch in which the server had all its data.
    pub(super) complete_in: Option<u64>,
    /// Records were lost, and the server has not been informed.
    pub(super) has_lost: bool,
    /// The epoch in which the data that is in no log was written again: the used one-time values,
    /// and the key of the tags.
    pub(super) written_again: Option<u64>,
    /// The epoch of a server that refuses to record the question, and since when it has.
    pub(super) refused: Option<(u64, SteadyTime)>,
}

impl Completeness {
    /// Whether the server of this epoch has all its data.
    pub(super) fn is_complete(&self, epoch: u64) -> bool {
        let state = self.state();
        state.complete_in == Some(epoch) && !state.has_lost
    }

    /// Records were lost: the server no longer has all its data.
    pub(super) fn doubt(&self) {
        *self.state() = CompletenessState { has_lost: true, ..CompletenessState::default() };
    }

    /// Other gateways have found that the server does not have all its data.
    pub(super) fn ask_again(&self) {
        let mut state = self.state();
        *state = CompletenessState { has_lost: state.has_lost, ..CompletenessState::default() };
    }

    /// Whether records were lost of which the server has not been informed.
    pub(super) fn has_lost(&self) -> bool {
        self.state().has_lost
    }

    /// The server was informed whether records were lost, and answered whether it has all its data.
    pub(super) fn answered(&self, epoch: u64, has_lost: bool, is_complete: bool) {
        let mut state = self.state();
        state.has_lost &= !has_lost;
        state.refused = None;
        state.complete_in = is_complete.then_some(epoch);
    }

    /// The server refuses all writes for now. Gateways do not wait longer for such a server than
    /// for another. Returns whether the wait is over.
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

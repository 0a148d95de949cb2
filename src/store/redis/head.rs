//! Remembers the head of the log as the link for commands sees it. The other links are compared
//! with it: a link whose log ends earlier, or has another record there, is connected to another
//! server.
//!
//! A server executes commands one after the other. A command that is sent after this gateway
//! learned of the head therefore finds that record, or a later one. This holds even if the servers'
//! identities cannot be read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::master::Live;
use super::reply::HeldRecord;
use crate::store::Position;

/// The head, and its epoch.
#[derive(Debug, Default)]
pub(super) struct LogHead(Mutex<Option<(Position, u64)>>);

/// How the log on a link compares with the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadComparison {
    /// It may be the same log.
    Same,
    /// It ends before the head.
    Behind,
    /// It has another record at the head's position.
    Other,
}

impl LogHead {
    /// Records that the log ends there, according to the link for commands.
    pub(super) fn moved_to(&self, link: &Live, at: Position) {
        *self.known() = Some((at, link.epoch()));
    }

    /// The head, for a link of the same epoch. Read it before the link sends its command.
    pub(super) fn known_to(&self, link: &Live) -> Option<Position> {
        self.known().filter(|(_, epoch)| *epoch == link.epoch()).map(|(at, _)| at)
    }

    /// Forgets the head: the log lost records.
    pub(super) fn forget(&self) {
        *self.known() = None;
    }

    fn known(&self) -> MutexGuard<'_, Option<(Position, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeadComparison {
    /// Compares with a log that ends at `end`, and holds this record at the head's position.
    pub(super) fn of(head: Position, end: u64, held: HeldRecord) -> Self {
        match held {
            _ if end < head.sequence => Self::Behind,
            HeldRecord::Entry(mark) if head.mark.is_some() && mark != head.mark => Self::Other,
            // The record may have been trimmed.
            HeldRecord::Entry(_) | HeldRecord::Nothing => Self::Same,
        }
    }

    /// The fault, as a clause; `None` if there is none.
    pub(super) fn fault(self) -> Option<&'static str> {
        match self {
            Self::Same => None,
            Self::Behind => {
                Some("its log ends before the one that is written: it is another server")
            }
            Self::Other => Some("its log is not the one that is written: it is another server"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_that_lacks_the_head_is_another_one() {
        let head = Position { sequence: 7, mark: Some(1) };
        let of = |end, held| HeadComparison::of(head, end, held);
        assert_eq!(of(7, HeldRecord::Entry(Some(1))), HeadComparison::Same);
        assert_eq!(of(9, HeldRecord::Entry(Some(1))), HeadComparison::Same);
        assert_eq!(of(6, HeldRecord::Nothing), HeadComparison::Behind);
        assert_eq!(of(7, HeldRecord::Entry(Some(2))), HeadComparison::Other);
        assert_eq!(of(9, HeldRecord::Entry(None)), HeadComparison::Other);
        assert_eq!(of(7, HeldRecord::Nothing), HeadComparison::Same, "it was trimmed");
        let unmarked = Position { mark: None, ..head };
        assert_eq!(
            HeadComparison::of(unmarked, 7, HeldRecord::Entry(Some(2))),
            HeadComparison::Same
        );
    }
}

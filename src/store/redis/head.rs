//! Remembers the head of the log as the link for commands sees it, against which the other links
//! are measured: one that is behind it, or sees another record there, speaks to another server.
//!
//! A server does what it is asked one after the other: whoever asks after somebody was told of the
//! head finds that record, or a later one. This holds although the servers' identities cannot be
//! asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::master::Live;
use super::reply::HeldRecord;
use crate::store::Position;

/// The head, and in which epoch that was.
#[derive(Debug, Default)]
pub(super) struct LogHead(Mutex<Option<(Position, u64)>>);

/// How what a link sees goes with the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadComparison {
    /// It may be the same log.
    Same,
    /// It ends before the head.
    Behind,
    /// It has another record where the head was.
    Other,
}

impl LogHead {
    /// Notes that the log ends there, as the link for commands was told.
    pub(super) fn moved_to(&self, link: &Live, at: Position) {
        *self.known() = Some((at, link.epoch()));
    }

    /// What is known; for a link of the same epoch. It must be asked for before the link asks.
    pub(super) fn known_to(&self, link: &Live) -> Option<Position> {
        self.known().filter(|(_, epoch)| *epoch == link.epoch()).map(|(at, _)| at)
    }

    /// Nothing is known any more: the log lost records.
    pub(super) fn forget(&self) {
        *self.known() = None;
    }

    fn known(&self) -> MutexGuard<'_, Option<(Position, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeadComparison {
    /// Of a log that ends at `end`, and holds this where the head was.
    pub(super) fn of(head: Position, end: u64, held: HeldRecord) -> Self {
        match held {
            _ if end < head.sequence => Self::Behind,
            HeldRecord::Entry(mark) if head.mark.is_some() && mark != head.mark => Self::Other,
            // It may have been trimmed.
            HeldRecord::Entry(_) | HeldRecord::Nothing => Self::Same,
        }
    }

    /// The fault as a clause; `None` if there is none.
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

//! Errors of a store: why an operation failed.

use super::record::Unreadable;

/// Why an operation of the store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, or did not answer in time. It is not known whether a write was
    /// done.
    #[error("{0}")]
    Unavailable(String),
    /// The store answers, but accepts no writes for now: it is full, or lacks the replicas that it
    /// requires. It can still be read.
    #[error("{0}")]
    Refused(String),
    /// The store holds data that cannot be understood.
    #[error("{0}")]
    Unreadable(String),
}

impl From<Unreadable> for StoreError {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Why a record was not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The store holds as many live records as it may.
    #[error("the revocation list is full")]
    Full,
    /// The revocation had been written before, and was lifted since.
    #[error("the revocation was lifted")]
    Lifted,
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

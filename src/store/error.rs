//! Errors of a store: why it did not do what it was asked.

use super::record::Unreadable;

/// Why a store did not do as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or did not answer in time. Whether a write was done is not known.
    #[error("{0}")]
    Unavailable(String),
    /// It answers, and takes no writes for now: it is full, or lacks the replicas that it wants. It
    /// can be read all the same.
    #[error("{0}")]
    Refused(String),
    /// It holds something that cannot be understood.
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
    /// It had been written down before, and was lifted since.
    #[error("the revocation was lifted")]
    Lifted,
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

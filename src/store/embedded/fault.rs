//! Faults of the file: why an operation on it failed.

use crate::store::record::Unreadable;

/// Why an operation on the file failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileFault {
    /// The file or its disk is at fault.
    #[error("{0}")]
    File(redb::Error),
    /// A record cannot be read.
    #[error("{0}")]
    Record(Unreadable),
}

impl<E: Into<redb::Error>> From<E> for FileFault {
    fn from(error: E) -> Self {
        Self::File(error.into())
    }
}

impl From<Unreadable> for FileFault {
    fn from(error: Unreadable) -> Self {
        Self::Record(error)
    }
}

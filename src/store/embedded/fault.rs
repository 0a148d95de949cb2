//! Faults of the file: why something could not be done in it.

use crate::store::record::Unreadable;

/// Why something could not be done in the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileFault {
    /// The file is at fault, or what it is on.
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

//! The end of a login as it is written to the revocation log in the very step that ends it: whatever becomes of
//! the gateway, its cookie, its refresh tokens and its access tokens end together.

use super::record::Record;
use crate::gate::revocation::Scope;
use crate::gate::session::SessionId;
use crate::gate::time::UnixTime;

/// The entry of the end of a login, as [`charge`](super::RevocationLog::charge) would write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginEnd {
    /// The record, which is on the account of the login's subject.
    pub record: Record,
    /// How many live records there may be.
    pub entries_max: u64,
    /// The time now, for making room.
    pub now: UnixTime,
}

impl LoginEnd {
    /// The record of the end of another login of the same subject, which began then.
    pub fn record_of(&self, session: SessionId, began: UnixTime) -> Record {
        self.about(&session.to_string(), began, fastrand::u64(..))
    }

    /// The record of the end of a login that is not known yet: what is to be filled in is empty, or 0.
    pub(super) fn blank(&self) -> Record {
        self.about("", UnixTime::from_seconds(0), 0)
    }

    fn about(&self, session: &str, began: UnixTime, mark: u64) -> Record {
        let mut record = self.record.clone();
        record.entry.scope = Scope::Session(session.into());
        if let Some(owner) = &mut record.owner {
            owner.dated = began;
        }
        Record { mark, ..record }
    }
}

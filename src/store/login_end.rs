//! The end of a login, written to the revocation log in the same step that ends it: whatever
//! happens to the gateway, the login's cookie, refresh tokens and access tokens end together.

use super::record::Record;
use crate::gate::revocation::Scope;
use crate::gate::session::SessionId;
use crate::gate::time::UnixTime;

/// The end of a login, to be written as [`charge`](super::RevocationLog::charge) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginEnd {
    /// The record, charged to the account of the login's subject.
    pub record: Record,
    /// How many live records there may be.
    pub entries_max: u64,
    /// The time now, for dropping spent records.
    pub now: UnixTime,
}

impl LoginEnd {
    /// The record of the end of another login of the same subject, which began at `began`.
    pub fn record_of(&self, session: SessionId, began: UnixTime) -> Record {
        self.about(&session.to_string(), began, fastrand::u64(..))
    }

    /// The record of the end of a login that is not known yet: the values to fill in are empty, or
    /// 0.
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

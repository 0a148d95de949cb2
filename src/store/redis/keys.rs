//! The names of the keys in Redis, and how long a key may live.

use crate::gate::session::SessionId;
use crate::store::digest::SubjectDigest;

/// The last second of the year 9999: Redis counts milliseconds, and its range is smaller than that
/// of the gateway's seconds.
pub(super) const EXPIRY_MAX_S: i64 = 253_402_300_799;

/// The names of the keys.
pub(super) struct KeyNames {
    pub(super) log: String,
    pub(super) live: String,
    pub(super) lifted: String,
    pub(super) gateways: String,
    pub(super) settled: String,
    /// The prefix of the keys of sessions.
    pub(super) session: String,
    pub(super) sessions: String,
    pub(super) due: String,
    /// The prefix of the keys of subjects.
    pub(super) subject: String,
    /// The prefix of the keys of a subject's entries in the snapshot.
    pub(super) ends: String,
    pub(super) cuts: String,
    /// The prefix of the keys of accounts of attempts.
    pub(super) attempts: String,
    /// The prefix of the keys of families.
    pub(super) family: String,
    /// The prefix of the keys of one-time values that were used.
    pub(super) spent: String,
    pub(super) keyring: String,
    pub(super) tag_key: String,
}

impl KeyNames {
    /// The names below a prefix.
    pub(super) fn below(prefix: &str) -> Self {
        let key = |name: &str| format!("{prefix}:{{revocations}}:{name}");
        Self {
            log: key("log"),
            live: key("live"),
            lifted: key("lifted"),
            gateways: key("gateways"),
            settled: key("settled"),
            session: key("session:"),
            sessions: key("sessions"),
            due: key("due"),
            subject: key("subject:"),
            ends: key("ends:"),
            cuts: key("cuts:"),
            attempts: key("attempts:"),
            family: key("family:"),
            spent: key("spent:"),
            keyring: key("keyring"),
            tag_key: key("tag_key"),
        }
    }

    /// The key of a session's record.
    pub(super) fn record_of(&self, id: SessionId) -> String {
        format!("{}{id}", self.session)
    }

    /// The key of a session's family of refresh tokens.
    pub(super) fn family_of(&self, id: SessionId) -> String {
        format!("{}{id}", self.family)
    }

    /// The key that records that a one-time value was used.
    pub(super) fn spent_of(&self, key: &str) -> String {
        format!("{}{key}", self.spent)
    }

    /// The key of a subject's single records in the log.
    pub(super) fn ends_of(&self, subject: &SubjectDigest) -> String {
        format!("{}{subject}", self.ends)
    }

    /// The key of a subject's cut-offs in the log.
    pub(super) fn cuts_of(&self, subject: &SubjectDigest) -> String {
        format!("{}{subject}", self.cuts)
    }

    /// The key of a subject's sessions.
    pub(super) fn sessions_of(&self, subject: &SubjectDigest) -> String {
        format!("{}{subject}", self.subject)
    }
}

/// Whether a cluster would hash only a part of the key: the text between the first brace and the
/// next closing one, if it is not empty.
pub(super) fn has_hash_tag(key: &str) -> bool {
    key.split_once('{').is_some_and(|(_, rest)| rest.find('}').is_some_and(|length| length > 0))
}

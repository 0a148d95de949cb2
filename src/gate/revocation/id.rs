//! Ids by which revocations are named, for as long as they live.

use std::fmt;

use aws_lc_rs::digest;

use super::credential_scopes::ScopeId;
use super::entry::Entry;
use super::scope::ScopeKind;
use crate::gate::time::UnixTime;

/// The name of a revocation: a digest of what makes it this one and no other. It is the same wherever
/// and however often the revocation is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId(u64);

/// The party that asked for a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeBy {
    /// An account's: it ended something of its own.
    Account,
    /// An operator's, or the gateway's.
    Operator,
}

/// A revocation that is lifted, or that can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// The id of the revocation.
    pub id: RevocationId,
    /// Until when it would count.
    pub expires: UnixTime,
}

/// The last digit holds the kind of scope and who asked for the revocation: the id alone tells
/// whether it can be lifted.
const KIND_MASK: u64 = 0b0111;
const ACCOUNT_BIT: u64 = 0b1000;

/// How many hexadecimal digits an id has.
const DIGITS: usize = 16;

impl RevocationId {
    /// The id of an entry that was made at this time, in microseconds since 1970.
    pub fn of(entry: &Entry, written_us: u64, made_by: MadeBy) -> Self {
        let Entry { scope, cut_off, expires } = entry;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&ScopeId::of(scope).to_be_bytes());
        context.update(&cut_off.as_seconds().to_be_bytes());
        context.update(&expires.as_seconds().to_be_bytes());
        context.update(&written_us.to_be_bytes());
        let full = context.finish();
        let bits = full.as_ref().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        let account = match made_by {
            MadeBy::Account => ACCOUNT_BIT,
            MadeBy::Operator => 0,
        };
        Self(bits & !(KIND_MASK | ACCOUNT_BIT) | account | scope.kind() as u64)
    }

    /// The id that is written so; `None` if none is.
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    /// The scope of the revocation.
    pub fn kind(self) -> ScopeKind {
        ScopeKind::ALL[(self.0 & KIND_MASK) as usize]
    }

    /// At whose wish.
    pub fn made_by(self) -> MadeBy {
        if self.0 & ACCOUNT_BIT == 0 { MadeBy::Operator } else { MadeBy::Account }
    }

    /// Whether it can be lifted. A token, a session and a key that are revoked stay so; and what an
    /// account has ended stands for single ends that were merged into it.
    pub fn is_liftable(self) -> bool {
        self.kind().is_liftable() && self.made_by() == MadeBy::Operator
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

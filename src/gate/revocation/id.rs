//! Ids by which revocations are named, for as long as they live.

use std::fmt;

use aws_lc_rs::digest;

use super::credential_scopes::ScopeId;
use super::entry::Entry;
use super::scope::ScopeKind;
use crate::gate::time::UnixTime;

/// The id of a revocation: a digest of what identifies it. It is the same wherever and however
/// often the revocation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId(u64);

/// The party that asked for a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeBy {
    /// An account, which ended something of its own.
    Account,
    /// An operator, or the gateway.
    Operator,
}

/// A revocation that is lifted, or can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// The id of the revocation.
    pub id: RevocationId,
    /// Until when it would be in force.
    pub expires: UnixTime,
}

/// The last digit holds the kind of scope and the requester: the id alone shows whether the
/// revocation can be lifted.
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

    /// Parses an id; `None` if `text` is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    /// The kind of scope of the revocation.
    pub fn kind(self) -> ScopeKind {
        ScopeKind::ALL[(self.0 & KIND_MASK) as usize]
    }

    /// Who asked for the revocation.
    pub fn made_by(self) -> MadeBy {
        if self.0 & ACCOUNT_BIT == 0 { MadeBy::Operator } else { MadeBy::Account }
    }

    /// Whether it can be lifted. Revoked tokens, sessions and keys stay revoked. A revocation by an
    /// account cannot be lifted either, because single revocations may have been merged into it.
    pub fn is_liftable(self) -> bool {
        self.kind().is_liftable() && self.made_by() == MadeBy::Operator
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

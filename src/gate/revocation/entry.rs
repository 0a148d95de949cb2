//! One revocation.

use super::scope::{Scope, ScopeKind};
use crate::gate::time::UnixTime;

/// Whether a credential is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// No entry matches.
    Clear,
    /// An entry matches.
    Revoked,
    /// No entry is known to match, but the list is too old to say.
    Unknown,
}

/// How long the revocation of a session is remembered, in seconds: its issuer may continue to issue
/// tokens for the session, and the entry revokes these too.
pub const SESSION_S: i64 = 30 * 24 * 3600;

/// One revocation, as the list takes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What it revokes.
    pub scope: Scope,
    /// Revokes what was issued at or before this second; [`UnixTime::NEVER`]: whenever it was
    /// issued.
    pub cut_off: UnixTime,
    /// From when on nothing that it matches can still be accepted; [`UnixTime::NEVER`]: the entry
    /// stays.
    pub expires: UnixTime,
}

impl Entry {
    /// The entry that revokes `scope`, made at `now`.
    ///
    /// `before` is the cut-off, for kinds that have one. The default is `now`. For a key the
    /// default is to revoke whatever its time, since an attacker who stole the key can continue to
    /// sign. Tokens and sessions are always revoked whatever their time. `dies` is when the token
    /// or session ends, if that is known. `reaches_s` holds one value for each party that can issue
    /// what the scope matches: for how many seconds after the cut-off something issued before it
    /// can still be accepted. The entry lives as long.
    pub fn compile(
        scope: Scope,
        before: Option<UnixTime>,
        dies: Option<UnixTime>,
        reaches_s: impl IntoIterator<Item = i64>,
        now: UnixTime,
    ) -> Self {
        let reach = |from: UnixTime| from.plus(reaches_s.into_iter().max().unwrap_or(0));
        let (cut_off, expires) = match (scope.kind(), before) {
            (ScopeKind::Token, _) => (UnixTime::NEVER, dies.unwrap_or_else(|| reach(now))),
            (ScopeKind::Session, _) => {
                (UnixTime::NEVER, dies.unwrap_or_else(|| reach(now.plus(SESSION_S))))
            }
            (ScopeKind::Key, None) => (UnixTime::NEVER, UnixTime::NEVER),
            (
                ScopeKind::Subject
                | ScopeKind::Client
                | ScopeKind::Key
                | ScopeKind::Issuer
                | ScopeKind::Everything
                | ScopeKind::Grants,
                before,
            ) => {
                let cut_off = before.unwrap_or(now);
                (cut_off, reach(cut_off))
            }
        };
        Self { scope, cut_off, expires }
    }

    /// Whether nothing that it matches can still be accepted.
    pub fn is_spent(&self, now: UnixTime) -> bool {
        self.expires <= now
    }
}

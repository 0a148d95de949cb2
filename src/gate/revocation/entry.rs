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

/// How long the revocation of a session is remembered, in seconds: its issuer may go on issuing
/// tokens for the session, which it revokes as well.
pub const SESSION_S: i64 = 30 * 24 * 3600;

/// One revocation, as the list takes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Whom it is about.
    pub scope: Scope,
    /// Revokes what was issued at or before this second; [`UnixTime::NEVER`]: whatever the time.
    pub cut_off: UnixTime,
    /// From when on nothing that it could hit can still be accepted; [`UnixTime::NEVER`]: it stays.
    pub expires: UnixTime,
}

impl Entry {
    /// The entry that cuts `scope` off, made at `now`.
    ///
    /// `before` is the cut-off of scopes that have one: by default `now`, and for a key none at
    /// all, since whoever stole it can go on signing. Tokens and sessions have none, whatever is
    /// asked for. `dies` is when the token or session that is meant ends, if that is known.
    /// `reaches_s` says how long after the cut-off anything can still be accepted that those whom
    /// the scope can hit issued until then, in seconds: the entry lives as long.
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

    /// Whether nothing that it could hit can still be accepted.
    pub fn is_spent(&self, now: UnixTime) -> bool {
        self.expires <= now
    }
}

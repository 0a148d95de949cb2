//! The liftable cut-offs, each kept separately. The list has only one cut-off for each scope.

use std::collections::{BTreeMap, HashMap};

use super::credential_scopes::ScopeId;
use super::id::{Lifted, RevocationId};
use crate::gate::time::UnixTime;

/// A part of the cut-offs of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// All revocations that cannot be lifted, merged.
    Lasting,
    /// One revocation that can be lifted.
    Liftable(RevocationId),
}

/// A cut-off, and until when it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CutOffSpan {
    pub(super) cut_off: UnixTime,
    pub(super) expires: UnixTime,
}

impl CutOffSpan {
    /// One span that revokes whatever either of the two does, for as long as either.
    pub(super) fn with(self, other: Self) -> Self {
        Self { cut_off: self.cut_off.max(other.cut_off), expires: self.expires.max(other.expires) }
    }
}

/// The cut-offs of liftable scopes, and the lifted revocations.
#[derive(Debug, Default)]
pub(super) struct CutOffs {
    parts: BTreeMap<(ScopeId, Part), CutOffSpan>,
    /// Lifted revocations, and until when they are remembered, since another gateway may write one
    /// again.
    lifted: HashMap<RevocationId, UnixTime>,
}

impl CutOffs {
    /// Adds a cut-off to a part of a scope.
    pub(super) fn add(&mut self, scope: ScopeId, part: Part, span: CutOffSpan) {
        let known = self.parts.entry((scope, part)).or_insert(span);
        *known = known.with(span);
    }

    /// Whether the revocation of this id was lifted.
    pub(super) fn is_lifted(&self, id: RevocationId) -> bool {
        self.lifted.contains_key(&id)
    }

    /// Whether the revocation of this id is in force for a scope.
    pub(super) fn holds(&self, scope: ScopeId, id: RevocationId) -> bool {
        self.parts.contains_key(&(scope, Part::Liftable(id)))
    }

    /// Lifts one revocation. Returns whether it was in force until now.
    pub(super) fn lift(&mut self, scope: ScopeId, Lifted { id, expires }: Lifted) -> bool {
        self.lifted.insert(id, expires);
        self.parts.remove(&(scope, Part::Liftable(id))).is_some()
    }

    /// All cut-offs of a scope, merged into one.
    pub(super) fn rest(&self, scope: ScopeId) -> Option<CutOffSpan> {
        self.of(scope).map(|(_, span)| span).reduce(CutOffSpan::with)
    }

    /// The revocations of a scope that can be lifted.
    pub(super) fn liftable(&self, scope: ScopeId) -> Vec<Lifted> {
        let lifted = |(part, CutOffSpan { expires, .. })| match part {
            Part::Lasting => None,
            Part::Liftable(id) => Some(Lifted { id, expires }),
        };
        self.of(scope).filter_map(lifted).collect()
    }

    /// The revocation of this id, lifted or not. It searches all of them, but only operators ask
    /// for it.
    pub(super) fn find(&self, id: RevocationId) -> Option<Lifted> {
        let lifted = self.lifted.get(&id).copied();
        let live = || {
            let is_it =
                |((_, part), _): &(&(ScopeId, Part), &CutOffSpan)| *part == Part::Liftable(id);
            self.parts.iter().find(is_it).map(|(_, span)| span.expires)
        };
        lifted.or_else(live).map(|expires| Lifted { id, expires })
    }

    /// Drops what has expired by `then`.
    pub(super) fn prune(&mut self, then: UnixTime) {
        self.parts.retain(|_, span| span.expires > then);
        self.lifted.retain(|_, expires| *expires > then);
    }

    fn of(&self, scope: ScopeId) -> impl Iterator<Item = (Part, CutOffSpan)> {
        let from = (scope, Part::Lasting);
        let all = self.parts.range(from..).take_while(move |((other, _), _)| *other == scope);
        all.map(|((_, part), span)| (*part, *span))
    }
}

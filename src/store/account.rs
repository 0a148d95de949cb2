//! Limits how much of the revocation list accounts may fill, and merges what is beyond that.
//!
//! Single ends may fill nine tenths of the list, and the first entries of subjects up to nineteen
//! twentieths. The rest is for operators and for what the gateway ends on its own. A subject has a
//! limited number of entries. Beyond either limit its earliest entries are merged into one: a
//! cut-off at the latest time at which any of the logins and tokens that they ended had begun. The
//! cut-off revokes these, those that began before them, and none that began later.
//!
//! Redis makes the same decisions in Lua (`redis/script/account.rs`).

use super::record::{MERGED, Owner, Record};
use crate::gate::revocation::{Entry, Scope};
use crate::gate::time::UnixTime;

/// How many live entries a subject may have that the subject or its clients caused.
pub const ENTRIES_PER_SUBJECT_MAX: usize = 100;

/// How many records the list may have for an entry of an account to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// For one more entry of the same subject, with that entry.
    pub(super) more: u64,
    /// For the first entry of a subject, with that entry.
    pub(super) first: u64,
}

impl Room {
    /// The share of `entries_max` records that accounts may fill.
    pub(super) const fn of(entries_max: u64) -> Self {
        Self { more: entries_max - entries_max / 10, first: entries_max - entries_max / 20 }
    }
}

/// How many of `entries_max` records the list may have, with a record that an unknown account
/// causes.
pub fn room_of_accounts(entries_max: u64) -> u64 {
    Room::of(entries_max).more
}

/// The times of an entry: when what it ended had begun, and when the entry expires. In seconds
/// since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) dated: i64,
    pub(super) expires: i64,
}

impl Span {
    /// Whether a cut-off revokes all that an entry would.
    fn covers(self, other: Self) -> bool {
        self.dated >= other.dated && self.expires >= other.expires
    }

    /// A span that cuts off what either of the two does, for as long as either.
    fn with(self, other: Self) -> Self {
        Self { dated: self.dated.max(other.dated), expires: self.expires.max(other.expires) }
    }
}

/// The two kinds of entry that a subject has only once: a new one replaces the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Everything of the subject, including its API keys: the user logged out everywhere.
    Subject,
    /// The grants of a subject: its single entries are merged into this one.
    Grants,
}

impl Cut {
    /// The name of the kind in Redis.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Grants => "grants",
        }
    }
}

/// What a record of an account ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedScope {
    /// One login, or one token.
    Single {
        span: Span,
        /// The time by which everything has expired that began as early.
        until: i64,
    },
    /// All that began up to a time.
    Cut { kind: Cut, cut: Span },
}

impl EndedScope {
    /// The account that a record is charged to, and what it ends; `None` if it has no account.
    pub(super) fn of(record: &Record) -> Option<(&Owner, Self)> {
        let Record { entry: Entry { scope, cut_off, expires }, owner, .. } = record;
        let owner = owner.as_ref()?;
        let expires = expires.as_seconds();
        let cut = Span { dated: cut_off.as_seconds(), expires };
        let ending = match scope {
            Scope::Session(_) | Scope::Token { .. } => {
                let span = Span { dated: owner.dated.as_seconds(), expires };
                Self::Single { span, until: owner.until.as_seconds() }
            }
            Scope::Subject { issuer: Some(_), .. } => Self::Cut { kind: Cut::Subject, cut },
            Scope::Grants { .. } => Self::Cut { kind: Cut::Grants, cut },
            Scope::Subject { issuer: None, .. }
            | Scope::Client(_)
            | Scope::Key { .. }
            | Scope::Issuer(_)
            | Scope::Everything => return None,
        };
        Some((owner, ending))
    }

    /// The cut-off that replaces `record` and others of its owner.
    pub(super) fn merged(self, record: &Record, kind: Cut, cut: Span) -> Record {
        let reason = match self {
            Self::Single { .. } => MERGED.into(),
            Self::Cut { .. } => record.reason.clone(),
        };
        let (cut_off, expires) =
            (UnixTime::from_seconds(cut.dated), UnixTime::from_seconds(cut.expires));
        let owner =
            record.owner.clone().map(|owner| Owner { dated: cut_off, until: expires, ..owner });
        let named = owner.as_ref().map(|Owner { issuer, subject, .. }| {
            let (issuer, subject) = (issuer.clone(), subject.clone());
            match kind {
                Cut::Subject => Scope::Subject { issuer: Some(issuer), subject },
                Cut::Grants => Scope::Grants { issuer, subject },
            }
        });
        let scope = named.unwrap_or_else(|| record.entry.scope.clone());
        Record {
            entry: Entry { scope, cut_off, expires },
            owner,
            reason,
            mark: fastrand::u64(..),
            ..record.clone()
        }
    }
}

/// The entries of one subject in the list, and the number of all other records.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccountEntries<'a> {
    /// Its single entries, the earliest first.
    pub(super) entries: &'a [Span],
    pub(super) grants: Option<Span>,
    pub(super) subject: Option<Span>,
    /// How many records of others there are.
    pub(super) others: u64,
}

/// The entries to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing: an existing cut-off covers it.
    Covered,
    /// Nothing: there is no room.
    Full,
    /// The entry.
    Add,
    /// A cut-off, which replaces the one of its kind, the `folded` earliest single entries, and, if
    /// `drops_grants`, [`Cut::Grants`]; and the entry, if the cut-off does not cover it.
    Merge { cut: Span, folded: usize, drops_grants: bool, adds: bool },
}

impl AccountEntries<'_> {
    /// The plan for one more entry. `until`: the time by which everything has expired that a
    /// cut-off can revoke.
    pub(super) fn add(self, entry: Span, until: i64, room: Room) -> Plan {
        let Self { entries, grants, subject, others } = self;
        if grants.into_iter().chain(subject).any(|cut| cut.covers(entry)) {
            return Plan::Covered;
        }
        let others = others + u64::from(subject.is_some());
        let left = usize::try_from(room.more.saturating_sub(others)).unwrap_or(usize::MAX);
        let allowed = left.clamp(1, ENTRIES_PER_SUBJECT_MAX);
        let single = entries.len() + 1;
        if single + usize::from(grants.is_some()) <= allowed {
            let is_full = single == 1 && grants.is_none() && others >= room.first;
            return if is_full { Plan::Full } else { Plan::Add };
        }
        // The single entries are sorted; all but the last few are merged.
        let place = entries.partition_point(|held| held.dated <= entry.dated);
        let merged = single - (allowed - 1);
        let last = merged - 1;
        let dated = match last.cmp(&place) {
            std::cmp::Ordering::Less => entries[last].dated,
            std::cmp::Ordering::Equal => entry.dated,
            std::cmp::Ordering::Greater => entries[last - 1].dated,
        };
        let mut cut = Span { dated, expires: until };
        cut = grants.into_iter().fold(cut, Span::with);
        let adds = entry.dated > cut.dated;
        if !adds {
            cut = cut.with(entry);
        }
        let folded = entries.partition_point(|held| held.dated <= cut.dated);
        cut = entries[..folded].iter().copied().fold(cut, Span::with);
        Plan::Merge { cut, folded, drops_grants: false, adds }
    }

    /// The plan for a cut-off.
    pub(super) fn cut(self, kind: Cut, cut: Span, room: Room) -> Plan {
        let Self { entries, grants, subject, others } = self;
        let (own, other) = match kind {
            Cut::Subject => (subject, grants),
            Cut::Grants => (grants, subject),
        };
        let is_covered = match kind {
            Cut::Subject => own.is_some_and(|own| own.covers(cut)),
            Cut::Grants => own.into_iter().chain(other).any(|held| held.covers(cut)),
        };
        if is_covered {
            return Plan::Covered;
        }
        let mut cut = own.into_iter().fold(cut, Span::with);
        let drops_grants =
            kind == Cut::Subject && grants.is_some_and(|held| held.dated <= cut.dated);
        if drops_grants {
            cut = grants.into_iter().fold(cut, Span::with);
        }
        let folded = entries.partition_point(|held| held.dated <= cut.dated);
        cut = entries[..folded].iter().copied().fold(cut, Span::with);
        let takes_a_place = own.is_some() || drops_grants || folded > 0;
        let all = others + entries.len() as u64 + u64::from(other.is_some());
        if !takes_a_place && all >= room.first {
            return Plan::Full;
        }
        Plan::Merge { cut, folded, drops_grants, adds: false }
    }
}

#[cfg(test)]
mod tests;

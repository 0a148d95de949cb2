//! What ends a login or a token, as its acknowledgement says, and what it hits.

use super::history::{Deed, Event, Heard, Millis, NEVER, Place, Record, Shown, Span, Target};

/// How much later than a cut-off somebody is certain to be new: dates are whole seconds.
const NEXT_SECOND: Millis = 1_100;

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Promise {
    /// None: it may have been done all the same, then or later.
    Nothing,
    /// It holds where it was taken, and elsewhere once it could be delivered.
    Here,
    /// It is not forgotten.
    Durable,
    /// It is in force on all gateways.
    Everywhere,
}

/// Whom an end hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Login(usize),
    Token(Shown),
    /// Everything of a subject until then; of what other issuers gave it, too.
    Subject(usize, Issuers),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Issuers {
    All,
    Own,
}

/// Whether an end hits a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hit {
    No,
    Perhaps,
    Certainly,
}

/// Something that ends others.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) whom: Whom,
    /// Until it was acknowledged; without end if it was not.
    pub(super) span: Span,
    pub(super) place: Place,
    pub(super) promise: Promise,
    /// An account did it itself, and has one entry at most where there is little room.
    pub(super) is_own: bool,
    /// It is what an honest holder was told.
    pub(super) is_complaint: bool,
}

impl End {
    /// All that there were, in a history.
    pub(super) fn all(record: &Record) -> Vec<Self> {
        record.events.iter().filter_map(|event| Self::of(record, event)).collect()
    }

    fn of(record: &Record, event: &Event) -> Option<Self> {
        let (whom, is_own) = match event.deed {
            Deed::LogOut { login } | Deed::GiveBack { login } | Deed::Reuse { login, .. } => {
                (Whom::Login(login), true)
            }
            // It should not have been, and is told elsewhere.
            Deed::Refresh { login, .. } if event.heard.word().contains("was used before") => {
                (Whom::Login(login), true)
            }
            // Nobody was told what came of it: the grace of what came before was over.
            Deed::Refresh { login, .. } if is_late_again(record, event) => {
                (Whom::Login(login), true)
            }
            Deed::LogOutEverywhere { login } => {
                (Whom::Subject(record.logins[login].subject, Issuers::Own), true)
            }
            Deed::EndSession { login } => (Whom::Login(login), false),
            Deed::EndSessions { subject } => (Whom::Subject(subject, Issuers::Own), false),
            Deed::Revoke { target, .. } => match target {
                Target::Token(Shown::Cookie(login)) | Target::Session(login) => {
                    (Whom::Login(login), false)
                }
                Target::Token(shown) => (Whom::Token(shown), false),
                Target::Subject(subject) => (Whom::Subject(subject, Issuers::All), false),
            },
            Deed::LogIn { .. }
            | Deed::Visit { .. }
            | Deed::Refresh { .. }
            | Deed::RotateKeys
            | Deed::ShowAssertion { .. }
            | Deed::Probe => return None,
        };
        let promise = promise(record, event)?;
        let until = if promise == Promise::Nothing { NEVER } else { event.span.until };
        let span = Span { until, ..event.span };
        let is_complaint = matches!(event.deed, Deed::Refresh { .. });
        Some(Self { whom, span, place: event.place, promise, is_own, is_complaint })
    }

    /// Whether it hits a credential.
    pub(super) fn hits(&self, record: &Record, shown: Shown) -> Hit {
        let login = match shown {
            Shown::Cookie(login) | Shown::Access(login, _) => Some(login),
            Shown::Foreign(_) => None,
        };
        match (self.whom, login) {
            (Whom::Token(token), _) => {
                if token == shown {
                    Hit::Certainly
                } else {
                    Hit::No
                }
            }
            (Whom::Login(ended), Some(login)) if ended == login => Hit::Certainly,
            (Whom::Login(ended), Some(login)) if self.is_merged(record, ended, login) => {
                Hit::Perhaps
            }
            (Whom::Login(_), _) => Hit::No,
            (Whom::Subject(subject, _), Some(login)) => {
                let Span { from, until } = record.logins[login].span;
                self.hits_dated(record.logins[login].subject == subject, from, until)
            }
            (Whom::Subject(_, Issuers::Own), None) => Hit::No,
            (Whom::Subject(subject, Issuers::All), None) => {
                let Shown::Foreign(number) = shown else { return Hit::No };
                let foreign = &record.foreign[number];
                let age = u64::try_from(foreign.age_s * 1000).unwrap_or(0);
                let issued = foreign.made.saturating_sub(age);
                self.hits_dated(foreign.subject == subject, issued, issued)
            }
        }
    }

    /// Where there is no room, what a subject ends becomes one cut-off, which hits what began before, too.
    fn is_merged(&self, record: &Record, ended: usize, login: usize) -> bool {
        let (ended, login) = (&record.logins[ended], &record.logins[login]);
        self.is_own
            && record.setting.entries_max.is_some()
            && ended.subject == login.subject
            && login.span.from <= ended.span.until + NEXT_SECOND
    }

    fn hits_dated(&self, is_meant: bool, from: Millis, until: Millis) -> Hit {
        match is_meant {
            false => Hit::No,
            true if until < self.span.from => Hit::Certainly,
            true if from > self.span.until.saturating_add(NEXT_SECOND) => Hit::No,
            true => Hit::Perhaps,
        }
    }
}

/// Whether nobody heard of a refresh that shows again, too late, a token of which nobody heard either.
fn is_late_again(record: &Record, event: &Event) -> bool {
    let grace_ms = record.setting.grace_s * 1_000;
    let is_before = |other: &Event| {
        other.deed == event.deed
            && matches!(other.heard.status(), None | Some(500..))
            && other.span.from + grace_ms <= event.span.until
            && other.span.from < event.span.from
    };
    event.heard == Heard::Nothing && record.events.iter().any(is_before)
}

/// What an answer promises; `None` if it says that nothing was done.
fn promise(record: &Record, event: &Event) -> Option<Promise> {
    let Heard::Told { status, word, is_confirmed, is_durable } = &event.heard else {
        return Some(Promise::Nothing);
    };
    let is_by_operator = matches!(
        event.deed,
        Deed::Revoke { .. } | Deed::EndSession { .. } | Deed::EndSessions { .. }
    );
    match status {
        500 if event.is_unaudited() && *is_durable => Some(Promise::Durable),
        202 => Some(Promise::Here),
        200 | 201 if is_by_operator && *is_confirmed && *is_durable => Some(Promise::Everywhere),
        200 | 201 if is_by_operator && *is_durable => Some(Promise::Durable),
        // An account is not told whether it was taken here only.
        200 | 204 if !is_by_operator && !matches!(event.deed, Deed::Reuse { .. }) => {
            Some(own_promise(record, event))
        }
        400 if word.contains("was used before") => Some(own_promise(record, event)),
        // A token that led on: of two holders one will be found out.
        200 | 400 if matches!(event.deed, Deed::Reuse { .. }) => Some(Promise::Nothing),
        400 | 401 | 404 | 507 => None,
        _ => Some(Promise::Nothing),
    }
}

fn own_promise(record: &Record, event: &Event) -> Promise {
    let Span { from, until } = event.span;
    let around = Span { from: from.saturating_sub(4_000), until };
    let is_disturbed = record.faults.iter().any(|fault| fault.span.meets(around));
    match record.setting.accept_local && is_disturbed {
        true => Promise::Here,
        false => Promise::Durable,
    }
}

//! Holds a history against what SECURITY.md and docs/reference/ promise. It knows only what was acknowledged to
//! clients and operators, and what was done to the store and the gateways.
//!
//! What is allowed although it is a loss, each with where SECURITY.md names it:
//!
//! | loss | named under | here |
//! | --- | --- | --- |
//! | `when_stale` lets in until there is contact again | Revocation, *a partition* | [`Judge::refused_from`] |
//! | what was taken locally (202) is known nowhere else before it is delivered, and dies with its gateway | *a partition* | [`Promise::Here`] |
//! | what a replica lacks is unknown until those who know write it down again | *a fail-over that lost writes* | [`Judge::restored_at`] |
//! | unless the server is known to have come back with less, and those who know are there: then nobody goes by it before | *a Redis that comes back with less* | [`Judge::is_waited_for`] |
//! | it is lost if all who know it end before | *a fail-over that lost writes* | [`Judge::is_forgotten`] |
//! | a gateway may go on with a deposed master for four seconds; `--wait` then knows nothing of the others | *one address with two servers* | `Fault::loss` of a promotion |
//! | sessions that the store has lost are gone | Sessions, *a Redis that lost its data*; *deleted by hand* | [`Judge::is_lost`] |
//! | a signing key that the store has lost is lost if a gateway that knew it ends before it is written down again | as revocations | [`Judge::is_of_a_lost_key`] |
//! | a list without room has one entry for a subject | *merged entries* | [`End::hits`] |
//! | a copy of an exchange that a gateway reads late, which stood still for less than it notices | Reuse of refresh tokens, *an honest client is not* | [`Judge::came_late`] |
//! | an honest retry later than `10 × rotation_grace`, or than the grace if the token was given out twice | Reuse of refresh tokens, 2 and 3 | [`Judge::is_late`] |
//! | tokens are judged by a gateway's own clock | *clocks apart* | [`Judge::is_misdated`] |
//! | that an assertion was used is lost with the gateway at which it was, or where nobody sees that the store is another | *a Redis that comes back with less* | [`Judge::reminded_at`] |
//! | what was issued in the second of a cut-off is cut off | *clocks apart* | [`End::hits`] |

mod assertions;

use std::fmt::Write;

use super::ends::{End, Hit, Promise, Whom};
use super::history::{
    Deed, Event, Fault, FaultKind, Heard, Life, Millis, NEVER, Place, Record, Route, Shown, Span,
};
use super::setting::Setting;

/// Room for a machine on which much happens, where a promise is about time.
const MARGIN: Millis = 250;

/// How soon after the last fault a gateway is in contact with its store again.
const RECOVERED_WITHIN: Millis = 6_000;

/// How soon what a store has lost is written down again by those who know it.
const RESTORED_WITHIN: Millis = 6_000;

/// How soon a gateway hears of what was taken elsewhere, if nothing goes wrong around that.
const HEARD_WITHIN: Millis = 2_000;

/// For how long a gateway must have been there to be waited for.
const JOINED_BEFORE: Millis = 1_500;

/// From how long a standstill on a gateway is certain to notice it.
const NOTICED_FROM: Millis = 750;

/// How soon what was taken locally is delivered.
const DELIVERED_WITHIN: Millis = 8_000;

/// How far clocks are set meanwhile, in seconds.
const STEP_MAX_S: i64 = 100;

/// A history, and what it ends.
pub(super) struct Judge<'r> {
    record: &'r Record,
    ends: Vec<End>,
}

impl<'r> Judge<'r> {
    pub(super) fn new(record: &'r Record) -> Self {
        Self { record, ends: End::all(record) }
    }

    /// Everything that should not be.
    pub(super) fn violations(&self) -> Vec<String> {
        self.record.events.iter().filter_map(|event| self.violation(event)).collect()
    }

    fn violation(&self, event: &Event) -> Option<String> {
        let status = event.heard.status()?;
        let complaint = match (event.deed, status) {
            (Deed::Visit { shown, route }, 200) => self.accepted(event, shown, route)?,
            (Deed::Visit { shown, .. }, 401) => self.refused(event, shown)?,
            (Deed::LogIn { subject, .. }, 401) => self.locked_out(event, subject)?,
            (Deed::LogOutEverywhere { login } | Deed::LogOut { login }, 401) => {
                self.refused(event, Shown::Cookie(login))?
            }
            (Deed::Refresh { login, token }, 400 | 401) => self.logged_out(event, login, token)?,
            (Deed::Reuse { login, token }, 200) => self.reused(event, login, token)?,
            (Deed::Revoke { .. } | Deed::EndSession { .. } | Deed::EndSessions { .. }, 507) => {
                self.crowded_out(event)?
            }
            (Deed::ShowAssertion { .. }, 200) => self.used_again(event)?,
            (Deed::ShowAssertion { .. }, 401) => self.refused_at_once(event)?,
            (_, 500) if event.is_unaudited() => return None,
            (deed, status) if is_known(deed, status) => return None,
            _ => "an answer that is none of those that there are".to_owned(),
        };
        Some(format!("{complaint}:\n      {event}"))
    }

    /// A credential was let in. Was it cut off?
    fn accepted(&self, event: &Event, shown: Shown, route: Route) -> Option<String> {
        let late = self.ends.iter().find(|end| {
            end.promise != Promise::Nothing
                && end.span.until <= event.span.from
                && end.hits(self.record, shown) == Hit::Certainly
                && event.span.from > self.refused_from(end, event.place, route)
        })?;
        let from = self.refused_from(late, event.place, route);
        let mut told = String::from("acknowledged, and then forgotten");
        if late.promise == Promise::Everywhere {
            told = "confirmed on all gateways, and then accepted by one".to_owned();
        }
        let _ = write!(told, " (refused from {from} ms on, by {late:?})");
        Some(told)
    }

    /// Whether a credential will be refused at a gateway at last: what the last look waits for.
    pub(super) fn is_ended(&self, shown: Shown, place: Place) -> bool {
        self.ends.iter().any(|end| {
            end.hits(self.record, shown) == Hit::Certainly
                && self.refused_from(end, place, Route::Deny) < NEVER / 4
        })
    }

    /// From when on a gateway must refuse what an end hits.
    fn refused_from(&self, end: &End, place: Place, route: Route) -> Millis {
        let at = end.span.until;
        if end.place == place {
            return at;
        }
        let allowed_ms = self.record.setting.max_staleness_s * 1_000 + MARGIN;
        let spawned = self.life(place).map_or(0, |(spawned, _)| spawned);
        let first = match (end.promise, route) {
            (Promise::Nothing, _) => return NEVER,
            (Promise::Here, _) => self.delivered_at(end),
            (Promise::Everywhere, _) if !self.is_among_losses(at) => at,
            (_, _) if spawned > at => at,
            (_, Route::Deny) => at + allowed_ms,
            (_, Route::AllowForASecond) => at + allowed_ms + 1_000,
            (_, Route::Allow | Route::DenyWrites) => {
                self.in_contact_after(place.gateway, at) + allowed_ms + RECOVERED_WITHIN
            }
        };
        if self.was_evicted(end, place, spawned) {
            return NEVER / 2;
        }
        let losses = self.record.faults.iter().filter(|fault| is_lost_by(fault, at));
        losses.fold(first, |from, fault| from.max(self.restored_at(end, fault, place) + allowed_ms))
    }

    /// When a gateway knows again of an end that a store has lost.
    fn restored_at(&self, end: &End, fault: &Fault, place: Place) -> Millis {
        let Some(loss) = fault.loss else { return 0 };
        if self.knew(place, end, fault) {
            return end.span.until;
        }
        if self.is_forgotten(end, fault, loss) {
            return NEVER / 2;
        }
        let mut knowing = self.record.lives.iter().filter(|life| self.knew(life.place, end, fault));
        if knowing.any(|life| self.is_waited_for(life, fault, loss)) {
            return end.span.until;
        }
        end.span.until.max(loss.until) + RESTORED_WITHIN
    }

    /// Whether nobody goes by a store that has lost something before this gateway, which knows better, has written it
    /// down: it is there and works, and it is noticed. An address that moves is not noticed at once.
    fn is_waited_for(&self, knowing: &Life, fault: &Fault, loss: Span) -> bool {
        let is_of_one_server =
            matches!(fault.kind, FaultKind::ServerIsOlder | FaultKind::ServerIsEmpty);
        let restored = loss.until + RESTORED_WITHIN;
        let around = Span { from: fault.span.from.saturating_sub(JOINED_BEFORE), until: restored };
        let is_there =
            knowing.spawned < around.from && knowing.ended.is_none_or(|at| at > restored);
        let mut others = self.record.faults.iter().filter(|other| {
            let is_it = other.span == fault.span && other.kind == fault.kind;
            let concerns = other.gateway.is_none_or(|one| one == knowing.place.gateway);
            !is_it && concerns && other.kind != FaultKind::Reload
        });
        is_of_one_server && is_there && !others.any(|other| other.span.meets(around))
    }

    /// Whether a Redis has evicted the list and the log, and nobody was left who knew what it had lost, before a gateway
    /// could hear of it: it started later, or its links were held from before the end until then. Who has confirmed an end
    /// has heard of it. An end is written before it is answered: one that waits for others may be evicted meanwhile.
    fn was_evicted(&self, end: &End, place: Place, spawned: Millis) -> bool {
        let is_confirmed = end.promise == Promise::Everywhere;
        self.record.faults.iter().any(|fault| {
            fault.kind == FaultKind::EvictAll
                && end.span.from <= fault.span.until
                && (fault.span.from <= spawned || (!is_confirmed && !self.knew(place, end, fault)))
                && self.is_forgotten(end, fault, fault.span)
        })
    }

    /// Whether nobody was left who knew of an end that a store has lost.
    fn is_forgotten(&self, end: &End, fault: &Fault, loss: Span) -> bool {
        let restored = loss.until + RESTORED_WITHIN;
        !self.record.lives.iter().any(|life| {
            let lives_on = life.ended.is_none_or(|ended| ended > restored);
            lives_on && self.knew(life.place, end, fault)
        })
    }

    /// Whether a gateway is certain to have known of an end when the store lost it.
    fn knew(&self, place: Place, end: &End, fault: &Fault) -> bool {
        let Some((spawned, _)) = self.life(place) else { return false };
        let at = end.span.until;
        let after = self.in_contact_after(place.gateway, at);
        let takes = if after == at { HEARD_WITHIN } else { RECOVERED_WITHIN };
        end.place == place || (spawned < at && after + takes < fault.span.from)
    }

    /// When an end that was taken locally has reached the others.
    fn delivered_at(&self, end: &End) -> Millis {
        let is_alive = self.life(end.place).is_some_and(|(_, ended)| ended.is_none());
        let has_room = self.record.setting.entries_max.is_none();
        match self.record.healed {
            Some(healed) if is_alive && has_room => healed.max(end.span.until) + DELIVERED_WITHIN,
            _ => NEVER / 2,
        }
    }

    fn life(&self, place: Place) -> Option<(Millis, Option<Millis>)> {
        let mut lives = self.record.lives.iter();
        lives.find(|life| life.place == place).map(|life| (life.spawned, life.ended))
    }

    fn is_among_losses(&self, at: Millis) -> bool {
        self.record.faults.iter().any(|fault| is_lost_by(fault, at))
    }

    /// When what keeps a gateway from its store is over; faults that follow one another are one.
    fn in_contact_after(&self, gateway: usize, at: Millis) -> Millis {
        let concerns = |fault: &&Fault| fault.gateway.is_none_or(|one| one == gateway);
        let mut faults: Vec<_> = self.record.faults.iter().filter(concerns).collect();
        faults.sort_by_key(|fault| fault.span.from);
        faults.into_iter().fold(at, |at, fault| {
            let around = Span { from: at.saturating_sub(2_000), until: at + RECOVERED_WITHIN };
            if fault.span.meets(around) { at.max(fault.span.until) } else { at }
        })
    }

    /// A credential was refused. Was it cut off?
    fn refused(&self, event: &Event, shown: Shown) -> Option<String> {
        let is_explained = self.is_cut_off(event, shown)
            || self.is_misdated(event, shown)
            || self.is_of_a_lost_key(event)
            || matches!(
                shown,
                Shown::Cookie(login) | Shown::Access(login, _) if self.came_late(event.span.until, login)
            )
            || matches!(shown, Shown::Cookie(login) if self.is_lost(event.span.until, login));
        (!is_explained).then(|| "refused, and nobody has cut it off".to_owned())
    }

    /// Whether an exchange of which nobody heard may have ended the login: it was read after its grace, by a gateway that stood
    /// still for so short a time that it does not notice, and takes what waited for it to be presented then. Whoever had heard of it would have been told, and that
    /// counts as an end. If the token's successor was not used meanwhile, it would have been remembered for longer.
    fn came_late(&self, by: Millis, login: usize) -> bool {
        let grace_ms = self.record.setting.grace_s * 1_000;
        self.record.events.iter().any(|copy| {
            let Deed::Refresh { login: its, token } = copy.deed else { return false };
            if its != login || copy.heard != Heard::Nothing || copy.span.from > by {
                return false;
            }
            let stood_still = self.record.faults.iter().filter(|fault| {
                fault.kind == FaultKind::StandStill
                    && fault.gateway == Some(copy.place.gateway)
                    && fault.span.meets(copy.span)
                    && fault.span.until - fault.span.from < NOTICED_FROM
            });
            let Some(read) = stood_still.map(|fault| fault.span.until).max() else { return false };
            let is_used = self.record.events.iter().any(|other| {
                matches!(other.deed, Deed::Refresh { login: its, token: later } if its == login && later > token)
                    && other.span.from <= read
            });
            let late = Event { span: Span { until: read, ..copy.span }, ..copy.clone() };
            let first = self.first_shown(copy, login, token);
            let is_over = read > first + grace_ms.saturating_sub(MARGIN);
            (is_used && is_over) || self.is_late(&late, login, token)
        })
    }

    /// When a token was shown first.
    fn first_shown(&self, event: &Event, login: usize, token: usize) -> Millis {
        let deed = Deed::Refresh { login, token };
        let shown = self.record.events.iter().filter(|other| other.deed == deed);
        shown.map(|other| other.span.from).min().unwrap_or(event.span.from)
    }

    /// Somebody was cut off while they logged in. Were they?
    fn locked_out(&self, event: &Event, subject: usize) -> Option<String> {
        let is_meant = |end: &End| {
            matches!(end.whom, Whom::Subject(its, _) if its == subject)
                && end.span.meets(event.span)
        };
        (!self.ends.iter().any(is_meant))
            .then(|| "a login was refused, and nobody has cut it off".to_owned())
    }

    fn is_cut_off(&self, event: &Event, shown: Shown) -> bool {
        self.ends
            .iter()
            .any(|end| end.span.from <= event.span.until && end.hits(self.record, shown) != Hit::No)
    }

    /// Whether a store may have lost the session of a login by then.
    fn is_lost(&self, by: Millis, login: usize) -> bool {
        let began = self.record.logins[login].span;
        self.record.faults.iter().any(|fault| {
            let happened = fault.span.from <= by;
            let is_evicted = fault.evicted == Some(login);
            happened && (is_evicted || fault.loss.is_some_and(|loss| loss.meets(began)))
        })
    }

    /// Whether a store has lost a signing key, and does not have it again yet, or all who knew it have ended.
    fn is_of_a_lost_key(&self, event: &Event) -> bool {
        let is_told = event.heard.word().starts_with("token_key_unknown");
        let mut losses = self
            .record
            .faults
            .iter()
            .filter(|fault| fault.span.from <= event.span.until && fault.loss.is_some());
        is_told
            && losses.any(|fault| {
                let loss = fault.loss.unwrap_or(event.span);
                let restored = loss.until + RESTORED_WITHIN;
                // One that was made at the deposed server is not known to the others before that.
                let is_made = |other: &Event| {
                    matches!(other.deed, Deed::RotateKeys) && loss.meets(other.span)
                };
                if event.span.from <= restored && self.record.events.iter().any(is_made) {
                    return true;
                }
                let mut knowing =
                    self.record.lives.iter().filter(|life| life.spawned < fault.span.from);
                // Who has made a key just before need not have told the others.
                knowing.any(|life| life.ended.is_some_and(|ended| ended < restored))
            })
    }

    /// Whether a gateway's clock is so wrong that it must refuse a token.
    fn is_misdated(&self, event: &Event, shown: Shown) -> bool {
        let word = event.heard.word();
        if !["token_expired", "token_not_yet_valid"].iter().any(|slug| word.starts_with(slug)) {
            return false;
        }
        let gateway = event.place.gateway;
        let around = Span { from: event.span.from.saturating_sub(1_000), until: event.span.until };
        let is_set = self.record.faults.iter().any(|fault| {
            fault.kind == FaultKind::SetClock
                && fault.gateway == Some(gateway)
                && fault.span.meets(Span { until: around.until + 1_000, ..around })
        });
        let step_s = if is_set { STEP_MAX_S } else { 0 };
        let ahead_s = self.record.setting.offsets_s[gateway];
        match shown {
            Shown::Foreign(number) => {
                let skew_s = 30 + self.record.foreign[number].age_s;
                step_s - ahead_s > skew_s
            }
            // What gateways have dated they judge by the clock that dated it.
            Shown::Cookie(_) | Shown::Access(..) => false,
        }
    }

    /// An honest holder of a refresh token was turned away.
    fn logged_out(&self, event: &Event, login: usize, token: usize) -> Option<String> {
        let is_cut_off = self.ends.iter().any(|end| {
            end.span.from <= event.span.until
                && !end.is_complaint
                && end.hits(self.record, Shown::Access(login, usize::MAX)) != Hit::No
        });
        let is_explained = is_cut_off
            || self.is_lost(event.span.until, login)
            || self.is_late(event, login, token)
            || self.came_late(event.span.until, login)
            || self.is_forked(event, login, token);
        (!is_explained).then(|| "logged out, and did nothing wrong".to_owned())
    }

    /// Whether it came later than an unanswered exchange is remembered. A token that was given out more than once has its grace
    /// only: that can be each that came after one that was shown twice, as the second time may have arrived late.
    fn is_late(&self, event: &Event, login: usize, token: usize) -> bool {
        let shown = |nth| {
            let deed = Deed::Refresh { login, token: nth };
            self.record.events.iter().filter(move |other| other.deed == deed)
        };
        let is_shared = (0..token).any(|nth| shown(nth).count() > 1);
        let grace_ms = self.record.setting.grace_s * 1_000;
        let remembered_ms = if is_shared { grace_ms } else { grace_ms * 10 };
        let first = self.first_shown(event, login, token);
        event.span.until > first + remembered_ms.saturating_sub(MARGIN)
    }

    /// Whether two servers may have made the same exchange: the holder has what one of them gave out.
    fn is_forked(&self, event: &Event, login: usize, _token: usize) -> bool {
        let happened = |fault: &&Fault| fault.span.from <= event.span.until;
        let mut losses = self.record.faults.iter().filter(happened).filter_map(|fault| fault.loss);
        losses.any(|loss| {
            self.record.events.iter().any(|other| {
                matches!(other.deed, Deed::Refresh { login: its, .. } if its == login)
                    && other.heard.status() != Some(200)
                    && other.span.from <= event.span.from
                    && loss.meets(other.span)
            })
        })
    }

    /// A token that was used before was exchanged again.
    fn reused(&self, event: &Event, login: usize, token: usize) -> Option<String> {
        let exchanged = self.record.events.iter().filter(|other| {
            other.deed == Deed::Refresh { login, token } && other.heard.status() == Some(200)
        });
        let exchanged = exchanged.map(|other| other.span.until).min()?;
        let grace_ms = self.record.setting.grace_s * 1_000;
        let is_lost = self.record.faults.iter().any(|fault| {
            fault.span.from <= event.span.until
                && fault.loss.is_some_and(|loss| loss.until + MARGIN >= exchanged)
        });
        let is_late = event.span.from > exchanged + grace_ms + MARGIN;
        (is_late && !is_lost)
            .then(|| format!("a refresh token that was exchanged at {exchanged} ms led on"))
    }

    /// An operator found no room.
    fn crowded_out(&self, event: &Event) -> Option<String> {
        let room = self.record.setting.entries_max.map_or(u64::MAX, |most| most / 20);
        let tried = self.record.events.iter().filter(|other| {
            let is_by_operator = matches!(
                other.deed,
                Deed::Revoke { .. } | Deed::EndSession { .. } | Deed::EndSessions { .. }
            );
            is_by_operator
                && other.span.from <= event.span.from
                && !matches!(other.heard, Heard::Told { status: 400 | 404 | 507, .. })
        });
        ((tried.count() as u64) < room)
            .then(|| "accounts have left no room for an operator".to_owned())
    }
}

/// Whether what was written at this time may be lost.
fn is_lost_by(fault: &Fault, at: Millis) -> bool {
    fault.loss.is_some_and(|loss| loss.holds(at))
}

/// The answers that there are beside those that are looked at closely.
fn is_known(deed: Deed, status: u16) -> bool {
    let known: &[u16] = match deed {
        Deed::LogIn { .. } => &[200, 503],
        Deed::Visit { .. } => &[503],
        Deed::Refresh { .. } => &[200, 503],
        Deed::Reuse { .. } => &[400, 503],
        Deed::LogOut { .. } | Deed::LogOutEverywhere { .. } => &[204, 503],
        Deed::GiveBack { .. } => &[200, 503],
        Deed::Revoke { .. } => &[201, 202, 400, 503],
        Deed::EndSession { .. } | Deed::EndSessions { .. } => &[200, 202, 404, 503],
        Deed::RotateKeys => &[201, 409, 503],
        Deed::ShowAssertion { .. } => &[503],
        Deed::Probe => &[200, 503],
    };
    known.contains(&status)
}

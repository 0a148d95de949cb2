//! An assertion of a client is good once.

use super::{Judge, RESTORED_WITHIN, Setting};
use crate::simulation::history::{Event, Fault, Millis, NEVER};

impl Judge<'_> {
    /// An assertion was taken. Was it before?
    pub(super) fn used_again(&self, event: &Event) -> Option<String> {
        let before = self.shown(event).find(|used| {
            let is_first = (used.span.until, used.span.from) < (event.span.until, event.span.from);
            is_first && used.heard.status() == Some(200) && !self.may_forget(used, event.span.from)
        })?;
        Some(format!("an assertion was good again, that was used\n      {before}"))
    }

    /// An assertion was refused. Was it shown before?
    pub(super) fn refused_at_once(&self, event: &Event) -> Option<String> {
        let mut shown = self.shown(event);
        (!shown.any(|other| other.span.from <= event.span.until))
            .then(|| "an assertion was refused that nobody has shown before".to_owned())
    }

    /// When else the same was shown.
    fn shown<'e>(&'e self, event: &'e Event) -> impl Iterator<Item = &'e Event> {
        let events = self.record.events.iter();
        events.filter(move |other| other.deed == event.deed && !std::ptr::eq(*other, event))
    }

    /// Whether a store may have lost that an assertion was used, and not know it again by then.
    fn may_forget(&self, used: &Event, by: Millis) -> bool {
        self.record.faults.iter().any(|fault| {
            let is_lost = fault.loss.is_some_and(|loss| loss.meets(used.span));
            is_lost && fault.span.from <= by && by < self.reminded_at(used, fault)
        })
    }

    /// When a store knows again that an assertion was used. Only the gateway at which it was can tell it.
    fn reminded_at(&self, used: &Event, fault: &Fault) -> Millis {
        let Some(loss) = fault.loss else { return 0 };
        let Setting { hides_identity, .. } = self.record.setting;
        let in_contact = self.in_contact_after(used.place.gateway, loss.until);
        let restored = in_contact + RESTORED_WITHIN;
        let life = self.record.lives.iter().find(|life| life.place == used.place);
        let Some(life) = life.filter(|life| life.ended.is_none_or(|at| at > restored)) else {
            return NEVER;
        };
        match hides_identity {
            true => NEVER,
            false if self.is_waited_for(life, fault, loss) => used.span.until,
            false => restored,
        }
    }
}

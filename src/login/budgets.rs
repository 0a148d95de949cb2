//! How often somebody may ask about sessions. A list has the store read one record for each of them, and an
//! id that is not one's own is looked for in vain.
//!
//! Counted by subject: logging in again gives nobody more.

use super::Caller;
use super::own::who;
use crate::feed::budget::Budget;
use crate::gate::denial::{Denial, Detail, Slug};

/// How many lists a minute.
const LISTS_MAX: u32 = 60;

/// How many ids a minute that are not one's own.
const STRANGERS_MAX: u32 = 60;

/// What subjects have asked for lately.
#[derive(Debug)]
pub(super) struct Budgets {
    lists: Budget<Whom>,
    strangers: Budget<Whom>,
}

/// The issuer, and the subject.
type Whom = (Box<str>, Box<str>);

impl Budgets {
    pub(super) fn new() -> Self {
        Self { lists: Budget::new(LISTS_MAX), strangers: Budget::new(STRANGERS_MAX) }
    }

    /// Counts a list.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] if it is one too many.
    pub(super) fn count_list(&self, caller: &Caller) -> Result<(), Denial> {
        let whom = whom(caller)?;
        refuse_spent(&self.lists, &whom)?;
        self.lists.spend(whom);
        Ok(())
    }

    /// Whether one more id may be looked for.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] if too many were not the caller's own.
    pub(super) fn permit_search(&self, caller: &Caller) -> Result<(), Denial> {
        refuse_spent(&self.strangers, &whom(caller)?)
    }

    /// Counts an id that is not the caller's own.
    pub(super) fn count_stranger(&self, caller: &Caller) -> Result<(), Denial> {
        self.strangers.spend(whom(caller)?);
        Ok(())
    }
}

fn refuse_spent(budget: &Budget<Whom>, whom: &Whom) -> Result<(), Denial> {
    match budget.spent(whom) {
        None => Ok(()),
        Some(seconds) => Err(Denial::with(Slug::RateLimited, Detail::RetryAfter(seconds))),
    }
}

fn whom(caller: &Caller) -> Result<Whom, Denial> {
    let (issuer, subject) = who(caller)?;
    Ok((issuer.into(), subject.into()))
}

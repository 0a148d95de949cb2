//! How often somebody may have the store work. A list of sessions has it read one record for each of
//! them, and an id that is not one's own is looked for in vain.
//!
//! Counted by subject: logging in again gives nobody more.

use std::hash::Hash;
use std::net::IpAddr;

use crate::feed::budget::Budget;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::network::network_of;
use crate::web::message::Caller;

/// How many lists a minute.
const LISTS_MAX: u32 = 60;

/// How many ids a minute that are not one's own.
const STRANGERS_MAX: u32 = 60;

/// How many sessions that the store does not have a network may end a minute.
const LOST_MAX: u32 = 60;

/// What subjects have asked for lately.
#[derive(Debug)]
pub(super) struct Budgets {
    lists: Budget<Whom>,
    strangers: Budget<Whom>,
    lost: Budget<Option<IpAddr>>,
}

/// The issuer, and the subject.
type Whom = (Box<str>, Box<str>);

impl Budgets {
    pub(super) fn new() -> Self {
        Self {
            lists: Budget::new(LISTS_MAX),
            strangers: Budget::new(STRANGERS_MAX),
            lost: Budget::new(LOST_MAX),
        }
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

    /// Counts a session that is to be ended though the store does not have it.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] if it is one too many.
    pub(super) fn count_lost(&self, client: Option<IpAddr>) -> Result<(), Denial> {
        let network = client.map(network_of);
        refuse_spent(&self.lost, &network)?;
        self.lost.spend(network);
        Ok(())
    }

    /// Counts an id that is not the caller's own.
    pub(super) fn count_stranger(&self, caller: &Caller) -> Result<(), Denial> {
        self.strangers.spend(whom(caller)?);
        Ok(())
    }
}

fn refuse_spent<K>(budget: &Budget<K>, whom: &K) -> Result<(), Denial>
where
    K: Hash + Eq + Send + Sync + 'static,
{
    match budget.spent(whom) {
        None => Ok(()),
        Some(seconds) => Err(Denial::with(Slug::RateLimited, Detail::RetryAfter(seconds))),
    }
}

fn whom(caller: &Caller) -> Result<Whom, Denial> {
    let (issuer, subject) = caller.account()?;
    Ok((issuer.into(), subject.into()))
}

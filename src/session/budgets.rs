//! Limits how much work a subject can cause at the store. For a list of sessions, the store reads
//! one record a session. For an id that is not the subject's own, it searches in vain.
//!
//! The budgets count by subject: another login does not give the user more.

use std::hash::Hash;
use std::net::IpAddr;

use crate::gate::denial::{Denial, Detail, Slug};
use crate::network::network_of;
use crate::rate_budget::RateBudget;
use crate::web::message::Caller;

/// How many lists a subject may ask for in a minute.
const LISTS_MAX: u32 = 60;

/// How many ids that are not its own a subject may ask for in a minute.
const FOREIGN_IDS_MAX: u32 = 60;

/// How many sessions that the store does not have a network may end in a minute.
const LOST_MAX: u32 = 60;

/// What subjects have asked for lately.
#[derive(Debug)]
pub(super) struct Budgets {
    lists: RateBudget<SubjectKey>,
    foreign_ids: RateBudget<SubjectKey>,
    lost: RateBudget<Option<IpAddr>>,
}

/// The issuer, and the subject.
type SubjectKey = (Box<str>, Box<str>);

impl Budgets {
    /// Budgets of which nothing is spent.
    pub(super) fn new() -> Self {
        Self {
            lists: RateBudget::new(LISTS_MAX),
            foreign_ids: RateBudget::new(FOREIGN_IDS_MAX),
            lost: RateBudget::new(LOST_MAX),
        }
    }

    /// Counts a list.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] if it is one too many.
    pub(super) fn count_list(&self, caller: &Caller) -> Result<(), Denial> {
        let subject = subject_key(caller)?;
        refuse_spent(&self.lists, &subject)?;
        self.lists.spend(subject);
        Ok(())
    }

    /// Whether one more id may be looked for.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] if too many were not the caller's own.
    pub(super) fn permit_search(&self, caller: &Caller) -> Result<(), Denial> {
        refuse_spent(&self.foreign_ids, &subject_key(caller)?)
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
    pub(super) fn count_foreign_id(&self, caller: &Caller) -> Result<(), Denial> {
        self.foreign_ids.spend(subject_key(caller)?);
        Ok(())
    }
}

fn refuse_spent<K>(budget: &RateBudget<K>, key: &K) -> Result<(), Denial>
where
    K: Hash + Eq + Send + Sync + 'static,
{
    match budget.spent(key) {
        None => Ok(()),
        Some(seconds) => Err(Denial::with(Slug::RateLimited, Detail::RetryAfter(seconds))),
    }
}

fn subject_key(caller: &Caller) -> Result<SubjectKey, Denial> {
    let (issuer, subject) = caller.account()?;
    Ok((issuer.into(), subject.into()))
}

//! Counts attempts to log in before they are examined: against the account, and against the address
//! from which they come.

use std::net::IpAddr;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock;
use crate::config::Login;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::gate::time::UnixTime;
use crate::network::network_of;
use crate::store::attempts::{Attempt, AttemptAccount, AttemptBudget, AttemptLedger, BudgetPace};

/// An attempt that was counted.
pub(crate) struct Counted<'l> {
    ledger: &'l dyn AttemptLedger,
    /// The name as it was typed. A success forgets what was counted against it.
    name: AttemptAccount,
    /// What others share: the network, and all spellings of the name.
    shared: Vec<AttemptAccount>,
    /// What only a success uses up: they cost the work of a password and a record, too.
    successes: Vec<AttemptAccount>,
}

impl<'l> Counted<'l> {
    /// Counts an attempt.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`], and [`Slug::StoreUnavailable`]: what cannot be counted is not tried.
    pub(crate) async fn count(
        ledger: &'l dyn AttemptLedger,
        login: &Login,
        name: &str,
        client: Option<IpAddr>,
    ) -> Result<Self, Denial> {
        let account = |name: &str| AttemptAccount {
            key: key(&["account", login.method.as_str(), name]),
            budget: login.per_account,
            pace: BudgetPace::Slowing,
        };
        let now = clock::now();
        let budget = login.per_address;
        let mut shared = vec![of_network("address", client, budget, now)];
        // An identity service may not tell spellings apart, and each would have its own budget.
        let folded = name.trim().to_lowercase();
        if folded != name {
            shared.push(account(&folded));
        }
        // A ledger forgets what is quiet for a while, which a name that logs in is not: these begin
        // anew in each span, too.
        let mut of_successes = of_span("success", &folded, login.successes_per_account, now);
        of_successes.pace = BudgetPace::Even;
        let mut of_network_successes =
            of_network("success from", client, login.successes_per_address, now);
        of_network_successes.pace = BudgetPace::Even;
        let successes = vec![of_successes, of_network_successes];
        let counted = Self { ledger, name: account(name), shared, successes };
        let all: Vec<_> = counted.all().cloned().collect();
        match ledger.attempt(&all, now).await {
            Ok(Attempt::Counted) => Ok(counted),
            Ok(Attempt::Early(seconds)) => {
                // Zero would be an invitation to ask again and again.
                Err(Denial::with(Slug::RateLimited, Detail::RetryAfter(seconds.max(1))))
            }
            Err(error) => {
                tracing::warn!(%error, "attempts to log in cannot be counted");
                Err(Slug::StoreUnavailable.into())
            }
        }
    }

    /// It succeeded: earlier ones by the same name are forgotten.
    pub(crate) async fn succeeded(self) {
        self.absolve(std::slice::from_ref(&self.name), &self.shared).await;
    }

    /// It failed, and uses up nothing of what is for successes.
    pub(crate) async fn failed(self) {
        self.absolve(&[], &self.successes).await;
    }

    /// It could not be decided, and counts as if it had not been made.
    pub(crate) async fn returned(self) {
        let all: Vec<_> = self.all().cloned().collect();
        self.absolve(&[], &all).await;
    }

    async fn absolve(&self, forgotten: &[AttemptAccount], returned: &[AttemptAccount]) {
        // If this fails, a user waits longer than they should. What was decided stays.
        if let Err(error) = self.ledger.absolve(forgotten, returned).await {
            tracing::warn!(%error, "attempts to log in cannot be given back");
        }
    }

    fn all(&self) -> impl Iterator<Item = &AttemptAccount> {
        std::iter::once(&self.name).chain(&self.shared).chain(&self.successes)
    }
}

/// What is counted against where it comes from; `what` keeps apart what is counted.
///
/// Those who come from nowhere count as one. Many people can share an address, and it is seldom
/// quiet for as long as it takes until a ledger forgets: it begins anew in each span of its budget.
pub(crate) fn of_network(
    what: &str,
    client: Option<IpAddr>,
    budget: AttemptBudget,
    now: UnixTime,
) -> AttemptAccount {
    let network = client.map(|client| network_of(client).to_string()).unwrap_or_default();
    of_span(what, &network, budget, now)
}

/// A count for one span of its budget. It starts anew in each span.
fn of_span(what: &str, whom: &str, budget: AttemptBudget, now: UnixTime) -> AttemptAccount {
    let span = now.as_seconds() / i64::from(budget.span_s.max(1));
    let key = key(&[what, whom, &span.to_string()]);
    AttemptAccount { key, budget, pace: BudgetPace::Slowing }
}

/// A digest, because names can have any length and account names do not belong in a store.
fn key(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(context.finish())
}

#[cfg(test)]
mod tests;

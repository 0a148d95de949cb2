//! Attempts to log in, counted before they are looked at: against the account, and against where
//! they come from.

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
        // Somebody will have to wait longer than they should; what was decided stays.
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

/// What is counted against somebody, and begins anew in each span of its budget.
fn of_span(what: &str, whom: &str, budget: AttemptBudget, now: UnixTime) -> AttemptAccount {
    let span = now.as_seconds() / i64::from(budget.span_s.max(1));
    let key = key(&[what, whom, &span.to_string()]);
    AttemptAccount { key, budget, pace: BudgetPace::Slowing }
}

/// A digest: names of accounts are nobody's business in a store, and of any length.
fn key(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use crate::config::login::{LoginMethod, Users};
    use crate::password::attempts::*;
    use crate::store::StoreError;

    #[derive(Debug, Default)]
    struct Noted(Mutex<Vec<(&'static str, Vec<String>)>>);

    /// A ledger that is not there.
    #[derive(Debug)]
    struct Lost;

    #[async_trait]
    impl AttemptLedger for Lost {
        async fn attempt(&self, _: &[AttemptAccount], _: UnixTime) -> Result<Attempt, StoreError> {
            Err(StoreError::Unavailable("on purpose".to_owned()))
        }

        async fn absolve(
            &self,
            _: &[AttemptAccount],
            _: &[AttemptAccount],
        ) -> Result<(), StoreError> {
            Err(StoreError::Unavailable("on purpose".to_owned()))
        }
    }

    impl Noted {
        fn note(&self, what: &'static str, accounts: &[AttemptAccount]) {
            let keys = accounts.iter().map(|account| account.key.clone()).collect();
            self.0.lock().expect("not poisoned").push((what, keys));
        }
    }

    #[async_trait]
    impl AttemptLedger for Noted {
        async fn attempt(
            &self,
            accounts: &[AttemptAccount],
            _: UnixTime,
        ) -> Result<Attempt, StoreError> {
            self.note("attempt", accounts);
            Ok(Attempt::Counted)
        }

        async fn absolve(
            &self,
            forgotten: &[AttemptAccount],
            back: &[AttemptAccount],
        ) -> Result<(), StoreError> {
            self.note("forgotten", forgotten);
            self.note("returned", back);
            Err(StoreError::Unavailable("on purpose".to_owned()))
        }
    }

    fn login() -> Login {
        let budget = AttemptBudget { attempts_max: 10, span_s: 900 };
        Login {
            base: "/auth".into(),
            issuer: "gateway".into(),
            method: LoginMethod::PasswordFile(Users::default()),
            return_to: Vec::new(),
            per_account: budget,
            per_address: AttemptBudget { attempts_max: 100, span_s: 900 },
            successes_per_account: budget,
            successes_per_address: budget,
        }
    }

    async fn noted(name: &str, succeeded: bool) -> Vec<(&'static str, Vec<String>)> {
        let ledger = Noted::default();
        let client = "192.0.2.7".parse().ok();
        let counted = Counted::count(&ledger, &login(), name, client).await.expect("counted");
        match succeeded {
            true => counted.succeeded().await,
            false => counted.returned().await,
        }
        ledger.0.into_inner().expect("not poisoned")
    }

    #[tokio::test]
    async fn success_forgets_the_name_and_gives_back_to_the_network() {
        let noted = noted("alice", true).await;
        let [name, network, _, _] = &noted[0].1[..] else { panic!("{noted:?}") };
        assert_eq!(noted[1], ("forgotten", vec![name.clone()]));
        assert_eq!(noted[2], ("returned", vec![network.clone()]));
    }

    #[tokio::test]
    async fn what_was_not_decided_is_given_back_to_all() {
        let noted = noted("alice", false).await;
        assert_eq!(noted[1].1, Vec::<String>::new());
        assert_eq!(noted[2].1, noted[0].1);
    }

    #[tokio::test]
    async fn failure_gives_back_what_is_for_successes() {
        let ledger = Noted::default();
        let client = "192.0.2.7".parse().ok();
        let counted = Counted::count(&ledger, &login(), "alice", client).await.expect("counted");
        counted.failed().await;
        let noted = ledger.0.into_inner().expect("not poisoned");
        assert_eq!(noted[1].1, Vec::<String>::new());
        assert_eq!(noted[2].1, noted[0].1[2..]);
    }

    #[tokio::test]
    async fn other_spellings_of_a_name_share_its_budget_and_cannot_reset_it() {
        let (plain, other) = (noted("alice", true).await, noted(" Alice", true).await);
        let alice = &plain[0].1[0];
        assert!(other[0].1.contains(alice), "counted against it");
        assert!(!other[1].1.contains(alice), "not forgotten");
        assert!(other[2].1.contains(alice), "its own attempt is given back");
    }

    #[tokio::test]
    async fn what_cannot_be_counted_is_not_tried() {
        let counted = Counted::count(&Lost, &login(), "alice", None).await;
        let denial = counted.err().expect("refused");
        assert_eq!(denial.slug(), Slug::StoreUnavailable);
    }

    #[test]
    fn addresses_of_one_network_and_parts_are_told_apart() {
        let budget = AttemptBudget { attempts_max: 1, span_s: 60 };
        let at = |text: &str, seconds| {
            of_network("address", text.parse().ok(), budget, UnixTime::from_seconds(seconds)).key
        };
        let address = |text: &str| at(text, 0);
        assert_eq!(at("192.0.2.7", 59), address("192.0.2.7"));
        assert_ne!(at("192.0.2.7", 60), address("192.0.2.7"));
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2::9"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        let (budget, now) =
            (AttemptBudget { attempts_max: 1, span_s: 60 }, UnixTime::from_seconds(0));
        assert_ne!(of_network("address", None, budget, now), of_network("b", None, budget, now));
    }
}

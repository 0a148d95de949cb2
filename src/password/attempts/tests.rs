//! Attempts are counted before they are looked at, and returned where nothing was compared.

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

    async fn absolve(&self, _: &[AttemptAccount], _: &[AttemptAccount]) -> Result<(), StoreError> {
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
    let (budget, now) = (AttemptBudget { attempts_max: 1, span_s: 60 }, UnixTime::from_seconds(0));
    assert_ne!(of_network("address", None, budget, now), of_network("b", None, budget, now));
}

//! Counts attempts to log in, for all gateways together.
//!
//! Attempts are counted before they are judged, so that concurrent attempts all count. Each attempt
//! makes the next one wait twice as long as before: a budget of ten in 15 minutes permits the first
//! two at once and makes the tenth wait for 225 s. When the budget is used up, its whole span must
//! pass.

use async_trait::async_trait;

use super::error::StoreError;
use crate::gate::time::UnixTime;

/// How many attempts are permitted in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptBudget {
    /// How many.
    pub attempts_max: u32,
    /// In how many seconds.
    pub span_s: u32,
}

impl AttemptBudget {
    /// How long after the last of `made` attempts the next one may be made, in seconds.
    pub fn delay_s(self, made: u32) -> u32 {
        let Self { attempts_max, span_s } = self;
        match attempts_max.saturating_sub(made) {
            0 => span_s,
            left => span_s.checked_shr(left.saturating_add(1)).unwrap_or(0),
        }
    }
}

/// How a budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetPace {
    /// Each attempt makes the next one wait longer: it may be a guess.
    Slowing,
    /// No attempt has to wait until the budget is used up.
    Even,
}

/// The account that an attempt is counted against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptAccount {
    /// A digest of a user's name, or of a client's address; in base64url.
    pub key: String,
    /// Its budget.
    pub budget: AttemptBudget,
    /// How the budget is spent.
    pub pace: BudgetPace,
}

impl AttemptAccount {
    /// How long after the last of `made` attempts the next one may be made, in seconds.
    pub fn delay_s(&self, made: u32) -> u32 {
        match self.pace {
            BudgetPace::Slowing => self.budget.delay_s(made),
            BudgetPace::Even if made < self.budget.attempts_max => 0,
            BudgetPace::Even => self.budget.span_s,
        }
    }
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The attempt was counted, and may be made.
    Counted,
    /// The attempt was not counted and may not be made before so many seconds have passed.
    Early(u32),
}

/// The ledger of attempts.
#[async_trait]
pub trait AttemptLedger: std::fmt::Debug + Send + Sync {
    /// Counts an attempt against all of `accounts`, or against none if one of them has to wait.
    async fn attempt(
        &self,
        accounts: &[AttemptAccount],
        now: UnixTime,
    ) -> Result<Attempt, StoreError>;

    /// Forgets all attempts against `forgotten`, and one attempt against each of `returned`: the
    /// last one succeeded, or could not be made after all.
    async fn absolve(
        &self,
        forgotten: &[AttemptAccount],
        returned: &[AttemptAccount],
    ) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::AttemptBudget;

    #[test]
    fn delay_doubles_up_to_the_span() {
        let budget = AttemptBudget { attempts_max: 10, span_s: 900 };
        let delays: Vec<_> = (0..=11).map(|made| budget.delay_s(made)).collect();
        assert_eq!(delays, [0, 0, 1, 3, 7, 14, 28, 56, 112, 225, 900, 900]);
    }
}

//! Counts attempts to log in, in Redis.

use async_trait::async_trait;

use super::Redis;
use super::dial::ANSWER_TIMEOUT;
use super::script::attempts::{ABSOLVE, ATTEMPT};
use crate::clock;
use crate::gate::time::UnixTime;
use crate::store::StoreError;
use crate::store::attempts::{Attempt, AttemptAccount, AttemptLedger, BudgetPace};

#[async_trait]
impl AttemptLedger for Redis {
    /// Uses the server's clock, which is the same for all gateways.
    async fn attempt(
        &self,
        accounts: &[AttemptAccount],
        _: UnixTime,
    ) -> Result<Attempt, StoreError> {
        let mut counting = ATTEMPT.prepare_invoke();
        for AttemptAccount { key, budget, pace } in accounts {
            counting.key(self.account(key)).arg(budget.attempts_max).arg(budget.span_s);
            counting.arg(*pace == BudgetPace::Slowing);
        }
        counting.arg(clock::shared_deadline_ms(ANSWER_TIMEOUT).unwrap_or_default());
        let counting = &counting;
        // Sent twice, it counts twice, which only makes clients wait longer.
        let wait_s: u32 = self
            .link
            .ask(&self.master, "counting an attempt", move |mut connection| async move {
                counting.invoke_async(&mut connection).await
            })
            .await?;
        Ok(if wait_s == 0 { Attempt::Counted } else { Attempt::Early(wait_s) })
    }

    async fn absolve(
        &self,
        forgotten: &[AttemptAccount],
        returned: &[AttemptAccount],
    ) -> Result<(), StoreError> {
        let mut absolving = ABSOLVE.arg(forgotten.len());
        for AttemptAccount { key, .. } in forgotten.iter().chain(returned) {
            absolving.key(self.account(key));
        }
        absolving.arg(clock::shared_deadline_ms(ANSWER_TIMEOUT).unwrap_or_default());
        let absolving = &absolving;
        // Sent twice, it returns two attempts for one: once for each connection that breaks.
        self.link
            .ask(&self.master, "absolving", move |mut connection| async move {
                absolving.invoke_async::<()>(&mut connection).await
            })
            .await
    }
}

impl Redis {
    fn account(&self, key: &str) -> String {
        format!("{}{key}", self.keys.attempts)
    }
}

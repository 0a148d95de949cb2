//! Records used one-time values in Redis.

use async_trait::async_trait;

use super::Redis;
use super::dial::ANSWER_TIMEOUT;
use super::keys::EXPIRY_MAX_S;
use super::reply::Flag;
use super::script::one_time::SPEND;
use super::spent::Use;
use crate::clock;
use crate::gate::time::UnixTime;
use crate::store::StoreError;
use crate::store::one_time::{ONE_TIME_MARGIN_S, OneTimeStore};

#[async_trait]
impl OneTimeStore for Redis {
    async fn spend(&self, key: &str, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        self.await_complete().await?;
        let number = fastrand::u64(..);
        let mut spending = SPEND.key(self.keys.spent_of(key));
        spending.arg(number).arg(until.as_seconds()).arg(now.as_seconds());
        spending.arg(ONE_TIME_MARGIN_S).arg(EXPIRY_MAX_S);
        spending.arg(clock::shared_deadline_ms(ANSWER_TIMEOUT).unwrap_or_default());
        let spending = &spending;
        let (Flag(is_first), live) = self
            .link
            .ask_and_tell(
                &self.master,
                "noting that it was used",
                move |mut connection| async move { spending.invoke_async(&mut connection).await },
            )
            .await?;
        self.was_complete(&live)?;
        if is_first {
            self.spent.note(Use { key: key.to_owned(), number, until });
        }
        Ok(is_first)
    }
}

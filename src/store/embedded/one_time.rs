//! The one-time values that were used, in the file.

use async_trait::async_trait;

use super::Embedded;
use crate::gate::time::UnixTime;
use crate::store::StoreError;
use crate::store::one_time::OneTimeStore;

#[async_trait]
impl OneTimeStore for Embedded {
    async fn spend(&self, key: &str, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        let (key, until) = (key.to_owned(), until.max(now));
        self.write(move |tables| tables.spent.spend(&key, until)).await
    }
}

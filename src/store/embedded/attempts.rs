//! The ledger of attempts to log in, in the file.

use async_trait::async_trait;

use super::Embedded;
use crate::gate::time::UnixTime;
use crate::store::StoreError;
use crate::store::attempts::{Attempt, AttemptAccount, AttemptLedger};

#[async_trait]
impl AttemptLedger for Embedded {
    async fn attempt(
        &self,
        accounts: &[AttemptAccount],
        now: UnixTime,
    ) -> Result<Attempt, StoreError> {
        let accounts = accounts.to_vec();
        self.write(move |tables| tables.attempts.attempt(&accounts, now)).await
    }

    async fn absolve(
        &self,
        forgotten: &[AttemptAccount],
        returned: &[AttemptAccount],
    ) -> Result<(), StoreError> {
        let (forgotten, returned) = (forgotten.to_vec(), returned.to_vec());
        self.write(move |tables| tables.attempts.absolve(&forgotten, &returned)).await
    }
}

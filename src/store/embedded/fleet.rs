//! The fleet of a store for one gateway: that gateway.

use async_trait::async_trait;

use super::Embedded;
use crate::clock;
use crate::store::{Fleet, GatewayState, KnownGateway, Knows, Roster, StoreError};

#[async_trait]
impl Fleet for Embedded {
    async fn time_ms(&self) -> Result<Option<u64>, StoreError> {
        // This machine's clock is the only one.
        Ok(None)
    }

    async fn announce(&self, state: &GatewayState) -> Result<(), StoreError> {
        self.members.announce(state, clock::steady());
        Ok(())
    }

    async fn ask_complete(&self, _: &str, _: Knows) -> Result<bool, StoreError> {
        // There is one file, which no other gateway has had.
        Ok(true)
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn doubt(&self) {}

    fn server_changes(&self) -> u64 {
        0
    }

    fn epoch(&self) -> u64 {
        0
    }

    async fn remind(&self, _: &KnownGateway) -> Result<(), StoreError> {
        // A roster in this process loses nothing.
        Ok(())
    }

    async fn leave(&self, instance: &str) -> Result<(), StoreError> {
        self.members.leave(instance);
        Ok(())
    }

    async fn roster(&self) -> Result<Roster, StoreError> {
        let (head, records) = self.read_log(|log| Ok((log.head()?, log.kept()?))).await?;
        // A gateway that has left does not ask for the roster.
        let gateways = self.members.list(clock::steady());
        Ok(Roster { head, records, gateways, ..Roster::default() })
    }
}

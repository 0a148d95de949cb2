//! Waits until a server has all that any gateway knows it had.
//!
//! A server that was restarted, or became the master, may lack writes that its predecessor had
//! acknowledged. Its data names the server that wrote it. If that is another server, gateways do
//! not rely on missing keys until every gateway that may know of them has written them again, or
//! has been waited for long enough.

use std::pin::Pin;

use super::Redis;
use super::identity::ServerIdentity;
use super::master::Live;
use super::reply::Flag;
use super::script::completeness::ASK_COMPLETE;
use crate::clock;
use crate::store::{COMPLETE_WITHIN_MS, GATEWAY_FORGOTTEN_AFTER_MS, Knows, StoreError};

impl Redis {
    /// Whether the server has all the data that it had, as far as this gateway knows.
    pub(super) fn is_known_complete(&self) -> bool {
        self.completeness.is_complete(self.master.epoch())
    }

    /// The same, and asks the server. `instance` is the gateway that asks, or empty.
    pub(super) async fn ask_whether_complete(
        &self,
        instance: &str,
        knows: Knows,
    ) -> Result<bool, StoreError> {
        if self.is_known_complete() {
            return Ok(true);
        }
        let knows = match knows {
            Knows::NoMore => self.write_again().await?,
            Knows::Nothing | Knows::More => knows,
        };
        let has_lost = self.completeness.has_lost();
        let epoch = self.master.epoch();
        let asking = |live: Live| async move {
            let mut asking = ASK_COMPLETE.key(&self.keys.settled);
            asking.key(&self.keys.gateways);
            asking.arg(live.identity.as_ref().map_or("", ServerIdentity::as_str)).arg(instance);
            asking.arg(u8::from(has_lost)).arg(knows.as_str());
            asking.arg(COMPLETE_WITHIN_MS).arg(GATEWAY_FORGOTTEN_AFTER_MS);
            asking.invoke_async(&mut live.connection.clone()).await
        };
        let asked = self.link.ask_on(&self.master, "asking whether it lacks anything", asking);
        match asked.await {
            Ok((Flag(is_complete), live)) => {
                self.completeness.answered(live.epoch(), has_lost, is_complete);
                Ok(is_complete)
            }
            Err(StoreError::Refused(_)) => Ok(self.completeness.refused(epoch, clock::steady())),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that data that the server has lost is not taken for data that never existed.
    pub(super) async fn await_complete(&self) -> Result<(), StoreError> {
        if self.is_known_complete() {
            return Ok(());
        }
        // Boxed, because the future is large and seldom needed.
        let asking: Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + '_>> =
            Box::pin(self.ask_whether_complete("", Knows::Nothing));
        match asking.await? {
            true => Ok(()),
            false => Err(incomplete()),
        }
    }

    /// The same for an answer that a server gave on this connection.
    pub(super) fn was_complete(&self, live: &Live) -> Result<(), StoreError> {
        match self.completeness.is_complete(live.epoch()) {
            true => Ok(()),
            false => Err(incomplete()),
        }
    }

    /// Writes data again that is in no log. If the server refuses some of it, this gateway knows
    /// more than the server.
    async fn write_again(&self) -> Result<Knows, StoreError> {
        let epoch = self.master.epoch();
        if self.completeness.state().written_again == Some(epoch) {
            return Ok(Knows::NoMore);
        }
        let kept = match self.keep_tag_key_again().await {
            Ok(()) => Knows::NoMore,
            Err(StoreError::Refused(_)) => Knows::More,
            Err(error @ StoreError::Unreadable(_)) => {
                // The store stays without it. Only a budget depends on it, so it does not delay
                // anything.
                tracing::warn!(
                    %error,
                    "the key of session tags cannot be written to the store again"
                );
                Knows::NoMore
            }
            Err(error) => return Err(error),
        };
        let knows = match self.spend_again().await {
            Ok(()) => kept,
            Err(StoreError::Refused(_)) => Knows::More,
            Err(error) => return Err(error),
        };
        if knows == Knows::NoMore {
            self.completeness.state().written_again = Some(epoch);
        }
        Ok(knows)
    }

    /// Writes the used one-time values again.
    async fn spend_again(&self) -> Result<(), StoreError> {
        let now = clock::shared();
        for some in self.spent.live(now).chunks(super::spent::AT_ONCE) {
            let noting = super::spent::note_again(some, &self.keys);
            let noting = &noting;
            self.link
                .ask(&self.master, "noting again what was used", move |mut connection| async move {
                    noting.query_async::<()>(&mut connection).await
                })
                .await?;
        }
        Ok(())
    }
}

fn incomplete() -> StoreError {
    StoreError::Unavailable(format!(
        "Redis was started again, is another server, or has lost data: for {} s at most it is not \
         gone by what it lacks",
        COMPLETE_WITHIN_MS / 1000
    ))
}

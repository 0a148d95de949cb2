//! Waits until a server has all that any gateway knows it had.
//!
//! A server that was started again, or became the master, may lack what its predecessor had
//! acknowledged. Its data says which server wrote it: where that is another one, nobody goes by what
//! is not there until all who may know better have written it down, or were waited for long enough.

use std::pin::Pin;

use super::Redis;
use super::identity::ServerIdentity;
use super::master::Live;
use super::reply::Flag;
use super::script::completeness::ASK_COMPLETE;
use crate::clock;
use crate::store::{COMPLETE_WITHIN_MS, GATEWAY_FORGOTTEN_AFTER_MS, Knows, StoreError};

impl Redis {
    /// Whether the server has all that it had, as far as is known.
    pub(super) fn is_known_complete(&self) -> bool {
        self.completeness.is_complete(self.master.epoch())
    }

    /// The same, and asks it. `instance` is who asks, or nothing.
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

    /// Sees to it that what the server does not know is not taken for what never was.
    pub(super) async fn await_complete(&self) -> Result<(), StoreError> {
        if self.is_known_complete() {
            return Ok(());
        }
        // In a box: it happens seldom, and is large.
        let asking: Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + '_>> =
            Box::pin(self.ask_whether_complete("", Knows::Nothing));
        match asking.await? {
            true => Ok(()),
            false => Err(incomplete()),
        }
    }

    /// The same for what a server has answered on this connection.
    pub(super) fn was_complete(&self, live: &Live) -> Result<(), StoreError> {
        match self.completeness.is_complete(live.epoch()) {
            true => Ok(()),
            false => Err(incomplete()),
        }
    }

    /// Writes down again what is in no log. What the server refuses to take down this gateway goes
    /// on knowing, and the server not.
    async fn write_again(&self) -> Result<Knows, StoreError> {
        let epoch = self.master.epoch();
        if self.completeness.state().written_again == Some(epoch) {
            return Ok(Knows::NoMore);
        }
        let kept = match self.keep_tag_key_again().await {
            Ok(()) => Knows::NoMore,
            Err(StoreError::Refused(_)) => Knows::More,
            Err(error @ StoreError::Unreadable(_)) => {
                // The store stays without it: only a budget depends on it, so nobody waits.
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

    /// Writes down again what was used once.
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

//! Whether a server has all that anybody knows it had.
//!
//! A server that was started again, or became the master, may lack what its predecessor had
//! acknowledged. Its data says which server wrote it: where that is another one, nobody goes by what
//! is not there until all who may know better have written it down, or were waited for long enough.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Redis;
use super::identity::Identity;
use super::master::Live;
use super::reply::Flag;
use super::script::settled::SETTLE;
use crate::clock;
use crate::gate::time::SteadyTime;
use crate::store::{GATEWAY_FORGOTTEN_AFTER_MS, Knows, SETTLES_WITHIN_MS, StoreError};

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Settlement(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In whose reign it was so.
    settled: Option<u64>,
    /// Records were lost, and nobody was told.
    has_lost: bool,
    /// In whose reign was written down again what is in no log: what was used once, and the key of the tags.
    written_again: Option<u64>,
    /// Since when a server of this reign does not take down that it is asked.
    refused: Option<(u64, SteadyTime)>,
}

impl Settlement {
    /// Whether it is so in this reign.
    pub(super) fn is_settled(&self, reign: u64) -> bool {
        let state = self.state();
        state.settled == Some(reign) && !state.has_lost
    }

    /// Records were lost: it is no longer so.
    pub(super) fn doubt(&self) {
        *self.state() = State { has_lost: true, ..State::default() };
    }

    /// Others have found that it is not so.
    pub(super) fn ask_again(&self) {
        let mut state = self.state();
        *state = State { has_lost: state.has_lost, ..State::default() };
    }

    fn has_lost(&self) -> bool {
        self.state().has_lost
    }

    /// The server was told whether records were lost, and said whether it is so.
    fn told(&self, reign: u64, has_lost: bool, is_settled: bool) {
        let mut state = self.state();
        state.has_lost &= !has_lost;
        state.refused = None;
        state.settled = is_settled.then_some(reign);
    }

    /// The server takes nothing down for now: one that goes on like that is not waited for any
    /// longer than another. Whether that is over.
    fn refused(&self, reign: u64, now: SteadyTime) -> bool {
        let mut state = self.state();
        let since = state.refused.filter(|(known, _)| *known == reign).map_or(now, |(_, at)| at);
        state.refused = Some((reign, since));
        let is_over = now.millis_since(since) >= SETTLES_WITHIN_MS;
        if is_over {
            state.settled = Some(reign);
            state.has_lost = false;
        }
        is_over
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Redis {
    /// Whether the server has all that it had, as far as is known.
    pub(super) fn is_known_settled(&self) -> bool {
        self.settlement.is_settled(self.master.reign())
    }

    /// The same, and asks it. `instance` is who asks, or nothing.
    pub(super) async fn ask_settled(
        &self,
        instance: &str,
        knows: Knows,
    ) -> Result<bool, StoreError> {
        if self.is_known_settled() {
            return Ok(true);
        }
        let knows = match knows {
            Knows::NoMore => self.write_again().await?,
            Knows::Nothing | Knows::More => knows,
        };
        let has_lost = self.settlement.has_lost();
        let reign = self.master.reign();
        let asking = |live: Live| async move {
            let mut asking = SETTLE.key(&self.keys.settled);
            asking.key(&self.keys.gateways);
            asking.arg(live.identity.as_ref().map_or("", Identity::as_str)).arg(instance);
            asking.arg(u8::from(has_lost)).arg(knows.as_str());
            asking.arg(SETTLES_WITHIN_MS).arg(GATEWAY_FORGOTTEN_AFTER_MS);
            asking.invoke_async(&mut live.connection.clone()).await
        };
        let asked = self.link.ask_on(&self.master, "asking whether it lacks anything", asking);
        match asked.await {
            Ok((Flag(is_settled), live)) => {
                self.settlement.told(live.reign(), has_lost, is_settled);
                Ok(is_settled)
            }
            Err(StoreError::Refused(_)) => Ok(self.settlement.refused(reign, clock::steady())),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that what the server does not know is not taken for what never was.
    pub(super) async fn await_settled(&self) -> Result<(), StoreError> {
        if self.is_known_settled() {
            return Ok(());
        }
        // In a box: it happens seldom, and is large.
        let asking: Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + '_>> =
            Box::pin(self.ask_settled("", Knows::Nothing));
        match asking.await? {
            true => Ok(()),
            false => Err(unsettled()),
        }
    }

    /// The same for what a server has answered on this connection.
    pub(super) fn was_settled(&self, live: &Live) -> Result<(), StoreError> {
        match self.settlement.is_settled(live.reign()) {
            true => Ok(()),
            false => Err(unsettled()),
        }
    }

    /// Writes down again what is in no log. What the server refuses to take down this gateway goes
    /// on knowing, and the server not.
    async fn write_again(&self) -> Result<Knows, StoreError> {
        let reign = self.master.reign();
        if self.settlement.state().written_again == Some(reign) {
            return Ok(Knows::NoMore);
        }
        let kept = match self.keep_tag_key_again().await {
            Ok(()) => Knows::NoMore,
            Err(StoreError::Refused(_)) => Knows::More,
            Err(error @ StoreError::Unreadable(_)) => {
                // It stays so. Only a budget hangs on it, and nobody is to wait for that.
                tracing::warn!(%error, "the key of the tags cannot be written down again");
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
            self.settlement.state().written_again = Some(reign);
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

fn unsettled() -> StoreError {
    StoreError::Unavailable(format!(
        "Redis was started again, is another server, or has lost data: for {} s at most it is not \
         gone by what it lacks",
        SETTLES_WITHIN_MS / 1000
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> SteadyTime {
        SteadyTime::from_millis(100_000 + milliseconds)
    }

    #[test]
    fn what_one_server_said_is_not_said_of_another() {
        let settlement = Settlement::default();
        settlement.told(7, false, true);
        assert!(settlement.is_settled(7) && !settlement.is_settled(8));
        settlement.ask_again();
        assert!(!settlement.is_settled(7));
    }

    #[test]
    fn loss_counts_until_the_server_was_told_of_it() {
        let settlement = Settlement::default();
        settlement.doubt();
        // What was asked before is answered after.
        settlement.told(7, false, true);
        assert!(!settlement.is_settled(7) && settlement.has_lost());
        settlement.told(7, true, true);
        assert!(settlement.is_settled(7) && !settlement.has_lost());
    }

    #[test]
    fn server_that_takes_nothing_down_is_waited_for_no_longer() {
        let settlement = Settlement::default();
        assert!(!settlement.refused(7, at(0)));
        assert!(!settlement.refused(7, at(SETTLES_WITHIN_MS - 1)));
        assert!(!settlement.refused(8, at(SETTLES_WITHIN_MS)), "another one");
        assert!(settlement.refused(8, at(2 * SETTLES_WITHIN_MS)));
        assert!(settlement.is_settled(8));
    }
}

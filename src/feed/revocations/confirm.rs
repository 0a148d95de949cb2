//! Confirms that every gateway has applied a revocation.

use std::time::{Duration, Instant};

use super::RevocationFeed;
use crate::store::record::Record;
use crate::store::{KnownGateway, StoreError};

/// The pause between two looks at the roster, at first and after [`SOON`].
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOK_SELDOM: Duration = Duration::from_millis(50);

/// For how long the pauses are short.
const SOON: Duration = Duration::from_millis(100);

/// The gateways that have applied a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// How many gateways have applied it.
    pub confirmed: usize,
    /// How many gateways there are.
    pub gateways: usize,
    /// The gateways that have not applied it.
    pub missing: Vec<KnownGateway>,
    /// How long this took, whether all confirmed or not.
    pub elapsed: Duration,
}

impl RevocationFeed {
    /// Waits until every gateway has applied `record`, which is in the log at `sequence`, but no
    /// longer than `wait` from `begun` on.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached by then, or has lost what gateways announced: it is then
    /// unknown which gateways have applied the revocation.
    pub async fn confirm(
        &self,
        record: &Record,
        sequence: u64,
        begun: Instant,
        wait: Duration,
    ) -> Result<Confirmation, StoreError> {
        loop {
            // Other callers may hold the lock on a store that does not answer. This one waits no
            // longer than asked.
            let patience = wait.saturating_sub(begun.elapsed()).max(LOOK_SELDOM);
            let looking = tokio::time::timeout(patience, self.roster_since(Instant::now()));
            let looked = looking.await.unwrap_or_else(|_| {
                Err(StoreError::Unavailable("the store does not answer in time".to_owned()))
            });
            // The record itself is compared: a log that lost it has another one at its position.
            let is_there = self.recent().has_read(record);
            let elapsed = begun.elapsed();
            let is_last = elapsed >= wait;
            match looked {
                Ok(roster) => {
                    let gateways = roster.gateways.len();
                    let is_behind = |known: &KnownGateway| {
                        let is_here = known.state.instance == self.instance;
                        known.state.applied < sequence || !known.follows || (is_here && !is_there)
                    };
                    let missing: Vec<_> = roster.gateways.into_iter().filter(is_behind).collect();
                    let is_complete = roster.incomplete_for_ms == 0;
                    if is_last && missing.is_empty() && !is_complete {
                        // No known gateway is missing, but the roster may lack one.
                        return Err(incomplete(roster.incomplete_for_ms));
                    }
                    let is_applied = missing.is_empty() && is_there && gateways > 0;
                    if is_last || (is_applied && is_complete) {
                        let confirmed = gateways - missing.len();
                        return Ok(Confirmation { confirmed, gateways, missing, elapsed });
                    }
                }
                Err(error) if is_last => return Err(error),
                Err(_) => {}
            }
            let pause = if elapsed < SOON { LOOK_EVERY } else { LOOK_SELDOM };
            tokio::time::sleep(pause.min(wait.saturating_sub(elapsed))).await;
        }
    }
}

fn incomplete(for_ms: u64) -> StoreError {
    StoreError::Unavailable(format!(
        "the store lost what it knew of the gateways; one that has not come back may be serving; \
         nothing is confirmed for {} s more",
        for_ms.div_ceil(1000)
    ))
}

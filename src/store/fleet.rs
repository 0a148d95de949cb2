//! The fleet: which gateways there are, and how far each of them is.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use super::error::StoreError;

/// The state that a gateway announces.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GatewayState {
    /// Different for every process.
    pub instance: String,
    /// The name that people know it by.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How far it has applied the log.
    pub applied: u64,
    /// The mark of the record there, by which it can be told whether it was this log.
    #[serde(default)]
    pub mark: Option<u64>,
    /// How long it may go on serving from memory once it hears nothing, in milliseconds.
    #[serde(default)]
    pub counted_for_ms: u64,
    /// How far its clock is ahead of the store's, in milliseconds; `None` if that is not known.
    #[serde(default)]
    pub clock_ahead_ms: Option<i64>,
    /// The settings on which gateways must agree, by the name of the field.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl GatewayState {
    /// How long it is still counted once it says nothing, in milliseconds.
    pub fn forgotten_after_ms(&self) -> u64 {
        self.counted_for_ms.max(GATEWAY_FORGOTTEN_AFTER_MS)
    }
}

/// A gateway as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownGateway {
    /// Its last announcement.
    pub state: GatewayState,
    /// How long ago that was, in milliseconds.
    pub silent_ms: u64,
    /// Whether it was this log that it has applied so far. After a fail-over that lost writes, a
    /// gateway can be at a position that now holds something else, and nobody must take that for
    /// having applied it.
    pub follows: bool,
}

/// All gateways that follow the log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Roster {
    /// The position of the last record of the log.
    pub head: u64,
    /// How many records are kept, those of one scope counted apart and those included that are
    /// about to be dropped.
    pub records: u64,
    /// The gateways, by name.
    pub gateways: Vec<KnownGateway>,
    /// The instances that have taken their leave lately.
    pub left: Vec<String>,
    /// For how long still nothing is confirmed, because the store lost what gateways told and one of
    /// them may be serving that nobody knows of; in milliseconds, 0 if it did not. One that is
    /// connected is back before that.
    pub incomplete_for_ms: u64,
}

/// How long a gateway that says nothing, and did not take its leave, is still counted at least:
/// until then nobody can know that it has stopped serving. In milliseconds.
pub const GATEWAY_FORGOTTEN_AFTER_MS: u64 = 60_000;

/// How long those are waited for at most who may know what a store has lost, in milliseconds. A gateway that
/// follows it is back before that: it looks every two seconds, reads, and writes down what it finds missing
/// half a second later.
pub const COMPLETE_WITHIN_MS: u64 = 5_000;

/// Whether a gateway knows that a store has lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Nothing: it has not followed the store before.
    Nothing,
    /// More than the store has, or it has not found out yet.
    More,
    /// No more: it has written down what was missing.
    NoMore,
}

impl Knows {
    /// As it is told.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::More => "more",
            Self::NoMore => "no more",
        }
    }
}

/// The gateways that follow one log.
#[async_trait]
pub trait Fleet: fmt::Debug + Send + Sync {
    /// The time by the store's clock, in milliseconds since 1970; `None` if it has none but ours.
    async fn time_ms(&self) -> Result<Option<u64>, StoreError>;

    /// Tells how far a gateway is.
    async fn announce(&self, state: &GatewayState) -> Result<(), StoreError>;

    /// Whether the store has all that it had: nobody knows of anything that is missing, or those who
    /// may were waited for. Tells it what a gateway knows, if it is not known to be so.
    async fn ask_complete(&self, instance: &str, knows: Knows) -> Result<bool, StoreError>;

    /// Whether it has, as far as is known here.
    fn is_complete(&self) -> bool;

    /// It has not: this gateway found that records are missing.
    fn doubt(&self);

    /// How often the store was found to be another server, or the same started again.
    fn server_changes(&self) -> u64;

    /// Another number each time that another server may answer.
    fn epoch(&self) -> u64;

    /// Puts a gateway back of which the store knows nothing, as it was last heard of. Another
    /// gateway asks for it.
    async fn remind(&self, forgotten: &KnownGateway) -> Result<(), StoreError>;

    /// Takes a gateway off the roster.
    async fn leave(&self, instance: &str) -> Result<(), StoreError>;

    /// The gateways that follow the log, and how far they are.
    async fn roster(&self) -> Result<Roster, StoreError>;
}

#[cfg(test)]
impl KnownGateway {
    /// A gateway that has applied seven records, for unit tests.
    pub(crate) fn example(name: &str, silent_ms: u64) -> Self {
        let state = GatewayState {
            instance: name.to_owned(),
            name: name.to_owned(),
            version: "1".to_owned(),
            applied: 7,
            mark: None,
            counted_for_ms: 0,
            clock_ahead_ms: None,
            settings: Default::default(),
        };
        Self { state, silent_ms, follows: true }
    }
}

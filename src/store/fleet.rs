//! The fleet: the gateways, and how far each of them has applied the log.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use super::error::StoreError;

/// The state that a gateway announces.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GatewayState {
    /// Different for every process.
    pub instance: String,
    /// The name that operators know it by.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How far it has applied the log.
    pub applied: u64,
    /// The mark of the record there, which shows whether it was this log.
    #[serde(default)]
    pub mark: Option<u64>,
    /// How long it may continue to serve from memory without contact to the store, in milliseconds.
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
    /// How long it still counts once it is silent, in milliseconds.
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
    /// Whether it has applied this log up to its position. After a fail-over that lost writes, that
    /// position may hold another record, which the gateway has not applied.
    pub follows: bool,
}

/// All gateways that follow the log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Roster {
    /// The position of the last record of the log.
    pub head: u64,
    /// How many records are kept, counting those of the same scope separately and including those
    /// that are about to be dropped.
    pub records: u64,
    /// The gateways, by name.
    pub gateways: Vec<KnownGateway>,
    /// The instances that have left lately.
    pub left: Vec<String>,
    /// For how long nothing is confirmed, in milliseconds: the store lost announcements, and an
    /// unknown gateway may be serving. 0 if it did not lose any. A connected gateway is back on the
    /// roster before that.
    pub incomplete_for_ms: u64,
}

/// The minimum time for which a silent gateway that has not left still counts, in milliseconds:
/// until then it may still be serving.
pub const GATEWAY_FORGOTTEN_AFTER_MS: u64 = 60_000;

/// How long at most to wait for the gateways that may know what a store has lost, in milliseconds.
/// A gateway that follows the store is back before that: it looks every two seconds, reads, and
/// half a second later writes again what it finds missing.
pub const COMPLETE_WITHIN_MS: u64 = 5_000;

/// What a gateway knows of data that a store has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Nothing: it has not followed this store before.
    Nothing,
    /// More than the store has, or the gateway has not found out yet.
    More,
    /// No more than the store: it has written again what was missing.
    NoMore,
}

impl Knows {
    /// The word for it in the store's scripts.
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
    /// The time by the store's clock, in milliseconds since 1970; `None` if it has no clock of its
    /// own.
    async fn time_ms(&self) -> Result<Option<u64>, StoreError>;

    /// Announces a gateway and how far it has applied the log.
    async fn announce(&self, state: &GatewayState) -> Result<(), StoreError>;

    /// Whether the store has all the data that it had: no gateway knows of anything missing, or
    /// those that may were waited for. If that is not known yet, this reports what the gateway
    /// knows.
    async fn ask_complete(&self, instance: &str, knows: Knows) -> Result<bool, StoreError>;

    /// Whether the store has all its data, as far as this gateway knows.
    fn is_complete(&self) -> bool;

    /// Records that the store lacks data: this gateway found that records are missing.
    fn doubt(&self);

    /// How often the store was found to be another server, or the same one after a restart.
    fn server_changes(&self) -> u64;

    /// A number that changes each time that another server may answer.
    fn epoch(&self) -> u64;

    /// Puts a gateway back that the store has lost, in the state that it last announced. Another
    /// gateway asks for it.
    async fn remind(&self, forgotten: &KnownGateway) -> Result<(), StoreError>;

    /// Removes a gateway from the roster.
    async fn leave(&self, instance: &str) -> Result<(), StoreError>;

    /// The gateways that follow the log, and how far they have applied it.
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

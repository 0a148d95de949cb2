//! REMEMBER. Keeps what must outlive a gateway: the revocation log and the gateways that follow it,
//! the sessions, the families of refresh tokens, the counts of attempts to log in, and the
//! gateway's own signing keys.
//!
//! Two implementations, chosen by the configuration: a file beside the gateway, and Redis. A store
//! is a set of traits, one for each thing that it keeps, so that a new thing is a new trait and not
//! a change to the others.

pub mod account;
pub mod attempts;
mod digest;
pub mod embedded;
mod error;
pub mod family;
mod fleet;
pub mod keyring;
mod log;
pub mod login_end;
pub mod one_time;
pub mod record;
pub mod redis;
pub mod session;
pub mod session_end;
pub mod settings;
mod versioned;

use std::sync::Arc;

use attempts::AttemptLedger;
pub use error::{AppendError, StoreError};
use family::FamilyStore;
pub use fleet::{
    COMPLETE_WITHIN_MS, Fleet, GATEWAY_FORGOTTEN_AFTER_MS, GatewayState, KnownGateway, Knows,
    Roster,
};
use keyring::KeyRingStore;
pub(crate) use log::PRUNE_MARGIN_S;
pub use log::{
    AppendBounds, Charged, LiftPremise, Listing, Loss, Position, RevocationLog, TAIL_RECORDS_MAX,
    Tail, Writers,
};
use one_time::OneTimeStore;
use session::SessionStore;
use settings::StoreSettings;

/// An opened store.
#[derive(Clone, Debug)]
pub struct Store {
    /// The log of revocations.
    pub revocations: Arc<dyn RevocationLog>,
    /// The gateways that follow the log.
    pub fleet: Arc<dyn Fleet>,
    /// The sessions and API keys.
    pub sessions: Arc<dyn SessionStore>,
    /// Counts attempts.
    pub attempts: Arc<dyn AttemptLedger>,
    /// The families of refresh tokens.
    pub families: Arc<dyn FamilyStore>,
    /// The one-time values that were used.
    pub one_time: Arc<dyn OneTimeStore>,
    /// The gateway's own signing keys.
    pub keyring: Arc<dyn KeyRingStore>,
}

impl Store {
    fn of<S>(store: Arc<S>) -> Self
    where
        S: RevocationLog
            + Fleet
            + SessionStore
            + AttemptLedger
            + FamilyStore
            + OneTimeStore
            + KeyRingStore
            + 'static,
    {
        Self {
            revocations: store.clone(),
            fleet: store.clone(),
            sessions: store.clone(),
            attempts: store.clone(),
            families: store.clone(),
            one_time: store.clone(),
            keyring: store,
        }
    }
}

/// Opens the store that the settings name. Redis need not be reachable yet.
///
/// # Errors
///
/// A message for the operator: the file cannot be opened or is in use, or the settings cannot work.
pub async fn open(settings: &StoreSettings) -> Result<Store, String> {
    match settings {
        StoreSettings::Embedded { path } => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || embedded::Embedded::open(&path));
            let store = Arc::new(opened.await.map_err(|error| error.to_string())??);
            Ok(Store::of(store))
        }
        StoreSettings::Redis(redis) => {
            let store = Arc::new(redis::Redis::open(redis)?);
            Ok(Store::of(store))
        }
    }
}

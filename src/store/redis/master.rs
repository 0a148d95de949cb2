//! Finds the master without the crate's help, again whenever it changes, and makes all connections
//! lead to the same server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use super::cluster::Cluster;
use super::dial::{ConnectFailure, Dial, Dialled, ExpectedServer, Pushes};
use super::identity::ServerIdentity;
use super::sentinels::{Named, Sentinels};
use crate::store::StoreError;
use crate::store::settings::{RedisAddress, RedisServers, RedisSettings};

/// How often to ask the sentinels again.
const SENTINELS_ASKED_EVERY: Duration = Duration::from_millis(900);

/// How often to ask a cluster again. Its nodes redirect a client that asks the wrong one, so this
/// is only for a master that no one can reach.
const CLUSTER_ASKED_EVERY: Duration = Duration::from_secs(4);

/// How often to find out which server an address leads to: moving an address closes no connection.
const ADDRESS_DIALLED_EVERY: Duration = Duration::from_secs(2);

/// The master.
pub(super) struct Master {
    dial: Arc<Dial>,
    discovery: Discovery,
    known: Mutex<KnownMaster>,
    connections: AtomicU64,
}

/// The way to find the master.
enum Discovery {
    /// The gateway connects to the configured address.
    Nobody(RedisAddress),
    Sentinels(Sentinels),
    Cluster(Cluster),
}

#[derive(Default)]
struct KnownMaster {
    address: Option<RedisAddress>,
    /// The server at that address, once a connection has identified it.
    identity: Option<ServerIdentity>,
    /// The last server that was identified at any address, and how often it differed from the one
    /// before.
    last_identity: Option<ServerIdentity>,
    changes: u64,
    /// Grows when another server becomes the master, or connections are given up because they may
    /// lead to different servers.
    epoch: u64,
    asked: Option<Instant>,
}

/// A connection to the master.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    pub(super) address: RedisAddress,
    /// Different for each connection.
    pub(super) number: u64,
    /// The server on the connection, if it can be identified.
    pub(super) identity: Option<ServerIdentity>,
    epoch: u64,
}

impl Master {
    /// `key`: one of the store's keys, which are all in one slot.
    pub(super) fn new(settings: &RedisSettings, key: &str) -> Result<Self, String> {
        let discovery = match &settings.servers {
            RedisServers::Single(address) => Discovery::Nobody(address.clone()),
            RedisServers::Sentinel { master, nodes } => {
                Discovery::Sentinels(Sentinels::new(master, nodes))
            }
            RedisServers::Cluster(nodes) => Discovery::Cluster(Cluster::new(key, nodes)),
        };
        let dial = Arc::new(Dial::new(settings)?);
        Ok(Self { dial, discovery, known: Mutex::default(), connections: AtomicU64::new(0) })
    }

    /// Finds the master and connects to it.
    pub(super) async fn connect(&self) -> Result<Live, StoreError> {
        self.reach(None).await
    }

    /// The same, on a connection that receives push messages.
    pub(super) async fn connect_for_pushes(&self, pushes: Pushes) -> Result<Live, StoreError> {
        self.reach(Some(pushes)).await
    }

    async fn reach(&self, pushes: Option<Pushes>) -> Result<Live, StoreError> {
        let (address, epoch) = self.find().await.map_err(StoreError::Unavailable)?;
        let expected = match &self.discovery {
            Discovery::Nobody(_) => ExpectedServer::Server,
            Discovery::Sentinels(_) | Discovery::Cluster(_) => ExpectedServer::Master,
        };
        let connected = match pushes {
            None => self.dial.connect(&address, expected).await.map_err(ConnectFailure::Fault),
            Some(pushes) => self.dial.connect_for_pushes(&address, expected, pushes).await,
        };
        let Dialled { connection, identity } = connected.map_err(|unreached| match unreached {
            ConnectFailure::Fault(cause) => {
                StoreError::Unavailable(format!("Redis at {address}: {cause}"))
            }
            ConnectFailure::Mute(cause) => StoreError::Refused(format!(
                "Redis at {address}: it does not tell when sessions change ({cause}): RESP3 is \
                 needed, which Redis 6.2 speaks, and what is between it and us must let through"
            )),
        })?;
        let epoch = match &identity {
            Some(identity) => self.epoch_on(identity, &address, epoch),
            None => epoch,
        };
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Live { connection, address, number, identity, epoch })
    }

    /// The epoch of a connection to this server. If the existing connections lead to another
    /// server, they are given up: the latest connection shows where the address leads.
    fn epoch_on(&self, identity: &ServerIdentity, address: &RedisAddress, epoch: u64) -> u64 {
        let mut known = self.known();
        if known.last_identity.as_ref() != Some(identity)
            && let Some(_before) = known.last_identity.replace(identity.clone())
        {
            known.changes += 1;
        }
        if known.address.as_ref() != Some(address) {
            // Another server became the master meanwhile.
            return epoch;
        }
        if known.identity.as_ref().is_some_and(|known| known != identity) {
            known.epoch += 1;
            tracing::warn!(
                %address,
                "Redis was restarted, or another server answers: all connections are opened again"
            );
        }
        known.identity = Some(identity.clone());
        known.epoch
    }

    /// Gives up all connections of the epoch of this one, which leads to another server than the
    /// others do.
    pub(super) fn begin_epoch_after(&self, live: &Live) {
        let mut known = self.known();
        if known.epoch == live.epoch {
            known.epoch += 1;
        }
    }

    /// Finds the master again, unless that was done recently. A master that was deposed while it
    /// was unreachable does not know that, and gateways would follow it for ever.
    pub(super) async fn look_again(self: &Arc<Self>) {
        let every = match &self.discovery {
            Discovery::Nobody(_) => ADDRESS_DIALLED_EVERY,
            Discovery::Sentinels(_) => SENTINELS_ASKED_EVERY,
            Discovery::Cluster(_) => CLUSTER_ASKED_EVERY,
        };
        if !self.known().is_due(every) {
            return;
        }
        // Without an answer, the current master is the best that is known.
        match &self.discovery {
            Discovery::Nobody(_) => {
                // Without identities, another server would not be noticed.
                if self.known().identity.is_some() {
                    let master = self.clone();
                    // Not awaited: this gateway's announcement must not be late.
                    tokio::spawn(async move { drop(master.reach(None).await) });
                }
            }
            Discovery::Sentinels(_) | Discovery::Cluster(_) => drop(self.find().await),
        }
    }

    /// How often another server became the master, as far as this gateway knows.
    pub(super) fn epoch(&self) -> u64 {
        self.known().epoch
    }

    /// How often another server answered than before, or the same after a restart.
    pub(super) fn changes(&self) -> u64 {
        self.known().changes
    }

    /// Whether this is still a connection to the master, as far as this gateway knows.
    pub(super) fn is_current(&self, live: &Live) -> bool {
        self.known().epoch == live.epoch
    }

    async fn find(&self) -> Result<(RedisAddress, u64), String> {
        let sure = |address| Named { address, by_majority: true };
        let named = match &self.discovery {
            Discovery::Nobody(address) => Ok(sure(address.clone())),
            Discovery::Sentinels(sentinels) => sentinels.master(&self.dial).await,
            Discovery::Cluster(cluster) => cluster.master(&self.dial).await.map(sure),
        };
        let mut known = self.known();
        known.asked = Some(Instant::now());
        let Named { address, by_majority } = named?;
        // No master is elected without a majority of the sentinels. A smaller number of them may
        // name a first master, but if they name another than the current one, theirs is an old one.
        let address = match &known.address {
            Some(current) if !by_majority => current.clone(),
            Some(_) | None => address,
        };
        if known.address.as_ref() != Some(&address) {
            known.epoch += 1;
            known.identity = None;
            known.address = Some(address.clone());
        }
        Ok((address, known.epoch))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, KnownMaster> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownMaster {
    /// Whether the master was last looked up at least `every` ago. If so, this counts as a lookup,
    /// which the caller must make.
    fn is_due(&mut self, every: Duration) -> bool {
        let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= every);
        if is_due {
            self.asked = Some(Instant::now());
        }
        is_due
    }
}

impl Live {
    /// The epoch in which it was made: a different number for each server, as far as is known.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The error for an answer that came from another server than the other connections have.
    pub(super) fn apart(&self, what: &str, fault: &str) -> StoreError {
        let Self { address, .. } = self;
        StoreError::Unavailable(format!("Redis at {address}: {what}: {fault}"))
    }

    /// The error for an answer from a server that is no longer the master.
    pub(super) fn deposed(&self, what: &str) -> StoreError {
        let Self { address, .. } = self;
        StoreError::Unavailable(format!("Redis at {address}: {what}: another server is the master"))
    }
}

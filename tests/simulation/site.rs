//! The store and the gateways of a history, and what can be done to them.

mod faults;

use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;
use tempfile::TempDir;

use super::history::{History, Millis};
use super::members::{Member, Recipient};
use super::setting::{Setting, StoreKind};
use crate::harness::certificates::Authority;
use crate::harness::eventually;
use crate::harness::fleet;
use crate::harness::proxy::Proxy;
use crate::harness::redis::{Cluster, RedisOptions, RedisServer, Sentinels, ServerTls};
use crate::harness::upstream::Upstream;

/// A port that nobody listens on.
const NOBODY: u16 = 1;

/// How long a server may seem dead that only waits for a busy machine.
const STALLS_AT_MOST: Duration = Duration::from_secs(10);

/// Everything that a history needs.
pub(super) struct Site {
    pub(super) history: History,
    pub(super) setting: Setting,
    pub(super) members: Vec<Member>,
    /// One for each gateway, unless the store is not behind an address.
    proxies: Vec<Proxy>,
    servers: Mutex<Vec<RedisServer>>,
    cluster: Option<Cluster>,
    sentinels: Option<Mutex<Sentinels>>,
    /// The server behind the address.
    current: Mutex<usize>,
    backup: Mutex<Option<(Millis, TempDir)>>,
}

/// The upstream of all gateways of all histories.
fn upstream() -> &'static Upstream {
    static UPSTREAM: OnceLock<Upstream> = OnceLock::new();
    UPSTREAM.get_or_init(Upstream::start)
}

impl Site {
    /// Starts everything, and waits until all gateways are ready, but for those that never are.
    pub(super) fn start(setting: Setting) -> Self {
        let authority = Authority::new();
        let cluster = (setting.store == StoreKind::Cluster).then(Cluster::start);
        let sentinels = (setting.store == StoreKind::Sentinel).then(|| {
            let sentinels = Sentinels::start();
            sentinels.wait_for_master(STALLS_AT_MOST);
            sentinels
        });
        let servers = servers(&setting, &authority);
        let proxies: Vec<_> = match servers.first() {
            None => Vec::new(),
            Some(server) => (0..setting.gateways).map(|_| Proxy::start(server.port())).collect(),
        };
        let members = (0..setting.gateways).map(|number| {
            let store = match (&cluster, &sentinels, proxies.get(number)) {
                (Some(cluster), _, _) => {
                    let nodes: Vec<_> = cluster.nodes().iter().collect();
                    fleet::redis(&cluster.settings(&nodes))
                }
                (_, Some(sentinels), _) => fleet::redis(&sentinels.settings()),
                (_, _, Some(proxy)) => section(setting.store, proxy.port()),
                (None, None, None) => String::new(),
            };
            let member = Member::new(number, &setting, &store, upstream());
            member.put("redis-ca.pem", &authority.pem());
            member
        });
        let members = members.collect();
        let history = History::of(&setting);
        let (servers, current) = (Mutex::new(servers), Mutex::default());
        let (backup, sentinels) = (Mutex::default(), sentinels.map(Mutex::new));
        let site = Self {
            history,
            setting,
            members,
            proxies,
            servers,
            cluster,
            sentinels,
            current,
            backup,
        };
        std::thread::scope(|scope| {
            for member in &site.members {
                scope.spawn(|| member.start(&site.history));
            }
        });
        site
    }

    /// A gateway of these at random, that runs.
    pub(super) fn recipient(&self, rng: &mut Rng) -> Option<Recipient> {
        self.members[rng.usize(..self.members.len())].recipient()
    }

    /// One that clients are sent to: its clock is not so wrong that it is not ready.
    pub(super) fn front_door(&self, rng: &mut Rng) -> Option<Recipient> {
        let usable: Vec<_> =
            (0..self.members.len()).filter(|number| !self.setting.is_out(*number)).collect();
        match usable.is_empty() {
            true => self.recipient(rng),
            false => self.members[usable[rng.usize(..usable.len())]].recipient(),
        }
    }

    /// The links of a gateway to its store, if they can be got at.
    pub(super) fn proxy(&self, gateway: usize) -> Option<&Proxy> {
        self.proxies.get(gateway)
    }

    fn servers(&self) -> MutexGuard<'_, Vec<RedisServer>> {
        self.servers.lock().expect("the servers")
    }

    fn port(&self) -> u16 {
        let current = *self.current.lock().expect("the current one");
        self.servers()[current].port()
    }
}

fn servers(setting: &Setting, authority: &Authority) -> Vec<RedisServer> {
    let usual = RedisOptions::default;
    match setting.store {
        StoreKind::Embedded | StoreKind::Cluster | StoreKind::Sentinel => Vec::new(),
        StoreKind::Links => vec![RedisServer::start()],
        StoreKind::Tls => {
            let tls = Some(ServerTls::new(authority));
            vec![RedisServer::start_with(RedisOptions { tls, ..usual() })]
        }
        StoreKind::Restarts => {
            vec![RedisServer::start_with(RedisOptions { durable: true, ..usual() })]
        }
        StoreKind::Replica => {
            let master = RedisServer::start();
            let replica_of = Some(master.port());
            let replica = RedisServer::start_with(RedisOptions { replica_of, ..usual() });
            eventually("a replica", || {
                replica
                    .cli(&["info", "replication"])
                    .contains("master_link_status:up")
                    .then_some(())
            });
            eventually("a replica that follows", || {
                has_followed(&master, &replica, "begun").then_some(())
            });
            if setting.hides_identity {
                for server in [&master, &replica] {
                    server.cli(&["acl", "setuser", "default", "-info"]);
                }
            }
            vec![master, replica]
        }
    }
}

/// Whether what is written to a master now reaches its replica soon: that the link is up does not say that anything comes
/// over it yet.
fn has_followed(master: &RedisServer, replica: &RedisServer, mark: &str) -> bool {
    let begun = std::time::Instant::now();
    master.cli(&["set", "simulation:mark", mark]);
    while begun.elapsed() < Duration::from_secs(2) {
        if replica.cli(&["get", "simulation:mark"]).trim() == mark {
            return true;
        }
        sleep(Duration::from_millis(5));
    }
    false
}

fn section(store: StoreKind, port: u16) -> String {
    match store {
        StoreKind::Tls => {
            format!(
                "store: {{ redis: {{ url: 'rediss://127.0.0.1:{port}', tls: {{ ca_file: redis-ca.pem }} }} }}"
            )
        }
        StoreKind::Embedded
        | StoreKind::Links
        | StoreKind::Restarts
        | StoreKind::Replica
        | StoreKind::Cluster
        | StoreKind::Sentinel => {
            format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{port}' }} }}")
        }
    }
}

//! The store and the gateways of a history, and what can be done to them.

use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;
use tempfile::TempDir;

use super::history::{Fault, FaultKind, History, Millis, Span};
use super::members::{Member, Recipient};
use super::setting::{Setting, StoreKind};
use crate::harness::certificates::Authority;
use crate::harness::eventually;
use crate::harness::fleet;
use crate::harness::proxy::{Direction, Proxy};
use crate::harness::redis::{Cluster, Data, RedisOptions, RedisServer, Sentinels, ServerTls};
use crate::harness::switch::{self, Link};
use crate::harness::upstream::Upstream;

/// A port that nobody listens on.
const NOBODY: u16 = 1;

/// How long after an address has moved a gateway may go on with the server that was there before: SECURITY.md, "one address with
/// two servers behind it"; and some for a busy machine.
const FOLLOWED_WITHIN: Millis = 6_000;

/// How long a server may seem dead that only waits for a busy machine.
const STALLS_AT_MOST: Duration = Duration::from_secs(10);

/// How far a replica may be behind, with room for a busy machine.
const REPLICATED_WITHIN: Millis = 500;

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

    /// Has a fault happen, and be over, and writes it down.
    pub(super) fn suffer(&self, kind: FaultKind, gateway: usize, lasts: Duration, rng: &mut Rng) {
        let from = self.history.now();
        let is_of_store = !matches!(
            kind,
            FaultKind::Kill | FaultKind::StandStill | FaultKind::Reload | FaultKind::SetClock
        );
        let mut fault = match is_of_store {
            false => self.suffer_as_process(kind, gateway, lasts, rng),
            true => match kind {
                FaultKind::Hold
                | FaultKind::HoldAnswers
                | FaultKind::Cut
                | FaultKind::Delay
                | FaultKind::Duplicate
                | FaultKind::NoNewLinks
                | FaultKind::Split => self.suffer_on_links(kind, gateway, lasts),
                _ => self.suffer_at_server(kind, lasts, rng),
            },
        };
        fault.span = Span { from, until: self.history.now() };
        self.history.went_wrong(fault);
    }

    fn suffer_as_process(
        &self,
        kind: FaultKind,
        gateway: usize,
        lasts: Duration,
        rng: &mut Rng,
    ) -> Fault {
        let member = &self.members[gateway];
        match kind {
            FaultKind::Kill => {
                member.kill(&self.history);
                if rng.bool() {
                    sleep(lasts);
                }
                member.start(&self.history);
            }
            FaultKind::StandStill => {
                member.stand_still();
                sleep(lasts);
                member.go_on();
            }
            FaultKind::SetClock => {
                let ahead_s = self.setting.offsets_s[gateway];
                let step_s = [-55, 55, -20, 20, -100, 100][rng.usize(..6)];
                member.set_clock(ahead_s + step_s);
                sleep(lasts);
                member.set_clock(ahead_s);
            }
            _ => member.reload(),
        }
        Fault::new(kind, Span { from: 0, until: 0 }, Some(gateway))
    }

    fn suffer_on_links(&self, kind: FaultKind, gateway: usize, lasts: Duration) -> Fault {
        let proxy = &self.proxies[gateway];
        let links = proxy.links();
        match kind {
            FaultKind::Hold | FaultKind::HoldAnswers => {
                let direction = match kind {
                    FaultKind::Hold => Direction::ToServer,
                    _ => Direction::ToClient,
                };
                proxy.swap(NOBODY);
                links.iter().for_each(|link| link.hold(direction));
                sleep(lasts);
                // What was held comes late; who has given up does not hear of it.
                links.iter().for_each(|link| link.let_through(direction));
                proxy.swap(self.port());
            }
            FaultKind::Cut => links.iter().for_each(|link| link.cut()),
            FaultKind::Delay => {
                let delay = Duration::from_millis(150);
                proxy.delay_new(delay);
                for link in &links {
                    link.delay(Direction::ToServer, delay);
                    link.delay(Direction::ToClient, delay);
                }
                sleep(lasts);
                proxy.delay_new(Duration::ZERO);
                for link in &proxy.links() {
                    link.delay(Direction::ToServer, Duration::ZERO);
                    link.delay(Direction::ToClient, Duration::ZERO);
                }
            }
            FaultKind::NoNewLinks | FaultKind::Split => {
                proxy.swap(NOBODY);
                if kind == FaultKind::Split {
                    links.iter().for_each(|link| link.cut());
                }
                sleep(lasts);
                proxy.swap(self.port());
            }
            _ => links.iter().for_each(|link| link.duplicate()),
        }
        Fault::new(kind, Span { from: 0, until: 0 }, Some(gateway))
    }

    fn suffer_at_server(&self, kind: FaultKind, lasts: Duration, rng: &mut Rng) -> Fault {
        let from = self.history.now();
        let mut fault = Fault::new(kind, Span { from, until: from }, None);
        match kind {
            FaultKind::ServerStandsStill => self.pause(lasts),
            FaultKind::ServerRestarts => self.servers()[0].restart(Data::Kept),
            FaultKind::ServerIsEmpty => {
                self.servers()[0].restart(Data::Lost);
                fault.loss = Some(Span { from: 0, until: self.history.now() });
            }
            FaultKind::ServerIsOlder => {
                let backed_up = self.backup.lock().expect("the backup").take();
                match backed_up {
                    None => {
                        let at = self.history.now();
                        let backup = self.servers()[0].backup();
                        *self.backup.lock().expect("the backup") = Some((at, backup));
                    }
                    Some((at, backup)) => {
                        self.servers()[0].restart_from(&backup);
                        fault.loss = Some(Span { from: at, until: self.history.now() });
                    }
                }
            }
            FaultKind::Promote => fault.loss = self.promote(Duration::ZERO, rng),
            FaultKind::PromoteLate => fault.loss = self.promote(lasts, rng),
            FaultKind::FailOver => fault.loss = self.fail_over(None),
            FaultKind::MasterDies => fault.loss = self.fail_over(Some(lasts)),
            FaultKind::Evict => fault.evicted = self.evict(rng),
            FaultKind::EvictList => self.evict_keys(&["live"]),
            FaultKind::EvictLog => self.evict_keys(&["log"]),
            FaultKind::EvictAll => self.evict_keys(&["live", "log"]),
            FaultKind::EvictRoster => self.evict_keys(&["gateways"]),
            _ => unreachable!("it is no fault of a server: {kind:?}"),
        }
        fault
    }

    fn pause(&self, lasts: Duration) {
        // Nodes of a cluster are given up after two seconds.
        let lasts = lasts.min(Duration::from_millis(1_200));
        match &self.cluster {
            Some(cluster) => {
                let node = &cluster.nodes()[cluster.home_of("portcullis:{revocations}:settled")];
                node.pause();
                sleep(lasts);
                node.resume();
            }
            None => {
                self.servers()[0].pause();
                sleep(lasts);
                self.servers()[0].resume();
            }
        }
    }

    /// Makes the replica a master, and after a while puts it behind the address. Once.
    fn promote(&self, apart: Duration, rng: &mut Rng) -> Option<Span> {
        let mut current = self.current.lock().expect("the current one");
        if *current == 1 {
            return None;
        }
        let from = self.replicated_at();
        let told = self.servers()[1].cli(&["replicaof", "no", "one"]);
        assert_eq!(told.trim(), "OK");
        sleep(apart);
        let port = self.servers()[1].port();
        self.proxies.iter().for_each(|proxy| proxy.swap(port));
        self.cut_some(rng);
        *current = 1;
        Some(Span { from, until: self.history.now() + FOLLOWED_WITHIN })
    }

    /// Until when all that was written is certain to have reached the replica.
    fn replicated_at(&self) -> Millis {
        let from = self.history.now();
        let servers = self.servers();
        match has_followed(&servers[0], &servers[1], &from.to_string()) {
            true => from,
            false => 0,
        }
    }

    /// Has Sentinel make the replica the master; or, if it is to die, the master is cut off from its replica for a while
    /// before it does. Once.
    fn fail_over(&self, dies_after: Option<Duration>) -> Option<Span> {
        let mut current = self.current.lock().expect("the current one");
        let mut sentinels = self.sentinels.as_ref()?.lock().expect("the sentinels");
        if *current == 1 {
            return None;
        }
        let from = self.history.now().saturating_sub(REPLICATED_WITHIN);
        match dies_after {
            None => sentinels.fail_over(),
            Some(apart) => {
                let master = sentinels.master();
                master.cli(&["acl", "setuser", "default", "-psync", "-sync"]);
                master.cli(&["client", "kill", "type", "replica"]);
                // Sentinel takes no replica that was cut off for longer than five seconds.
                sleep(apart.min(Duration::from_millis(2_500)));
                let deposed = master.port();
                master.kill();
                sentinels.wait_for_master(Duration::from_millis(500));
                sentinels.await_another_than(deposed);
            }
        }
        *current = 1;
        Some(Span { from, until: self.history.now() + FOLLOWED_WITHIN })
    }

    /// Cuts all links to the deposed server, those of some kinds, or none.
    fn cut_some(&self, rng: &mut Rng) {
        // Who cannot ask which server it is does not notice a move that cuts nothing.
        let most = if self.setting.hides_identity { 3 } else { 6 };
        let kinds: &[Link] = match rng.u8(..most) {
            0 => return self.proxies.iter().flat_map(Proxy::links).for_each(|link| link.cut()),
            1 => &[Link::Commands],
            // The reader stays where it is, alone.
            2 => &[Link::Commands, Link::Changes],
            3 => &[Link::Log],
            4 => &[Link::Changes],
            _ => return,
        };
        for kind in kinds {
            switch::cut(&self.servers()[0], *kind);
        }
    }

    /// Deletes the session of a login.
    fn evict(&self, rng: &mut Rng) -> Option<usize> {
        let (number, session) = {
            let record = self.history.record();
            let number = (!record.logins.is_empty()).then(|| rng.usize(..record.logins.len()))?;
            (number, record.logins[number].session.clone())
        };
        self.evict_keys(&[&format!("session:{session}")]);
        Some(number)
    }

    /// Deletes keys, in one step.
    fn evict_keys(&self, names: &[&str]) {
        let keys = names.iter().map(|name| format!("portcullis:{{revocations}}:{name}"));
        let keys: Vec<_> = ["unlink".to_owned()].into_iter().chain(keys).collect();
        let command: Vec<_> = keys.iter().map(String::as_str).collect();
        let del = |server: &RedisServer| drop(server.cli(&command));
        match &self.cluster {
            Some(cluster) => cluster.nodes().iter().for_each(del),
            None => del(&self.servers()[0]),
        }
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
        _ => format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{port}' }} }}"),
    }
}

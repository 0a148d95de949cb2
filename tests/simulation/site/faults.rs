//! Faults of a history: what befalls gateways, their links, and the store.

use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;

use super::{NOBODY, Site, has_followed};
use crate::harness::proxy::{Direction, Proxy};
use crate::harness::redis::{Data, RedisServer};
use crate::harness::switch::{self, Link};
use crate::simulation::history::{Fault, FaultKind, Millis, Span};

/// How long after an address has moved a gateway may go on with the server that was there before: SECURITY.md, "one address with
/// two servers behind it"; and some for a busy machine.
const FOLLOWED_WITHIN: Millis = 6_000;

/// How far a replica may be behind, with room for a busy machine.
const REPLICATED_WITHIN: Millis = 500;

/// What happens to the links that there are when new ones are refused.
enum OldLinks {
    Cut,
    Kept,
}

impl Site {
    /// Has a fault happen, and be over, and writes it down.
    pub(in crate::simulation) fn suffer(
        &self,
        kind: FaultKind,
        gateway: usize,
        lasts: Duration,
        rng: &mut Rng,
    ) {
        let from = self.history.now();
        let place = is_of_gateway(kind).then_some(gateway);
        let mut fault = Fault::new(kind, Span { from, until: from }, place);
        match kind {
            FaultKind::Kill => self.kill(gateway, lasts, rng),
            FaultKind::StandStill => self.stand_still(gateway, lasts),
            FaultKind::Reload => self.members[gateway].reload(),
            FaultKind::SetClock => self.set_clock(gateway, lasts, rng),
            FaultKind::Hold => self.hold(gateway, Direction::ToServer, lasts),
            FaultKind::HoldAnswers => self.hold(gateway, Direction::ToClient, lasts),
            FaultKind::HoldExchange => unreachable!("who exchanges a token does it: {kind:?}"),
            FaultKind::Cut => self.proxies[gateway].links().iter().for_each(|link| link.cut()),
            FaultKind::Delay => self.delay(gateway, lasts),
            FaultKind::Duplicate => {
                self.proxies[gateway].links().iter().for_each(|link| link.duplicate());
            }
            FaultKind::NoNewLinks => self.refuse_links(gateway, OldLinks::Kept, lasts),
            FaultKind::Split => self.refuse_links(gateway, OldLinks::Cut, lasts),
            FaultKind::ServerStandsStill => self.pause(lasts),
            FaultKind::ServerRestarts => self.servers()[0].restart(Data::Kept),
            FaultKind::ServerIsEmpty => {
                self.servers()[0].restart(Data::Lost);
                fault.loss = Some(Span { from: 0, until: self.history.now() });
            }
            FaultKind::ServerIsOlder => fault.loss = self.restore_backup(),
            FaultKind::Promote => fault.loss = self.promote(Duration::ZERO, rng),
            FaultKind::PromoteLate => fault.loss = self.promote(lasts, rng),
            FaultKind::FailOver => fault.loss = self.fail_over(None),
            FaultKind::MasterDies => fault.loss = self.fail_over(Some(lasts)),
            FaultKind::Evict => fault.evicted = self.evict(rng),
            FaultKind::EvictList => self.evict_keys(&["live"]),
            FaultKind::EvictLog => self.evict_keys(&["log"]),
            FaultKind::EvictAll => self.evict_keys(&["live", "log"]),
            FaultKind::EvictRoster => self.evict_keys(&["gateways"]),
        }
        fault.span = Span { from, until: self.history.now() };
        self.history.went_wrong(fault);
    }

    fn kill(&self, gateway: usize, lasts: Duration, rng: &mut Rng) {
        let member = &self.members[gateway];
        member.kill(&self.history);
        if rng.bool() {
            sleep(lasts);
        }
        member.start(&self.history);
    }

    fn stand_still(&self, gateway: usize, lasts: Duration) {
        let member = &self.members[gateway];
        member.stand_still();
        sleep(lasts);
        member.go_on();
    }

    fn set_clock(&self, gateway: usize, lasts: Duration, rng: &mut Rng) {
        let member = &self.members[gateway];
        let ahead_s = self.setting.offsets_s[gateway];
        let step_s = [-55, 55, -20, 20, -100, 100][rng.usize(..6)];
        member.set_clock(ahead_s + step_s);
        sleep(lasts);
        member.set_clock(ahead_s);
    }

    fn hold(&self, gateway: usize, direction: Direction, lasts: Duration) {
        let proxy = &self.proxies[gateway];
        let links = proxy.links();
        proxy.swap(NOBODY);
        links.iter().for_each(|link| link.hold(direction));
        sleep(lasts);
        // What was held comes late; who has given up does not hear of it.
        links.iter().for_each(|link| link.let_through(direction));
        proxy.swap(self.port());
    }

    fn delay(&self, gateway: usize, lasts: Duration) {
        let proxy = &self.proxies[gateway];
        let links = proxy.links();
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

    fn refuse_links(&self, gateway: usize, old: OldLinks, lasts: Duration) {
        let proxy = &self.proxies[gateway];
        let links = proxy.links();
        proxy.swap(NOBODY);
        match old {
            OldLinks::Cut => links.iter().for_each(|link| link.cut()),
            OldLinks::Kept => {}
        }
        sleep(lasts);
        proxy.swap(self.port());
    }

    /// Starts the server with what was backed up, and tells what is lost; backs up if nothing was.
    fn restore_backup(&self) -> Option<Span> {
        let backed_up = self.backup.lock().expect("the backup").take();
        match backed_up {
            None => {
                let at = self.history.now();
                let backup = self.servers()[0].backup();
                *self.backup.lock().expect("the backup") = Some((at, backup));
                None
            }
            Some((at, backup)) => {
                self.servers()[0].restart_from(&backup);
                Some(Span { from: at, until: self.history.now() })
            }
        }
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

/// Whether it befalls one gateway, or its links.
fn is_of_gateway(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Kill
            | FaultKind::StandStill
            | FaultKind::Reload
            | FaultKind::SetClock
            | FaultKind::Hold
            | FaultKind::HoldAnswers
            | FaultKind::Cut
            | FaultKind::Delay
            | FaultKind::Duplicate
            | FaultKind::NoNewLinks
            | FaultKind::Split
    )
}

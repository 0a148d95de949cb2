//! The gateways: real processes that are killed, stopped and started again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::clients;
use super::history::{History, Life, Place};
use super::setting::{Setting, StoreKind};
use crate::harness::client::Destination;
use crate::harness::gateway::Gateway;
use crate::harness::upstream::Upstream;
use crate::harness::wrong_clock::WrongClock;
use crate::harness::{eventually, login, tokens};

/// A gateway, whichever process it is just now.
pub(super) struct Member {
    number: usize,
    text: String,
    directory: Arc<TempDir>,
    clock: WrongClock,
    /// Its clock may be wrong.
    is_odd: bool,
    running: Mutex<Option<Running>>,
}

#[derive(Clone)]
struct Running {
    gateway: Arc<Gateway>,
    life: usize,
}

/// Where a request goes.
#[derive(Clone)]
pub(super) struct Recipient {
    pub(super) place: Place,
    pub(super) address: SocketAddr,
    pub(super) gateway: Arc<Gateway>,
}

impl Recipient {
    pub(super) fn admin(&self) -> (SocketAddr, String) {
        let admin = self.gateway.admin();
        (admin.address(), admin.token().unwrap_or_default())
    }
}

impl Member {
    pub(super) fn new(number: usize, setting: &Setting, store: &str, upstream: &Upstream) -> Self {
        let directory = login::directory();
        std::fs::write(directory.path().join("kek"), "a key-encryption key of more than 32 bytes")
            .expect("a file");
        std::fs::write(directory.path().join("reports.pem"), clients::public_key())
            .expect("a file");
        Self {
            number,
            text: configuration(number, setting, store, upstream),
            directory,
            clock: WrongClock::ahead(setting.offsets_s[number]),
            is_odd: setting.store != StoreKind::Embedded || setting.offsets_s[number] != 0,
            running: Mutex::default(),
        }
    }

    /// Puts a file where its configuration is.
    pub(super) fn put(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("a file");
    }

    /// Starts it, and waits until it listens, which is before it is ready.
    pub(super) fn start(&self, history: &History) {
        let environment = if self.is_odd { self.clock.environment() } else { Vec::new() };
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut record = history.record();
        let life = record.lives.iter().filter(|life| life.place.gateway == self.number).count() + 1;
        let place = Place { gateway: self.number, life };
        record.lives.push(Life { place, spawned: history.now(), ended: None });
        drop(record);
        let mut gateway = Gateway::spawn_with(self.directory.clone(), &self.text, &environment);
        gateway.wait_until_bound();
        *self.running.lock().expect("it") = Some(Running { gateway: Arc::new(gateway), life });
    }

    /// Kills it.
    pub(super) fn kill(&self, history: &History) {
        let Some(Running { gateway, life }) = self.running.lock().expect("it").take() else {
            return;
        };
        gateway.signal("KILL");
        let of_process = format!("/proc/{}", gateway.pid());
        eventually("its end", || {
            let stat = std::fs::read_to_string(format!("{of_process}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").map_or("Z", |(_, state)| state);
            // The last of its threads has its files.
            let threads =
                std::fs::read_dir(format!("{of_process}/task")).map_or(0, Iterator::count);
            (state.starts_with(['Z', 'X']) && threads <= 1).then_some(())
        });
        let place = Place { gateway: self.number, life };
        let now = history.now();
        for life in &mut history.record().lives {
            if life.place == place {
                life.ended = Some(now);
            }
        }
    }

    /// Where it is, if it runs.
    pub(super) fn recipient(&self) -> Option<Recipient> {
        let running = self.running.lock().expect("it").clone()?;
        let Running { gateway, life } = running;
        let place = Place { gateway: self.number, life };
        Some(Recipient { place, address: gateway.address(), gateway })
    }

    /// Stops all its threads.
    pub(super) fn stand_still(&self) {
        if let Some(recipient) = self.recipient() {
            recipient.gateway.signal("STOP");
        }
    }

    pub(super) fn go_on(&self) {
        if let Some(recipient) = self.recipient() {
            recipient.gateway.signal("CONT");
        }
    }

    /// Has it read its configuration, which is another one.
    pub(super) fn reload(&self) {
        if let Some(recipient) = self.recipient() {
            let text = format!("{}\n# read again\n", self.text);
            self.put("gateway.yaml", &text);
            recipient.gateway.signal("HUP");
        }
    }

    pub(super) fn set_clock(&self, ahead_s: i64) {
        self.clock.set(ahead_s);
    }

    /// What it wrote to standard error.
    pub(super) fn errors(&self) -> Vec<String> {
        self.recipient().map(|recipient| recipient.gateway.errors()).unwrap_or_default()
    }
}

fn configuration(number: usize, setting: &Setting, store: &str, upstream: &Upstream) -> String {
    let Setting { accept_local, max_staleness_s, grace_s, entries_max, .. } = setting;
    let entries_max = entries_max.map_or(String::new(), |most| format!(", max_entries: {most}"));
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ name: gw-{name}, threads: 1, shutdown_grace: 1s }}
access_log: {{ enabled: false }}
{store}
revocation: {{ max_staleness: {max_staleness_s}s, accept_local: {accept_local}{entries_max} }}
sessions: {{ recheck: 1s }}
tokens:
  issuer: https://gateway.test
  signing: {{ encryption_key_file: kek }}
  access: {{ lifetime: 15m, audiences: [orders-api] }}
  refresh: {{ idle: 1h, absolute: 2h, rotation_grace: {grace_s}s }}
{clients}
{login}
issuers:
  - name: test
    issuer: {issuer}
    audiences: [{audience}]
    algorithms: [ES256]
    keys: {{ public_key_file: issuer.pem }}
upstreams:
  behind: {{ peers: ['{upstream}'] }}
routes:
  - {{ name: deny, match: {{ path: '/deny/{{*rest}}' }}, upstream: behind, authenticate: [bearer, session] }}
  - {{ name: allow, match: {{ path: '/allow/{{*rest}}' }}, upstream: behind, authenticate: [bearer, session],
      when_stale: allow }}
  - {{ name: writes, match: {{ path: '/writes/{{*rest}}' }}, upstream: behind, authenticate: [bearer, session],
      when_stale: deny_writes }}
  - {{ name: second, match: {{ path: '/second/{{*rest}}' }}, upstream: behind, authenticate: [bearer, session],
      when_stale: {{ allow_for: 1s }} }}
",
        name = number + 1,
        clients = clients::SECTION,
        login = login::SECTION,
        issuer = tokens::ISSUER,
        audience = tokens::AUDIENCE,
        upstream = upstream.address(),
    )
}

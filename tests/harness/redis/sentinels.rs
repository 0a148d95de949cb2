//! A master, a replica, and three sentinels that watch them.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use portcullis::store::settings::{RedisAddress, RedisServers, RedisSettings};
use tempfile::TempDir;

use super::{HOST, RedisOptions, RedisServer, cli, eventually, eventually_within, free_port, run};

/// What the sentinels call the master.
const NAME: &str = "revocations";

/// How long a fail-over may take: sentinels that a busy machine has kept from running for two seconds
/// do nothing for thirty (TILT mode).
const FAIL_OVER_PATIENCE: Duration = Duration::from_secs(60);

/// Two servers and their sentinels.
pub(crate) struct Sentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Sentinels {
    /// Starts all of them and waits until each sentinel knows the others and the replica.
    pub(crate) fn start() -> Self {
        Self::start_with(&RedisOptions::default())
    }

    /// The same, with options of the servers. The sentinels have no password of their own.
    pub(crate) fn start_with(options: &RedisOptions) -> Self {
        let master = RedisServer::start_with(options.clone());
        let replica_of = Some(master.port());
        let replica = RedisServer::start_with(RedisOptions { replica_of, ..options.clone() });
        let sentinels = (0..3).map(|_| Sentinel::start(&master, options)).collect();
        let started = Self { servers: vec![master, replica], sentinels };
        eventually("a replica that has caught up", || {
            let told = started.servers[1].cli(&["info", "replication"]);
            told.contains("master_link_status:up").then_some(())
        });
        eventually("sentinels that know each other", || {
            started.sentinels.iter().all(Sentinel::knows_everybody).then_some(())
        });
        started
    }

    /// Settings with which a store finds the master.
    pub(crate) fn settings(&self) -> RedisSettings {
        let at = |sentinel: &Sentinel| RedisAddress { host: HOST.into(), port: sentinel.port };
        let nodes = self.sentinels.iter().map(at).collect();
        let servers = RedisServers::Sentinel { master: NAME.into(), nodes };
        RedisSettings { servers, ..self.servers[0].settings() }
    }

    /// The master that the sentinels agree on just now.
    pub(crate) fn master(&mut self) -> &mut RedisServer {
        let port = eventually("one master", || self.named());
        let found = self.servers.iter_mut().find(|server| server.port() == port);
        found.expect("the master is one of the servers")
    }

    /// Has them take a master for dead that has not answered for so long. A busy machine is to kill none.
    pub(crate) fn wait_for_master(&self, patience: Duration) {
        let patience_ms = patience.as_millis().to_string();
        for sentinel in &self.sentinels {
            let set = ["sentinel", "set", NAME, "down-after-milliseconds", &patience_ms];
            assert_eq!(sentinel.cli(&set).trim(), "OK");
        }
    }

    /// Has them make the other server the master, and waits until they have.
    pub(crate) fn fail_over(&self) {
        let before = eventually("one master", || self.named());
        eventually("a fail-over that begins", || {
            let said = self.sentinels[0].cli(&["sentinel", "failover", NAME]);
            (said.trim() == "OK").then_some(())
        });
        self.await_another_than(before);
    }

    /// Waits until the master is not the server with this port.
    pub(crate) fn await_another_than(&self, port: u16) {
        eventually_within(FAIL_OVER_PATIENCE, "another master", || {
            let named = self.named()?;
            let other = self.servers.iter().find(|server| server.port() == named)?;
            let is_master = other.cli(&["role"]).starts_with("master");
            (named != port && is_master).then_some(())
        });
    }

    /// Has them watch another server under the same name, as after a fail-over of which the
    /// servers themselves do not know.
    pub(crate) fn name(&self, server: &RedisServer) {
        for sentinel in &self.sentinels {
            sentinel.cli(&["sentinel", "remove", NAME]);
            let port = server.port().to_string();
            let said = sentinel.cli(&["sentinel", "monitor", NAME, HOST, &port, "2"]);
            assert_eq!(said.trim(), "OK");
        }
    }

    /// The port of the master, if all sentinels name the same.
    fn named(&self) -> Option<u16> {
        let named = |sentinel: &Sentinel| {
            let told = sentinel.cli(&["sentinel", "get-master-addr-by-name", NAME]);
            told.lines().nth(1)?.parse().ok()
        };
        let first = named(self.sentinels.first()?)?;
        self.sentinels.iter().all(|sentinel| named(sentinel) == Some(first)).then_some(first)
    }
}

impl Sentinel {
    fn start(master: &RedisServer, options: &RedisOptions) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let file = directory.path().join("sentinel.conf");
        let text = configuration(directory.path(), port, master.port(), options);
        std::fs::write(&file, text).expect("a file");
        Self { child: run("redis-sentinel", &file), port, directory }
    }

    fn cli(&self, command: &[&str]) -> String {
        cli(self.directory.path(), self.port, &RedisOptions::default(), command)
    }

    fn knows_everybody(&self) -> bool {
        let told = self.cli(&["sentinel", "master", NAME]);
        let lines: Vec<&str> = told.lines().collect();
        let value = |name: &str| {
            let mut pairs = lines.chunks_exact(2);
            pairs.find(|pair| pair[0] == name).map(|pair| pair[1])
        };
        value("num-slaves") == Some("1") && value("num-other-sentinels") == Some("2")
    }
}

fn configuration(directory: &Path, port: u16, master: u16, options: &RedisOptions) -> String {
    let place = directory.display();
    let mut text = format!(
        "port {port}\nbind {HOST}\ndir {place}\nlogfile {place}/log\n\
         sentinel monitor {NAME} {HOST} {master} 2\n\
         sentinel down-after-milliseconds {NAME} 500\n\
         sentinel failover-timeout {NAME} 5000\n"
    );
    if let Some(password) = &options.password {
        text.push_str(&format!("sentinel auth-pass {NAME} {password}\n"));
    }
    text
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log"));
            eprintln!("the sentinel at {} wrote:\n{}", self.port, log.unwrap_or_default());
        }
    }
}

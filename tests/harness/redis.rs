//! Real Redis servers, on free ports, in directories of their own.

mod cluster;
pub(crate) mod monitor;
mod sentinels;

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::secret::Secret;
use portcullis::store::settings::{
    RedisAddress, RedisLogin, RedisServers, RedisSettings, RedisTls,
};
use tempfile::TempDir;

use super::certificates::{Authority, Certificate};
use super::{eventually, eventually_within};

pub(crate) use cluster::Cluster;
pub(crate) use sentinels::Sentinels;

/// Where all of them listen.
const HOST: &str = "127.0.0.1";

/// Where the store keeps whether a server has all that it had.
const SETTLED: &str = "portcullis:{revocations}:settled";

/// What a server is started with beyond the usual.
#[derive(Clone, Debug, Default)]
pub(crate) struct RedisOptions {
    /// What is written is on the disk before it is acknowledged.
    pub(crate) durable: bool,
    /// The password of the default user.
    pub(crate) password: Option<String>,
    /// An ACL user: its name and its rules, `on >secret ~* +@all` for example.
    pub(crate) user: Option<(String, String)>,
    /// TLS, and nothing but TLS.
    pub(crate) tls: Option<ServerTls>,
    /// The port of the server that this one replicates.
    pub(crate) replica_of: Option<u16>,
    /// The second port of a node of a cluster.
    pub(crate) cluster_port: Option<u16>,
}

/// What a server speaks TLS with.
#[derive(Clone, Debug)]
pub(crate) struct ServerTls {
    pub(crate) certificate: Certificate,
    /// The authority that signed it and that signs its clients.
    pub(crate) authority: String,
    /// A certificate that it accepts, if it asks for one.
    pub(crate) client: Option<Certificate>,
}

impl ServerTls {
    /// A certificate for where the servers listen; no client needs one.
    pub(crate) fn new(authority: &Authority) -> Self {
        let certificate = authority.issue(HOST);
        Self { certificate, authority: authority.pem(), client: None }
    }
}

/// Whether a server that starts again has what it had written to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Kept,
    Lost,
}

/// A running server; it is killed when dropped.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    options: RedisOptions,
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with(RedisOptions::default())
    }

    /// A server whose data survives it.
    pub(crate) fn start_durable() -> Self {
        Self::start_with(RedisOptions { durable: true, ..RedisOptions::default() })
    }

    /// The same, with options.
    pub(crate) fn start_with(mut options: RedisOptions) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // Another program may take the port between our look and the server's start.
        let started = (0..5).find_map(|attempt| {
            let port = free_port();
            if attempt > 0 {
                options.cluster_port = options.cluster_port.map(|_| free_port());
            }
            let child = spawn(directory.path(), port, &options);
            let mut server = ServerStart { child: Some(child), port };
            server.is_up(&options, directory.path()).then(|| (server.child.take(), port))
        });
        let (child, port) = started.expect("a server that starts");
        let child = child.expect("it was just started");
        let server = Self { child, port, options, directory };
        if server.options.replica_of.is_none() {
            server.settle();
        }
        server
    }

    /// Empties it, as if it had never held anything.
    pub(crate) fn flush(&self) {
        self.cli(&["flushall"]);
        self.settle();
    }

    /// Writes down that it has all that it had: nobody waits for who may know better.
    pub(crate) fn settle(&self) {
        let told = self.cli(&["info", "server"]);
        let id = told.lines().find_map(|line| line.strip_prefix("run_id:"));
        if let Some(id) = id {
            self.cli(&["hset", SETTLED, "server", id.trim(), "done", "1"]);
        }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub(crate) fn address(&self) -> RedisAddress {
        RedisAddress { host: HOST.into(), port: self.port }
    }

    /// Its URL, without user and password.
    pub(crate) fn url(&self) -> String {
        url(self.port, &self.options)
    }

    /// Settings with which a store reaches it.
    pub(crate) fn settings(&self) -> RedisSettings {
        let RedisOptions { password, tls, .. } = &self.options;
        let password = password.as_ref().map(|word| Secret::new(word.clone().into_bytes()));
        let tls = tls.as_ref().map(|tls| RedisTls {
            ca_pem: Some(tls.authority.clone().into_bytes()),
            identity: tls.client.as_ref().map(|Certificate { chain, key }| {
                (chain.clone().into_bytes(), Secret::new(key.clone().into_bytes()))
            }),
        });
        RedisSettings {
            servers: RedisServers::Single(self.address()),
            login: RedisLogin { username: None, password },
            database: 0,
            tls,
            prefix: "portcullis".into(),
        }
    }

    /// Kills it, as a power failure would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it if it runs, and starts it again on the same port.
    pub(crate) fn restart(&mut self, data: Data) {
        self.kill();
        match data {
            Data::Kept => {}
            Data::Lost => {
                let _ = std::fs::remove_dir_all(self.directory.path().join("appendonlydir"));
            }
        }
        self.child = spawn(self.directory.path(), self.port, &self.options);
        eventually("a server that starts again", || self.answers().then_some(()));
    }

    /// A copy of what it has written to the disk so far.
    pub(crate) fn backup(&self) -> TempDir {
        let copy = tempfile::tempdir().expect("a directory");
        copy_files(&self.directory.path().join("appendonlydir"), copy.path());
        copy
    }

    /// Kills it, and starts it again on the same port with what it had when the copy was made.
    pub(crate) fn restart_from(&mut self, backup: &TempDir) {
        self.kill();
        let data = self.directory.path().join("appendonlydir");
        std::fs::remove_dir_all(&data).expect("it was durable");
        std::fs::create_dir(&data).expect("a directory");
        copy_files(backup.path(), &data);
        self.restart(Data::Kept);
    }

    /// Stops it in the middle of whatever it does; connections stay.
    pub(crate) fn pause(&self) {
        signal(&self.child, "STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        signal(&self.child, "CONT");
    }

    /// What `redis-cli` prints for a command.
    pub(crate) fn cli(&self, command: &[&str]) -> String {
        cli(self.directory.path(), self.port, &self.options, command)
    }

    /// How often it was asked this so far.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let told = self.cli(&["info", "commandstats"]);
        let line =
            told.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().expect("a number").parse().expect("a number"))
    }

    /// How many connections there are on which somebody waits for entries of a stream.
    pub(crate) fn blocked_readers(&self) -> usize {
        let clients = self.cli(&["client", "list"]);
        let is_reader = |line: &&str| line.contains("flags=b ") && line.contains("cmd=xread");
        clients.lines().filter(is_reader).count()
    }

    fn answers(&self) -> bool {
        self.cli(&["ping"]).trim() == "PONG"
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log"));
            eprintln!("the server at {} wrote:\n{}", self.port, log.unwrap_or_default());
        }
    }
}

/// A server that may not get as far as answering.
struct ServerStart {
    child: Option<Child>,
    port: u16,
}

impl ServerStart {
    fn is_up(&mut self, options: &RedisOptions, directory: &Path) -> bool {
        eventually("a server that starts or ends", || {
            let child = self.child.as_mut()?;
            if child.try_wait().expect("a status").is_some() {
                return Some(false);
            }
            let told = cli(directory, self.port, options, &["info", "server"]);
            // Another may have taken the port: this one ends.
            let process = format!("process_id:{}", child.id());
            told.lines().any(|line| line.trim() == process).then_some(true)
        })
    }
}

impl Drop for ServerStart {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Below the ports that the system gives out, and so that a node of a cluster finds its second one,
/// 10,000 further on, below them, too.
const PORTS: std::ops::Range<u32> = 12_000..22_000;

/// A port that nobody listens on just now. None is given out twice: a gateway whose server is gone
/// would find that of another test there.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes that run at the same time begin in different places.
    let first = std::process::id().wrapping_mul(997);
    let mut ports = (0..count).map(|_| {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(PORTS.start + number % count).expect("a port")
    });
    ports.find(|port| TcpListener::bind((HOST, *port)).is_ok()).expect("a free port")
}

fn url(port: u16, options: &RedisOptions) -> String {
    let scheme = if options.tls.is_some() { "rediss" } else { "redis" };
    format!("{scheme}://{HOST}:{port}")
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success(), "kill -s {name}");
}

fn spawn(directory: &Path, port: u16, options: &RedisOptions) -> Child {
    let file = directory.join("redis.conf");
    std::fs::write(&file, configuration(directory, port, options)).expect("a file");
    run("redis-server", &file)
}

/// Starts one of Redis' daemons with a file of configuration.
fn run(program: &str, file: &Path) -> Child {
    let mut command = Command::new(program);
    command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{program} must be installed: {error}"))
}

fn configuration(directory: &Path, port: u16, options: &RedisOptions) -> String {
    let RedisOptions { durable, password, user, tls, replica_of, cluster_port } = options;
    let place = directory.display();
    let mut text = format!(
        "bind {HOST}\ndir {place}\nlogfile {place}/log\nsave \"\"\nrepl-diskless-sync-delay 0\n"
    );
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes it");
    if *durable {
        line("appendonly yes\nappendfsync always".to_owned());
    }
    if let Some(password) = password {
        line(format!("requirepass {password}\nmasterauth {password}"));
    }
    if let Some((name, rules)) = user {
        line(format!("user {name} {rules}"));
    }
    if let Some(port) = replica_of {
        line(format!("replicaof {HOST} {port}"));
    }
    if let Some(port) = cluster_port {
        line(format!("cluster-enabled yes\ncluster-port {port}\ncluster-node-timeout 2000"));
    }
    match tls {
        None => line(format!("port {port}")),
        Some(ServerTls { certificate, authority, client }) => {
            let file = |name: &str, text: &str| -> PathBuf {
                let file = directory.join(name);
                std::fs::write(&file, text).expect("a file");
                file
            };
            let wanted = if client.is_some() { "yes" } else { "no" };
            line(format!("port 0\ntls-port {port}\ntls-auth-clients {wanted}"));
            line(format!("tls-cert-file {}", file("chain.pem", &certificate.chain).display()));
            line(format!("tls-key-file {}", file("key.pem", &certificate.key).display()));
            line(format!("tls-ca-cert-file {}", file("ca.pem", authority).display()));
            if let Some(Certificate { chain, key }) = client {
                file("client.pem", chain);
                file("client-key.pem", key);
            }
        }
    }
    text
}

/// What `redis-cli` prints for a command; what a refused connection gives is not empty either.
fn cli(directory: &Path, port: u16, options: &RedisOptions, command: &[&str]) -> String {
    let RedisOptions { password, tls, .. } = options;
    let mut program = Command::new("redis-cli");
    program.args(["-u", &url(port, options)]);
    if let Some(password) = password {
        program.args(["-a", password, "--no-auth-warning"]);
    }
    if let Some(ServerTls { client, .. }) = tls {
        program.arg("--tls").arg("--cacert").arg(directory.join("ca.pem"));
        if client.is_some() {
            program.arg("--cert").arg(directory.join("client.pem"));
            program.arg("--key").arg(directory.join("client-key.pem"));
        }
    }
    let output = program.args(command).stdin(Stdio::null()).output();
    let output = output.expect("redis-cli must be installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

//! The real gateway, on free ports, in a directory of its own.

mod lane;

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{self, Answer, Destination};
use super::jwks::jwk;
use super::upstream::Upstream;
use super::{eventually, tokens};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

/// A running gateway; it is killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    directory: Arc<TempDir>,
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<Vec<String>>>,
    addresses: Vec<SocketAddr>,
    admin: SocketAddr,
}

/// An admin listener, and what it asks for.
#[derive(Clone, Debug)]
pub(crate) struct AdminListener {
    address: SocketAddr,
    token_file: Option<PathBuf>,
}

impl AdminListener {
    /// The listener of a gateway that was started in this directory in a way of its own.
    pub(crate) fn at(address: SocketAddr, directory: &Path) -> Self {
        Self { address, token_file: Some(directory.join("data/admin.token")) }
    }

    /// The listener without the token.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Destination for AdminListener {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn token(&self) -> Option<String> {
        let token = std::fs::read_to_string(self.token_file.as_ref()?).expect("the admin token");
        Some(token.trim().to_owned())
    }
}

impl fmt::Display for AdminListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// What tests usually need: one issuer, a public route and two that authenticate.
pub(crate) fn standard(upstream: &Upstream) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ threads: 2, shutdown_grace: 10s }}
issuers:
  - name: test
    issuer: {issuer}
    audiences: [{audience}]
    algorithms: [ES256]
    keys: {{ public_key_file: issuer.pem }}
identity_headers: {{ claims: {{ email: X-Auth-Email, tenant: X-Auth-Tenant }} }}
upstreams:
  behind: {{ peers: ['{upstream}'] }}
routes:
  - {{ name: public, match: {{ path: '/public/{{*rest}}' }}, upstream: behind, public: true }}
  - name: orders
    match: {{ path: '/orders/{{*rest}}', methods: [GET, POST] }}
    upstream: behind
    authenticate: [bearer]
    require: {{ scopes: [orders:read], any_role: [clerk, admin] }}
  - name: whoami
    match: {{ path: /whoami }}
    upstream: behind
    authenticate: [bearer]
",
        issuer = tokens::ISSUER,
        audience = tokens::AUDIENCE,
        upstream = upstream.address(),
    )
}

/// The same configuration, but its key has the id `k-1`.
pub(crate) fn with_key_id(configuration: &str) -> String {
    configuration.replace("public_key_file: issuer.pem", "jwks_file: issuer.json")
}

/// A directory with the standard issuer's public key in it, without an id and as a key set.
pub(crate) fn directory() -> Arc<TempDir> {
    let directory = tempfile::tempdir().expect("a directory");
    let put = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("a file");
    };
    put("issuer.pem", &tokens::pair().public);
    put("issuer.json", &json!({"keys": [jwk(tokens::pair(), "k-1")]}).to_string());
    Arc::new(directory)
}

impl Gateway {
    /// Starts a gateway with the standard configuration.
    pub(crate) fn standard(upstream: &Upstream) -> Self {
        Self::start(&standard(upstream))
    }

    /// Starts a gateway with this configuration and waits until it is ready.
    pub(crate) fn start(configuration: &str) -> Self {
        Self::start_in(directory(), configuration)
    }

    /// The same, in a directory that may hold files that the configuration names.
    pub(crate) fn start_in(directory: Arc<TempDir>, configuration: &str) -> Self {
        let mut gateway = Self::spawn_in(directory, configuration);
        gateway.wait_until_ready();
        gateway
    }

    /// Starts a gateway and does not wait.
    pub(crate) fn spawn_in(directory: Arc<TempDir>, configuration: &str) -> Self {
        Self::spawn_with(directory, configuration, &[])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn spawn_with(
        directory: Arc<TempDir>,
        configuration: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let mut program = Command::new(PROGRAM);
        program.envs(environment.iter().copied());
        Self::spawn_command(directory, configuration, program)
    }

    /// Starts a gateway that may have no more than so many descriptors open, and waits until it is
    /// ready.
    pub(crate) fn start_with_descriptors(
        directory: Arc<TempDir>,
        configuration: &str,
        descriptors: usize,
    ) -> Self {
        Self::start_with_soft_descriptors(directory, configuration, descriptors, descriptors)
    }

    /// The same, with a soft limit that is not the hard one.
    pub(crate) fn start_with_soft_descriptors(
        directory: Arc<TempDir>,
        configuration: &str,
        soft: usize,
        hard: usize,
    ) -> Self {
        let limits = format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(limits).arg(PROGRAM);
        let mut gateway = Self::spawn_command(directory, configuration, shell);
        gateway.wait_until_ready();
        gateway
    }

    /// Starts a gateway that the modes of files bind, and waits until it is ready: where the tests are
    /// run by root, it lacks root's power to ignore them.
    pub(crate) fn start_bound_by_modes(directory: Arc<TempDir>, configuration: &str) -> Self {
        let is_root = std::fs::metadata("/proc/self").expect("a process").uid() == 0;
        let program = match is_root {
            false => Command::new(PROGRAM),
            true => {
                let mut program = Command::new("setpriv");
                program.arg("--bounding-set=-dac_override,-dac_read_search").arg(PROGRAM);
                program
            }
        };
        let mut gateway = Self::spawn_command(directory, configuration, program);
        gateway.wait_until_ready();
        gateway
    }

    fn spawn_command(directory: Arc<TempDir>, configuration: &str, mut program: Command) -> Self {
        let file = directory.path().join("gateway.yaml");
        std::fs::write(&file, &*lane::told(configuration)).expect("a file");
        let mut child = program
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = collect(child.stdout.take().expect("a pipe"));
        let stderr = collect(child.stderr.take().expect("a pipe"));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, directory, stdout, stderr, addresses: Vec::new(), admin: nowhere }
    }

    pub(crate) fn wait_until_ready(&mut self) {
        self.wait_for(|line| line.ends_with(" ready"));
    }

    /// Waits until it listens, which is before it is ready.
    pub(crate) fn wait_until_bound(&mut self) {
        self.wait_for(|line| line.contains("admin on "));
    }

    fn wait_for(&mut self, is_told: fn(&str) -> bool) {
        let lines = eventually("readiness", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the gateway ended with {status}: {}", self.errors().join("\n"));
            }
            let lines = self.errors();
            lines.iter().any(|line| is_told(line)).then_some(lines)
        });
        let after = |marker: &str| -> Vec<SocketAddr> {
            let found = lines.iter().filter_map(|line| line.split_once(marker));
            found.filter_map(|(_, rest)| rest.split("//").nth(1)?.trim().parse().ok()).collect()
        };
        self.addresses = after("listening on ");
        self.admin = after("admin on ")[0];
    }

    /// The first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All listeners, in the order of the configuration.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The admin listener, with the token that the gateway has made.
    pub(crate) fn admin(&self) -> AdminListener {
        AdminListener { address: self.admin, token_file: self.admin_token_file() }
    }

    /// What tells a command where the admin listener is, and with which token it is asked.
    pub(crate) fn admin_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--admin".to_owned(), format!("http://{}", self.admin)];
        if let Some(file) = self.admin_token_file() {
            arguments.extend(["--admin-token-file".to_owned(), file.display().to_string()]);
        }
        arguments
    }

    /// Where the gateway keeps the admin token that it has made.
    pub(crate) fn admin_token_file(&self) -> Option<PathBuf> {
        let lines = self.errors();
        let marker = "the admin API asks for the token in ";
        lines.iter().find_map(|line| Some(line.split_once(marker)?.1.trim().into()))
    }

    /// Sends these bytes on a connection of its own.
    pub(crate) fn exchange(&self, bytes: impl AsRef<[u8]>) -> Answer {
        client::exchange(self.address(), bytes)
    }

    /// Gets a path with a bearer token.
    pub(crate) fn get_as(&self, path: &str, token: &str) -> Answer {
        let bytes = client::get(path, &[("Authorization", &tokens::bearer(token))]);
        client::exchange_safely(self.address(), &bytes)
    }

    /// The directory of the configuration.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The directory, to start another gateway in it.
    pub(crate) fn shared_directory(&self) -> Arc<TempDir> {
        self.directory.clone()
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory().join("gateway.yaml")
    }

    /// What it wrote on standard error so far.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.stderr.lock().expect("the lines").clone()
    }

    /// What it wrote on standard output so far, if that is not the access log in JSON.
    pub(crate) fn output(&self) -> Vec<String> {
        self.stdout.lock().expect("the lines").clone()
    }

    /// The access log so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        let lines = self.stdout.lock().expect("the lines");
        lines.iter().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// Waits for the access log line that `matches`.
    pub(crate) fn logged(&self, matches: impl Fn(&Value) -> bool) -> Value {
        eventually("a line of the access log", || self.log().into_iter().find(&matches))
    }

    /// The metrics, as text.
    pub(crate) fn metrics(&self) -> String {
        let answer =
            client::exchange(self.admin, client::get("/metrics", &[("Host", "localhost")]));
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// The value of a series, written as in the exposition; 0 if it is not there.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name}");
    }

    /// Stops all its threads where they are, until it is told to go on (`CONT`).
    pub(crate) fn stand_still(&self) {
        self.signal("STOP");
        // The signal is sent when `kill` returns, and acted upon a little later.
        let status = format!("/proc/{}/stat", self.child.id());
        eventually("it stands still", || {
            let stat = std::fs::read_to_string(&status).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            rest.starts_with('T').then_some(())
        });
    }

    /// Puts another configuration in force.
    #[track_caller]
    pub(crate) fn reload(&self, configuration: &str) {
        std::fs::write(self.file(), configuration).expect("a file");
        self.read_again();
    }

    /// Has the configuration and its files read again, and waits until that is in force.
    #[track_caller]
    pub(crate) fn read_again(&self) {
        let generation = || self.metric("portcullis_config_generation");
        let before = generation();
        self.signal("HUP");
        eventually("a reload", || (generation() > before).then_some(()));
    }

    /// Whether requests should be sent there.
    pub(crate) fn is_ready(&self) -> bool {
        client::exchange(self.admin(), client::get("/readyz", &[])).status == 200
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the end", || self.child.try_wait().expect("a status"))
    }

    /// Whether it is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the gateway wrote:\n{}", self.errors().join("\n"));
        }
    }
}

fn collect(pipe: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            sink.lock().expect("the lines").push(line);
        }
    });
    lines
}

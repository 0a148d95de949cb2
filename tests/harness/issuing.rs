//! Gateways that issue tokens, on one store, and what those who log in get of them.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::form_urlencoded;

use crate::harness::client::{self, Answer, Connection};
use crate::harness::gateway::{self, Gateway};
use crate::harness::outcome::outcome;
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{bearer, payload};
use crate::harness::upstream::Upstream;
use crate::harness::{PATIENCE, eventually, fleet, login};

/// `iss` of what these gateways issue.
pub(crate) const OWN: &str = "https://gateway.test";

/// The secret of the clients that have one.
pub(crate) const SECRET: &str = "a secret of machines";

/// What an access token opens, on every gateway.
pub(crate) const HOME: &str = "/home/x";

/// The tokens section, with this grace.
pub(crate) fn tokens(grace: &str) -> String {
    format!(
        "
tokens:
  issuer: {OWN}
  signing: {{ encryption_key_file: kek }}
  access: {{ lifetime: 15m, audiences: [orders-api], claims: [email, tenant] }}
  refresh: {{ idle: 7d, absolute: 30d, rotation_grace: {grace} }}
"
    )
}

/// The clients that these tests need.
fn clients() -> String {
    let hash = login::hash(SECRET);
    format!(
        "
clients:
  - {{ id: app, public: true, audiences: [orders-api] }}
  - {{ id: other, public: true, audiences: [orders-api, other-api] }}
  - {{ id: batch, secret_hash: '{hash}', scopes: [orders:read], lifetime: 5m }}
  - {{ id: service, secret_hash: '{hash}', introspection: true }}
api_keys: {{ header: X-Api-Key, max_lifetime: 90d }}
"
    )
}

/// Routes for whoever brings something, and for nobody in particular.
const ROUTES: &str = "
  - name: home
    match: { path: '/home/{*rest}' }
    upstream: behind
    authenticate: [bearer, session, api_key]
  - name: bearers
    match: { path: '/bearers/{*rest}' }
    upstream: behind
    authenticate: [bearer]
  - name: kept
    match: { path: '/kept/{*rest}' }
    upstream: behind
    authenticate: [bearer, session, api_key]
    forward: { credential: keep }
  - name: patient
    match: { path: '/patient/{*rest}' }
    upstream: behind
    authenticate: [bearer, session, api_key]
    when_stale: allow
  - name: inside
    match: { path: '/inside/{*rest}' }
    upstream: behind
    authenticate: [bearer, session, api_key]
    forward:
      internal_token: { audience: orders, lifetime: 8s, header: X-Internal-Token, claims: [email] }
  - name: inside-bearer
    match: { path: '/inside-bearer/{*rest}' }
    upstream: behind
    authenticate: [bearer, session, api_key]
    forward: { internal_token: { audience: orders-api, lifetime: 60s } }
";

/// Gateways on one store, and what is behind them.
pub(crate) struct IssuingFleet {
    pub(crate) upstream: Upstream,
    lines: String,
    routes: String,
    gateways: Vec<Gateway>,
}

impl IssuingFleet {
    /// One gateway with a file of its own, and these routes beside the usual ones.
    pub(crate) fn with_routes(routes: &str) -> Self {
        Self::with(routes, "")
    }

    /// The same, with these lines.
    pub(crate) fn with(routes: &str, lines: &str) -> Self {
        let mut site = Self::empty(lines);
        site.routes.push_str(routes);
        site.join();
        site
    }

    /// One gateway, in a directory that holds more.
    pub(crate) fn alone_in(directory: Arc<TempDir>, lines: &str) -> Self {
        let mut site = Self::empty(lines);
        let gateway = Gateway::start_in(directory, &site.configuration());
        site.gateways.push(gateway);
        site
    }

    /// One gateway with a file of its own.
    pub(crate) fn embedded(lines: &str) -> Self {
        Self::start(lines, 1)
    }

    /// So many gateways on a server.
    pub(crate) fn on(server: &RedisServer, lines: &str, count: usize) -> Self {
        Self::start(&(fleet::redis(&server.settings()) + lines), count)
    }

    /// So many gateways. Without a section `tokens` they get the usual one.
    pub(crate) fn start(lines: &str, count: usize) -> Self {
        let mut site = Self::empty(lines);
        for _ in 0..count {
            site.join();
        }
        site
    }

    fn empty(lines: &str) -> Self {
        let mut lines = lines.to_owned();
        if !lines.contains("\ntokens:") {
            lines.push_str(&tokens("10s"));
        }
        if !lines.contains("\nclients:") {
            lines.push_str(&clients());
        }
        Self { upstream: Upstream::start(), lines, routes: String::new(), gateways: Vec::new() }
    }

    /// Starts another gateway.
    pub(crate) fn join(&mut self) -> &Gateway {
        self.gateways.push(Gateway::start_in(directory(), &self.configuration()));
        self.gateways.last().expect("it was just started")
    }

    /// The configuration of all of them.
    pub(crate) fn configuration(&self) -> String {
        let standard = gateway::standard(&self.upstream);
        let Self { lines, routes, .. } = self;
        format!("{lines}{}{}{ROUTES}{routes}", login::SECTION, standard.trim_end())
    }

    /// The one with this number; the first is 1.
    pub(crate) fn gateway(&self, number: usize) -> &Gateway {
        &self.gateways[number - 1]
    }

    /// Where the one with this number listens.
    pub(crate) fn at(&self, number: usize) -> SocketAddr {
        self.gateway(number).address()
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Gateway] {
        &self.gateways
    }

    /// Ends a gateway with a signal, and waits until it is gone.
    pub(crate) fn end(&mut self, number: usize, signal: &str) {
        let gateway = &mut self.gateways[number - 1];
        gateway.signal(signal);
        gateway.wait();
    }

    /// Starts a gateway that has ended again, in its directory.
    pub(crate) fn revive(&mut self, number: usize) {
        let directory = self.gateways[number - 1].shared_directory();
        let text = self.configuration();
        self.gateways[number - 1] = Gateway::start_in(directory, &text);
    }
}

/// A directory with everything that the configuration names.
pub(crate) fn directory() -> Arc<TempDir> {
    let directory = login::directory();
    // The same for all: they share what it seals.
    std::fs::write(directory.path().join("kek"), "a key-encryption key of more than 32 bytes")
        .expect("a file");
    directory
}

/// What somebody who logged in for tokens has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Granted {
    /// Logs somebody in.
    #[track_caller]
    pub(crate) fn log_in(address: SocketAddr, name: &str) -> Self {
        Self::read(&log_in(address, name, json!({ "deliver": "tokens" }), &[]))
    }

    /// What a granting answer gave (RFC 6749 §5.1).
    #[track_caller]
    pub(crate) fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = answer.json();
        assert_eq!(told["token_type"], "Bearer", "{answer:?}");
        let text = |name: &str| told[name].as_str().unwrap_or_else(|| panic!("{name}: {answer:?}"));
        Self { access: text("access_token").to_owned(), refresh: text("refresh_token").to_owned() }
    }

    /// Exchanges the refresh token, which must work.
    #[track_caller]
    pub(crate) fn next(&self, address: SocketAddr) -> Self {
        Self::read(&refresh(address, &self.refresh))
    }

    /// The claims of the access token.
    #[track_caller]
    pub(crate) fn claims(&self) -> Value {
        payload(&self.access)
    }

    /// The session of which it came.
    #[track_caller]
    pub(crate) fn session(&self) -> String {
        self.claims()["sid"].as_str().expect("a session").to_owned()
    }
}

/// Asks to be logged in over JSON, with more members and fields.
#[track_caller]
pub(crate) fn log_in(
    address: SocketAddr,
    name: &str,
    members: Value,
    fields: &[(&str, &str)],
) -> Answer {
    let mut body = json!({ "username": name, "password": login::PASSWORD });
    let Value::Object(members) = members else { panic!("members are an object") };
    body.as_object_mut().expect("an object").extend(members);
    let fields = [&[("Content-Type", "application/json")], fields].concat();
    client::exchange(address, client::request("POST", "/auth/login", &fields, &body.to_string()))
}

/// A form, as a request.
pub(crate) fn form(path: &str, fields: &[(&str, &str)], pairs: &[(&str, &str)]) -> String {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let fields = [&[("Content-Type", "application/x-www-form-urlencoded")], fields].concat();
    client::request("POST", path, &fields, &body)
}

/// Sends a form on a connection of its own.
#[track_caller]
pub(crate) fn post(address: SocketAddr, path: &str, pairs: &[(&str, &str)]) -> Answer {
    client::exchange(address, form(path, &[], pairs))
}

/// The request that exchanges a refresh token.
pub(crate) fn refreshing(token: &str) -> String {
    form("/auth/token", &[], &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

/// Exchanges a refresh token.
#[track_caller]
pub(crate) fn refresh(address: SocketAddr, token: &str) -> Answer {
    client::exchange(address, refreshing(token))
}

/// The same; `None` if the gateway is gone, or goes before it has answered.
pub(crate) fn try_refresh(address: SocketAddr, token: &str) -> Option<Answer> {
    let stream = std::net::TcpStream::connect(address).ok()?;
    let mut connection = Connection::over(stream);
    connection.send(refreshing(token));
    connection.answer()
}

/// The `error` of RFC 6749 §5.2, with its status.
#[track_caller]
pub(crate) fn error(answer: &Answer) -> (u16, String) {
    let told = answer.json();
    let error = told["error"].as_str().unwrap_or_else(|| panic!("no error: {answer:?}"));
    assert!(told.get("access_token").is_none() && told.get("refresh_token").is_none());
    (answer.status, error.to_owned())
}

/// Asserts that a refresh token is refused for good.
#[track_caller]
pub(crate) fn assert_invalid_grant(answer: &Answer) {
    assert_eq!(error(answer), (400, "invalid_grant".to_owned()), "{answer:?}");
}

/// Asserts that nothing could be decided, and that it is said when to come back.
#[track_caller]
pub(crate) fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let pause = answer.field("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(pause > Some(0), "{answer:?}");
    let told = answer.json();
    let is_told = told["error"] == "temporarily_unavailable"
        || ["store_unavailable", "revocation_stale"].map(Value::from).contains(&told["slug"]);
    assert!(is_told, "{answer:?}");
}

/// Status and slug of what a bearer is told on a route.
#[track_caller]
pub(crate) fn ask(address: SocketAddr, path: &str, token: &str) -> (u16, String) {
    let bytes = client::get(path, &[("Authorization", &bearer(token))]);
    outcome(&client::exchange_safely(address, &bytes))
}

/// Waits until a bearer is told this.
#[track_caller]
pub(crate) fn await_told(address: SocketAddr, path: &str, token: &str, wanted: &(u16, String)) {
    let begun = std::time::Instant::now();
    let mut last = (0, String::new());
    while begun.elapsed() < PATIENCE {
        last = ask(address, path, token);
        if last == *wanted {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("{address} says {last:?} and not {wanted:?}");
}

/// The sum of all refreshes with this result.
pub(crate) fn refreshes(gateway: &Gateway, result: &str) -> f64 {
    let (family, label) = ("portcullis_refreshes_total{", format!("result=\"{result}\""));
    let text = gateway.metrics();
    let lines = text.lines().filter(|line| line.starts_with(family) && line.contains(&label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// The lines of the audit log that a gateway has written so far.
pub(crate) fn audit(gateway: &Gateway) -> Vec<Value> {
    gateway.log().into_iter().filter(|line| line.get("audit").is_some()).collect()
}

/// Asks the admin API.
pub(crate) fn admin(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Answer {
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client::exchange(gateway.admin(), client::request(method, path, &fields, &body))
}

/// Makes an API key of somebody: the key, and its id.
#[track_caller]
pub(crate) fn api_key(gateway: &Gateway, members: Value) -> (String, String) {
    let answer = admin(gateway, "POST", "/v1/api-keys", &members);
    assert_eq!(answer.status, 201, "{answer:?}");
    let told = answer.json();
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    (text("key"), text("id"))
}

/// What an API key is told on a route.
#[track_caller]
pub(crate) fn ask_with_key(address: SocketAddr, path: &str, key: &str) -> (u16, String) {
    outcome(&client::exchange(address, client::get(path, &[("X-Api-Key", key)])))
}

/// The live entries of the revocation log, as an operator sees them.
pub(crate) fn revocations(gateway: &Gateway) -> Vec<Value> {
    let listing = eventually("the list", || fleet::admin(gateway, "/v1/revocations?limit=1000"));
    listing["revocations"].as_array().expect("a list").clone()
}

/// Runs the program against a gateway's admin API, and returns what it printed.
#[track_caller]
pub(crate) fn command(gateway: &Gateway, arguments: &[&str]) -> String {
    let ran = crate::harness::program::operate(gateway, gateway.directory(), arguments, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

impl Granted {
    /// The access token of an answer that has nothing else.
    #[track_caller]
    pub(crate) fn read_access(answer: &Answer) -> String {
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = answer.json();
        assert!(told.get("refresh_token").is_none(), "RFC 6749 §4.4.3: {answer:?}");
        told["access_token"].as_str().expect("a token").to_owned()
    }
}

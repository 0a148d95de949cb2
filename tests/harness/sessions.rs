//! Gateways whose users log in with a password and have sessions, on one store.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;

use crate::harness::client::{Answer, Connection};
use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, COOKIE, Login};
use crate::harness::outcome::accepted;
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;
use crate::harness::{PATIENCE, eventually, fleet};

/// Routes for those who have a session, in all their kinds.
pub(crate) const ROUTES: &str = "
  - { name: home, match: { path: '/home/{*rest}' }, upstream: behind, authenticate: [session] }
  - name: bearer-first
    match: { path: /bearer-first }
    upstream: behind
    authenticate: [bearer, session]
  - name: session-first
    match: { path: /session-first }
    upstream: behind
    authenticate: [session, bearer]
  - name: kept
    match: { path: /kept }
    upstream: behind
    authenticate: [session]
    forward: { credential: keep }
  - name: admins
    match: { path: /admins }
    upstream: behind
    authenticate: [session]
    require: { any_role: [admin] }
  - name: tenants
    match: { path: /tenants }
    upstream: behind
    authenticate: [session]
    require: { claims: { tenant: [acme] } }
  - name: writes
    match: { path: /writes }
    upstream: behind
    authenticate: [session]
    when_stale: deny_writes
  - name: open
    match: { path: /open }
    upstream: behind
    authenticate: [session]
    when_stale: allow
  - name: grace
    match: { path: /grace }
    upstream: behind
    authenticate: [session]
    when_stale: { allow_for: 2s }
";

/// The configuration of these tests: people can log in, and these lines go in as they are.
pub(crate) fn configuration(upstream: &Upstream, lines: &str) -> String {
    let standard = gateway::standard(upstream);
    format!("{lines}{}{}{ROUTES}", login::SECTION, standard.trim_end())
}

/// Gateways on one store, and what is behind them.
pub(crate) struct SessionFleet {
    pub(crate) upstream: Upstream,
    pub(crate) lines: String,
    pub(crate) gateways: Vec<Gateway>,
}

impl SessionFleet {
    /// One gateway with a file of its own, and these lines in its configuration.
    pub(crate) fn embedded(lines: &str) -> Self {
        Self::start(lines, 1)
    }

    /// So many gateways on a server.
    pub(crate) fn on(server: &RedisServer, lines: &str, count: usize) -> Self {
        Self::start(&(fleet::redis(&server.settings()) + lines), count)
    }

    pub(crate) fn start(lines: &str, count: usize) -> Self {
        let mut site = Self::empty(lines);
        for _ in 0..count {
            site.join();
        }
        site
    }

    pub(crate) fn empty(lines: &str) -> Self {
        Self { upstream: Upstream::start(), lines: lines.to_owned(), gateways: Vec::new() }
    }

    /// Starts another gateway.
    pub(crate) fn join(&mut self) {
        self.join_in(login::directory());
    }

    /// The same, in this directory.
    pub(crate) fn join_in(&mut self, directory: Arc<TempDir>) {
        let text = configuration(&self.upstream, &self.lines);
        self.gateways.push(Gateway::start_in(directory, &text));
    }

    /// The one with this number; the first is 1.
    pub(crate) fn gateway(&self, number: usize) -> &Gateway {
        &self.gateways[number - 1]
    }

    /// Logs somebody in at the first gateway.
    #[track_caller]
    pub(crate) fn log_in(&self, name: &str) -> Login {
        Login::new(self.gateway(1).address(), name)
    }

    /// What the gateway with this number says to a session on a route that wants one.
    #[track_caller]
    pub(crate) fn ask(&self, number: usize, login: &Login) -> (u16, String) {
        self.ask_for(number, login, "/home/x")
    }

    /// The same, on another route.
    #[track_caller]
    pub(crate) fn ask_for(&self, number: usize, login: &Login, path: &str) -> (u16, String) {
        told(&login.ask(self.gateway(number).address(), path))
    }

    /// Asserts that a session is accepted on all gateways.
    #[track_caller]
    pub(crate) fn assert_in(&self, login: &Login) {
        for number in 1..=self.gateways.len() {
            assert_eq!(self.ask(number, login), accepted(), "at gateway {number}");
        }
    }

    /// Kills a gateway and starts another one in its directory, with the same configuration.
    pub(crate) fn restart(&mut self, number: usize, signal: &str) {
        let directory = self.gateways[number - 1].shared_directory();
        let mut old = self.gateways.remove(number - 1);
        old.signal(signal);
        old.wait();
        let text = configuration(&self.upstream, &self.lines);
        self.gateways.insert(number - 1, Gateway::start_in(directory, &text));
    }

    /// Puts another configuration in force.
    pub(crate) fn reload(&self, number: usize, lines: &str) {
        self.gateway(number).reload(&configuration(&self.upstream, lines));
    }
}

/// Status and slug. An answer that refuses something sets no cookie and takes none.
#[track_caller]
pub(crate) fn told(answer: &Answer) -> (u16, String) {
    if answer.status < 400 {
        return (answer.status, String::new());
    }
    assert!(answer.fields.iter().all(|(name, _)| name != "set-cookie"), "{answer:?}");
    let (status, slug) = (answer.status, answer.slug());
    if status == 503 || status == 429 {
        let pause = answer.field("retry-after").and_then(|text| text.parse::<u64>().ok());
        assert!(pause > Some(0), "{answer:?}");
    }
    (status, slug)
}

/// What is told to who is refused.
pub(crate) fn denied(slug: &str) -> (u16, String) {
    let status = match slug {
        "credential_malformed" => 400,
        "csrf" | "role_missing" => 403,
        "verification_budget" => 429,
        "revocation_stale" | "store_unavailable" => 503,
        _ => 401,
    };
    (status, slug.to_owned())
}

/// Waits until a gateway says this to a session.
#[track_caller]
pub(crate) fn await_told(
    site: &SessionFleet,
    number: usize,
    login: &Login,
    wanted: &(u16, String),
) {
    let mut last = (0, String::new());
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        last = site.ask(number, login);
        if last == *wanted {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("gateway {number} says {last:?} and not {wanted:?}");
}

/// Asks on a connection that stays open.
pub(crate) fn ask_on(connection: &mut Connection, login: &Login) -> (u16, String) {
    told(&connection.exchange_safely(&login.get("/home/x")))
}

/// Asks until a gateway knows the session from memory: it is told of its own writing, too, and may
/// have to read what it wrote.
pub(crate) fn settle(site: &SessionFleet, number: usize, login: &Login) {
    let hits = || site.gateway(number).metric("portcullis_session_cache_hits_total");
    eventually("a session in memory", || {
        let before = hits();
        assert_eq!(site.ask(number, login), accepted());
        (hits() > before).then_some(())
    });
}

/// A cookie that nobody was given, as an attacker would choose it.
pub(crate) fn made_up() -> String {
    let bits: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    let secret = URL_SAFE_NO_PAD.encode(bits);
    format!("{COOKIE}={secret}")
}

/// The key of a session's record.
pub(crate) fn key(server: &RedisServer, login: &Login) -> String {
    let keys = server.cli(&["--scan", "--pattern", &format!("*:session:{}", login.id)]);
    let mut lines = keys.lines();
    let key = lines.next().expect("the session is there").to_owned();
    assert_eq!(lines.next(), None, "{keys}");
    key
}

/// Deletes a session by hand.
pub(crate) fn delete(server: &RedisServer, login: &Login) {
    assert_eq!(server.cli(&["del", &key(server, login)]).trim(), "1");
}

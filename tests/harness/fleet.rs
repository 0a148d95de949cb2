//! Several gateways on one store, what operators ask of them, and a watch that asks all along.

mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use portcullis::store::settings::{RedisServers, RedisSettings};
use serde_json::{Value, json};

use self::watch::Watch;
use super::client::{self, Answer};
use super::eventually;
use super::gateway::{self, Gateway};
use super::tokens::{bearer, now, token};
use super::upstream::Upstream;

/// Whom nobody ever revokes.
const CONTROL: &str = "control";

/// How long an operator waits for the gateways to confirm, in milliseconds.
const WAIT_MS: u64 = 5_000;

/// A gateway tells of itself once a second, or a little later on a busy machine, and reads the log
/// in between.
const SILENCE: Duration = Duration::from_secs(3);

/// How long a watch pauses between two rounds: it shares the machine.
const PACE: Duration = Duration::from_millis(1);

/// Routes that differ in what they do while the list is too old; `whoami` denies.
const ROUTES: &str = "
  - name: writes
    match: { path: '/writes/{*rest}' }
    upstream: behind
    authenticate: [bearer]
    when_stale: deny_writes
  - name: open
    match: { path: /open }
    upstream: behind
    authenticate: [bearer]
    when_stale: allow
  - name: grace
    match: { path: /grace }
    upstream: behind
    authenticate: [bearer]
    when_stale: { allow_for: 2s }
";

/// A `store` section and the like: these lines go into the configuration as they are.
pub(crate) fn configuration(upstream: &Upstream, name: &str, lines: &str) -> String {
    let standard = gateway::standard(upstream);
    let server = format!("server: {{ name: {name}, threads: 1,");
    let named = standard.replace("server: { threads: 2,", &server);
    assert_ne!(named, standard, "the server has no name");
    format!("{lines}{}{ROUTES}", named.trim_end())
}

/// The `store` section for these settings, except for user, password and TLS.
pub(crate) fn redis(settings: &RedisSettings) -> String {
    let scheme = if settings.tls.is_some() { "rediss" } else { "redis" };
    let urls = |nodes: &[_]| -> String {
        let urls: Vec<_> = nodes.iter().map(|node| format!("'{scheme}://{node}'")).collect();
        urls.join(", ")
    };
    let place = match &settings.servers {
        RedisServers::Single(address) => format!("url: '{scheme}://{address}'"),
        RedisServers::Sentinel { master, nodes } => {
            let nodes: Vec<_> = nodes.iter().map(|node| format!("'redis://{node}'")).collect();
            format!("sentinel: {{ master: {master}, nodes: [{}] }}", nodes.join(", "))
        }
        RedisServers::Cluster(nodes) => {
            let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
            format!("cluster: [{}]", urls(&nodes))
        }
    };
    format!("store: {{ redis: {{ {place} }} }}\n")
}

/// The `revocation` section with this bound.
pub(crate) fn stale_after(max_staleness: &str) -> String {
    format!("revocation: {{ max_staleness: {max_staleness} }}\n")
}

/// Gateways on one store: `gw-1`, `gw-2` and so on.
pub(crate) struct Fleet {
    upstream: Upstream,
    lines: String,
    gateways: Vec<Gateway>,
}

impl Fleet {
    /// Starts so many, with these lines in their configuration.
    pub(crate) fn start(lines: &str, count: usize) -> Self {
        let mut fleet =
            Self { upstream: Upstream::start(), lines: lines.to_owned(), gateways: Vec::new() };
        for _ in 0..count {
            fleet.join();
        }
        fleet.await_roster(count);
        fleet
    }

    /// Starts another one, and waits until it is ready.
    pub(crate) fn join(&mut self) -> &Gateway {
        let name = format!("gw-{}", self.gateways.len() + 1);
        let lines = self.lines.clone();
        self.gateways.push(start(&self.upstream, &name, &lines));
        self.gateways.last().expect("it was just started")
    }

    /// Waits until so many follow the log.
    pub(crate) fn await_roster(&self, count: usize) {
        eventually("the roster", || (roster(&self.gateways[0])?.len() == count).then_some(()));
    }

    /// The one with this number; the first is 1.
    pub(crate) fn gateway(&self, number: usize) -> &Gateway {
        &self.gateways[number - 1]
    }

    /// The same, to wait for its end.
    pub(crate) fn gateway_mut(&mut self, number: usize) -> &mut Gateway {
        &mut self.gateways[number - 1]
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Gateway] {
        &self.gateways
    }

    /// What is behind them.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Watches all of them.
    pub(crate) fn watch(&self) -> Watch {
        let mut watch = Watch::default();
        for gateway in &self.gateways {
            watch.look_at(gateway);
        }
        watch
    }
}

/// Starts a gateway and waits until it is ready.
pub(crate) fn start(upstream: &Upstream, name: &str, lines: &str) -> Gateway {
    Gateway::start(&configuration(upstream, name, lines))
}

/// What a gateway says to a credential, as far as revocation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is let in.
    Accepted,
    /// 401: it is revoked.
    Revoked,
    /// 503: nobody knows.
    Unknown,
}

/// Reads an answer, which must be one of three.
#[track_caller]
pub(crate) fn said(answer: &Answer) -> Verdict {
    match answer.status {
        200 => Verdict::Accepted,
        401 => {
            assert_eq!(answer.slug(), "token_revoked", "{answer:?}");
            Verdict::Revoked
        }
        503 => {
            assert_eq!(answer.slug(), "revocation_stale", "{answer:?}");
            let pause = answer.field("retry-after").expect("Retry-After");
            assert!(pause.parse::<u64>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
            Verdict::Unknown
        }
        _ => panic!("neither in nor out: {answer:?}"),
    }
}

/// A good token of this subject, issued before anything that a test does.
pub(crate) fn token_of(subject: &str) -> String {
    token(json!({ "sub": subject, "iat": now() - 60 }))
}

/// Asks a route that denies while the list is too old.
#[track_caller]
pub(crate) fn ask(gateway: &Gateway, token: &str) -> Verdict {
    said(&gateway.get_as("/whoami", token))
}

/// Asks any route.
#[track_caller]
pub(crate) fn ask_route(gateway: &Gateway, method: &str, path: &str, token: &str) -> Verdict {
    let fields = [("Authorization", &*bearer(token))];
    said(&gateway.exchange(client::request(method, path, &fields, "")))
}

/// The request with which the admin API is asked to revoke.
pub(crate) fn revocation(draft: &Value) -> String {
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    client::request("POST", "/v1/revocations", &fields, &draft.to_string())
}

/// Posts a revocation to the admin API.
pub(crate) fn post(gateway: &Gateway, draft: &Value) -> Answer {
    client::exchange(gateway.admin(), revocation(draft))
}

/// Revokes a subject and does not wait for anybody.
pub(crate) fn revoke(gateway: &Gateway, subject: &str) -> Answer {
    post(gateway, &json!({ "scope": "subject", "subject": subject, "reason": "a test" }))
}

/// Revokes a subject and waits for the gateways to confirm, for so long.
pub(crate) fn revoke_within(gateway: &Gateway, subject: &str, wait_ms: u64) -> Answer {
    let draft = json!({ "scope": "subject", "subject": subject, "wait_ms": wait_ms });
    post(gateway, &draft)
}

/// Revokes a subject and sees to it that so many gateways confirm, which is all of them.
#[track_caller]
pub(crate) fn revoke_on_all(gateway: &Gateway, subject: &str, count: usize) {
    let answer = revoke_within(gateway, subject, WAIT_MS);
    assert!(is_confirmed(&answer), "{answer:?}");
    assert_eq!(answer.json()["gateways"], count, "{answer:?}");
}

/// Revokes a subject again and again until so many gateways confirm, which is all of them.
pub(crate) fn revoke_until_on_all(gateway: &Gateway, subject: &str, count: usize) {
    eventually("a revocation that all confirm", || {
        let answer = revoke_within(gateway, subject, 1_000);
        (is_confirmed(&answer) && answer.json()["gateways"] == count).then_some(())
    });
}

/// Revokes a subject until that is acknowledged.
pub(crate) fn revoke_until_durable(gateway: &Gateway, subject: &str) {
    eventually("an acknowledged revocation", || {
        let answer = revoke(gateway, subject);
        assert!(matches!(answer.status, 201 | 503), "{answer:?}");
        (answer.status == 201).then_some(())
    });
}

/// Whether the answer to a revocation says that it is in force on every gateway.
pub(crate) fn is_confirmed(answer: &Answer) -> bool {
    let told = answer.json();
    let is_whole = told["confirmed"].is_u64() && told["confirmed"] == told["gateways"];
    answer.status == 201 && told["durable"] == true && is_whole && told["missing"].is_null()
}

/// The names of the gateways that had not confirmed.
pub(crate) fn missing(answer: &Answer) -> Vec<String> {
    names(&answer.json()["missing"])
}

fn names(gateways: &Value) -> Vec<String> {
    let gateways = gateways.as_array().map(Vec::as_slice).unwrap_or_default();
    gateways.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// The gateways as one of them knows them; `None` if the store is away.
pub(crate) fn roster(gateway: &Gateway) -> Option<Vec<Value>> {
    let gateways = admin(gateway, "/v1/gateways")?;
    Some(gateways["gateways"].as_array().expect("a list").clone())
}

/// What the admin API tells; `None` if the store is away.
pub(crate) fn admin(gateway: &Gateway, path: &str) -> Option<Value> {
    let answer = client::exchange(gateway.admin(), client::get(path, &[("Host", "localhost")]));
    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
    (answer.status == 200).then(|| answer.json())
}

/// Asks the admin API to end something.
pub(crate) fn delete(gateway: &Gateway, path: &str) -> Answer {
    let fields = [("Host", "localhost")];
    client::exchange(gateway.admin(), client::request("DELETE", path, &fields, ""))
}

/// Waits until nothing has been heard of a gateway for so long that it has certainly not read the
/// log for more than a second.
pub(crate) fn await_silence(asked: &Gateway, name: &str) {
    eventually("a silent gateway", || {
        let gateways = roster(asked)?;
        let silent = gateways.iter().find(|one| one["name"] == name)?["silent_ms"].as_u64()?;
        (u128::from(silent) > SILENCE.as_millis()).then_some(())
    });
}

/// Where a gateway that is not ready listens: the first listener, and the admin listener.
pub(crate) fn addresses(gateway: &Gateway) -> (SocketAddr, SocketAddr) {
    let after = |marker: &str| {
        eventually(marker, || {
            let lines = gateway.errors();
            let (_, rest) = lines.iter().find_map(|line| line.split_once(marker))?;
            rest.split("//").nth(1)?.trim().parse().ok()
        })
    };
    (after("listening on "), after("admin on "))
}

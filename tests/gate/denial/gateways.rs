//! Gateways on which every slug can be provoked.

use std::collections::BTreeMap;

use serde_json::json;

use super::rows::{CURIOUS, Ends, Held, Place, REVOKED, Row, api_key, rows, unknown_cookie};
use crate::harness::client::{self, Connection, get, request};
use crate::harness::gateway::Gateway;
use crate::harness::jwks::jwk;
use crate::harness::people::{self, Browser, HOME};
use crate::harness::tokens::{AUDIENCE, ISSUER, pair};
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::{eventually, fleet};

/// Gateways on which every slug can be provoked.
pub(super) struct DenialGateways {
    pub(super) gateway: Gateway,
    pub(super) ignorant: Gateway,
    pub(super) hasty: Gateway,
    pub(super) held: Held,
    /// A request that the upstream `full` never answers.
    _filling: Connection,
    _upstreams: [Upstream; 2],
}

impl DenialGateways {
    pub(super) fn start() -> Self {
        let behind = Upstream::start();
        let silent = Upstream::start_with(Behaviour::Silent);
        let other =
            portcullis::issuer::key_pairs::generate(portcullis::issuer::key_pairs::KeyKind::P256)
                .expect("a key pair");
        let jwks = json!({"keys": [jwk(pair(), "one"), jwk(&other, "two")]}).to_string();
        let directory = || {
            let directory = people::directory();
            std::fs::write(directory.path().join("jwks.json"), &jwks).expect("a file");
            directory
        };
        let patient = configuration(&behind, &silent, "1000000/1s");
        // Nobody listens there.
        let store = "store: { redis: { url: 'redis://127.0.0.1:1' } }\n";
        let mut ignorant = Gateway::spawn_in(directory(), &format!("{store}{patient}"));
        ignorant.wait_until_bound();
        let gateway = Gateway::start_in(directory(), &patient);
        let answer = fleet::post(&gateway, &json!({"scope": "session", "session": REVOKED}));
        assert_eq!(answer.status, 201, "{answer:?}");
        let revoked = Browser::log_in(&gateway, "alice");
        let (expired_key, _) = api_key(&gateway, "1s");
        let (revoked_key, id) = api_key(&gateway, "1h");
        for end in [format!("/v1/sessions/{}", revoked.id), format!("/v1/api-keys/{id}")] {
            let end = request("DELETE", &end, &[("Host", "localhost")], "");
            assert_eq!(client::exchange(gateway.admin(), end).status, 200);
        }
        let hasty = "sessions: { idle_timeout: 1s }\ntrusted_proxies: [127.0.0.1]\n";
        let hasty = format!("{hasty}{}", configuration(&behind, &silent, "1/1d"));
        let hasty = Gateway::start_in(directory(), &hasty);
        let cookies = Ends {
            alive: Browser::log_in(&gateway, "alice").cookie,
            expired: Browser::log_in(&hasty, "alice").cookie,
            revoked: revoked.cookie,
        };
        let api_keys =
            Ends { alive: api_key(&gateway, "1h").0, expired: expired_key, revoked: revoked_key };
        let held = Held { cookies, api_keys };
        let mut filling = Connection::open(gateway.address());
        filling.send(get("/full", &[]));
        eventually("a full upstream", || (!silent.received().is_empty()).then_some(()));
        let _upstreams = [behind, silent];
        let gateways = Self { gateway, ignorant, hasty, held, _filling: filling, _upstreams };
        gateways.use_up();
        gateways
    }

    /// Waits for the end of a session, and uses up what there is of budgets.
    pub(super) fn use_up(&self) {
        let Held { cookies, api_keys } = &self.held;
        let alive = [("X-Api-Key", &*api_keys.alive)];
        assert_eq!(self.gateway.exchange(get("/imports", &alive)).status, 200);
        eventually("an API key that has expired", || {
            let fields = [("X-Api-Key", &*api_keys.expired)];
            (self.gateway.exchange(get("/imports", &fields)).status == 401).then_some(())
        });
        let home = |fields: &[(&str, &str)]| self.hasty.exchange(get(HOME, fields));
        eventually("a session that has expired", || {
            let answer = home(&[("Cookie", &cookies.expired)]);
            (answer.status == 401).then_some(())
        });
        let wrong = Row::login("login_failed", 401, None, "bob").bytes(&[], "");
        assert_eq!(self.hasty.exchange(wrong).slug(), "login_failed");
        let mut connection = Connection::open(self.hasty.address());
        eventually("the end of a budget", || {
            let fields = [("Cookie", &*unknown_cookie()), ("X-Forwarded-For", CURIOUS)];
            (connection.exchange(get(HOME, &fields)).status == 429).then_some(())
        });
    }

    /// Every row, to be provoked here.
    pub(super) fn rows(&self) -> Vec<Row> {
        rows(&self.held)
    }

    /// The gateway on which a row is provoked.
    pub(super) fn gateway_for(&self, row: &Row) -> &Gateway {
        match row.place {
            Place::Usual => &self.gateway,
            Place::Ignorant => &self.ignorant,
            Place::Hasty => &self.hasty,
        }
    }

    pub(super) fn connect_for(&self, row: &Row) -> Connection {
        Connection::open(self.gateway_for(row).address())
    }

    pub(super) fn connect(&self) -> Connection {
        Connection::open(self.gateway.address())
    }

    /// The value of each series of `portcullis_decisions_total`.
    pub(super) fn decisions(&self, row: &Row) -> BTreeMap<String, f64> {
        let text = self.gateway_for(row).metrics();
        let series = text.lines().filter(|line| line.starts_with("portcullis_decisions_total{"));
        series
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                (series.to_owned(), value.parse().expect("a number"))
            })
            .collect()
    }
}

/// `attempts` is the budget of an account that somebody tries to log in to.
pub(super) fn configuration(behind: &Upstream, silent: &Upstream, attempts: &str) -> String {
    let issuer = |name: &str, issuer: &str, keys: &str| {
        format!(
            "  - {{name: {name}, issuer: '{issuer}', audiences: [{AUDIENCE}], algorithms: [ES256], \
             keys: {{{keys}}}}}\n"
        )
    };
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ threads: 2 }}
limits: {{ header_timeout: 1s, identity_bytes: 512B }}
api_keys: {{}}
login:
  password_file: users.yaml
  attempts: {{ per_account: {attempts}, per_address: 1000000/1s }}
issuers:
{test}{unreachable}
upstreams:
  behind: {{ peers: ['{behind}'] }}
  silent: {{ peers: ['{silent}'], timeouts: {{ read: 100ms }} }}
  closed: {{ peers: ['127.0.0.1:1'] }}
  full: {{ peers: ['{silent}'], timeouts: {{ read: 1h }}, limits: {{ in_flight: 1 }} }}
routes:
  - {{ name: public, match: {{ path: '/public/{{*rest}}' }}, upstream: behind, public: true }}
  - {{ name: closed, match: {{ path: /closed }}, upstream: closed, public: true }}
  - {{ name: silent, match: {{ path: /silent }}, upstream: silent, public: true }}
  - {{ name: full, match: {{ path: /full }}, upstream: full, public: true }}
  - name: uploads
    match: {{ path: /uploads }}
    upstream: behind
    public: true
    limits: {{ body: 50B }}
  - {{ name: home, match: {{ path: {HOME} }}, upstream: behind, authenticate: [session] }}
  - {{ name: whoami, match: {{ path: /whoami }}, upstream: behind, authenticate: [bearer] }}
  - {{ name: imports, match: {{ path: /imports }}, upstream: behind, authenticate: [api_key] }}
  - name: orders
    match: {{ path: '/orders/{{*rest}}', methods: [GET, POST] }}
    upstream: behind
    authenticate: [bearer]
    require:
      scopes: [orders:read, orders:list]
      any_role: [clerk, admin]
      claims: {{ tenant: [acme] }}
",
        test = issuer("test", ISSUER, "jwks_file: jwks.json"),
        unreachable = issuer(
            "unreachable",
            "https://unreachable.test",
            "jwks_url: 'http://127.0.0.1:1/jwks.json'"
        ),
        behind = behind.address(),
        silent = silent.address(),
    )
}

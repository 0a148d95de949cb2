//! Every way to say no, provoked over the wire, and told alike in body, log and metric.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

use portcullis::gate::denial::Slug;
use portcullis::gate::session::{ApiKey, SessionSecret};
use serde_json::{Value, json};

use crate::harness::client::{self, Answer, Connection, get, request};
use crate::harness::fleet;
use crate::harness::gateway::Gateway;
use crate::harness::jwks::jwk;
use crate::harness::oauth::{self, TokenPair, TokenService};
use crate::harness::people::{self, Browser, HOME};
use crate::harness::tokens::{self, AUDIENCE, ISSUER, bearer, pair, signed, signing_key};
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::{PATIENCE, eventually};

/// One slug: how it is provoked, and what is said.
struct Row {
    slug: &'static str,
    status: u16,
    outcome: &'static str,
    challenge: Option<&'static str>,
    /// `Allow` or `Retry-After`; [`SOME_SECONDS`] stands for a number that depends on the time.
    field: Option<(&'static str, &'static str)>,
    /// What the login says of the body.
    detail: Option<&'static str>,
    /// Labels of the metric, members of the log line.
    route: &'static str,
    carrier: &'static str,
    place: Place,
    sent: Sent,
}

/// Which of the gateways is asked.
#[derive(Clone, Copy)]
enum Place {
    Usual,
    /// The one that never got to know who was cut off.
    Ignorant,
    /// The one on which sessions end and budgets are used up before one knows.
    Hasty,
}

/// What clients hold when the gateways have started.
#[derive(Default)]
struct Held {
    cookies: Ends,
    api_keys: Ends,
}

/// What of a kind is good, has expired, and was revoked.
#[derive(Default)]
struct Ends {
    alive: String,
    expired: String,
    revoked: String,
}

enum Sent {
    /// A request whose framing is beyond doubt: the connection stays open.
    Sound {
        method: &'static str,
        path: &'static str,
        fields: Vec<(&'static str, String)>,
        /// What the slug is about, if it is about the body.
        body: String,
    },
    /// Bytes after which nobody can say where the next request begins.
    Unsound(String),
}

const SOME_SECONDS: &str = "some seconds";

const REALM: &str = "Bearer realm=\"portcullis\"";
/// What stands for a route where the gateway answers itself.
const OWN: &str = "gateway:own";

const INVALID_REQUEST: &str = "Bearer realm=\"portcullis\", error=\"invalid_request\"";
const INVALID_TOKEN: &str = "Bearer realm=\"portcullis\", error=\"invalid_token\"";
const INSUFFICIENT_SCOPE: &str =
    "Bearer realm=\"portcullis\", error=\"insufficient_scope\", scope=\"orders:read orders:list\"";

impl Row {
    /// `labels` are those of the metric: route and carrier.
    fn new(
        slug: &'static str,
        status: u16,
        challenge: Option<&'static str>,
        labels: [&'static str; 2],
        sent: Sent,
    ) -> Self {
        let [route, carrier] = labels;
        let (outcome, field, detail, place) = ("denied", None, None, Place::Usual);
        Self { slug, status, outcome, challenge, field, detail, route, carrier, place, sent }
    }

    /// A session that is refused with 401.
    fn session(slug: &'static str, challenge: &'static str, cookie: &str) -> Self {
        let fields = vec![("Cookie", cookie.to_owned())];
        Self::new(slug, 401, Some(challenge), ["home", "session"], Sent::with(fields, HOME))
    }

    /// An API key that is refused with 401.
    fn api_key(slug: &'static str, challenge: &'static str, key: &str) -> Self {
        let sent = Sent::with(vec![("X-Api-Key", key.to_owned())], "/imports");
        Self::new(slug, 401, Some(challenge), ["imports", "api_key"], sent)
    }

    /// An attempt to log in that is refused.
    fn login(slug: &'static str, status: u16, challenge: Option<&'static str>, name: &str) -> Self {
        let body = json!({ "username": name, "password": "wrong" }).to_string();
        let fields = vec![("Content-Type", "application/json".to_owned())];
        let sent = Sent::Sound { method: "POST", path: "/auth/login", fields, body };
        Self::new(slug, status, challenge, [OWN, "none"], sent)
    }

    /// A token that is refused with 401.
    fn token(slug: &'static str, token: String) -> Self {
        let sent = Sent::get("/whoami", Some(bearer(&token)));
        Self::new(slug, 401, Some(INVALID_TOKEN), ["whoami", "bearer"], sent)
    }

    /// A good token that does not hold what `orders` requires.
    fn forbidden(slug: &'static str, challenge: Option<&'static str>, claims: Value) -> Self {
        let sent = Sent::get("/orders/7", Some(bearer(&with_key("one", claims))));
        Self::new(slug, 403, challenge, ["orders", "bearer"], sent)
    }

    /// Bytes that never reach the gate.
    fn unsound(slug: &'static str, status: u16, bytes: &str) -> Self {
        Self::new(slug, status, None, ["", "none"], Sent::Unsound(bytes.to_owned()))
    }

    fn unavailable(self) -> Self {
        Self { outcome: "unavailable", ..self }
    }

    fn on(self, place: Place) -> Self {
        Self { place, ..self }
    }

    fn with_field(self, name: &'static str, value: &'static str) -> Self {
        Self { field: Some((name, value)), ..self }
    }

    fn with_detail(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// The bytes to send, with more header lines and a body if the framing is sound.
    fn bytes(&self, more: &[(&str, &str)], body: &str) -> String {
        match &self.sent {
            Sent::Unsound(bytes) => bytes.clone(),
            Sent::Sound { method, path, fields: own_fields, body: own } => {
                let mut fields = more.to_vec();
                fields.extend(own_fields.iter().map(|(name, value)| (*name, value.as_str())));
                request(method, path, &fields, if own.is_empty() { body } else { own })
            }
        }
    }

    fn is_sound(&self) -> bool {
        matches!(self.sent, Sent::Sound { .. })
    }

    /// Whether the gate permitted the request, and what is behind it failed.
    fn is_about_the_upstream(&self) -> bool {
        self.slug.starts_with("upstream_")
    }

    /// Whether the request could as well have another body, or none.
    fn takes_any_body(&self) -> bool {
        matches!(&self.sent, Sent::Sound { body, .. } if body.is_empty())
    }

    fn is_get(&self) -> bool {
        matches!(&self.sent, Sent::Sound { method, .. } if *method == "GET")
    }

    /// Whether a browser that navigates is sent to the login page instead.
    fn is_sent_to_login(&self) -> bool {
        self.is_get() && self.slug.starts_with("session_")
    }
}

impl Sent {
    fn get(path: &'static str, authorization: Option<String>) -> Self {
        let fields = authorization.map(|value| ("Authorization", value));
        Self::with(fields.into_iter().collect(), path)
    }

    fn with(fields: Vec<(&'static str, String)>, path: &'static str) -> Self {
        Self::Sound { method: "GET", path, fields, body: String::new() }
    }
}

/// The table. A slug that is not in it fails [`every_slug_but_internal_is_provoked`].
fn rows(Held { cookies, api_keys }: &Held) -> Vec<Row> {
    let now = tokens::now();
    let good = |claims: Value| with_key("one", claims);
    let orders =
        |authorization: Option<&str>| Sent::get("/orders/7", authorization.map(str::to_owned));
    let no_one = |path| Sent::get(path, None);
    let delete = Sent::Sound {
        method: "DELETE",
        path: "/orders/7",
        fields: Vec::new(),
        body: String::new(),
    };
    // The route takes 50 bytes.
    let upload =
        Sent::Sound { method: "POST", path: "/uploads", fields: Vec::new(), body: "a".repeat(51) };
    let forged = Sent::Sound {
        method: "POST",
        path: HOME,
        fields: vec![
            ("Cookie", cookies.alive.clone()),
            ("Sec-Fetch-Site", "cross-site".to_owned()),
        ],
        body: String::new(),
    };
    let another_try = Sent::with(
        vec![("Cookie", unknown_cookie()), ("X-Forwarded-For", CURIOUS.to_owned())],
        HOME,
    );
    let no_object = Sent::Sound {
        method: "POST",
        path: "/auth/login",
        fields: vec![("Content-Type", "application/json".to_owned())],
        body: "zz".to_owned(),
    };
    let coded =
        "POST /public/a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    let too_many = format!("GET /public/a HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    let both = "POST /public/a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\
                Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    vec![
        Row::new("credential_absent", 401, Some(REALM), ["orders", "none"], orders(None)),
        Row::new(
            "credential_malformed",
            400,
            Some(INVALID_REQUEST),
            ["orders", "bearer"],
            orders(Some("Bearer\ta.b.c")),
        ),
        Row::token("token_malformed", "null".to_owned()),
        Row::token(
            "token_algorithm",
            tokens::forged(r#"{"alg":"none"}"#, &json!(tokens::claims()).to_string(), b""),
        ),
        Row::token("token_signature", with_key("two", json!({}))),
        Row::token("token_key_unknown", with_key("three", json!({}))),
        Row::token("token_issuer", good(json!({"iss": "https://other.test"}))),
        Row::token("token_audience", good(json!({"aud": "billing"}))),
        Row::token("token_expired", good(json!({"iat": now - 600, "exp": now - 60}))),
        Row::token("token_not_yet_valid", good(json!({"nbf": now + 300}))),
        Row::token("token_type", signed(&signing_key(pair(), None), "dpop+jwt", json!({}))),
        Row::token("token_lifetime", good(json!({"exp": now + 90_000}))),
        Row::token("token_claims", good(json!({"sub": null}))),
        Row::token(
            "token_critical",
            tokens::forged(
                r#"{"alg":"ES256","crit":["b64"]}"#,
                &json!(tokens::claims()).to_string(),
                b"a",
            ),
        ),
        Row::token("token_revoked", good(json!({"sid": REVOKED}))),
        Row::session("session_unknown", REALM, &unknown_cookie()),
        Row::session("session_expired", REALM, &cookies.expired).on(Place::Hasty),
        Row::session("session_revoked", INVALID_TOKEN, &cookies.revoked),
        Row::api_key("api_key_unknown", REALM, &unknown_api_key()),
        Row::api_key("api_key_expired", REALM, &api_keys.expired),
        Row::api_key("api_key_revoked", INVALID_TOKEN, &api_keys.revoked),
        Row::login("login_failed", 401, Some(REALM), "alice"),
        Row::forbidden("scope_missing", Some(INSUFFICIENT_SCOPE), json!({"scope": "orders:read"})),
        Row::forbidden("role_missing", None, json!({"roles": ["guest"]})),
        Row::forbidden("claim_mismatch", None, json!({"tenant": "initech"})),
        Row::new("csrf", 403, None, ["home", "session"], forged),
        Row::login("rate_limited", 429, None, "bob")
            .on(Place::Hasty)
            .with_field("retry-after", SOME_SECONDS),
        Row::new("verification_budget", 429, None, ["home", "session"], another_try)
            .on(Place::Hasty)
            .with_field("retry-after", SOME_SECONDS),
        Row {
            status: 503,
            challenge: None,
            ..Row::token("keys_unavailable", of_the_unreachable())
        }
        .unavailable()
        .with_field("retry-after", "5"),
        Row {
            status: 503,
            challenge: None,
            place: Place::Ignorant,
            ..Row::token("revocation_stale", good(json!({})))
        }
        .unavailable()
        .with_field("retry-after", "5"),
        Row {
            status: 503,
            challenge: None,
            ..Row::session("store_unavailable", REALM, &unknown_cookie())
        }
        .on(Place::Ignorant)
        .unavailable()
        .with_field("retry-after", "5"),
        Row::new("overloaded", 503, None, ["full", "none"], no_one("/full"))
            .unavailable()
            .with_field("retry-after", "5"),
        Row::new("route_unknown", 404, None, ["", "none"], no_one("/nowhere")),
        Row::new("method_not_allowed", 405, None, ["", "none"], delete)
            .with_field("allow", "GET, HEAD, POST"),
        Row::new("request_target", 400, None, ["", "none"], no_one("/orders/..%2fadmin")),
        Row::unsound("request_framing", 400, both),
        Row::unsound("transfer_coding", 501, coded),
        Row::unsound("request_timeout", 408, "GET /public/a HTTP/1.1\r\nHost: gateway"),
        Row::unsound("host_missing", 400, "GET /public/a HTTP/1.1\r\n\r\n"),
        Row::new("request_body", 400, None, [OWN, "none"], no_object)
            .with_detail("The body is not a JSON object without repetitions"),
        Row::new("body_too_large", 413, None, ["uploads", "none"], upload),
        Row::unsound("headers_too_large", 431, &too_many),
        Row::new(
            "identity_too_large",
            431,
            None,
            ["whoami", "bearer"],
            Sent::get("/whoami", Some(bearer(&good(json!({"roles": ["r".repeat(512)]}))))),
        ),
        Row::new("upstream_unavailable", 502, None, ["closed", "none"], no_one("/closed"))
            .unavailable(),
        Row::new("upstream_timeout", 504, None, ["silent", "none"], no_one("/silent"))
            .unavailable(),
    ]
}

/// The session that is cut off when a scene begins.
const REVOKED: &str = "a-session-that-was-revoked";

/// From where the many cookies come that are none.
const CURIOUS: &str = "192.0.2.66";

/// An API key that was never given out.
fn unknown_api_key() -> String {
    ApiKey::from_random(&std::array::from_fn(|_| fastrand::u8(..))).expose().to_owned()
}

/// An API key that lives for so long, and its id.
fn api_key(gateway: &Gateway, expires_in: &str) -> (String, String) {
    let wanted = json!({"subject": "importer", "expires_in": expires_in}).to_string();
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let made = client::exchange(gateway.admin(), request("POST", "/v1/api-keys", &fields, &wanted));
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("key"), text("id"))
}

/// A cookie that was never given out.
fn unknown_cookie() -> String {
    let bits = std::array::from_fn(|_| fastrand::u8(..));
    format!("__Host-session={}", SessionSecret::from_random(bits).expose())
}

/// A token that the standard key signed under this id.
fn with_key(id: &str, claims: Value) -> String {
    let mut all = json!({"scope": "orders:read orders:list", "tenant": "acme"});
    let changes = all.as_object_mut().expect("an object");
    changes.extend(claims.as_object().expect("an object").clone());
    signed(&signing_key(pair(), Some(id)), "at+jwt", all)
}

/// A token of the issuer whose keys cannot be had.
fn of_the_unreachable() -> String {
    with_key("one", json!({"iss": "https://unreachable.test"}))
}

/// Gateways on which every slug can be provoked.
struct DenialGateways {
    gateway: Gateway,
    ignorant: Gateway,
    hasty: Gateway,
    held: Held,
    /// A request that the upstream `full` never answers.
    _filling: Connection,
    _upstreams: [Upstream; 2],
}

impl DenialGateways {
    fn start() -> Self {
        let behind = Upstream::start();
        let silent = Upstream::start_with(Behaviour::Silent);
        let other =
            portcullis::issuer::signing::generate(portcullis::issuer::signing::KeyKind::P256)
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
    fn use_up(&self) {
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
    fn rows(&self) -> Vec<Row> {
        rows(&self.held)
    }

    /// The gateway on which a row is provoked.
    fn gateway_for(&self, row: &Row) -> &Gateway {
        match row.place {
            Place::Usual => &self.gateway,
            Place::Ignorant => &self.ignorant,
            Place::Hasty => &self.hasty,
        }
    }

    fn connect_for(&self, row: &Row) -> Connection {
        Connection::open(self.gateway_for(row).address())
    }

    fn connect(&self) -> Connection {
        Connection::open(self.gateway.address())
    }

    /// The value of each series of `portcullis_decisions_total`.
    fn decisions(&self, row: &Row) -> BTreeMap<String, f64> {
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
fn configuration(behind: &Upstream, silent: &Upstream, attempts: &str) -> String {
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

/// What was seen of one row.
struct Observed {
    row: Row,
    answer: Answer,
    /// The line in the access log.
    line: Value,
    /// The series that changed, and by how much.
    counted: BTreeMap<String, f64>,
}

/// Each row provoked once on one gateway; the tests look at different sides of it.
fn observed() -> &'static [Observed] {
    static OBSERVED: OnceLock<Vec<Observed>> = OnceLock::new();
    OBSERVED.get_or_init(|| {
        let gateways = DenialGateways::start();
        let observe = |row: Row| {
            let before = gateways.decisions(&row);
            let answer = gateways.connect_for(&row).exchange(row.bytes(&[], ""));
            let id = answer.json()["request_id"].clone();
            // A request is counted before it is logged.
            let line = gateways.gateway_for(&row).logged(|line| line["request_id"] == id);
            let counted = gateways.decisions(&row).into_iter().filter_map(|(series, value)| {
                let change = value - before.get(&series).copied().unwrap_or_default();
                (change != 0.0).then_some((series, change))
            });
            Observed { counted: counted.collect(), row, answer, line }
        };
        gateways.rows().into_iter().map(observe).collect()
    })
}

#[test]
fn every_slug_but_internal_is_provoked() {
    let rows = rows(&Held::default());
    let of_tokens = OF_TOKENS.iter().map(|(slug, ..)| *slug);
    let provoked = rows.iter().map(|row| row.slug).chain(["internal"]).chain(of_tokens);
    let provoked: BTreeSet<_> = provoked.collect();
    let all: BTreeSet<_> = Slug::ALL.iter().map(|slug| slug.as_str()).collect();
    assert_eq!(provoked, all);
}

/// The slugs that tell the client more, such as the claim that is at fault.
const DETAILED: [&str; 9] = [
    "credential_malformed",
    "token_malformed",
    "token_issuer",
    "token_audience",
    "token_expired",
    "token_not_yet_valid",
    "token_lifetime",
    "token_claims",
    "claim_mismatch",
];

#[test]
fn denial_is_told_as_problem_details() {
    for Observed { row, answer, .. } in observed() {
        assert_eq!(answer.status, row.status, "{}: {answer:?}", row.slug);
        assert_eq!(answer.slug(), row.slug);
        let id = answer.json()["request_id"].clone();
        let title = Slug::ALL.iter().find(|slug| slug.as_str() == row.slug).expect("known").title();
        let mut expected = json!({
            "type": format!("urn:portcullis:denial:{}", row.slug),
            "title": title,
            "status": row.status,
            "slug": row.slug,
            "request_id": id,
        });
        if let Some(detail) = row.detail {
            expected["detail"] = detail.into();
        } else if DETAILED.contains(&row.slug) {
            expected["detail"] = answer.json()["detail"].clone();
            assert!(expected["detail"].is_string(), "{}: {answer:?}", row.slug);
        }
        assert_eq!(answer.json(), expected, "{}", row.slug);
        assert!(id.as_str().is_some_and(|id| id.len() == 32), "{}: {id}", row.slug);
    }
}

#[test]
fn denial_carries_its_challenge_and_is_not_stored() {
    for Observed { row, answer, .. } in observed() {
        assert_eq!(answer.field("www-authenticate"), row.challenge, "{}", row.slug);
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{}", row.slug);
        for name in ["allow", "retry-after"] {
            let expected = row.field.filter(|(field, _)| *field == name).map(|(_, value)| value);
            let told = answer.field(name);
            let is_some = |told: &str| told.parse::<u32>().is_ok_and(|seconds| seconds > 0);
            let told = match expected {
                Some(SOME_SECONDS) => told.filter(|told| is_some(told)).map(|_| SOME_SECONDS),
                Some(_) | None => told,
            };
            assert_eq!(told, expected, "{}: {name} in {answer:?}", row.slug);
        }
    }
}

#[test]
fn denial_says_nothing_about_the_gateway_itself() {
    for Observed { row, answer, .. } in observed() {
        for name in ["server", "x-powered-by", "via"] {
            assert_eq!(answer.field(name), None, "{}: {name}", row.slug);
        }
    }
}

#[test]
fn denial_is_logged_under_its_slug() {
    for Observed { row, line, .. } in observed() {
        for (member, expected) in [
            ("slug", json!(row.slug)),
            ("status", json!(row.status)),
            ("outcome", json!(row.outcome)),
            ("route", json!(row.route)),
            ("carrier", json!(row.carrier)),
        ] {
            assert_eq!(line[member], expected, "{}: {member} in {line}", row.slug);
        }
    }
}

#[test]
fn denial_is_counted_once_and_under_its_labels() {
    for Observed { row, counted, .. } in observed() {
        let Row { slug, outcome, route, carrier, .. } = row;
        let series = format!(
            "portcullis_decisions_total{{carrier=\"{carrier}\",outcome=\"{outcome}\",\
             route=\"{route}\",slug=\"{slug}\"}}"
        );
        assert_eq!(*counted, BTreeMap::from([(series, 1.0)]), "{slug}");
    }
}

// ---- tokens

/// What clients are told in the words of RFC 6749 §5.2: slug, status, `error` and challenge.
const OF_TOKENS: [(&str, u16, &str, Option<&str>); 4] = [
    ("client_invalid", 401, "invalid_client", Some(BASIC)),
    ("grant_invalid", 400, "invalid_grant", None),
    ("refresh_reused", 400, "invalid_grant", None),
    ("token_request", 400, "unsupported_grant_type", None),
];

const BASIC: &str = "Basic realm=\"portcullis\", charset=\"UTF-8\"";

/// Provokes one of them.
fn provoke(service: &TokenService, slug: &str) -> Answer {
    match slug {
        "client_invalid" => service.token(&[("grant_type", "client_credentials")]),
        "grant_invalid" => service.refresh("rt_x"),
        "refresh_reused" => {
            let first = service.tokens_of("alice");
            let second = TokenPair::of(&service.refresh(&first.refresh));
            TokenPair::of(&service.refresh(&second.refresh));
            service.refresh(&first.refresh)
        }
        _ => service.token(&[("grant_type", "password")]),
    }
}

#[test]
fn refusal_of_a_token_is_told_logged_and_counted_under_its_slug() {
    let service = TokenService::open_with(oauth::STRICT, "");
    for (slug, status, error, challenge) in OF_TOKENS {
        let answer = provoke(&service, slug);
        oauth::assert_error(&answer, status, error);
        assert_eq!(answer.field("www-authenticate"), challenge, "{slug}");
        assert_eq!(answer.json()["slug"], slug, "{answer:?}");
        let line = service.gateway.logged(|line| line["slug"] == slug);
        for (member, expected) in [
            ("status", json!(status)),
            ("outcome", json!("denied")),
            ("route", json!(OWN)),
            ("carrier", json!("none")),
        ] {
            assert_eq!(line[member], expected, "{slug}: {member} in {line}");
        }
        let series = format!(
            "portcullis_decisions_total{{carrier=\"none\",outcome=\"denied\",\
             route=\"{OWN}\",slug=\"{slug}\"}}"
        );
        assert_eq!(service.gateway.metric(&series), 1.0, "{slug}");
    }
}

// ---- the connection

/// Provokes a row with these bytes, then asks for something else on the same connection.
fn assert_stays_open(gateways: &DenialGateways, row: &Row, bytes: String) {
    let mut connection = gateways.connect_for(row);
    assert_eq!(connection.exchange(bytes).slug(), row.slug);
    connection.send(get("/public/next", &[]));
    let next = connection.answer().unwrap_or_else(|| panic!("{}: it was closed", row.slug));
    assert_eq!((next.status, next.body.as_str()), (200, "from behind!"), "{}", row.slug);
}

#[test]
fn denial_keeps_the_connection_open() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| row.is_sound() && !row.is_about_the_upstream()) {
        assert_stays_open(&gateways, row, row.bytes(&[], ""));
    }
}

#[test]
fn denial_of_a_request_with_a_small_body_keeps_the_connection_open() {
    let gateways = DenialGateways::start();
    for row in
        gateways.rows().iter().filter(|row| row.takes_any_body() && !row.is_about_the_upstream())
    {
        // A body that looks like a request: read as one, it would be answered in place of the next.
        assert_stays_open(&gateways, row, row.bytes(&[], &get("/nowhere", &[])));
    }
}

#[test]
fn denial_of_a_request_with_a_small_chunked_body_keeps_the_connection_open() {
    let gateways = DenialGateways::start();
    for row in
        gateways.rows().iter().filter(|row| row.takes_any_body() && !row.is_about_the_upstream())
    {
        let head = row.bytes(&[("Transfer-Encoding", "chunked")], "");
        assert_stays_open(&gateways, row, head + "5\r\nhello\r\n0\r\n\r\n");
    }
}

/// A client that keeps a connection on the gateway's word loses its next request if the word is
/// not kept.
#[test]
fn connection_that_ends_with_a_failed_upstream_is_announced_to_end() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| row.is_about_the_upstream()) {
        for body in ["", "hello"] {
            let mut connection = gateways.connect_for(row);
            let answer = connection.exchange(row.bytes(&[], body));
            assert_eq!(answer.slug(), row.slug);
            connection.send(get("/public/next", &[]));
            let is_open = connection.answer().is_some_and(|next| next.status == 200);
            let is_announced = answer.field("connection") == Some("close");
            assert_ne!(is_open, is_announced, "{}: {answer:?}", row.slug);
        }
    }
}

#[test]
fn denial_in_doubt_about_the_framing_closes_the_connection() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| !row.is_sound()) {
        let mut connection = gateways.connect_for(row);
        connection.send(row.bytes(&[], ""));
        assert_eq!(connection.answer().expect("an answer").slug(), row.slug);
        // What follows is never taken for a request.
        connection.send(get("/public/next", &[]));
        assert!(connection.answer().is_none(), "{}", row.slug);
    }
}

#[test]
fn denial_of_a_head_request_has_no_body() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| row.takes_any_body() && row.is_get()) {
        let get = row.bytes(&[("Connection", "close")], "");
        let head = get.replacen("GET ", "HEAD ", 1);
        let address = gateways.gateway_for(row).address();
        let mut stream = TcpStream::connect(address).expect("the gateway accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(head.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {} ", row.status)), "{}: {answer}", row.slug);
        let head_end = answer.find("\r\n\r\n").expect("a head") + 4;
        assert_eq!(&answer[head_end..], "", "{}", row.slug);
    }
}

// ---- who is asking

const NAVIGATION: [(&str, &str); 2] =
    [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Sec-Fetch-Mode", "navigate")];

#[test]
fn browser_that_navigates_gets_a_small_page() {
    let gateways = DenialGateways::start();
    // What is wrong with a login in JSON is told in JSON.
    let is_page = |row: &&Row| row.is_sound() && !row.is_sent_to_login() && row.detail.is_none();
    for row in gateways.rows().iter().filter(is_page) {
        let answer = gateways.connect_for(row).exchange(row.bytes(&NAVIGATION, ""));
        assert_eq!(answer.status, row.status);
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"), "{}", row.slug);
        assert!(answer.body.starts_with("<!doctype html>"), "{}", answer.body);
        assert!(answer.body.contains(row.slug) && answer.body.len() < 2048, "{}", answer.body);
    }
}

#[test]
fn page_carries_what_the_problem_details_carry_beside_the_body() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| row.is_sound() && !row.is_sent_to_login()) {
        let answer = gateways.connect_for(row).exchange(row.bytes(&NAVIGATION, ""));
        assert_eq!(answer.field("www-authenticate"), row.challenge, "{}", row.slug);
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{}", row.slug);
    }
}

/// What it lacks is a login; the slug stands in the log all the same.
#[test]
fn browser_without_a_session_that_counts_is_sent_to_log_in() {
    let gateways = DenialGateways::start();
    let rows = gateways.rows();
    let rows: Vec<_> = rows.iter().filter(|row| row.is_sent_to_login()).collect();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let answer = gateways.connect_for(row).exchange(row.bytes(&NAVIGATION, ""));
        assert_eq!((answer.status, answer.body.as_str()), (302, ""), "{answer:?}");
        assert_eq!(answer.field("location"), Some("/auth/login?return_to=/home"), "{answer:?}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer:?}");
        // Another browser may have the cookie that is good; this one keeps what it has.
        assert_eq!(answer.field("set-cookie"), None, "{answer:?}");
        let line = gateways
            .gateway_for(row)
            .logged(|line| line["status"] == 302 && line["slug"] == row.slug);
        assert_eq!((&line["outcome"], &line["route"]), (&json!("denied"), &json!("home")));
    }
}

#[test]
fn script_gets_problem_details_whatever_it_accepts() {
    let gateways = DenialGateways::start();
    for mode in ["cors", "no-cors", "same-origin", "websocket"] {
        let fields = [("Accept", "text/html"), ("Sec-Fetch-Mode", mode)];
        let answer = gateways.connect().exchange(get("/orders/7", &fields));
        assert_eq!(answer.slug(), "credential_absent", "{mode}");
    }
}

#[test]
fn program_that_does_not_ask_for_html_gets_problem_details() {
    let gateways = DenialGateways::start();
    for accept in ["*/*", "application/json", ""] {
        let answer = gateways.connect().exchange(get("/orders/7", &[("Accept", accept)]));
        assert_eq!(answer.slug(), "credential_absent", "{accept}");
    }
}

#[test]
fn page_repeats_nothing_that_the_browser_was_made_to_send() {
    let gateways = DenialGateways::start();
    let script = "<script>alert(1)</script>";
    for field in ["X-Request-Id", "Authorization", "User-Agent", "Referer"] {
        let [accept, mode] = NAVIGATION;
        let path = "/nowhere/%3Cscript%3Ealert(1)";
        let answer = gateways.connect().exchange(get(path, &[accept, mode, (field, script)]));
        assert_eq!(answer.status, 404);
        assert!(!answer.body.contains("alert"), "{field}: {}", answer.body);
    }
}

// ---- nobody else answers

/// Pingora has answers of its own for what it cannot read: they carry no slug, and nobody logs or
/// counts them. What it would answer must be refused before, or not at all.
#[test]
fn odd_request_is_answered_by_nobody_but_the_gateway() {
    let gateways = DenialGateways::start();
    let public = |fields: &[(&str, &str)]| get("/public/a", fields);
    let mut silent = Vec::new();
    for (what, bytes) in [
        ("CONNECT to a path", request("CONNECT", "/public/a", &[], "")),
        ("CONNECT to an authority", request("CONNECT", "gateway.test:80", &[], "")),
        ("OPTIONS of the server", request("OPTIONS", "*", &[], "")),
        ("a method of its own", request("FROBNICATE", "/public/a", &[], "")),
        ("a method in lower case", request("get", "/public/a", &[], "")),
        ("a bracket in the path", get("/public/<a>", &[])),
        ("a quote in the query", get("/public/a?b=\"", &[])),
        ("a bracket in the query", get("/public/a?b=<", &[])),
        ("a backtick in the path", get("/public/`", &[])),
        ("an absolute target without a path", get("http://gateway.test", &[])),
        ("an absolute target with a bracket", get("http://gateway.test/public/<", &[])),
        ("an opaque target", get("mailto:a@b", &[])),
        ("an empty host", public(&[("Host", "")])),
        ("a host with a bracket", public(&[("Host", "<a>")])),
        ("a host with a space", public(&[("Host", "a b")])),
        ("a host that is a list", public(&[("Host", "a, b")])),
        ("HTTP/1.0", public(&[]).replace("HTTP/1.1", "HTTP/1.0")),
        ("an empty header", public(&[("X-Empty", "")])),
        ("a header beyond ASCII", public(&[("X-Latin", "caf\u{e9}")])),
        ("a header with an odd name", public(&[("!#$%&'*+-.^_`|~", "a")])),
        ("a nominated Host", public(&[("Connection", "host")])),
        ("a nominated X-Forwarded-For", public(&[("Connection", "x-forwarded-for")])),
        ("a nomination that is no name", public(&[("Connection", "\"a\"")])),
        ("a nominated pseudo-header", public(&[("Connection", ":authority")])),
        ("many nominations", public(&[("Connection", &"a,".repeat(200))])),
        ("an odd expectation", public(&[("Expect", "a miracle")])),
        ("an upgrade to HTTP/2", public(&[("Connection", "Upgrade"), ("Upgrade", "h2c")])),
        ("a bad chunk", public(&[("Transfer-Encoding", "chunked")]) + "zz\r\n\r\n"),
    ] {
        let mut connection = gateways.connect();
        connection.send(&bytes);
        let Some(answer) = connection.answer() else {
            silent.push(format!("{what}: no answer"));
            continue;
        };
        let is_ours = answer.status == 200
            || answer.field("content-type") == Some("application/problem+json");
        if !is_ours {
            silent.push(format!("{what}: {} {:?}", answer.status, answer.fields));
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

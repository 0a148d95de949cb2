//! The decision alone, without a socket: what the gate costs per request.
//!
//! `make bench-decision` runs them all; `make bench-decision ARGS=strip` those with this name.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method, header};
use portcullis::clock;
use portcullis::config::Settings;
use portcullis::gate::Decision;
use portcullis::gate::request::{Request, Scheme};
use portcullis::gate::revocation::{Entry, ListWriter, Scope};
use portcullis::gate::session::{
    LoginDetails, Session, SessionKind, SessionRecord, SessionSecret, StoredSession,
};
use portcullis::gate::time::{Moment, SteadyTime, UnixTime};
use portcullis::issuer::key_pairs::{KeyKind, SigningKey, generate};
use portcullis::runtime::Running;
use serde_json::{Map, Value, json};

/// As many tokens as are minted before a measurement begins.
const BATCH: usize = 512;

/// A configuration, and tokens that it accepts.
struct Bench {
    configuration: Running,
    signing: SigningKey,
    moment: Moment,
    revocations: ListWriter,
}

impl Bench {
    /// One issuer with a key of this kind, `routes` public routes, one that takes its tokens and one
    /// that takes sessions, and this much memory for tokens.
    fn new(kind: KeyKind, algorithm: &str, routes: usize, token_cache: &str) -> Self {
        let pair = generate(kind).expect("a key pair");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("issuer.pem"), &pair.public).expect("a file");
        let mut text = format!(
            "listeners: [{{ address: 127.0.0.1:8080 }}]
token_cache: {{ size: {token_cache} }}
upstreams: {{ behind: {{ peers: [127.0.0.1:9001] }} }}
issuers:
  - name: bench
    issuer: https://issuer.test
    audiences: [orders-api]
    algorithms: [{algorithm}]
    keys: {{ public_key_file: issuer.pem }}
login: {{ handoff: {{ upstream: behind, path: /verify, subject: /id }} }}
routes:
  - name: orders
    match: {{ path: '/orders/{{*rest}}' }}
    upstream: behind
    authenticate: [bearer]
    require: {{ scopes: [orders:read], any_role: [clerk] }}
  - name: web
    match: {{ path: '/web/{{*rest}}' }}
    upstream: behind
    authenticate: [session]
    require: {{ scopes: [orders:read], any_role: [clerk] }}
"
        );
        for number in 0..routes {
            text.push_str(&format!(
                "  - {{ name: r{number}, match: {{ path: '/r{number}/{{id}}' }}, upstream: behind, \
                 public: true }}\n"
            ));
        }
        let configuration = compile(directory.path(), text);
        let revocations = configuration.gate.revocations.writer().expect("the first to ask");
        // The benchmark's clock stands still, so that the list does not grow old.
        revocations.contact(SteadyTime::default());
        Self {
            configuration,
            revocations,
            signing: SigningKey::from_file(pair.private.as_bytes(), None).expect("a signing key"),
            moment: Moment {
                wall: clock::now(),
                steady: SteadyTime::default(),
                ..Moment::default()
            },
        }
    }

    /// The headers of a browser, with a token that no other call gives.
    fn headers_with_token(&self) -> HeaderMap {
        let Value::Object(claims) = json!({
            "iss": "https://issuer.test",
            "aud": "orders-api",
            "sub": "alice",
            "iat": self.moment.wall.as_seconds(),
            "exp": self.moment.wall.plus(3600).as_seconds(),
            "jti": format!("{:032x}", fastrand::u128(..)),
            "scope": "orders:read orders:write",
            "roles": ["clerk"],
        }) else {
            unreachable!("an object")
        };
        let token = self.signing.sign("at+jwt", &claims).expect("a token");
        let mut headers = typical_headers();
        let value = HeaderValue::try_from(format!("Bearer {token}")).expect("a value");
        headers.insert(header::AUTHORIZATION, value);
        headers
    }

    /// The headers of a browser that is logged in, with a session that is in memory from now on.
    fn headers_with_session(&self) -> HeaderMap {
        let secret = SessionSecret::from_random(std::array::from_fn(|_| fastrand::u8(..)));
        let (id, created) = (secret.id(), self.moment.wall);
        let record = SessionRecord {
            kind: SessionKind::Login(LoginDetails {
                family: id.to_string().into(),
                user_agent: "".into(),
                address: "192.0.2.1".into(),
            }),
            subject: "alice".into(),
            issuer: "gateway".into(),
            method: "handoff".into(),
            roles: vec!["clerk".into()],
            scopes: vec!["orders:read".into(), "orders:write".into()],
            claims: Map::new(),
            created,
            ends: created.plus(12 * 3600),
            idle_s: 30 * 60,
        };
        let stored = StoredSession { record, last_seen: created };
        let sessions = &self.configuration.gate.sessions;
        let session = Session::compile(id, &stored, &sessions.rules, self.moment.steady);
        sessions.table.publish(Arc::new(session));
        let mut headers = typical_headers();
        headers.insert(header::COOKIE, cookies_with(&secret));
        headers
    }

    /// Decides once; the request must be permitted, or the measurement would be of something else.
    fn permit(&self, target: &str, headers: &HeaderMap) {
        let method = Method::GET;
        let request = Request {
            scheme: Scheme::Http,
            method: &method,
            authority: Some("api.test"),
            target,
            headers,
            session: None,
        };
        let verdict = self.configuration.gate.decide(black_box(&request), self.moment);
        assert!(matches!(black_box(verdict).decision, Decision::Permitted(_)), "not permitted");
    }
}

fn compile(directory: &Path, text: String) -> Running {
    let compiled = Settings::compile(&directory.join("gateway.yaml"), text, &|_| None);
    let settings = compiled.unwrap_or_else(|problems| panic!("{problems}"));
    Running::new(settings, None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The cookies of a browser, with its session's behind the others.
fn cookies_with(secret: &SessionSecret) -> HeaderValue {
    let cookies = format!("theme=dark; consent=1; __Host-session={}", secret.expose());
    HeaderValue::try_from(cookies).expect("a value")
}

/// What a browser sends with a request of a script.
fn typical_headers() -> HeaderMap {
    let fields = [
        ("host", "api.test"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-language", "en-GB,en;q=0.8,de;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("content-type", "application/json"),
        ("origin", "https://app.test"),
        ("referer", "https://app.test/orders"),
        ("cookie", "theme=dark; consent=1"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-site"),
        ("x-request-id", "0197b0f2-6c1e-7b3a-9f55-3f1f6a1f5f00"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("cache-control", "no-cache"),
    ];
    fields
        .into_iter()
        .map(|(name, value)| {
            (name.parse::<http::HeaderName>().expect("a name"), HeaderValue::from_static(value))
        })
        .collect()
}

/// Finding a route that asks for nothing: the floor under every decision.
fn public_route(criterion: &mut Criterion) {
    let bench = Bench::new(KeyKind::P256, "ES256", 10, "64MiB");
    let headers = typical_headers();
    criterion.bench_function("public route", |b| b.iter(|| bench.permit("/r7/1", &headers)));
}

/// A token that was seen before: what nearly every authenticated request costs. The algorithm
/// should make no difference.
fn token_seen_before(criterion: &mut Criterion) {
    for (kind, algorithm) in [(KeyKind::P256, "ES256"), (KeyKind::Rsa, "RS256")] {
        let bench = Bench::new(kind, algorithm, 10, "64MiB");
        let headers = bench.headers_with_token();
        bench.permit("/orders/7", &headers);
        criterion.bench_function(&format!("token seen before, {algorithm}"), |b| {
            b.iter(|| bench.permit("/orders/7", &headers));
        });
    }
}

/// A session that is in memory: one, and many in turn.
fn session_seen_before(criterion: &mut Criterion) {
    let bench = Bench::new(KeyKind::P256, "ES256", 10, "64MiB");
    for count in [1, BATCH] {
        let batch: Vec<_> = (0..count).map(|_| bench.headers_with_session()).collect();
        let mut sessions = batch.iter().cycle();
        criterion.bench_function(&format!("session seen before, {count} in turn"), |b| {
            b.iter(|| bench.permit("/web/7", sessions.next().expect("a cycle has no end")));
        });
    }
}

/// A token that is new each time: the signature is verified, which is nearly all of it. No token
/// fits into the cache, so that a batch can go round and round.
fn new_token_each_time(criterion: &mut Criterion) {
    for (kind, algorithm) in [(KeyKind::P256, "ES256"), (KeyKind::Rsa, "RS256")] {
        let bench = Bench::new(kind, algorithm, 10, "1B");
        let batch: Vec<_> = (0..BATCH).map(|_| bench.headers_with_token()).collect();
        let mut tokens = batch.iter().cycle();
        criterion.bench_function(&format!("new token, {algorithm}"), |b| {
            b.iter(|| bench.permit("/orders/7", tokens.next().expect("a cycle has no end")));
        });
        let counters = bench.configuration.gate.verifier.counters();
        assert_eq!(counters.hits(), 0, "a token was found in the cache");
    }
}

/// The same decision among few routes and among many: the number of routes should hardly count.
fn many_routes(criterion: &mut Criterion) {
    for routes in [10, 10_000] {
        let bench = Bench::new(KeyKind::P256, "ES256", routes, "64MiB");
        let headers = typical_headers();
        criterion.bench_function(&format!("among {routes} routes"), |b| {
            b.iter(|| bench.permit("/r7/1", &headers));
        });
    }
}

/// A token that was seen before, while many others were revoked and while none were. As long as
/// nothing new is revoked, nothing is looked up; after each revocation everything is, once for each
/// token. Each token is used once between two revocations, so that each use pays.
fn many_revocations(criterion: &mut Criterion) {
    for entries in [0, 1_000_000] {
        let bench = Bench::new(KeyKind::P256, "ES256", 10, "64MiB");
        revoke_others(&bench, entries);
        let batch: Vec<_> = (0..BATCH).map(|_| bench.headers_with_token()).collect();
        let decide_all = || batch.iter().for_each(|headers| bench.permit("/orders/7", headers));
        let new = Entry { scope: token_scope(u64::MAX), ..entry(&bench, Scope::Everything) };
        for (what, is_changed) in [("unchanged", false), ("changed before each", true)] {
            criterion.bench_function(&format!("{entries} revocations, {what}"), |b| {
                b.iter_custom(|iterations| {
                    decide_all();
                    let mut spent = Duration::ZERO;
                    let whole = iterations.div_ceil(BATCH as u64);
                    for _ in 0..whole {
                        if is_changed {
                            bench.revocations.apply(&new, bench.moment.wall);
                        }
                        let begun = Instant::now();
                        decide_all();
                        spent += begun.elapsed();
                    }
                    spent.mul_f64(iterations as f64 / (whole * BATCH as u64) as f64)
                });
            });
        }
    }
}

/// Revokes `entries` tokens that nobody has, and by every kind of scope whoever has none of the
/// batch, so that all of them are looked for.
fn revoke_others(bench: &Bench, entries: u64) {
    let other = || -> Box<str> { "other".into() };
    for scope in [
        Scope::Session(other()),
        Scope::Subject { issuer: None, subject: other() },
        Scope::Client(other()),
        Scope::Key { issuer: None, id: other() },
        Scope::Issuer(other()),
        Scope::Everything,
    ] {
        bench.revocations.apply(&entry(bench, scope), bench.moment.wall);
    }
    for number in 0..entries {
        bench.revocations.apply(&entry(bench, token_scope(number)), bench.moment.wall);
    }
    // The list counts at leisure; what is left of that would disturb the measurement.
    bench.revocations.prune(bench.moment.wall);
}

/// A live entry that cuts off what was issued in 1970.
fn entry(bench: &Bench, scope: Scope) -> Entry {
    let expires = bench.moment.wall.plus(24 * 3600);
    Entry { scope, cut_off: UnixTime::from_seconds(0), expires }
}

fn token_scope(number: u64) -> Scope {
    Scope::Token { issuer: "https://issuer.test".into(), id: format!("{number:032x}").into() }
}

/// Asking of each header of a request whether it pretends to be the gateway's: paid by every
/// request, public ones too.
fn strip(criterion: &mut Criterion) {
    let bench = Bench::new(KeyKind::P256, "ES256", 10, "64MiB");
    let headers = typical_headers();
    let owned = &bench.configuration.gate.settings.owned;
    criterion.bench_function("strip, 15 headers", |b| {
        b.iter(|| {
            let spoofed = |name: &&http::HeaderName| owned.contains(black_box(name.as_str()));
            assert_eq!(headers.keys().filter(spoofed).count(), 0);
        });
    });
}

/// Keeping the session's cookie from upstreams: paid by every request with cookies, public ones too.
fn strip_cookie(criterion: &mut Criterion) {
    let bench = Bench::new(KeyKind::P256, "ES256", 10, "64MiB");
    let rules = &bench.configuration.gate.sessions.rules.terms().cookie;
    let secret = SessionSecret::from_random([7; 32]);
    let theirs = HeaderValue::from_static("theme=dark; consent=1");
    for (what, cookies, is_stripped) in
        [("no session", theirs, false), ("a session", cookies_with(&secret), true)]
    {
        criterion.bench_function(&format!("strip cookie, {what}"), |b| {
            b.iter(|| {
                assert_eq!(rules.strip(black_box(cookies.as_bytes())).is_some(), is_stripped);
            });
        });
    }
}

criterion_group!(
    decision,
    public_route,
    token_seen_before,
    session_seen_before,
    new_token_each_time,
    many_routes,
    many_revocations,
    strip,
    strip_cookie
);
criterion_main!(decision);

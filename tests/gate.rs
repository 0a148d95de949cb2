//! The gate boundary: a configuration, a request and a time give a slug. No socket, no clock.

mod algorithm;
mod authentication;
mod authorization;
mod claims;
mod credential;
mod denial;
mod forward;
mod framing;
mod issued;
mod keys;
mod path;
mod policy;
mod revocation;
mod session;
mod time;
mod verifier;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis::config::Settings;
use portcullis::gate::denial::Slug;
use portcullis::gate::policy::Authorized;
use portcullis::gate::request::{Request, Scheme};
use portcullis::gate::revocation::ListWriter;
use portcullis::gate::session::Session;
use portcullis::gate::time::{Moment, SteadyTime, UnixTime};
use portcullis::gate::verifier::CacheResult;
use portcullis::gate::{Decision, Verdict, WantedSession};
use portcullis::issuer::key_pairs::{KeyKind, KeyPairPem, generate};
use portcullis::runtime::Running;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::jwks::jwk;
use crate::harness::tokens::{AUDIENCE, ISSUER, bearer, pair};

/// The time at which requests arrive unless a test says otherwise.
const NOW: i64 = 1_800_000_000;

/// When requests arrive on the clock that nobody can set.
const STEADY: SteadyTime = SteadyTime::from_millis(100_000);

/// The default `clock_skew`.
const SKEW_S: i64 = 30;

const PERMITTED: &str = "permitted";

const ONE_ROUTE: &str = "routes: [{name: orders, match: {path: '/orders/{*rest}'}, upstream: \
                         behind, authenticate: [bearer]}]";

/// A compiled configuration, and the directory with the files that it names.
struct CompiledGate {
    configuration: Running,
    files: TempDir,
    /// Who may cut off; the list has been in contact at `STEADY`.
    revocations: ListWriter,
}

/// A request, as far as it matters to the gate.
#[derive(Clone)]
struct GateRequest<'a> {
    scheme: Scheme,
    method: Method,
    target: &'a str,
    fields: Vec<(HeaderName, String)>,
    /// The session that was read from the store for it.
    read: Option<Arc<Session>>,
    now: Moment,
}

/// What the gate says to one request.
#[derive(Debug, PartialEq)]
struct GateAnswer {
    slug: &'static str,
    cache: Option<CacheResult>,
    subject: Option<String>,
}

impl CompiledGate {
    /// Compiles `issuers`, `routes` and whatever else `text` holds, with these files beside it.
    fn compile(text: &str, files: &[(&str, &str)]) -> Self {
        let gatehouse = Self::compile_unloaded(text, files);
        gatehouse.revocations.contact(STEADY);
        gatehouse
    }

    /// The same, but the revocation list was never loaded.
    fn compile_unloaded(text: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, contents) in files {
            std::fs::write(directory.path().join(name), contents).expect("a file");
        }
        let configuration = compile(directory.path().join("gateway.yaml"), text, None);
        let revocations = configuration.gate.revocations.writer().expect("the first to ask");
        Self { configuration, files: directory, revocations }
    }

    /// One issuer (ES256, from a PEM file) and a route that authenticates, with more fields each.
    fn standard(issuer: &str, route: &str) -> Self {
        Self::compile(&standard(AUDIENCE, issuer, route), &[("issuer.pem", &pair().public)])
    }

    /// The same after a reload with another text.
    fn reload(self, text: &str) -> Self {
        let Self { configuration, files, revocations } = self;
        let file = files.path().join("gateway.yaml");
        Self { configuration: compile(file, text, Some(&configuration)), files, revocations }
    }

    fn decide(&self, path: &str, authorization: &[&str], now: i64) -> GateAnswer {
        let now = Moment { wall: UnixTime::from_seconds(now), steady: STEADY, ..Moment::default() };
        self.decide_at(&Method::GET, path, authorization, now)
    }

    fn decide_at(
        &self,
        method: &Method,
        path: &str,
        authorization: &[&str],
        now: Moment,
    ) -> GateAnswer {
        let fields = authorization.iter().map(|value| (AUTHORIZATION, (*value).to_owned()));
        let mut asked = GateRequest::get(path);
        asked.method = method.clone();
        asked.fields = fields.collect();
        asked.now = now;
        let verdict = self.verdict(&asked);
        let subject = outcome(&verdict).ok().and_then(|permit| {
            permit.principal().map(|principal| principal.subject().as_str().to_owned())
        });
        GateAnswer { slug: slug_of(&verdict), cache: verdict.findings.cache, subject }
    }

    /// The one way to ask: everything else here ends up in it.
    fn verdict(&self, asked: &GateRequest<'_>) -> Verdict<'_> {
        asked.put(|request| self.configuration.gate.decide(request, asked.now))
    }

    /// The same for the gateway's own endpoints.
    fn own_verdict(&self, asked: &GateRequest<'_>) -> Verdict<'_, Authorized> {
        asked.put(|request| self.configuration.gate.decide_own(request, asked.now))
    }

    /// What a token gets at `NOW` on the route that authenticates.
    fn slug(&self, token: &str) -> &'static str {
        self.slug_at(token, NOW)
    }

    fn slug_at(&self, token: &str, now: i64) -> &'static str {
        self.decide("/orders/7", &[&bearer(token)], now).slug
    }

    /// The slug and whether the token was known.
    fn known(&self, path: &str, token: &str, now: i64) -> (&'static str, CacheResult) {
        let said = self.decide(path, &[&bearer(token)], now);
        (said.slug, said.cache.expect("a token was looked at"))
    }

    /// Each row is a name, a token and its slug; every row that differs is told.
    fn holds<'a>(&self, rows: impl IntoIterator<Item = (&'a str, String, &'a str)>) {
        let mut wrong = Vec::new();
        for (name, token, expected) in rows {
            let found = self.slug(&token);
            if found != expected {
                wrong.push(format!("{name}: {found} instead of {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

impl<'a> GateRequest<'a> {
    /// A `GET` at `NOW`, without a credential.
    fn get(target: &'a str) -> Self {
        let now = Moment { wall: UnixTime::from_seconds(NOW), steady: STEADY, ..Moment::default() };
        let (method, fields) = (Method::GET, Vec::new());
        Self { scheme: Scheme::Https, method, target, fields, read: None, now }
    }

    fn put<V>(&self, question: impl FnOnce(&Request<'_>) -> V) -> V {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.fields {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            headers.append(name.clone(), value);
        }
        question(&Request {
            scheme: self.scheme,
            method: &self.method,
            authority: Some("api.test"),
            target: self.target,
            headers: &headers,
            session: self.read.as_ref(),
        })
    }
}

/// What stands for a request that the gateway answers itself.
const BUILTIN: &str = "builtin";

/// The proof that a request may pass, or why it has none.
fn outcome<'v, P>(verdict: &'v Verdict<'_, P>) -> Result<&'v P, &'static str> {
    match &verdict.decision {
        Decision::Permitted(proof) => Ok(proof),
        Decision::Denied(denial) | Decision::NeedsKey(_, denial) => Err(denial.slug().as_str()),
        Decision::NeedsSession(_) => Err(Slug::StoreUnavailable.as_str()),
        Decision::Builtin => Err(BUILTIN),
    }
}

/// [`PERMITTED`], or why not.
fn slug_of<P>(verdict: &Verdict<'_, P>) -> &'static str {
    outcome(verdict).err().unwrap_or(PERMITTED)
}

fn is_builtin(verdict: &Verdict<'_>) -> bool {
    matches!(verdict.decision, Decision::Builtin)
}

/// The session that has to be read before there is an answer.
fn wanted<'v, P>(verdict: &'v Verdict<'_, P>) -> Option<&'v WantedSession> {
    match &verdict.decision {
        Decision::NeedsSession(wanted) => Some(wanted),
        Decision::Permitted(_)
        | Decision::Denied(_)
        | Decision::NeedsKey(..)
        | Decision::Builtin => None,
    }
}

fn compile(file: PathBuf, text: &str, previous: Option<&Running>) -> Running {
    let text = format!(
        "listeners: [{{address: '127.0.0.1:0'}}]\n\
         upstreams: {{behind: {{peers: ['127.0.0.1:1']}}}}\n{text}\n"
    );
    let settings = Settings::compile(&file, text, &|_| None);
    let running = settings.and_then(|settings| Running::new(settings, previous));
    running.unwrap_or_else(|problems| panic!("{problems}"))
}

fn standard(audience: &str, issuer: &str, route: &str) -> String {
    format!(
        "issuers: [{{name: test, issuer: '{ISSUER}', audiences: [{audience}, orders-v2], \
         algorithms: [ES256], keys: {{public_key_file: issuer.pem}}, {issuer}}}]\n\
         routes:\n\
         - {{name: orders, match: {{path: '/orders/{{*rest}}'}}, upstream: behind, \
         authenticate: [bearer], {route}}}\n\
         - {{name: public, match: {{path: /public}}, upstream: behind, public: true}}\n"
    )
}

/// The private key of the standard issuer.
fn private() -> EncodingKey {
    EncodingKey::from_ec_pem(pair().private.as_bytes()).expect("a private key")
}

/// A token of exactly this header and payload, with a signature over them.
fn sign(key: &EncodingKey, algorithm: Algorithm, header: &str, payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let input = format!("{}.{}", encode(header), encode(payload));
    let signature =
        jsonwebtoken::crypto::sign(input.as_bytes(), key, algorithm).expect("a signature");
    format!("{input}.{signature}")
}

/// The same by the standard issuer.
fn raw(header: &str, payload: &str) -> String {
    sign(&private(), Algorithm::ES256, header, payload)
}

/// The claims of a good token with some replaced; `null` removes one.
fn claims(changes: Value) -> String {
    let good = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "jti": "j-1",
        "iat": NOW, "exp": NOW + 600, "scope": "orders:read", "roles": ["clerk"],
    });
    changed(good, changes)
}

fn changed(good: Value, changes: Value) -> String {
    let (Value::Object(mut good), Value::Object(changes)) = (good, changes) else {
        panic!("objects")
    };
    good.extend(changes);
    good.retain(|_, value| !value.is_null());
    Value::Object(good).to_string()
}

/// A good token of the standard issuer with some claims replaced.
fn token(changes: Value) -> String {
    token_with(json!({}), changes)
}

/// The same with some header parameters replaced too.
fn token_with(header: Value, changes: Value) -> String {
    raw(&changed(json!({"alg": "ES256", "typ": "at+jwt"}), header), &claims(changes))
}

/// The good token, to hold refusals against.
fn good() -> String {
    token(json!({}))
}

/// A key pair that the issuer knows nothing of.
fn stranger() -> &'static KeyPairPem {
    static PAIR: OnceLock<KeyPairPem> = OnceLock::new();
    PAIR.get_or_init(|| generate(KeyKind::P256).expect("a key pair"))
}

fn stranger_private() -> EncodingKey {
    EncodingKey::from_ec_pem(stranger().private.as_bytes()).expect("a private key")
}

/// An issuer with two keys that have ids.
fn with_two_keys() -> CompiledGate {
    let jwks = json!({"keys": [jwk(pair(), "one"), jwk(stranger(), "two")]}).to_string();
    let text = format!(
        "issuers: [{{name: test, issuer: '{ISSUER}', audiences: [{AUDIENCE}], algorithms: [ES256], \
         keys: {{jwks_file: jwks.json}}}}]\n{ONE_ROUTE}"
    );
    CompiledGate::compile(&text, &[("jwks.json", &jwks)])
}

/// Two issuers, each with a key of its own, and a route for each and for both.
fn with_two_issuers() -> CompiledGate {
    let issuer = |name: &str, file: &str| {
        format!(
            "- {{name: {name}, issuer: 'https://{name}.test', audiences: [{AUDIENCE}], \
             algorithms: [ES256], keys: {{public_key_file: {file}}}}}\n"
        )
    };
    let route = |path: &str, issuers: &str| {
        format!(
            "- {{name: {path}, match: {{path: /{path}}}, upstream: behind, authenticate: [bearer], \
             {issuers}}}\n"
        )
    };
    let text = [
        "issuers:\n",
        &issuer("one", "one.pem"),
        &issuer("two", "two.pem"),
        "routes:\n",
        &route("one", "issuers: [one]"),
        &route("two", "issuers: [two]"),
        &route("both", ""),
    ];
    let files = [("one.pem", pair().public.as_str()), ("two.pem", stranger().public.as_str())];
    CompiledGate::compile(&text.concat(), &files)
}

fn token_of(issuer: &str, key: &EncodingKey) -> String {
    let header = r#"{"alg":"ES256","typ":"JWT"}"#;
    let claims = claims(json!({"iss": format!("https://{issuer}.test")}));
    sign(key, Algorithm::ES256, header, &claims)
}

#[test]
fn good_token_is_permitted_and_says_who_it_is() {
    let said = CompiledGate::standard("", "").decide("/orders/7", &[&bearer(&good())], NOW);
    assert_eq!((said.slug, said.subject.as_deref()), (PERMITTED, Some("alice")));
}

/// One token for each slug that a token can earn, so that none of them is ever out of reach.
#[test]
fn every_slug_of_a_token_is_within_reach() {
    let gate = with_two_keys();
    let tokens = [
        ("token_malformed", "null".to_owned()),
        ("token_algorithm", token_with(json!({"alg": "none"}), json!({}))),
        ("token_signature", token_with(json!({"kid": "two"}), json!({}))),
        ("token_key_unknown", token_with(json!({"kid": "three"}), json!({}))),
        ("token_issuer", token(json!({"iss": "https://other.test"}))),
        ("token_audience", token(json!({"aud": "billing"}))),
        ("token_expired", token(json!({"iat": NOW - 600, "exp": NOW - SKEW_S}))),
        ("token_not_yet_valid", token(json!({"nbf": NOW + 60}))),
        ("token_type", token_with(json!({"typ": "dpop+jwt"}), json!({}))),
        ("token_lifetime", token(json!({"exp": NOW + 90_000}))),
        ("token_claims", token(json!({"sub": null}))),
        ("token_critical", token_with(json!({"crit": ["exp"]}), json!({}))),
    ];
    let named: BTreeMap<_, _> = tokens.iter().map(|(slug, _)| (*slug, ())).collect();
    for slug in Slug::ALL {
        // These are about whom it was issued to, see `revocation`, and about asking for one.
        let is_other = matches!(slug, Slug::TokenRevoked | Slug::TokenRequest);
        let is_of_a_token = slug.as_str().starts_with("token_") && !is_other;
        assert_eq!(is_of_a_token, named.contains_key(slug.as_str()), "{}", slug.as_str());
    }
    gate.holds(tokens.map(|(slug, token)| (slug, token, slug)));
}

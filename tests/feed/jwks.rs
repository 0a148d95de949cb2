//! Where keys come from, how they stay current, and what happens when they cannot.

mod answers;
mod flood;
mod https;
mod last_good;
mod outage;
mod reload;
mod rotation;
mod sources;

use std::sync::Barrier;

use portcullis::issuer::key_pairs::{KeyKind, SigningKey, generate};
use serde_json::{Value, json};

use crate::harness::client::{self, Connection, get};
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::jwks::{JwksEndpoint, JwksReply, jwk};
use crate::harness::outcome::{accepted, denied, outcome};
use crate::harness::tokens::{self, bearer};
use crate::harness::upstream::Upstream;

/// A key pair: what an issuer signs with, and what it publishes.
struct IssuerKey {
    signing: SigningKey,
    jwk: Value,
}

impl IssuerKey {
    fn new(id: &str) -> Self {
        let pair = generate(KeyKind::P256).expect("a key pair");
        Self { signing: tokens::signing_key(&pair, Some(id)), jwk: jwk(&pair, id) }
    }
}

/// An issuer whose keys are fetched; it has one to begin with.
struct Issuer {
    name: &'static str,
    first: IssuerKey,
    jwks: JwksEndpoint,
}

impl Issuer {
    /// An issuer that publishes its key.
    fn start(name: &'static str) -> Self {
        let issuer = Self::silent(name);
        issuer.recover();
        issuer
    }

    /// An issuer that answers nobody yet.
    fn silent(name: &'static str) -> Self {
        Self { name, first: IssuerKey::new("first"), jwks: JwksEndpoint::start(unavailable()) }
    }

    /// Publishes its first key.
    fn recover(&self) {
        self.publish(&[&self.first]);
    }

    fn publish(&self, pairs: &[&IssuerKey]) {
        self.jwks.serve(JwksReply::Keys(pairs.iter().map(|pair| pair.jwk.clone()).collect()));
    }

    /// Its entry in the configuration; `more` goes with the URL.
    fn yaml(&self, more: &str) -> String {
        entry(self.name, "ES256", &format!("jwks_url: '{}', {more}", self.jwks.url()))
    }

    /// A good token by the first key.
    fn token(&self) -> String {
        self.token_by(&self.first)
    }

    /// A good token by another one.
    fn token_by(&self, pair: &IssuerKey) -> String {
        token_of(self.name, &pair.signing)
    }

    /// A token that names a key of this id, signed by nobody.
    fn forged(&self, key_id: &str) -> String {
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": key_id}).to_string();
        let mut claims = tokens::claims();
        claims.insert("iss".to_owned(), json!(iss(self.name)));
        tokens::forged(&header, &Value::from(claims).to_string(), &[7; 64])
    }
}

/// What an issuer says that has no time for us.
fn unavailable() -> JwksReply {
    JwksReply::Raw { status: 503, fields: String::new(), body: String::new() }
}

fn iss(name: &str) -> String {
    format!("https://{name}.test")
}

fn token_of(name: &str, key: &SigningKey) -> String {
    tokens::signed(key, "at+jwt", json!({"iss": iss(name)}))
}

/// An issuer in the configuration.
fn entry(name: &str, algorithm: &str, keys: &str) -> String {
    let iss = iss(name);
    let audience = tokens::AUDIENCE;
    format!(
        "  - name: {name}\n    issuer: {iss}\n    audiences: [{audience}]\n    \
         algorithms: [{algorithm}]\n    keys: {{ {keys} }}\n"
    )
}

/// A configuration with these issuers, a public route and one that takes tokens of all of them.
fn configuration(upstream: &Upstream, issuers: &[String]) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ threads: 2 }}
issuers:
{issuers}
upstreams: {{ behind: {{ peers: ['{upstream}'] }} }}
routes:
  - {{ name: public, match: {{ path: /public }}, upstream: behind, public: true }}
  - {{ name: whoami, match: {{ path: /whoami }}, upstream: behind, authenticate: [bearer] }}
",
        issuers = issuers.concat(),
        upstream = upstream.address(),
    )
}

/// A gateway that takes the tokens of this issuer.
fn gateway(issuer: &Issuer, more: &str) -> Gateway {
    Gateway::start(&configuration(&Upstream::start(), &[issuer.yaml(more)]))
}

/// The status of the answer to a token, and the slug if it is a denial.
fn ask(gateway: &Gateway, token: &str) -> (u16, String) {
    outcome(&gateway.get_as("/whoami", token))
}

/// Sends the tokens at the same time, each on a connection of its own.
fn at_once(gateway: &Gateway, tokens: &[String]) -> Vec<(u16, String)> {
    let barrier = Barrier::new(tokens.len());
    std::thread::scope(|scope| {
        let asked: Vec<_> = tokens
            .iter()
            .map(|token| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut connection = Connection::open(gateway.address());
                    barrier.wait();
                    let authorization = bearer(token);
                    let request = get("/whoami", &[("Authorization", &authorization)]);
                    outcome(&connection.exchange(request))
                })
            })
            .collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    })
}

/// How many fetches of an issuer's keys came to this result.
fn fetches(gateway: &Gateway, issuer: &str, result: &str) -> f64 {
    gateway.metric(&format!(
        "portcullis_key_set_fetches_total{{issuer=\"{issuer}\",result=\"{result}\"}}"
    ))
}

/// Waits until another fetch has failed.
fn await_failure(gateway: &Gateway, issuer: &str) {
    let before = fetches(gateway, issuer, "failed");
    eventually("a failed fetch", || (fetches(gateway, issuer, "failed") > before).then_some(()));
}

/// Waits until the endpoint was asked `times` more often.
fn await_requests(jwks: &JwksEndpoint, times: usize) {
    let before = jwks.requests();
    eventually("requests for keys", || (jwks.requests() >= before + times).then_some(()));
}

/// Asks for the public page.
fn public(gateway: &Gateway) -> u16 {
    client::exchange(gateway.address(), get("/public", &[])).status
}

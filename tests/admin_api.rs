//! `/v1/…` of the admin listener: who may cut off whom, and how that is said.

mod drafts;
mod guard;
mod keys;
mod lists;
mod scopes;
mod sessions;
mod tokens;

use std::sync::{Arc, OnceLock};

use portcullis::issuer::key_pairs::{KeyKind, KeyPairPem, generate};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::client::{self, Answer};
use crate::harness::fleet::{self, Verdict, ask};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::jwks::jwk;
use crate::harness::tokens::{ISSUER, now, pair, seconds, signed, signing_key};
use crate::harness::upstream::Upstream;

/// Another issuer, which uses the same keys.
const PARTNER: &str = "https://partner.test";

/// A gateway with two issuers, whose keys are called `one` and `two`.
struct AdminApi {
    gateway: Gateway,
    _upstream: Upstream,
}

impl AdminApi {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With more sections.
    fn start_with(sections: &str) -> Self {
        Self::start_in(directory(), sections)
    }

    /// With key sets of its own.
    fn start_in(directory: Arc<TempDir>, sections: &str) -> Self {
        let upstream = Upstream::start();
        let text = format!("{sections}\n{}", configuration(&upstream));
        let gateway = Gateway::start_in(directory, &text);
        Self { gateway, _upstream: upstream }
    }

    /// Whether this token is let in.
    #[track_caller]
    fn accepts(&self, token: &str) -> bool {
        ask(&self.gateway, token) == Verdict::Accepted
    }

    /// Cuts off; the answer, which must be 201.
    #[track_caller]
    fn revoke(&self, draft: Value) -> Value {
        let answer = fleet::post(&self.gateway, &draft);
        assert_eq!(answer.status, 201, "{draft}: {answer:?}");
        answer.json()
    }

    /// What is told of a draft that makes no sense.
    #[track_caller]
    fn refuse(&self, draft: &Value) -> String {
        refused(&fleet::post(&self.gateway, draft))
    }

    /// The live revocations.
    fn list(&self, query: &str) -> Value {
        fleet::admin(&self.gateway, &format!("/v1/revocations{query}")).expect("the list")
    }

    /// How many there are.
    fn total(&self) -> u64 {
        self.list("")["total"].as_u64().expect("a total")
    }
}

fn directory() -> Arc<TempDir> {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = json!({"keys": [jwk(pair(), "one"), jwk(second(), "two")]}).to_string();
    std::fs::write(directory.path().join("jwks.json"), keys).expect("a file");
    Arc::new(directory)
}

fn configuration(upstream: &Upstream) -> String {
    let keys = "keys: { public_key_file: issuer.pem }";
    let set = "keys: { jwks_file: jwks.json }";
    let standard = standard(upstream);
    let (before, rest) = standard.split_once(keys).expect("the keys");
    let partner = format!(
        "  - {{ name: partner, issuer: '{PARTNER}', audiences: [orders-api], \
         algorithms: [ES256], {set} }}"
    );
    format!("{before}{set}\n{partner}{rest}")
}

/// The pair of the key `two`.
fn second() -> &'static KeyPairPem {
    static PAIR: OnceLock<KeyPairPem> = OnceLock::new();
    PAIR.get_or_init(|| generate(KeyKind::P256).expect("a key pair"))
}

/// A good token with some claims replaced, by the key `one`.
fn mint(changes: Value) -> String {
    signed(&signing_key(pair(), Some("one")), "at+jwt", changes)
}

/// The same by the key `two`.
fn mint_by_two(changes: Value) -> String {
    signed(&signing_key(second(), Some("two")), "at+jwt", changes)
}

/// What is told of a request that makes no sense.
#[track_caller]
fn refused(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.slug().as_str()), (400, "bad_request"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["status"], 400, "{problem}");
    assert_eq!(problem["type"], "urn:portcullis:problem:bad_request", "{problem}");
    problem["detail"].as_str().expect("a detail").to_owned()
}

/// Posts a body as it is, under these header lines.
fn post(gateway: &Gateway, fields: &[(&str, &str)], body: &str) -> Answer {
    let host = ("Host", "localhost");
    let has_host = fields.iter().any(|(name, _)| *name == "Host");
    let fields: Vec<_> = fields.iter().copied().chain((!has_host).then_some(host)).collect();
    client::exchange(gateway.admin(), client::request("POST", "/v1/revocations", &fields, body))
}

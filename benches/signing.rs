//! What signing costs, without a socket: by algorithm, and as a whole internal token that is made, or
//! remembered.
//!
//! `make bench-decision ARGS=sign` runs these alone.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::clock;
use portcullis::config::Settings;
use portcullis::gate::authentic::Authentic;
use portcullis::gate::internal::{InternalToken, InternalTokenTerms, TokenHeader};
use portcullis::gate::session::{
    LoginDetails, Session, SessionKind, SessionRecord, SessionSecret, StoredSession,
};
use portcullis::gate::time::{Moment, SteadyTime};
use portcullis::issuer::internal::{InternalTokens, Minted};
use portcullis::issuer::key_pairs::{KeyKind, generate_pkcs8};
use portcullis::issuer::signer::{Signer, TokenType};
use portcullis::runtime::Running;
use serde_json::{Map, json};

const ALGORITHMS: [(KeyKind, &str); 3] =
    [(KeyKind::P256, "ES256"), (KeyKind::Ed25519, "EdDSA"), (KeyKind::Rsa, "RS256")];

const ISSUER: &str = "https://gateway.test";

/// More than a processor's first cache holds.
const PRINCIPALS: usize = 2000;

fn signer(kind: KeyKind) -> Signer {
    let der = generate_pkcs8(kind).expect("a key");
    Signer::from_pkcs8(&der).expect("a key that signs")
}

/// The signature and its encoding, of claims that are there.
fn sign(criterion: &mut Criterion) {
    let claims = json!({
        "iss": ISSUER,
        "aud": "orders",
        "sub": "alice",
        "idp": "https://issuer.test",
        "iat": 1_790_000_000,
        "exp": 1_790_000_060,
        "jti": "0123456789abcdefghijkl",
        "scope": "orders:read orders:write",
        "roles": ["clerk"],
        "sid": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
    });
    let claims = claims.to_string();
    for (kind, algorithm) in ALGORITHMS {
        let signer = signer(kind);
        criterion.bench_function(&format!("sign, {algorithm}"), |b| {
            b.iter(|| {
                let token = signer.sign(TokenType::Internal, black_box(claims.as_bytes()));
                black_box(token.expect("a token"));
            });
        });
    }
}

/// A token that is made: for the same principal by one key and another in turn, so that what was
/// remembered is never good.
fn internal_token_made(criterion: &mut Criterion) {
    let (principals, moment) = (principals(1), now());
    for (kind, algorithm) in ALGORITHMS {
        let (tokens, wanted) = (InternalTokens::default(), wanted());
        let signers = [signer(kind), signer(kind)];
        let mut signers = signers.iter().cycle();
        criterion.bench_function(&format!("sign an internal token, {algorithm}"), |b| {
            b.iter(|| {
                let signer = signers.next().expect("a cycle has no end");
                let made = tokens.value(&principals[0], &wanted, ISSUER, signer, moment);
                let (value, minted) = made.expect("a token");
                assert_eq!(minted, Minted::Now);
                black_box(value);
            });
        });
    }
}

/// A token that was made before, of one principal and of many in turn: what a request pays in the
/// steady state.
fn internal_token_remembered(criterion: &mut Criterion) {
    let (signer, moment) = (signer(KeyKind::P256), now());
    for count in [1, PRINCIPALS] {
        let (tokens, wanted) = (InternalTokens::default(), wanted());
        let principals = principals(count);
        let value = |principal: &Authentic| {
            tokens.value(principal, &wanted, ISSUER, &signer, moment).expect("a token")
        };
        for principal in &principals {
            value(principal);
        }
        let mut principals = principals.iter().cycle();
        criterion.bench_function(&format!("internal token signed before, {count} in turn"), |b| {
            b.iter(|| {
                let (value, minted) = value(principals.next().expect("a cycle has no end"));
                assert_eq!(minted, Minted::Before);
                black_box(value);
            });
        });
    }
}

fn now() -> Moment {
    Moment { wall: clock::now(), steady: SteadyTime::default(), ..Moment::default() }
}

fn wanted() -> InternalToken {
    InternalToken::new(InternalTokenTerms {
        audience: "orders".into(),
        header: TokenHeader::Authorization,
        lifetime_s: 60,
        claims: Vec::new(),
        bytes_max: 8192,
    })
}

/// So many who are logged in.
fn principals(count: usize) -> Vec<Arc<Authentic>> {
    let text = "listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { behind: { peers: [127.0.0.1:9001] } }
login: { handoff: { upstream: behind, path: /verify, subject: /id } }
routes:
  - { name: web, match: { path: /web }, upstream: behind, authenticate: [session] }
";
    let compiled = Settings::compile(Path::new("gateway.yaml"), text.to_owned(), &|_| None);
    let settings = compiled.unwrap_or_else(|problems| panic!("{problems}"));
    let configuration =
        Running::new(settings, None).unwrap_or_else(|problems| panic!("{problems}"));
    let Moment { wall: created, steady, .. } = now();
    let principal = |number| {
        let id = SessionSecret::from_random(std::array::from_fn(|_| fastrand::u8(..))).id();
        let record = SessionRecord {
            kind: SessionKind::Login(LoginDetails {
                family: id.to_string().into(),
                user_agent: "".into(),
                address: "192.0.2.1".into(),
            }),
            subject: format!("user-{number}").into(),
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
        let rules = &configuration.gate.sessions.rules;
        Session::compile(id, &stored, rules, steady).authentic().clone()
    };
    (0..count).map(principal).collect()
}

criterion_group!(signing, sign, internal_token_made, internal_token_remembered);
criterion_main!(signing);

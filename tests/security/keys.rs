//! Keys that are none any more: an issuer that withdraws a key is believed at once, and one whose
//! answer is damaged is not believed at all.

use std::time::Duration;

use portcullis::issuer::key_pairs::{KeyKind, KeyPairPem, SigningKey, generate};
use serde_json::{Value, json};

use crate::harness::client::{self, get};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, directory};
use crate::harness::jwks::{JwksEndpoint, JwksReply, jwk, rsa_jwk};
use crate::harness::outcome::{accepted, outcome};
use crate::harness::tokens::{self, bearer};
use crate::harness::upstream::Upstream;

const ISS: &str = "https://idp.test";

/// A key pair of an issuer: what it signs with, and what it publishes.
struct IssuerKey {
    pem: KeyPairPem,
    id: &'static str,
    jwk: Value,
}

impl IssuerKey {
    fn ec(id: &'static str) -> Self {
        let pem = generate(KeyKind::P256).expect("a key pair");
        Self { id, jwk: jwk(&pem, id), pem }
    }

    fn rsa(id: &'static str) -> Self {
        let pem = generate(KeyKind::Rsa).expect("a key pair");
        Self { id, jwk: rsa_jwk(&pem, id), pem }
    }

    /// A good token; it names the key.
    fn token(&self) -> String {
        self.sign(Some(self.id))
    }

    fn sign(&self, id: Option<&str>) -> String {
        let key = SigningKey::from_file(self.pem.private.as_bytes(), id.map(str::to_owned));
        tokens::signed(&key.expect("a signing key"), "at+jwt", json!({ "iss": ISS }))
    }

    /// What it publishes, but for its id.
    fn nameless(&self) -> Value {
        let mut jwk = self.jwk.clone();
        jwk.as_object_mut().expect("an object").remove("kid");
        jwk
    }
}

fn set(keys: &[&IssuerKey]) -> Vec<Value> {
    keys.iter().map(|pair| pair.jwk.clone()).collect()
}

fn text_of(keys: &[&IssuerKey]) -> String {
    json!({ "keys": set(keys) }).to_string()
}

fn configuration(keys: &str) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ threads: 2 }}
issuers:
  - name: idp
    issuer: {ISS}
    audiences: [{}]
    algorithms: [RS256, ES256]
    keys: {{ {keys} }}
upstreams: {{ behind: {{ peers: ['{}'] }} }}
routes:
  - {{ name: whoami, match: {{ path: /whoami }}, upstream: behind, authenticate: [bearer] }}
",
        tokens::AUDIENCE,
        Upstream::start().address(),
    )
}

/// A gateway that fetches the keys.
fn fetching(jwks: &JwksEndpoint, timing: &str) -> Gateway {
    Gateway::start(&configuration(&format!("jwks_url: '{}', {timing}", jwks.url())))
}

fn ask(gateway: &Gateway, token: &str) -> (u16, String) {
    let answer =
        client::exchange(gateway.address(), get("/whoami", &[("Authorization", &bearer(token))]));
    outcome(&answer)
}

fn unknown() -> (u16, String) {
    (401, "token_key_unknown".to_owned())
}

fn becomes(gateway: &Gateway, token: &str, outcome: &(u16, String)) {
    eventually(&outcome.1, || (ask(gateway, token) == *outcome).then_some(()));
}

fn fetches(gateway: &Gateway, result: &str) -> f64 {
    let series = "portcullis_key_set_fetches_total{issuer=\"idp\",result=";
    gateway.metric(&format!("{series}\"{result}\"}}"))
}

/// Waits until so many more fetches came to this result.
fn await_fetches(gateway: &Gateway, result: &str, count: f64) {
    let before = fetches(gateway, result);
    eventually(result, || (fetches(gateway, result) >= before + count).then_some(()));
}

/// Waits for a line of the gateway's log that holds all of this.
fn told(gateway: &Gateway, parts: &[&str]) -> String {
    eventually(&format!("{parts:?}"), || {
        let holds = |line: &String| parts.iter().all(|part| line.contains(part));
        gateway.errors().into_iter().find(holds)
    })
}

// ---- a file

#[test]
fn key_that_a_file_lacks_after_a_reload_is_gone() {
    let (rsa, ec) = (IssuerKey::rsa("r"), IssuerKey::ec("e"));
    let directory = directory();
    let file = directory.path().join("set.json");
    std::fs::write(&file, text_of(&[&rsa, &ec])).expect("a file");
    let gateway = Gateway::start_in(directory, &configuration("jwks_file: set.json"));
    let (by_rsa, by_ec) = (rsa.token(), ec.token());
    assert_eq!((ask(&gateway, &by_rsa), ask(&gateway, &by_ec)), (accepted(), accepted()));
    // The last key of an algorithm that is configured.
    std::fs::write(&file, text_of(&[&ec])).expect("a file");
    becomes(&gateway, &by_rsa, &unknown());
    assert_eq!(ask(&gateway, &by_ec), accepted());
    told(&gateway, &["algorithms[0]: no key of the issuer can verify RS256"]);
    // What is damaged is not the issuer's word.
    std::fs::write(&file, "{\"keys\": [").expect("a file");
    eventually("a refused reload", || {
        (gateway.metric("portcullis_config_reloads_total{result=\"failed\"}") > 0.0).then_some(())
    });
    assert_eq!((ask(&gateway, &by_rsa), ask(&gateway, &by_ec)), (unknown(), accepted()));
    // And the last key of all.
    std::fs::write(&file, text_of(&[])).expect("a file");
    becomes(&gateway, &by_ec, &unknown());
    std::fs::write(&file, text_of(&[&rsa])).expect("a file");
    becomes(&gateway, &by_rsa, &accepted());
    assert_eq!(ask(&gateway, &by_ec), unknown());
}

#[test]
fn gateway_starts_with_a_file_that_lacks_the_key_of_an_algorithm() {
    let (rsa, ec) = (IssuerKey::rsa("r"), IssuerKey::ec("e"));
    let directory = directory();
    std::fs::write(directory.path().join("set.json"), text_of(&[&ec])).expect("a file");
    let gateway = Gateway::start_in(directory, &configuration("jwks_file: set.json"));
    assert_eq!((ask(&gateway, &ec.token()), ask(&gateway, &rsa.token())), (accepted(), unknown()));
    told(&gateway, &["algorithms[0]: no key of the issuer can verify RS256"]);
}

// ---- a URL

#[test]
fn key_that_a_fetched_set_lacks_is_gone_at_once() {
    let (rsa, ec) = (IssuerKey::rsa("r"), IssuerKey::ec("e"));
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&rsa, &ec])));
    let gateway = fetching(&jwks, "refresh: 1s");
    let (by_rsa, by_ec) = (rsa.token(), ec.token());
    assert_eq!((ask(&gateway, &by_rsa), ask(&gateway, &by_ec)), (accepted(), accepted()));
    jwks.serve(JwksReply::Keys(set(&[&ec])));
    await_fetches(&gateway, "ok", 2.0);
    // Verified before, and not asked about since; the issuer has said it, so nobody asks again.
    jwks.serve(JwksReply::Hang(Duration::ZERO));
    assert_eq!((ask(&gateway, &by_rsa), ask(&gateway, &by_ec)), (unknown(), accepted()));
}

#[test]
fn empty_set_counts_once_a_second_fetch_says_the_same() {
    let (rsa, ec) = (IssuerKey::rsa("r"), IssuerKey::ec("e"));
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&rsa, &ec])));
    // Nothing fetches again by itself in the time of this test.
    let gateway = fetching(&jwks, "refresh: 1h");
    let (by_rsa, by_ec) = (rsa.token(), ec.token());
    assert_eq!((ask(&gateway, &by_rsa), ask(&gateway, &by_ec)), (accepted(), accepted()));
    jwks.serve(JwksReply::Keys(Vec::new()));
    let stranger = IssuerKey::ec("stranger").token();
    // The first answer is a failed fetch.
    assert_eq!(ask(&gateway, &stranger), (503, "keys_unavailable".to_owned()));
    told(&gateway, &["WARN", "idp", "the key set is empty"]);
    becomes(&gateway, &by_rsa, &unknown());
    assert_eq!(ask(&gateway, &by_ec), unknown());
    // An issuer without keys is not left at that for an hour.
    jwks.serve(JwksReply::Keys(set(&[&ec])));
    becomes(&gateway, &by_ec, &accepted());
    assert_eq!(ask(&gateway, &by_rsa), unknown());
}

#[test]
fn empty_set_that_is_taken_back_withdraws_nothing() {
    let ec = IssuerKey::ec("e");
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&ec])));
    let gateway = fetching(&jwks, "refresh: 1h");
    let token = ec.token();
    for stranger in ["one", "two"] {
        let (empty, back) = (JwksReply::Keys(Vec::new()), JwksReply::Keys(set(&[&ec])));
        let before = fetches(&gateway, "ok");
        jwks.serve(JwksReply::Once(Box::new(empty), Box::new(back)));
        assert_eq!(ask(&gateway, &IssuerKey::ec(stranger).token()).0, 503);
        assert_eq!(ask(&gateway, &token), accepted());
        // It is asked again at once, not in an hour.
        eventually("the set", || (fetches(&gateway, "ok") > before).then_some(()));
        assert_eq!(ask(&gateway, &token), accepted());
    }
}

/// The issuer says which keys it has, and we can use none of them.
#[test]
fn set_of_which_no_key_can_be_used_withdraws_the_keys_at_once() {
    let ec = IssuerKey::ec("e");
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&ec])));
    let gateway = fetching(&jwks, "refresh: 1h");
    let token = ec.token();
    assert_eq!(ask(&gateway, &token), accepted());
    let mut other = IssuerKey::ec("other").jwk;
    other["alg"] = json!("ES512");
    jwks.serve(JwksReply::Keys(vec![other]));
    assert_eq!(ask(&gateway, &IssuerKey::ec("other").token()), unknown());
    assert_eq!(ask(&gateway, &token), unknown());
    told(&gateway, &["WARN", "idp", "key `other`", "alg"]);
    told(&gateway, &["WARN", "idp", "no usable key any more"]);
}

#[test]
fn damaged_answer_withdraws_nothing_until_max_stale() {
    let ec = IssuerKey::ec("e");
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&ec])));
    let gateway = fetching(&jwks, "refresh: 1s, max_stale: 1h");
    let token = ec.token();
    assert_eq!(ask(&gateway, &token), accepted());
    let raw = |status: u16, body: String| JwksReply::Raw { status, fields: String::new(), body };
    for damaged in [
        raw(500, "{\"keys\": []}".to_owned()),
        raw(200, "{\"keys\": [".to_owned()),
        raw(200, "{}".to_owned()),
        raw(200, "{\"keys\": null}".to_owned()),
        raw(200, format!("{{\"keys\": []{}}}", " ".repeat(512 * 1024))),
        JwksReply::Keys(vec![json!({}); 101]),
        JwksReply::Keys(vec![json!(1), json!("a")]),
        JwksReply::Keys(vec![json!(null)]),
    ] {
        jwks.serve(damaged.clone());
        await_fetches(&gateway, "failed", 2.0);
        assert_eq!(ask(&gateway, &token), accepted(), "{damaged:?}");
    }
}

// ---- the last good copy

#[test]
fn key_that_was_withdrawn_does_not_come_back_with_a_restart() {
    let (rsa, ec) = (IssuerKey::rsa("r"), IssuerKey::ec("e"));
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&rsa, &ec])));
    let gateway = fetching(&jwks, "refresh: 1h");
    assert_eq!(ask(&gateway, &rsa.token()), accepted());
    jwks.serve(JwksReply::Keys(set(&[&ec])));
    assert_eq!(ask(&gateway, &IssuerKey::ec("stranger").token()), unknown());
    assert_eq!(ask(&gateway, &rsa.token()), unknown());
    let (directory, text) = (gateway.shared_directory(), std::fs::read_to_string(gateway.file()));
    let text = text.expect("the configuration");
    drop(gateway);
    // The issuer is away: nobody can say more than the copy does, which lacks the key.
    jwks.serve(JwksReply::Hang(Duration::ZERO));
    let gateway = Gateway::start_in(directory.clone(), &text);
    assert_eq!(ask(&gateway, &ec.token()), accepted());
    assert_eq!(ask(&gateway, &rsa.token()), (503, "keys_unavailable".to_owned()));
    drop(gateway);
    jwks.serve(JwksReply::Keys(set(&[&ec])));
    let gateway = Gateway::start_in(directory, &text);
    assert_eq!((ask(&gateway, &ec.token()), ask(&gateway, &rsa.token())), (accepted(), unknown()));
}

#[test]
fn all_keys_that_were_withdrawn_do_not_come_back_with_a_restart() {
    let ec = IssuerKey::ec("e");
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&ec])));
    let gateway = fetching(&jwks, "refresh: 1s");
    let token = ec.token();
    assert_eq!(ask(&gateway, &token), accepted());
    jwks.serve(JwksReply::Keys(Vec::new()));
    becomes(&gateway, &token, &unknown());
    let (directory, text) = (gateway.shared_directory(), std::fs::read_to_string(gateway.file()));
    drop(gateway);
    jwks.serve(JwksReply::Hang(Duration::ZERO));
    let gateway = Gateway::start_in(directory, &text.expect("the configuration"));
    assert_eq!(ask(&gateway, &token).0, 503, "there is no key to verify it with");
}

/// A copy that cannot be replaced could hold what was withdrawn.
#[test]
fn copy_that_cannot_be_replaced_is_removed() {
    let (rsa, ec) = (IssuerKey::rsa("r"), IssuerKey::ec("e"));
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&rsa, &ec])));
    let gateway = fetching(&jwks, "refresh: 1s");
    let copies = gateway.directory().join("data/jwks");
    let kept = copies.join("keys-idp.json");
    assert!(kept.is_file());
    // Not even root can write a file in the place of a directory that is not empty.
    std::fs::remove_file(&kept).expect("it was there");
    std::fs::create_dir_all(kept.join("in-the-way")).expect("a directory");
    jwks.serve(JwksReply::Keys(set(&[&ec])));
    becomes(&gateway, &rsa.token(), &unknown());
    told(&gateway, &["WARN", "idp", "a copy of the keys cannot be saved"]);
    told(&gateway, &["ERROR", "idp", "neither replaced nor removed"]);
}

// ---- keys that are hard to use

#[test]
fn rsa_key_with_a_leading_zero_is_used() {
    let mut rsa = IssuerKey::rsa("r");
    let bytes = tokens::unencoded(rsa.jwk["n"].as_str().expect("a modulus"));
    rsa.jwk["n"] = json!(tokens::encoded(&[&[0], bytes.as_slice()].concat()));
    let jwks = JwksEndpoint::start(JwksReply::Keys(set(&[&rsa])));
    assert_eq!(ask(&fetching(&jwks, "refresh: 1h"), &rsa.token()), accepted());
}

#[test]
fn key_that_cannot_be_used_is_warned_of_once_by_its_id() {
    let ec = IssuerKey::ec("good");
    let weak = json!({"kty": "RSA", "kid": "weak\u{1b}[2J", "n": "AQAB", "e": "AQAB"});
    let encryption = json!({"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"});
    let keys = vec![ec.jwk.clone(), weak, encryption, json!({"kty": "unheard-of"})];
    let jwks = JwksEndpoint::start(JwksReply::Keys(keys));
    let gateway = fetching(&jwks, "refresh: 1s");
    assert_eq!(ask(&gateway, &ec.token()), accepted());
    told(&gateway, &["WARN", "idp", "key `weak\\u{1b}[2J`", "17 bits, at least 2048"]);
    told(&gateway, &["WARN", "idp", "key 4 of the set", "unsupported kind"]);
    await_fetches(&gateway, "ok", 3.0);
    let lines = gateway.errors();
    let warnings = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!((warnings("key `weak"), warnings("key 4 of")), (1, 1), "{lines:#?}");
    assert_eq!(warnings("key `enc`"), 0, "keys for encryption are none of ours");
}

/// Issuers that rotate without ids keep some keys for as long as tokens by them live.
#[test]
fn token_that_names_no_key_is_verified_by_any_of_sixteen() {
    let others: Vec<_> = (0..16).map(|_| IssuerKey::ec("other")).collect();
    let (rsa, last) = (IssuerKey::rsa("r"), IssuerKey::ec("last"));
    let keys = |others: &[IssuerKey]| -> Vec<_> {
        let all = [&rsa].into_iter().chain(others).chain([&last]);
        all.map(IssuerKey::nameless).collect()
    };
    // Seven and fewer are what is seen; keys of another algorithm do not count.
    for count in [6, 15] {
        let jwks = JwksEndpoint::start(JwksReply::Keys(keys(&others[..count])));
        let gateway = fetching(&jwks, "refresh: 1h");
        assert_eq!(ask(&gateway, &last.sign(None)), accepted(), "{count}");
        assert_eq!(ask(&gateway, &last.sign(Some("a-name"))), accepted(), "{count}");
    }
    let jwks = JwksEndpoint::start(JwksReply::Keys(keys(&others)));
    let gateway = fetching(&jwks, "refresh: 1h");
    assert_eq!(ask(&gateway, &last.sign(None)), (401, "token_signature".to_owned()));
    let line = gateway.logged(|line| line["slug"] == "token_signature");
    let reason = line["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("the first 16 keys") && reason.contains("no more are tried"), "{line}");
    assert_eq!(ask(&gateway, &others[15].sign(None)), accepted());
}

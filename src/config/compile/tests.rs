mod sessions;
mod slips;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::CertifiedKey;
use tempfile::TempDir;

use super::super::{Configuration, Problems, Sources};
use crate::gate::request::{Request, Scheme};
use crate::gate::time::Moment;
use crate::issuer::signing::{KeyKind, generate};

fn compile(text: &str) -> Result<Configuration, Problems> {
    compile_in(Path::new("/nowhere"), text, None)
}

fn compile_in(
    directory: &Path,
    text: &str,
    previous: Option<&Configuration>,
) -> Result<Configuration, Problems> {
    let environment = |name: &str| (name == "SET").then(|| "s".repeat(64));
    let sources = Sources { environment: &environment, previous };
    Configuration::compile(&directory.join("gateway.yaml"), text.to_owned(), &sources)
}

const MINIMAL: &str = "
listeners: [{address: '127.0.0.1:8080'}]
upstreams: {echo: {peers: ['127.0.0.1:9001']}}
routes: [{name: all, match: {path: '/{*rest}'}, upstream: echo, public: true}]
";

/// Problems as `line field`, in the order of the file.
fn places(text: &str) -> Vec<String> {
    let problems = compile(text).expect_err("it must not compile");
    problems
        .list
        .iter()
        .map(|problem| format!("{} {}", problem.line.unwrap_or(0), problem.field))
        .collect()
}

#[test]
fn minimal_configuration_compiles() {
    let configuration = compile(MINIMAL).expect("compiles");
    assert_eq!(configuration.listeners.len(), 1);
    assert!(configuration.warnings.list.is_empty());
}

#[test]
fn empty_configuration_names_what_is_missing() {
    assert_eq!(places(""), ["1 listeners", "1 routes"]);
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let text = "\
listeners:
  - address: localhost
admin:
  address: 0.0.0.0:9901
colour: red
issuers:
  - name: a
    issuer: https://a
    audiences: []
    algorithms: [none]
    keys: {jwks_url: 'http://idp.example/jwks'}
  - name: b
    issuer: https://b
    audiences: [b]
    algorithms: [RS256, HS256]
    keys: {jwks_url: 'http://idp.example/jwks'}
identity_headers:
  subject: Connection
  issuer: X_Request_Id
  roles: X-Auth-Scopes
upstreams:
  orders:
    peers: [orders]
    tls: {ca_file: missing.pem}
routes:
  - name: no-policy
    match: {path: /a}
    upstream: order
  - name: both
    match: {path: b, methods: [get]}
    upstream: orders
    public: true
    authenticate: [bearer]
  - name: both
    match: {path: /c, hosts: ['a:80']}
    upstream: orders
    authenticate: [cookie]
    issuers: [c]
    require: {scopes: ['a b']}
";
    let expected = [
        "2 listeners[0].address",
        "3 admin.token_file",
        "5 colour",
        "9 issuers[0].audiences",
        "10 issuers[0].algorithms[0]",
        "15 issuers[1].algorithms[1]",
        "16 issuers[1].keys.jwks_url",
        "18 identity_headers.subject",
        "19 identity_headers.issuer",
        "20 identity_headers.roles",
        "23 upstreams.orders.peers[0]",
        "24 upstreams.orders.tls.ca_file",
        "24 upstreams.orders.tls.server_name",
        "26 routes[0]",
        "28 routes[0].upstream",
        "30 routes[1].match.methods[0]",
        "32 routes[1].public",
        "34 routes[2].name",
        "35 routes[2].match.hosts[0]",
        "37 routes[2].authenticate[0]",
        "38 routes[2].issuers[0]",
        "39 routes[2].require.scopes[0]",
    ];
    let problems = compile(text).expect_err("it must not compile");
    let mut found = places(text);
    found.dedup();
    for place in expected {
        assert!(found.contains(&place.to_owned()), "{place} is not in\n{problems}");
    }
}

/// Headers that an identity must not travel in: hop by hop (RFC 9110 §7.6.1), framing (RFC 9112
/// §6), routing, credentials, and what a proxy says of the way so far.
const MEANT_FOR_OTHERS: &str = "Connection Keep-Alive Proxy-Connection TE Trailer \
    Transfer-Encoding Upgrade Content-Length Content-Type Host Expect Authorization \
    Proxy-Authorization Cookie Forwarded Via X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host \
    X-Request-Id";

#[test]
fn identity_header_that_is_meant_for_others_is_refused_in_every_spelling() {
    for name in MEANT_FOR_OTHERS.split_ascii_whitespace() {
        for spelling in
            [name.to_owned(), name.to_uppercase(), name.replace('-', "_"), name.replace('-', ".")]
        {
            for key in ["subject", "session", "claims: { email", "claims: { /org/id"] {
                let closing = if key.contains('{') { " }" } else { "" };
                let text = format!("{MINIMAL}identity_headers: {{ {key}: {spelling}{closing} }}\n");
                let field = format!("5 identity_headers.{}", key.replace(": { ", "."));
                assert_eq!(places(&text), [field], "{spelling}");
            }
        }
    }
}

#[test]
fn ten_thousand_routes_load_within_seconds_and_each_is_found() {
    let mut text = String::from(MINIMAL.trim_end().trim_end_matches(']'));
    for number in 0..10_000 {
        text.push_str(&format!(
            ",\n {{name: r{number}, match: {{path: '/r{number}/{{id}}', hosts: [h{}.example]}}, \
             upstream: echo, public: true}}",
            number % 100
        ));
    }
    text.push(']');
    let begun = Instant::now();
    let configuration = compile(&text).expect("compiles");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    let (method, headers) = (http::Method::GET, http::HeaderMap::new());
    for number in 0..10_000 {
        let (authority, target) = (format!("h{}.example", number % 100), format!("/r{number}/7"));
        let request = Request {
            scheme: Scheme::Http,
            method: &method,
            authority: &authority,
            target: &target,
            headers: &headers,
            session: None,
        };
        let verdict = configuration.gate.decide(&request, Moment::default());
        let route = verdict.route.map(|route| &*route.name);
        assert_eq!(route, Some(format!("r{number}").as_str()));
    }
}

/// A configuration that uses every field there is, and the files that it names.
fn whole() -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let put = |name: &str, bytes: &str| {
        std::fs::write(directory.path().join(name), bytes).expect("a file");
    };
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["site.test".to_owned()]).expect("a certificate");
    put("site.pem", &cert.pem());
    put("site.key", &signing_key.serialize_pem());
    put("idp.pem", &generate(KeyKind::P256).expect("a key pair").public);
    put("other.pem", &generate(KeyKind::P256).expect("a key pair").public);
    put(
        "set.json",
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    );
    put("token", "a long random value");
    put("users.yaml", USERS);
    (directory, WHOLE.to_owned())
}

/// Users who use every field.
const USERS: &str = "\
alice:
  password: $argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8
  subject: u-17
  roles: [admin]
  scopes: [orders:read]
  claims: { email: alice@api.test, /org/id: 7 }
";

/// The other way to log in, with every field of its own.
const HAND_OFF: &str = "\
handoff:
    upstream: pages
    path: /verify
    subject: /user/id
    roles: /user/roles
    scopes: /user/scopes
    claims: { email: /user/email }
    timeout: 3s
    on_failure: pass_through";

/// The way to log in of the whole configuration.
const PASSWORD_FILE: &str = "password_file: users.yaml";

const WHOLE: &str = "\
listeners:
  - address: 127.0.0.1:8080
  - address: 127.0.0.1:8443
    tls: { certificates: [{ certificate_file: site.pem, key_file: site.key }] }
admin: { address: 0.0.0.0:9901, token_file: token }
server: { name: gateway-1, threads: 4, shutdown_grace: 30s }
limits:
  header_bytes: 32KiB
  header_count: 100
  header_timeout: 10s
  keepalive_timeout: 75s
  token_bytes: 8KiB
  connections: 65536
  connections_per_address: 1000
access_log: { enabled: true, format: json, subject: hashed, subject_key_file: token, query: false }
trusted_proxies: [10.0.0.0/8, '::1']
realm: the realm
data_directory: data
store:
  redis:
    sentinel: { master: main, nodes: ['rediss://10.0.0.1:26379/3', 'rediss://[::1]'] }
    username: us
    password_file: token
    tls: { ca_file: site.pem, certificate_file: site.pem, key_file: site.key }
    prefix: here
revocation: { max_staleness: 5s, when_stale: deny_writes, max_entries: 5000000, accept_local: true }
sessions:
  cookie: { name: sid, domain: api.test, same_site: strict, dangerous_insecure: true }
  idle_timeout: 30m
  absolute_timeout: 12h
  recheck: 5s
  allowed_origins: [https://app.test, 'http://localhost:3000']
  cache_size: 256MiB
login:
  base: /auth
  issuer: https://api.test
  password_file: users.yaml
  return_to: [https://app.test, https://other.test/callback]
  attempts: { per_account: 10/15m, per_address: 100/15m }
audit_log: { file: data/audit.jsonl }
token_cache: { size: 64MiB }
issuers:
  - name: fetched
    issuer: https://fetched.test
    audiences: [a, b]
    algorithms: [RS256, ES256]
    keys: { jwks_url: https://fetched.test/keys, refresh: 10m, max_stale: 24h, timeout: 3s, ca_file: site.pem }
    clock_skew: 30s
    max_lifetime: 24h
    token_types: [at+jwt, JWT]
    required_claims: [jti]
    roles: /realm_access/roles
  - { name: set, issuer: https://set.test, audiences: [a], algorithms: [EdDSA], keys: { jwks_file: set.json } }
  - { name: pem, issuer: https://pem.test, audiences: [a], algorithms: [ES256], keys: { public_key_file: idp.pem } }
  - { name: shared, issuer: https://shared.test, audiences: [a], algorithms: [HS256, HS512], keys: { secret: '${SET}' } }
upstreams:
  orders:
    peers: [127.0.0.1:9001, 'orders.internal:9002']
    balance: round_robin
    tls: { server_name: orders.internal, ca_file: site.pem }
    timeouts: { connect: 1s, read: 30s, write: 30s, idle: 60s }
    retries: 1
  pages: { peers: ['[::1]:9003'] }
identity_headers:
  subject: X-Auth-Subject
  issuer: X-Auth-Issuer
  scopes: X-Auth-Scopes
  roles: X-Auth-Roles
  session: X-Auth-Session
  claims: { email: X-Auth-Email, /org/id: X-Auth-Org }
routes:
  - name: orders
    match: { hosts: [api.test, '*.api.test'], path: '/orders/{*rest}', methods: [GET, POST], dangerous_path: [semicolon] }
    upstream: orders
    authenticate: [bearer, session]
    issuers: [fetched, shared]
    require: { scopes: [orders:read], any_role: [admin, clerk], claims: { tenant: [acme, 7, true] } }
    when_stale: { allow_for: 30s }
    forward: { credential: keep }
    limits: { body: 10MiB }
  - { name: any, match: { path: '/{a}/b' }, upstream: pages, authenticate: [bearer] }
  - { name: pages, match: { path: / }, upstream: pages, public: true }
";

#[test]
fn configuration_that_uses_every_field_compiles_without_a_warning() {
    let (directory, text) = whole();
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    assert!(configuration.warnings.list.is_empty(), "{}", configuration.warnings);
}

#[test]
fn configuration_that_hands_logins_off_compiles_without_a_warning() {
    let (directory, text) = whole();
    let text = text.replace(PASSWORD_FILE, HAND_OFF);
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    assert!(configuration.warnings.list.is_empty(), "{}", configuration.warnings);
}

/// Fields that stand for others, and are tested beside them.
const INSTEAD: [&str; 7] =
    ["url", "cluster", "embedded", "password", "secret_file", "token", "handoff"];

#[test]
fn every_field_there_is_stands_in_the_whole_configuration() {
    // The mapping that is declared, and where its fields have to stand.
    let mut place = WHOLE;
    let mut fields = Vec::new();
    for line in include_str!("../raw.rs").lines().map(str::trim) {
        let Some(declared) = line.strip_prefix("pub(super) ") else { continue };
        if let Some(name) = declared.strip_prefix("struct ") {
            place = match name.trim_end_matches(" {") {
                "User" => USERS,
                "HandOff" => HAND_OFF,
                _ => WHOLE,
            };
        } else if let Some((name, _)) = declared.split_once(": ") {
            fields.push((name.replace("matching", "match"), place));
        }
    }
    assert!(fields.len() > 80, "{fields:?}");
    for place in [WHOLE, USERS, HAND_OFF] {
        assert!(fields.iter().any(|(_, told)| *told == place), "nothing stands in {place}");
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let stands = |field: &str, text: &str| {
        let places = text.match_indices(field);
        places.into_iter().any(|(at, _)| {
            text[at + field.len()..].starts_with(':')
                && !text[..at].chars().next_back().is_some_and(is_word)
        })
    };
    let missing = fields.iter().filter(|(field, place)| !stands(field, place));
    let missing = missing.map(|(field, _)| field.as_str());
    let missing: Vec<_> = missing.filter(|field| !INSTEAD.contains(field)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_file_that_was_read_is_known() {
    let (directory, text) = whole();
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    let names: Vec<_> = configuration
        .files
        .iter()
        .map(|file| file.strip_prefix(directory.path()).expect("inside").display().to_string())
        .collect();
    let expected =
        ["gateway.yaml", "idp.pem", "set.json", "site.key", "site.pem", "token", "users.yaml"];
    assert_eq!(names, expected);
}

#[test]
fn dangerous_options_are_named_with_their_place() {
    let (directory, text) = whole();
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    let expected = [("sessions.cookie", "dangerous_insecure"), ("route orders", "dangerous_path")];
    let expected = expected.map(|(place, option)| (place.to_owned(), option));
    assert_eq!(configuration.dangerous, expected);
}

/// Compiles the whole configuration, then with a change on top of that.
fn recompiled(from: &str, to: &str) -> (Configuration, Configuration) {
    let (directory, text) = whole();
    let before = compile_in(directory.path(), &text, None).expect("compiles");
    assert!(text.contains(from), "{from}");
    let text = text.replace(from, to);
    let after = compile_in(directory.path(), &text, Some(&before)).expect("compiles");
    (before, after)
}

/// The names of the issuers that were taken over as they were.
fn kept_issuers((before, after): &(Configuration, Configuration)) -> Vec<String> {
    let kept = after.issuers().filter(|issuer| before.gate.issuers.with_id(issuer.id()).is_some());
    kept.map(|issuer| issuer.rules().name.to_string()).collect()
}

/// The names of the issuers whose fetched keys were taken over.
fn kept_keys((before, after): &(Configuration, Configuration)) -> Vec<String> {
    let known = |cell| before.key_feeds.iter().any(|feed| Arc::ptr_eq(&feed.cell, cell));
    let kept = after.key_feeds.iter().filter(|feed| known(&feed.cell));
    kept.map(|feed| feed.issuer.to_string()).collect()
}

#[test]
fn issuers_that_did_not_change_are_taken_over() {
    let compiled = recompiled("path: /", "path: /elsewhere");
    assert_eq!(kept_issuers(&compiled), ["fetched", "set", "pem", "shared"]);
    assert_eq!(kept_keys(&compiled), ["fetched"]);
}

#[test]
fn issuer_whose_rules_change_is_another_but_keeps_its_fetched_keys() {
    let compiled = recompiled("required_claims: [jti]", "required_claims: []");
    assert_eq!(kept_issuers(&compiled), ["set", "pem", "shared"]);
    assert_eq!(kept_keys(&compiled), ["fetched"]);
}

#[test]
fn issuer_whose_keys_come_from_elsewhere_is_another() {
    let compiled = recompiled("fetched.test/keys", "fetched.test/others");
    assert_eq!(kept_issuers(&compiled), ["set", "pem", "shared"]);
    assert_eq!(kept_keys(&compiled), [""; 0]);
}

#[test]
fn issuer_whose_key_changes_is_another() {
    let compiled = recompiled("idp.pem", "other.pem");
    assert_eq!(kept_issuers(&compiled), ["fetched", "set", "shared"]);
}

#[test]
fn identity_headers_that_change_make_all_issuers_others() {
    // What was rendered for a token before the change must not be sent after it.
    let compiled = recompiled("X-Auth-Email", "X-Auth-Mail");
    assert_eq!(kept_issuers(&compiled), [""; 0]);
    assert_eq!(kept_keys(&compiled), ["fetched"]);
}

#[test]
fn upstreams_that_did_not_change_keep_their_addresses() {
    let (before, after) = recompiled("retries: 1", "retries: 2");
    let kept: Vec<_> = after
        .upstreams
        .iter()
        .filter(|upstream| before.upstreams.iter().any(|known| Arc::ptr_eq(known, upstream)))
        .map(|upstream| &*upstream.settings().name)
        .collect();
    assert_eq!(kept, ["pages"]);
}

#[test]
fn verified_tokens_are_kept_unless_their_bounds_change() {
    let verifier = |(before, after): &(Configuration, Configuration)| {
        Arc::ptr_eq(&before.gate.verifier, &after.gate.verifier)
    };
    assert!(verifier(&recompiled("path: /", "path: /elsewhere")));
    assert!(!verifier(&recompiled("token_bytes: 8KiB", "token_bytes: 9KiB")));
    assert!(!verifier(&recompiled("size: 64MiB", "size: 65MiB")));
}

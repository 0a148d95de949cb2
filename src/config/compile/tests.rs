mod sessions;
mod slips;
mod tokens;
pub(crate) mod whole;

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::{Problems, Settings};
use crate::gate::path::CanonicalPath;
use crate::issuer::key_pairs::{KeyKind, generate};
use tempfile::TempDir;
use whole::{CLIENTS, GIVEN_KEYS, HAND_OFF, KEPT_KEYS, PASSWORD_FILE, USERS, WHOLE, whole};

fn compile(text: &str) -> Result<Settings, Problems> {
    compile_in(Path::new("/nowhere"), text)
}

pub(crate) fn compile_in(directory: &Path, text: &str) -> Result<Settings, Problems> {
    let environment = |name: &str| (name == "SET").then(|| "s".repeat(64));
    Settings::compile(&directory.join("gateway.yaml"), text.to_owned(), &environment)
}

pub(crate) const MINIMAL: &str = "
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
    let settings = compile(MINIMAL).expect("compiles");
    assert_eq!(settings.listeners.len(), 1);
    assert!(settings.warnings.list.is_empty());
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

/// Headers that an identity must not be sent in: hop by hop (RFC 9110 §7.6.1), framing (RFC 9112
/// §6), routing, credentials, and what a proxy says about the way so far.
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
    let settings = compile(&text).expect("compiles");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    for number in 0..10_000 {
        let (host, path) = (format!("h{}.example", number % 100), format!("/r{number}/7"));
        let path = CanonicalPath::parse(&path).expect("a path");
        let route = settings.gate.routes.find(&host, &path, &http::Method::GET);
        assert_eq!(*route.expect("a route").name, *format!("r{number}"));
    }
}

#[test]
fn configuration_that_uses_every_field_compiles_without_a_warning() {
    let (directory, text) = whole();
    let settings = compile_in(directory.path(), &text).expect("compiles");
    assert!(settings.warnings.list.is_empty(), "{}", settings.warnings);
}

#[test]
fn configuration_that_hands_logins_off_compiles_without_a_warning() {
    let (directory, text) = whole();
    let text = text.replace(PASSWORD_FILE, HAND_OFF);
    let settings = compile_in(directory.path(), &text).expect("compiles");
    assert!(settings.warnings.list.is_empty(), "{}", settings.warnings);
}

#[test]
fn configuration_whose_signing_keys_are_given_compiles_without_a_warning() {
    let (directory, text) = whole();
    let text = text.replace(KEPT_KEYS, GIVEN_KEYS);
    let settings = compile_in(directory.path(), &text).expect("compiles");
    assert!(settings.warnings.list.is_empty(), "{}", settings.warnings);
}

/// Fields that replace others, and are tested next to them.
const INSTEAD: [&str; 9] = [
    "url",
    "cluster",
    "embedded",
    "password",
    "secret_file",
    "token",
    "handoff",
    "key_files",
    "encryption_key",
];

/// The sources of the raw types.
fn raw_types() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config");
    let of_sections = std::fs::read_dir(root.join("raw")).expect("a directory");
    let of_sections = of_sections.map(|entry| entry.expect("an entry").path());
    let files = of_sections.chain([root.join("raw.rs")]);
    files.map(|file| std::fs::read_to_string(file).expect("a source")).collect()
}

#[test]
fn every_field_there_is_stands_in_the_whole_configuration() {
    // The mapping that is declared, and the path of its fields.
    let mut place = WHOLE;
    let mut fields = Vec::new();
    let raw = raw_types();
    for line in raw.lines().map(str::trim) {
        let declared =
            ["pub(super) ", "pub(crate) "].into_iter().find_map(|it| line.strip_prefix(it));
        let Some(declared) = declared else { continue };
        if let Some(name) = declared.strip_prefix("struct ") {
            place = match name.trim_end_matches(" {") {
                "User" => USERS,
                "HandOff" => HAND_OFF,
                "Client" => CLIENTS,
                _ => WHOLE,
            };
        } else if let Some((name, _)) = declared.split_once(": ") {
            fields.push((name.replace("matching", "match"), place));
        }
    }
    assert!(fields.len() > 80, "{fields:?}");
    for place in [WHOLE, USERS, HAND_OFF, CLIENTS] {
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
    let settings = compile_in(directory.path(), &text).expect("compiles");
    let names: Vec<_> = settings
        .files
        .iter()
        .map(|file| file.strip_prefix(directory.path()).expect("inside").display().to_string())
        .collect();
    let expected = [
        "clients.yaml",
        "gateway.yaml",
        "idp.pem",
        "kek",
        "set.json",
        "site.key",
        "site.pem",
        "token",
        "users.yaml",
    ];
    assert_eq!(names, expected);
}

#[test]
fn dangerous_options_are_named_with_their_place() {
    let (directory, text) = whole();
    let settings = compile_in(directory.path(), &text).expect("compiles");
    let expected = [("sessions.cookie", "dangerous_insecure"), ("route orders", "dangerous_path")];
    let expected = expected.map(|(place, option)| (place.to_owned(), option));
    assert_eq!(settings.dangerous, expected);
}

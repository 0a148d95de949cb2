use std::path::Path;

use super::super::{Configuration, Problems, Sources};

fn compile(text: &str) -> Result<Configuration, Problems> {
    let sources = Sources { environment: &|_| None, previous: None };
    Configuration::compile(Path::new("/nowhere/gateway.yaml"), text.to_owned(), &sources)
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

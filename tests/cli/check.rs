//! `portcullis check` on configurations that compile; `config` holds what it says of others.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::program::{program, run, run_with};
use crate::harness::tokens;

const CONFIGURATION: &str = "\
listeners: [{ address: '127.0.0.1:0' }]
upstreams:
  orders: { peers: ['127.0.0.1:9001'] }
  pages: { peers: ['127.0.0.1:9002'] }
issuers:
  - { name: idp, issuer: 'https://idp.test', audiences: [a], algorithms: [ES256], keys: { public_key_file: idp.pem } }
  - { name: partner, issuer: 'https://partner.test', audiences: [a], algorithms: [ES256], keys: { public_key_file: idp.pem } }
routes:
  - { name: pages, match: { path: '/{*rest}', hosts: [www.test, '*.www.test'] }, upstream: pages, public: true }
  - name: read
    match: { path: '/orders/{*rest}', methods: [GET] }
    upstream: orders
    authenticate: [bearer]
  - name: write
    match: { path: '/orders/{*rest}', methods: [POST, PUT] }
    upstream: orders
    authenticate: [bearer]
    issuers: [idp]
    require: { scopes: [orders:write, orders:read], any_role: [clerk, admin], claims: { tenant: [acme, 7] } }
";

fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("idp.pem"), &tokens::pair().public).expect("a file");
    std::fs::write(directory.path().join("gateway.yaml"), CONFIGURATION).expect("a file");
    directory
}

#[test]
fn table_lists_every_route_and_marks_the_public_ones() {
    let ran = run(directory().path(), &["check"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let rows: Vec<Vec<_>> = ran
        .stdout
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let write = "bearer from idp, scopes orders:write orders:read, role clerk or admin, \
                 claim tenant = \"acme\" or 7";
    let expected: [&[&str]; 6] = [
        &["ROUTE", "HOSTS", "METHODS", "PATH", "UPSTREAM", "POLICY"],
        &["pages", "www.test *.www.test", "any", "/{*rest}", "pages", "PUBLIC: anybody"],
        &["read", "any", "GET", "/orders/{*rest}", "orders", "bearer from idp or partner"],
        &["write", "any", "POST PUT", "/orders/{*rest}", "orders", write],
        &[],
        &["gateway.yaml: 3 routes, 1 of them public"],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn columns_of_the_table_are_aligned() {
    let ran = run(directory().path(), &["check"]);
    let lines: Vec<_> = ran.stdout.lines().take(4).collect();
    let column = lines[0].find("POLICY").expect("a column");
    for line in lines {
        assert_eq!(line.as_bytes()[column - 1], b' ', "{line}");
        assert_ne!(line.as_bytes()[column], b' ', "{line}");
    }
}

#[test]
fn json_tells_the_same() {
    let ran = run(directory().path(), &["check", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let routes = told["routes"].as_array().expect("routes");
    let public: Vec<_> = routes.iter().map(|route| (&route["name"], &route["public"])).collect();
    let (yes, no) = (json!(true), json!(false));
    let names = ["pages", "read", "write"].map(|name| json!(name));
    assert_eq!(public, [(&names[0], &yes), (&names[1], &no), (&names[2], &no)]);
    assert_eq!(
        routes[1],
        json!({
            "name": "read", "hosts": "any", "methods": "GET", "path": "/orders/{*rest}",
            "policy": "bearer from idp or partner", "upstream": "orders", "public": false,
        })
    );
}

#[test]
fn paths_that_are_refused_as_aliases_are_warned_of_and_listed() {
    let directory = directory();
    let text = CONFIGURATION.replace("hosts: [www.test, '*.www.test']", "methods: [GET]");
    std::fs::write(directory.path().join("gateway.yaml"), &text).expect("a file");
    let ran = run(directory.path(), &["check", "--json"]);
    let warning = "gateway.yaml:9: warning: routes[0].match.path: `/Orders/{*rest}` and \
                   `/orders./{*rest}` are refused: to upstreams that ignore case and dots and spaces \
                   at the end of a name they are `/orders/{*rest}`, which is route `read`, and this \
                   route is public. If its upstream tells them apart, write `dangerous_path: [case, \
                   trailing_dot]` here.\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (0, warning));
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let alias = |path: &str, ambiguity: &str| json!({ "path": path, "of": "read", "instead_of": "pages", "dangerous_path": [ambiguity] });
    let expected = [alias("/Orders/{*rest}", "case"), alias("/orders./{*rest}", "trailing_dot")];
    assert_eq!(told["refused_aliases"], json!(expected));
    let allowed =
        text.replace("methods: [GET]", "methods: [GET], dangerous_path: [case, trailing_dot]");
    std::fs::write(directory.path().join("gateway.yaml"), allowed).expect("a file");
    let ran = run(directory.path(), &["check", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn json_parses_beside_warnings() {
    let directory = directory();
    let text = format!("{CONFIGURATION}admin: {{ token: hunter2 }}\n");
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let ran = run(directory.path(), &["check", "--json"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("warning: admin.token: "), "{}", ran.stderr);
    serde_json::from_str::<Value>(&ran.stdout).expect("JSON");
}

#[test]
fn configuration_is_named_by_option_or_environment_or_default() {
    let directory = directory();
    let named = |name: &str| {
        let text = CONFIGURATION.replace("name: read", &format!("name: read-{name}"));
        std::fs::write(directory.path().join(name), text).expect("a file");
    };
    named("gateway.yaml");
    named("environment.yaml");
    named("option.yaml");
    let environment = [("PORTCULLIS_CONFIG", "environment.yaml")];
    let option = ["check", "--config", "option.yaml"];
    for (ran, expected) in [
        (run(directory.path(), &["check"]), "read-gateway.yaml"),
        (run_with(directory.path(), &["check"], &environment), "read-environment.yaml"),
        (run_with(directory.path(), &option, &environment), "read-option.yaml"),
    ] {
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains(expected), "{expected}: {}", ran.stdout);
    }
}

#[test]
fn nothing_is_written() {
    let directory = directory();
    assert_eq!(run(directory.path(), &["check"]).code, 0);
    let mut left: Vec<_> = std::fs::read_dir(directory.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["gateway.yaml", "idp.pem"]);
}

#[test]
fn reader_that_has_seen_enough_is_no_failure() {
    // As `portcullis check | head -1` does. The table must not fit into the pipe.
    let directory = directory();
    let mut text = CONFIGURATION.to_owned();
    for number in 0..2000 {
        text.push_str(&format!(
            "  - {{ name: r{number}, match: {{ path: '/{number}/{{*rest}}' }}, upstream: pages, public: true }}\n"
        ));
    }
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let mut child = program(directory.path(), &["check"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    reader.read_line(&mut String::new()).expect("a line");
    drop(reader);
    let output = child.wait_with_output().expect("the end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
}

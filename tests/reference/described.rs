//! What is served is described in the OpenAPI documents, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::Value;

use super::api::document;
use crate::harness::client;
use crate::harness::gateway::Gateway;
use crate::harness::login;

/// An id of a session in its form, for `{id}`.
const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const LISTENER: &str = "listeners: [{ address: '127.0.0.1:0' }]\nadmin: { address: '127.0.0.1:0' }";
const ROUTE: &str = "upstreams: { behind: { peers: ['127.0.0.1:1'] } }
routes: [{ name: all, match: { path: '/{*rest}' }, upstream: behind, public: true }]";
const TOKENS: &str = "tokens:
  issuer: https://gateway.example
  access: { audiences: [orders] }
  signing: { encryption_key_file: kek }";

/// A route without a description, or a description without a route, is a defect.
#[test]
fn every_route_of_the_admin_listener_is_described() {
    let source = source("src/admin.rs");
    let routes = source.split(".route(").skip(1);
    let routed: BTreeSet<_> = routes.filter_map(|route| route.split('"').nth(1)).collect();
    let document = document("admin");
    let described = document["paths"].as_object().expect("paths");
    assert_eq!(routed, described.keys().map(String::as_str).collect());
}

/// The paths that the table of endpoints holds are those of the document.
#[test]
fn every_path_of_the_table_of_endpoints_is_described() {
    let described: BTreeSet<_> = described().into_keys().collect();
    assert_eq!(described, paths_of_the_table());
}

/// For each path a gateway that has the section of its tag says which methods there are.
#[test]
fn every_endpoint_knows_the_methods_that_are_described() {
    let sections = [("login", login::SECTION), ("tokens", TOKENS)];
    for enabled in [&sections[..1], &sections[1..], &sections[..]] {
        let lines = enabled.iter().map(|(_, lines)| *lines).collect::<Vec<_>>().join("\n");
        let directory = login::directory();
        std::fs::write(directory.path().join("kek"), "thirty-two bytes and a few more.")
            .expect("a file");
        let gateway = Gateway::start_in(directory, &format!("{LISTENER}\n{lines}\n{ROUTE}\n"));
        for (path, Described { tag, methods }) in described() {
            let is_enabled = enabled.iter().any(|(section, _)| *section == tag);
            let expected = if is_enabled { methods } else { BTreeSet::new() };
            assert_eq!(known(gateway.address(), &path), expected, "{path} with {lines}");
        }
    }
}

/// What the document says of a path.
struct Described {
    tag: String,
    methods: BTreeSet<String>,
}

/// What is described, by path.
fn described() -> BTreeMap<String, Described> {
    let document = document("gateway");
    let paths = document["paths"].as_object().expect("paths");
    let described = |item: &Value| {
        let operations = item.as_object().expect("operations");
        let tags: BTreeSet<_> = operations.values().map(|op| op["tags"].to_string()).collect();
        assert_eq!(tags.len(), 1, "one section enables a path: {item}");
        let tag = operations.values().find_map(|op| op["tags"][0].as_str()).expect("a tag");
        let methods = operations.keys().map(|method| method.to_uppercase()).collect();
        Described { tag: tag.to_owned(), methods }
    };
    paths.iter().map(|(path, item)| (path.clone(), described(item))).collect()
}

/// The paths in the source of the table, with the default of the base.
fn paths_of_the_table() -> BTreeSet<String> {
    let (table, metadata) = (source("src/endpoints/table.rs"), source("src/oauth/metadata.rs"));
    let code = table.lines().filter(|line| !line.trim_start().starts_with("//"));
    let below = code.flat_map(|line| line.split('"').skip(1).step_by(2));
    let below = below.filter(|text| text.starts_with('/')).map(|text| match text {
        "/sessions/" => "/auth/sessions/{id}".to_owned(),
        text => format!("/auth{text}"),
    });
    let constants = ["KEYS_PATH", "METADATA_PATH"].map(|name| {
        assert!(table.contains(name), "{name}");
        let declared = metadata.split(&format!("const {name}: &str = \"")).nth(1);
        declared.and_then(|rest| rest.split('"').next()).expect("a constant").to_owned()
    });
    below.chain(constants).collect()
}

/// The methods that a gateway knows at a path, but for `HEAD`: none if it leaves the path to a route.
fn known(gateway: SocketAddr, path: &str) -> BTreeSet<String> {
    let path = path.replace("{id}", ID);
    let answer = client::exchange(gateway, client::request("PROPFIND", &path, &[], ""));
    match answer.status {
        405 => {
            let allowed = answer.field("allow").expect("the methods").split(", ");
            allowed.filter(|method| *method != "HEAD").map(str::to_owned).collect()
        }
        // Below the base there is no route; elsewhere there is one, to an upstream that is away.
        404 | 502 => BTreeSet::new(),
        _ => panic!("{path}: {answer:?}"),
    }
}

fn source(path: &str) -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(file).expect("a source")
}

//! The admin API, from its OpenAPI document.

use std::process::Command;

use expect_test::expect_file;
use serde_json::Value;

use super::{head, page, row};

const ABOUT: &str = "\
The operations of the admin listener. [`openapi-admin.json`](openapi-admin.json) has all fields and
answers, for generators of clients (OpenAPI 3.1); `portcullis openapi` prints it. What each operation
does beyond this table is in [Admin listener](admin.md); the gateway's own endpoints for browsers and
OAuth clients are in [Sessions](sessions.md) and [Tokens](tokens.md).";

/// What `portcullis openapi` prints.
fn document() -> String {
    let printed = Command::new(env!("CARGO_BIN_EXE_portcullis")).arg("openapi").output();
    String::from_utf8(printed.expect("it runs").stdout).expect("text")
}

#[test]
fn openapi_document_in_the_repository_is_the_one_that_is_printed() {
    expect_file!["../../docs/reference/openapi-admin.json"].assert_eq(&document());
}

#[test]
fn api_page_lists_every_operation() {
    let document: Value = serde_json::from_str(&document()).expect("JSON");
    let mut text = page("Admin API", ABOUT);
    text += &head(["operation", "what it does", "parameters", "answers"]);
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = format!("`{} {path}`", method.to_uppercase());
            let summary = operation["summary"].as_str().expect("a summary");
            text += &row([&name, summary, &parameters(&document, operation), &answers(operation)]);
        }
    }
    expect_file!["../../docs/reference/api.md"].assert_eq(&text);
}

/// The parameters of the query, or the fields of the body.
fn parameters(document: &Value, operation: &Value) -> String {
    let query = operation["parameters"].as_array().into_iter().flatten();
    let query = query.filter(|parameter| parameter["in"] == "query");
    let query = query.filter_map(|parameter| parameter["name"].as_str());
    let body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
    let fields = body.and_then(|reference| document.pointer(&reference[1..]));
    let fields = fields.and_then(|schema| schema["properties"].as_object());
    let fields = fields.into_iter().flatten().map(|(name, _)| name.as_str());
    let names: Vec<_> = query.chain(fields).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn answers(operation: &Value) -> String {
    let answers = operation["responses"].as_object().expect("answers");
    answers.keys().cloned().collect::<Vec<_>>().join(", ")
}

/// A route without a description, or a description without a route, is a defect.
#[test]
fn every_route_of_the_admin_listener_is_described() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin.rs");
    let source = std::fs::read_to_string(file).expect("src/admin.rs");
    let routes = source.split(".route(").skip(1);
    let mut routed: Vec<_> = routes.filter_map(|route| route.split('"').nth(1)).collect();
    let document: Value = serde_json::from_str(&document()).expect("JSON");
    let described = document["paths"].as_object().expect("paths");
    let mut described: Vec<_> = described.keys().map(String::as_str).collect();
    routed.sort_unstable();
    described.sort_unstable();
    assert_eq!(routed, described);
}

//! The HTTP APIs, from their OpenAPI documents.

use std::process::Command;

use expect_test::{ExpectFile, expect_file};
use serde_json::Value;

use super::{head, page, row};

const ABOUT: &str = "\
The OpenAPI 3.1 documents have all fields and answers, for generators of clients:
[`openapi-admin.json`](openapi-admin.json) and [`openapi-gateway.json`](openapi-gateway.json).
`portcullis openapi --api admin` and `portcullis openapi --api gateway` print them.";

/// The documents: the name of the API, the title of its section, and what that begins with.
const SECTIONS: [(&str, &str, &str); 2] = [
    (
        "admin",
        "Admin API",
        "\
The operations of the admin listener. What each does beyond this table is in
[Admin listener](admin.md).",
    ),
    (
        "gateway",
        "Gateway endpoints",
        "\
What users and clients ask of the gateway itself, on every listener. The section `login` enables
the endpoints for logins, the section `tokens` those for tokens. `/auth` is the default of
`login.base`. What each does beyond this table is in [Sessions](sessions.md) and
[Tokens](tokens.md).",
    ),
];

/// What `portcullis openapi` prints of an API, or of the one that it takes without a word.
fn printed(api: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("openapi").args(api.into_iter().flat_map(|api| ["--api", api]));
    String::from_utf8(command.output().expect("it runs").stdout).expect("text")
}

/// The OpenAPI document of an API.
pub(super) fn document(api: &str) -> Value {
    serde_json::from_str(&printed(Some(api))).expect("JSON")
}

#[test]
fn openapi_documents_in_the_repository_are_those_that_are_printed() {
    let documents: [(&str, ExpectFile); 2] = [
        ("admin", expect_file!["../../docs/reference/openapi-admin.json"]),
        ("gateway", expect_file!["../../docs/reference/openapi-gateway.json"]),
    ];
    for (api, file) in documents {
        file.assert_eq(&printed(Some(api)));
    }
}

#[test]
fn openapi_prints_the_admin_api_unless_told_otherwise() {
    assert_eq!(printed(None), printed(Some("admin")));
}

#[test]
fn api_page_lists_every_operation() {
    let mut text = page("HTTP APIs", ABOUT);
    for (api, title, about) in SECTIONS {
        let document = document(api);
        text += &format!("\n## {title}\n\n{about}\n");
        text += &head(["operation", "what it does", "parameters", "answers"]);
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let name = format!("`{} {path}`", method.to_uppercase());
                let summary = operation["summary"].as_str().expect("a summary");
                text +=
                    &row([&name, summary, &parameters(&document, operation), &answers(operation)]);
            }
        }
    }
    expect_file!["../../docs/reference/api.md"].assert_eq(&text);
}

/// The parameters of query and header, or the fields of the body.
fn parameters(document: &Value, operation: &Value) -> String {
    let named = operation["parameters"].as_array().into_iter().flatten();
    let named = named.filter(|parameter| parameter["in"] != "path");
    let named = named.filter_map(|parameter| parameter["name"].as_str());
    let bodies = operation["requestBody"]["content"].as_object();
    // Where there are two, they have the same fields.
    let body = bodies.and_then(|bodies| bodies.values().next());
    let body = body.and_then(|body| body["schema"]["$ref"].as_str());
    let fields = body.and_then(|reference| document.pointer(&reference[1..]));
    let fields = fields.and_then(|schema| schema["properties"].as_object());
    let fields = fields.into_iter().flatten().map(|(name, _)| name.as_str());
    let names: Vec<_> = named.chain(fields).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn answers(operation: &Value) -> String {
    let answers = operation["responses"].as_object().expect("answers");
    answers.keys().cloned().collect::<Vec<_>>().join(", ")
}

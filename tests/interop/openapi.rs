//! schemathesis calls every operation of the documents with what they allow and with what they do not,
//! and holds each answer against them.

mod examples;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use portcullis::openapi::{admin, gateway};
use serde_json::Value;

use self::examples::with_examples;
use super::program::{installed, locally};
use super::{Site, scripts};
use crate::harness::login::PASSWORD;

/// How many requests are made up for each operation of the admin API, and of the gateway.
const ADMIN_EXAMPLES: &str = "25";
const GATEWAY_EXAMPLES: &str = "10";

/// Whether what the schema allows is accepted cannot be held: which issuers, clients, keys and users
/// there are is not in it.
const ADMIN_EXCLUDED: &str = "positive_data_acceptance";

/// Nor is an invalid credential always 401: a damaged cookie is `credential_malformed`, 400.
const GATEWAY_EXCLUDED: &str = "positive_data_acceptance,ignored_auth";

/// A caller: who logs in, and what they tell schemathesis to send or to leave out.
struct Caller {
    user: &'static str,
    arguments: &'static [&'static str],
    operations: usize,
}

const CALLERS: [Caller; 2] = [
    // A program.
    Caller { user: "alice", arguments: &[], operations: 13 },
    // A browser that navigates. Tokens are not for it.
    Caller {
        user: "bob",
        arguments: &[
            "--header=Accept: text/html",
            "--header=Sec-Fetch-Site: same-origin",
            "--include-tag=login",
        ],
        operations: 7,
    },
];

#[test]
fn admin_api_answers_as_its_document_says() {
    let site = Site::open();
    let admin_listener = site.gateway.admin();
    let token = site.gateway.admin_token_file().expect("the gateway made a token");
    let token = std::fs::read_to_string(token).expect("the token");
    let document = admin::document().to_json().expect("JSON");
    let mut command = schemathesis(site.gateway.directory(), &document, ADMIN_EXCLUDED);
    command.args(["--url", &format!("http://{}", admin_listener.address())]);
    command.args(["--header", &format!("Authorization: Bearer {}", token.trim())]);
    command.args(["--phases", "coverage,fuzzing", "--max-examples", ADMIN_EXAMPLES]);
    let output = output_of(command);
    assert!(output.contains("Tested: 16"), "{output}");
}

#[test]
fn gateway_endpoints_answer_as_their_document_says() {
    let site = Site::open();
    let mut document = serde_json::to_value(gateway::document()).expect("JSON");
    // With this range, whatever a login answers would be documented. Here no service answers.
    let login = &mut document["paths"]["/auth/login"]["post"]["responses"];
    assert!(login.as_object_mut().expect("answers").remove("4XX").is_some());
    let mut seen = BTreeSet::new();
    for Caller { user, arguments, operations } in CALLERS {
        let document = with_examples(&document, &site.gateway, user);
        let directory = site.gateway.directory();
        let report = directory.join(format!("{user}.har"));
        let mut command = schemathesis(directory, &document.to_string(), GATEWAY_EXCLUDED);
        command.args(["--url", &site.issuer]).args(arguments);
        command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", GATEWAY_EXAMPLES]);
        command.args(["--report", "har", "--report-har-path"]).arg(&report);
        command.env("SCHEMATHESIS_HOOKS", "openapi_callers");
        command.env("PYTHONPATH", scripts()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs([("GATEWAY", &*site.issuer), ("GATEWAY_USER", user)]);
        command.env("GATEWAY_PASSWORD", PASSWORD);
        let output = output_of(command);
        assert!(output.contains(&format!("Tested: {operations}\n")), "{output}");
        seen.extend(successes_in(&report));
    }
    // That nothing but refusals was held against the document would prove little.
    assert_eq!(seen, documented_successes(&document));
}

#[test]
fn documents_are_openapi() {
    for name in ["openapi-admin.json", "openapi-gateway.json"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
        let command = Command::new(installed("venv/bin/openapi-spec-validator"));
        let ran = locally(command).arg(file).output().expect("the validator runs");
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// schemathesis, about to be run on a document, without these checks.
fn schemathesis(directory: &Path, document: &str, excluded: &str) -> Command {
    let file = directory.join("openapi.json");
    std::fs::write(&file, document).expect("a file");
    let mut command = Command::new(installed("venv/bin/schemathesis"));
    command.arg("--config-file").arg(scripts().join("schemathesis.toml"));
    command.arg("run").arg(&file).args(["--seed", "1", "--warnings", "off"]);
    command.args(["--checks", "all", "--exclude-checks", excluded]);
    // It keeps examples there.
    command.current_dir(directory);
    locally(command)
}

/// What it says; it must have nothing to object.
#[track_caller]
fn output_of(mut command: Command) -> String {
    let ran = command.output().expect("schemathesis runs");
    let output = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{output}{}", String::from_utf8_lossy(&ran.stderr));
    output
}

/// An answer that is no refusal: method, path and status.
type Success = (String, String, String);

fn documented_successes(document: &Value) -> BTreeSet<Success> {
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let answers = operation["responses"].as_object().expect("answers").keys();
            found.extend(
                answers
                    .filter(|status| is_success(status))
                    .map(|status| (method.to_uppercase(), path.clone(), status.clone())),
            );
        }
    }
    found
}

/// Those in a report, an HTTP archive.
fn successes_in(report: &Path) -> BTreeSet<Success> {
    let text = std::fs::read(report).expect("a report");
    let report: Value = serde_json::from_slice(&text).expect("JSON");
    let entries = report["log"]["entries"].as_array().expect("entries").iter();
    let found = entries.map(|entry| {
        let url = url::Url::parse(entry["request"]["url"].as_str().expect("a URL")).expect("a URL");
        let path = match url.path() {
            path if path.starts_with("/auth/sessions/") => "/auth/sessions/{id}",
            path => path,
        };
        let method = entry["request"]["method"].as_str().expect("a method");
        (method.to_owned(), path.to_owned(), entry["response"]["status"].to_string())
    });
    found.filter(|(_, _, status)| is_success(status)).collect()
}

fn is_success(status: &str) -> bool {
    status.starts_with(['2', '3'])
}

//! schemathesis calls every operation of the admin API with what its document allows and with what
//! it does not, and holds each answer against the document.

use std::process::Command;

use portcullis::openapi::admin;

use super::Site;
use super::program::{installed, locally};

/// How many requests are made up for each operation.
const EXAMPLES: &str = "25";

/// Whether what the schema allows is accepted cannot be held: which issuers, clients and keys there
/// are is not in it.
const EXCLUDED: &str = "positive_data_acceptance";

#[test]
fn admin_api_answers_as_its_document_says() {
    let site = Site::open();
    let gateway = &site.gateway;
    let file = gateway.directory().join("openapi.json");
    let document = admin::document().to_json().expect("JSON");
    std::fs::write(&file, document).expect("a file");
    let token = gateway.admin_token_file().expect("the gateway made a token");
    let token = std::fs::read_to_string(token).expect("the token");
    let url = format!("http://{}", gateway.admin().address());
    let mut command = Command::new(installed("venv/bin/schemathesis"));
    command.arg("run").arg(&file).args(["--url", &url]);
    command.args(["--header", &format!("Authorization: Bearer {}", token.trim())]);
    command.args(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1"]);
    command.args(["--checks", "all", "--exclude-checks", EXCLUDED, "--warnings", "off"]);
    // It keeps examples there.
    command.current_dir(gateway.directory());
    let ran = locally(command).output().expect("schemathesis runs");
    let output = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{output}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(output.contains("Tested: 16"), "{output}");
}

#[test]
fn document_of_the_admin_api_is_openapi() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/openapi-admin.json");
    let command = Command::new(installed("venv/bin/openapi-spec-validator"));
    let ran = locally(command).arg(file).output().expect("the validator runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

//! What `portcullis check` says of configurations, right and wrong.

mod clients;
mod documents;
mod files;
mod future;
mod internal_tokens;
mod issuers;
mod login;
mod mistakes;
mod revocation;
mod routes;
mod schema;
mod secrets;
mod sessions;
mod shipped;
mod store;
mod structure;
mod tokens;
mod users;
mod values;

use std::path::Path;
use std::sync::OnceLock;

use portcullis::issuer::key_pairs::{KeyKind, generate};
use tempfile::TempDir;

use crate::harness::program::{Ran, run_with};
use crate::harness::tokens::pair;

/// Five lines that compile. What a test adds begins on line 6: a route, if it starts with `  - `,
/// or another section.
const BASE: &str = "\
listeners: [{ address: '127.0.0.1:0' }]
upstreams: { behind: { peers: ['127.0.0.1:9001'] } }
issuers: [{ name: idp, issuer: 'https://idp.test', audiences: [a], algorithms: [ES256], keys: { public_key_file: idp.pem } }]
routes:
  - { name: open, match: { path: /open }, upstream: behind, public: true }
";

/// A hash that is accepted. Nobody knows of what.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA\
                    $iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";

/// [`BASE`], and more.
fn with(more: &str) -> String {
    format!("{BASE}{more}\n")
}

/// [`BASE`] with another upstream, on line 2.
fn with_upstream(fields: &str) -> String {
    replace_line(2, &format!("upstreams: {{ behind: {{ {fields} }} }}"))
}

/// [`BASE`] with another issuer, on line 3.
fn with_issuer(fields: &str) -> String {
    let fixed = "name: idp, issuer: 'https://idp.test', audiences: [a]";
    replace_line(3, &format!("issuers: [{{ {fixed}, {fields} }}]"))
}

fn replace_line(number: usize, text: &str) -> String {
    let mut lines: Vec<_> = BASE.lines().collect();
    lines[number - 1] = text;
    lines.join("\n") + "\n"
}

/// A directory with the files that the configurations of these tests name.
fn directory() -> TempDir {
    static RSA: OnceLock<String> = OnceLock::new();
    let rsa = RSA.get_or_init(|| generate(KeyKind::Rsa).expect("a key pair").public);
    let directory = tempfile::tempdir().expect("a directory");
    put(directory.path(), "idp.pem", &pair().public);
    put(directory.path(), "rsa.pem", rsa);
    put(directory.path(), "users.yaml", format!("alice: {{ password: '{HASH}' }}"));
    directory
}

fn put(directory: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(directory.join(name), bytes).expect("a file");
}

/// Runs `portcullis check` on this text.
fn examine(text: impl AsRef<[u8]>) -> Ran {
    examine_in(directory().path(), text, &[])
}

/// The same, in a directory with more files and with these variables in the environment. The schema
/// has to agree.
#[track_caller]
fn examine_in(directory: &Path, text: impl AsRef<[u8]>, environment: &[(&str, &str)]) -> Ran {
    put(directory, "gateway.yaml", &text);
    let ran = run_with(directory, &["check", "--config", "gateway.yaml"], environment);
    schema::agrees(text.as_ref(), &ran);
    ran
}

/// What is wrong with this text, each problem as `LINE: error: FIELD: FACT. REMEDY.`
#[track_caller]
fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of(&examine(text))
}

#[track_caller]
fn problems_of(ran: &Ran) -> Vec<String> {
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    without_file(ran)
}

/// The warnings that come with a text that compiles.
#[track_caller]
fn warnings(text: impl AsRef<[u8]>) -> Vec<String> {
    warnings_of(&examine(text))
}

#[track_caller]
fn warnings_of(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.code, 0, "{ran:?}");
    without_file(ran)
}

fn without_file(ran: &Ran) -> Vec<String> {
    let lines = ran.stderr.lines();
    lines.map(|line| line.strip_prefix("gateway.yaml:").unwrap_or(line).trim().to_owned()).collect()
}

/// Each text compiles, without a warning.
#[track_caller]
fn all_compile(texts: impl IntoIterator<Item = String>) {
    for text in texts {
        let ran = examine(&text);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{text}");
    }
}

/// Each text has exactly the problem beside it.
#[track_caller]
fn each_is_refused<'t>(cases: impl IntoIterator<Item = (String, &'t str)>) {
    for (text, problem) in cases {
        assert_eq!(problems(&text), [problem], "{text}");
    }
}

//! The configurations that come with the program.

use std::path::PathBuf;

use portcullis::issuer::key_pairs::KeyPairPem;

use super::*;
use crate::harness::certificates::Authority;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn key() -> &'static KeyPairPem {
    pair()
}

#[test]
fn gateway_yaml_compiles_without_a_warning_once_its_key_is_there() {
    let directory = directory();
    std::fs::create_dir(directory.path().join("data")).expect("a directory");
    put(directory.path(), "data/dev-public.pem", &key().public);
    put(directory.path(), "data/users.yaml", format!("demo: {{ password: '{HASH}' }}"));
    put(directory.path(), "data/kek", "k".repeat(32));
    let text = std::fs::read(repository().join("gateway.yaml")).expect("gateway.yaml");
    let ran = examine_in(directory.path(), text, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.ends_with("gateway.yaml: 5 routes, 1 of them public\n"), "{}", ran.stdout);
}

#[test]
fn gateway_yaml_names_the_files_that_are_not_there_yet() {
    let text = std::fs::read(repository().join("gateway.yaml")).expect("gateway.yaml");
    let problems = problems(text);
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(problems[0].contains(" error: issuers[0].keys.public_key_file: "), "{problems:#?}");
    assert!(problems[1].contains(" error: login.password_file: "), "{problems:#?}");
    let kek = " error: tokens.signing.encryption_key_file: ";
    assert!(problems[2].contains(kek), "{problems:#?}");
}

/// The reference of `gateway.yaml`: every field with an example.
fn reference() -> String {
    let file = repository().join("docs/reference/every-field.yaml");
    let reference = std::fs::read_to_string(file).expect("the reference");
    // A hash in full would be in the way of whoever reads it.
    let short = "secret_hash: $argon2id$v=19$m=19456,t=2,p=1$…";
    assert!(reference.contains(short), "{reference}");
    let hash = format!("secret_hash: '{HASH}'");
    reference.replace(short, &hash).replace("secret_hash: …", &hash)
}

/// Whatever the reference names, beside the configuration.
fn reference_directory() -> TempDir {
    let directory = directory();
    for name in ["tls", "secrets", "keys"] {
        std::fs::create_dir(directory.path().join(name)).expect("a directory");
    }
    let authority = Authority::new();
    let site = authority.issue("site.test");
    for name in ["site", "us"] {
        put(directory.path(), &format!("tls/{name}.pem"), &site.chain);
        put(directory.path(), &format!("tls/{name}.key"), &site.key);
    }
    for name in ["idp", "internal", "redis"] {
        put(directory.path(), &format!("tls/{name}-ca.pem"), authority.pem());
    }
    put(directory.path(), "secrets/admin.token", "a long random value");
    put(directory.path(), "secrets/log.key", "another long random value");
    put(directory.path(), "secrets/redis", "a password");
    put(directory.path(), "secrets/kek", "k".repeat(32));
    put(directory.path(), "keys/reports.pem", &key().public);
    directory
}

#[test]
fn reference_with_every_field_compiles_without_a_warning() {
    let ran = examine_in(reference_directory().path(), reference(), &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

/// The reference shows the shared store as remarks: each of its three forms compiles.
#[test]
fn redis_of_the_reference_compiles_without_a_warning_in_each_of_its_forms() {
    let mut is_store = false;
    let uncomment = |line: &str| {
        // Other sections have remarks of their own.
        is_store = if line.starts_with(' ') { is_store } else { line.starts_with("store:") };
        let remark = line.strip_prefix("  # ").filter(|_| is_store);
        remark.map_or(line.to_owned(), |line| format!("  {line}"))
    };
    let text = reference();
    let lines = text.lines().filter(|line| !line.starts_with("  embedded: "));
    let own: Vec<_> = lines.map(uncomment).collect();
    for form in ["url", "sentinel", "cluster"] {
        let others = ["url", "sentinel", "cluster"].into_iter().filter(|other| *other != form);
        let others: Vec<_> = others.map(|other| format!("    {other}: ")).collect();
        let is_kept = |line: &&String| !others.iter().any(|other| line.starts_with(other));
        let text: Vec<_> = own.iter().filter(is_kept).map(String::as_str).collect();
        let text = text.join("\n").replace("redis://", "rediss://");
        assert!(text.contains(&format!("    {form}: ")), "{text}");
        let ran = examine_in(reference_directory().path(), text, &[]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{form}");
    }
}

#[test]
fn one_line_that_makes_a_fleet_compiles_without_a_warning() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("README.md");
    let (_, rest) = readme.split_once("```yaml fragment\n").expect("the line");
    let (line, _) = rest.split_once("```").expect("its end");
    assert!(line.contains("redis") && line.lines().count() == 1, "{line}");
    all_compile([with(line)]);
}

//! The configurations that come with the program.

use std::path::PathBuf;

use portcullis::issuer::signing::KeyPairPem;

use super::*;
use crate::harness::certificates::Authority;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn key() -> &'static KeyPairPem {
    tokens::pair()
}

#[test]
fn gateway_yaml_compiles_without_a_warning_once_its_key_is_there() {
    let directory = directory();
    std::fs::create_dir(directory.path().join("data")).expect("a directory");
    put(directory.path(), "data/dev-public.pem", &key().public);
    let text = std::fs::read(repository().join("gateway.yaml")).expect("gateway.yaml");
    let ran = examine_in(directory.path(), text, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.ends_with("gateway.yaml: 3 routes, 1 of them public\n"), "{}", ran.stdout);
}

#[test]
fn gateway_yaml_names_the_key_that_is_not_there_yet() {
    let text = std::fs::read(repository().join("gateway.yaml")).expect("gateway.yaml");
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains(" error: issuers[0].keys.public_key_file: "), "{problems:#?}");
}

#[test]
fn reference_in_the_readme_compiles_without_a_warning() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("README.md");
    let (_, rest) = readme.split_once("```yaml\n").expect("the reference");
    let (reference, _) = rest.split_once("```").expect("its end");
    let directory = directory();
    for name in ["tls", "secrets"] {
        std::fs::create_dir(directory.path().join(name)).expect("a directory");
    }
    let authority = Authority::new();
    let site = authority.issue("site.test");
    put(directory.path(), "tls/site.pem", &site.chain);
    put(directory.path(), "tls/site.key", &site.key);
    put(directory.path(), "tls/idp-ca.pem", authority.pem());
    put(directory.path(), "tls/internal-ca.pem", authority.pem());
    put(directory.path(), "secrets/admin.token", "a long random value");
    put(directory.path(), "secrets/log.key", "another long random value");
    let ran = examine_in(directory.path(), reference, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

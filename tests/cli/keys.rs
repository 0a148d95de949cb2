//! `portcullis keys generate`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::gateway::Gateway;
use crate::harness::program::{Ran, run};
use crate::harness::upstream::Upstream;

const ALGORITHMS: [&str; 4] = ["ES256", "ES384", "RS256", "EdDSA"];

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn generate(directory: &Path, algorithm: &str, private: &str, public: &str) -> Ran {
    let files = ["--private-key", private, "--public-key", public];
    run(directory, &[&["keys", "generate", "--algorithm", algorithm], files.as_slice()].concat())
}

fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).expect("a file")
}

#[test]
fn private_key_is_for_the_owner_only() {
    for algorithm in ALGORITHMS {
        let directory = directory();
        let ran = generate(directory.path(), algorithm, "private.pem", "public.pem");
        assert_eq!(ran.code, 0, "{ran:?}");
        let metadata = directory.path().join("private.pem").metadata().expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{algorithm}");
    }
}

#[test]
fn files_hold_a_pair_in_pem_and_nothing_is_printed() {
    for algorithm in ALGORITHMS {
        let directory = directory();
        let ran = generate(directory.path(), algorithm, "private.pem", "public.pem");
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
        let private = read(directory.path(), "private.pem");
        assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{algorithm}");
        let public = read(directory.path(), "public.pem");
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{algorithm}");
    }
}

#[test]
fn pair_of_each_algorithm_serves_from_the_token_to_the_gateway() {
    let directory = Arc::new(directory());
    let mut issuers = String::new();
    for algorithm in ALGORITHMS {
        let (private, public) = (format!("{algorithm}.key"), format!("{algorithm}.pem"));
        assert_eq!(generate(directory.path(), algorithm, &private, &public).code, 0);
        issuers.push_str(&format!(
            "  - {{ name: {algorithm}, issuer: 'https://{algorithm}.test', audiences: [a], \
             algorithms: [{algorithm}], keys: {{ public_key_file: {public} }} }}\n"
        ));
    }
    let upstream = Upstream::start();
    let configuration = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\n\
         upstreams: {{ behind: {{ peers: ['{}'] }} }}\nissuers:\n{issuers}routes:\n  \
         - {{ name: a, match: {{ path: /a }}, upstream: behind, authenticate: [bearer] }}\n",
        upstream.address()
    );
    let gateway = Gateway::start_in(directory.clone(), &configuration);
    for algorithm in ALGORITHMS {
        let key = format!("{algorithm}.key");
        let issuer = format!("https://{algorithm}.test");
        let arguments =
            ["token", "--key", &key, "--issuer", &issuer, "--audience", "a", "--subject", "alice"];
        let ran = run(directory.path(), &arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        let answer = gateway.get_as("/a", ran.stdout.trim_end());
        assert_eq!(answer.status, 200, "{algorithm}: {answer:?}");
        assert_eq!(upstream.last().values("x-auth-issuer"), [issuer]);
    }
}

#[test]
fn private_key_is_enough_where_no_public_key_is_wanted() {
    let directory = directory();
    let ran = run(directory.path(), &["keys", "generate", "--private-key", "private.pem"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    let files = std::fs::read_dir(directory.path()).expect("a directory");
    assert_eq!(files.count(), 1);
    assert!(read(directory.path(), "private.pem").starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

#[test]
fn each_pair_is_another() {
    let directory = directory();
    assert_eq!(generate(directory.path(), "ES256", "a.key", "a.pem").code, 0);
    assert_eq!(generate(directory.path(), "ES256", "b.key", "b.pem").code, 0);
    assert_ne!(read(directory.path(), "a.key"), read(directory.path(), "b.key"));
    assert_ne!(read(directory.path(), "a.pem"), read(directory.path(), "b.pem"));
}

#[test]
fn algorithm_is_es256_unless_told() {
    let directory = directory();
    let files = ["--private-key", "private.pem", "--public-key", "public.pem"];
    let ran = run(directory.path(), &[&["keys", "generate"], files.as_slice()].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let arguments =
        ["token", "--key", "private.pem", "--issuer", "i", "--audience", "a", "--subject", "s"];
    let token = run(directory.path(), &arguments).stdout;
    let header = super::token::decoded(token.split('.').next().expect("a header"));
    assert_eq!(header["alg"], "ES256");
}

#[test]
fn existing_files_are_left_alone() {
    for existing in ["private.pem", "public.pem"] {
        let directory = directory();
        std::fs::write(directory.path().join(existing), "dear to somebody").expect("a file");
        let ran = generate(directory.path(), "ES256", "private.pem", "public.pem");
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        assert_eq!(
            ran.stderr,
            format!(
                "portcullis: cannot write {existing}: File exists (os error 17); \
                 no key is overwritten: name another file\n"
            )
        );
        assert_eq!(read(directory.path(), existing), "dear to somebody");
    }
}

#[test]
fn half_a_pair_is_not_left_behind() {
    let directory = directory();
    std::fs::write(directory.path().join("public.pem"), "dear to somebody").expect("a file");
    assert_eq!(generate(directory.path(), "ES256", "private.pem", "public.pem").code, 1);
    assert!(!directory.path().join("private.pem").exists());
}

#[test]
fn directories_are_made() {
    let directory = directory();
    let ran = generate(directory.path(), "ES256", "a/b/private.pem", "a/c/public.pem");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(directory.path().join("a/c/public.pem").exists());
}

#[test]
fn place_that_cannot_be_written_is_told() {
    let directory = directory();
    std::fs::write(directory.path().join("file"), "").expect("a file");
    let ran = generate(directory.path(), "ES256", "file/private.pem", "public.pem");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("portcullis: cannot write file/private.pem: "), "{ran:?}");
}

#[test]
fn algorithm_that_keys_cannot_be_made_for_is_bad_input() {
    for algorithm in ["HS256", "none", "es256"] {
        let directory = directory();
        let ran = generate(directory.path(), algorithm, "private.pem", "public.pem");
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("[possible values: ES256, ES384, RS256, EdDSA]"), "{ran:?}");
        assert!(!directory.path().join("private.pem").exists());
    }
}

#[test]
fn private_key_must_be_named() {
    let directory = directory();
    let ran = run(directory.path(), &["keys", "generate", "--public-key", "a"]);
    assert_eq!(ran.code, 2);
    assert!(!directory.path().join("a").exists());
}

//! Arguments of `init` that make no sense: they are named, and nothing is written.

use crate::harness::program::{bad_input, failed, run};

const JWT: [&str; 6] = ["--for", "jwt", "--issuer", "https://login.example", "--audience", "a"];

/// What is told of these arguments.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let told = bad_input(run(directory.path(), &[&["init"], arguments].concat()));
    assert_eq!(std::fs::read_dir(directory.path()).expect("a list").count(), 0, "{arguments:?}");
    told
}

#[test]
fn starting_point_is_named_and_known() {
    let told = refused(&[]);
    assert!(told.contains("--for <START>"), "{told}");
    let told = refused(&["--for", "oidc"]);
    assert!(told.contains("[possible values: jwt, session, api-key]"), "{told}");
}

#[test]
fn provider_is_named_by_issuer_and_audience() {
    for missing in [&["--for", "jwt"][..], &JWT[..4], &["--for", "jwt", "--audience", "a"]] {
        let told = refused(missing);
        let is_named = told.contains("--issuer <ISSUER>") || told.contains("--audience <AUDIENCE>");
        assert!(is_named, "{missing:?}: {told}");
    }
}

#[test]
fn values_that_make_no_sense_are_named() {
    for (option, value, remedy) in [
        ("--listen", "8080", "write an address with a port"),
        ("--listen", "127.0.0.1:0", "write an address with a port"),
        ("--admin-address", "10.0.0.1:9901", "write a loopback address"),
        ("--upstream", "http://127.0.0.1:9001", "write 10.0.0.7:8080"),
        ("--upstream", "orders", "write 10.0.0.7:8080"),
        ("--audience", "", "it is empty"),
        ("--jwks-url", "keys.json", "is not a URL"),
        ("--jwks-url", "http://login.example/keys", "keys must not be fetched without TLS"),
    ] {
        let told = refused(&[&JWT[..], &[option, value]].concat());
        let quoted = format!("'{value}' for '{option} <");
        assert!(told.contains(&quoted) && told.contains(remedy), "{option} {value}: {told}");
    }
    let told = refused(&["--for", "jwt", "--audience", "a", "--issuer", "a\n"]);
    assert!(told.contains("for '--issuer <ISSUER>': it is empty"), "{told}");
    let told = refused(&["--for", "session", "--user", ""]);
    assert!(told.contains("--user <NAME>") && told.contains("1 to 256 bytes"), "{told}");
}

#[test]
fn what_does_not_go_together_is_named() {
    for (arguments, told) in [
        (&["--for", "session", "--issuer", "a"][..], "--issuer only goes with --for jwt"),
        (&["--for", "api-key", "--audience", "a"], "--audience only goes with --for jwt"),
        (
            &["--for", "session", "--jwks-url", "https://a.example/"],
            "--jwks-url only goes with --for jwt",
        ),
        (&["--for", "api-key", "--user", "a"], "--user only goes with --for session"),
        (
            &["--for", "api-key", "--listen", "127.0.0.1:9901"],
            "--listen and --admin-address are the same: choose two ports",
        ),
        (
            &["--for", "session", "--output", "-"],
            "--for session also writes users.yaml: name a file with --output",
        ),
        (
            &["--for", "session", "--output", "users.yaml"],
            "users.yaml is the password file: name another file with --output",
        ),
        (
            &["--for", "jwt", "--issuer", "login.example", "--audience", "a"],
            "`login.example` is no URL that keys can be fetched below: write --issuer \
             https://login.example, or name the key set with --jwks-url",
        ),
    ] {
        assert_eq!(refused(arguments), format!("portcullis: {told}\n"), "{arguments:?}");
    }
}

#[test]
fn directory_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    for start in ["session", "api-key"] {
        let told = failed(run(
            directory.path(),
            &["init", "--for", start, "--output", "none/gateway.yaml"],
        ));
        assert!(told.starts_with("portcullis: cannot write none/"), "{told}");
    }
}

//! The admin API against whoever is on the same machine: a process without the gateway's token, a
//! server that is made to ask, a token that others could read.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::client::{Answer, exchange, get, request};
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::program::{done, run, run_with};
use crate::harness::upstream::Upstream;
use crate::harness::{eventually, set_mode};

const LOCAL: (&str, &str) = ("Host", "localhost");

/// Everything that the admin API can be asked, with the status for whoever may.
const OPERATIONS: [(&str, &str, &str, u16); 15] = [
    ("GET", "/v1/revocations", "", 200),
    ("POST", "/v1/revocations", r#"{"scope":"subject","subject":"nobody"}"#, 201),
    ("DELETE", "/v1/revocations/0123456789abcde2", "", 404),
    ("DELETE", "/v1/revocations?scope=subject&subject=somebody", "", 404),
    ("GET", "/v1/sessions?subject=alice", "", 400),
    ("DELETE", "/v1/sessions?subject=alice", "", 400),
    ("DELETE", "/v1/sessions/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "", 404),
    ("GET", "/v1/api-keys", "", 200),
    ("POST", "/v1/api-keys", r#"{"subject":"mallory","roles":["admin"]}"#, 201),
    ("DELETE", "/v1/api-keys/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "", 404),
    ("GET", "/v1/keys", "", 200),
    ("POST", "/v1/keys/rotate", r#"{"now":true}"#, 201),
    ("GET", "/v1/gateways", "", 200),
    ("PUT", "/v1/gateways", "", 405),
    ("POST", "/v1/revocations", "nonsense", 400),
];

/// The standard gateway that also issues tokens and makes API keys.
fn issuing(upstream: &Upstream) -> String {
    format!(
        "tokens: {{ issuer: 'https://gateway.test', access: {{ audiences: [orders-api] }} }}\n\
         api_keys: {{}}\n{}",
        standard(upstream)
    )
}

fn start() -> Gateway {
    Gateway::start(&issuing(&Upstream::start()))
}

/// Asks without the token, unless the fields show it.
fn ask(gateway: &Gateway, method: &str, path: &str, body: &str, shown: &[(&str, &str)]) -> Answer {
    let json = [shown, &[LOCAL, ("Content-Type", "application/json")]].concat();
    exchange(gateway.admin().address(), request(method, path, &json, body))
}

/// The status of the answer to whoever shows this token.
fn status_with(gateway: &Gateway, token: &str) -> u16 {
    let shown = [("Authorization", &*format!("Bearer {token}"))];
    ask(gateway, "GET", "/v1/gateways", "", &shown).status
}

fn token_in(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("admin.token")).expect("the admin token");
    text.trim_end().to_owned()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").mode() & 0o7777
}

/// What the gateway wrote to its log of this file.
fn told_of(gateway: &Gateway, file: &Path) -> String {
    let name = file.display().to_string();
    let lines = gateway.errors();
    lines.into_iter().filter(|line| line.contains(&name)).collect::<Vec<_>>().join("\n")
}

// ---- the token is asked for

#[test]
fn nothing_is_done_on_loopback_for_whoever_has_no_token() {
    let gateway = start();
    let wrong = "A".repeat(43);
    for shown in [vec![], vec![("Authorization", &*format!("Bearer {wrong}"))]] {
        for (method, path, body, _) in OPERATIONS {
            let answer = ask(&gateway, method, path, body, &shown);
            assert_eq!(answer.status, 401, "{method} {path} {shown:?}: {answer:?}");
        }
    }
    let count = |path: &str, member: &str| {
        let answer = exchange(gateway.admin(), get(path, &[LOCAL]));
        answer.json()[member].as_array().expect("a list").len()
    };
    assert_eq!(count("/v1/revocations", "revocations"), 0);
    assert_eq!(count("/v1/api-keys", "api_keys"), 0);
    assert_eq!(count("/v1/keys", "keys"), 1);
}

#[test]
fn token_of_the_data_directory_opens_everything() {
    let gateway = start();
    let authorization = format!("Bearer {}", token_in(&gateway.directory().join("data")));
    for (method, path, body, status) in OPERATIONS {
        let shown = [("Authorization", &*authorization)];
        let answer = ask(&gateway, method, path, body, &shown);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
}

#[test]
fn metrics_and_probes_on_loopback_are_open_without_the_token() {
    let gateway = start();
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(ask(&gateway, "GET", path, "", &[]).status, 200, "{path}");
    }
    // But not to a page whose name points here.
    let foreign = exchange(gateway.admin().address(), get("/metrics", &[("Host", "evil.example")]));
    assert_eq!(foreign.status, 421);
}

// ---- the file

#[test]
fn token_is_made_once_for_its_owner_only() {
    let text = standard(&Upstream::start());
    let gateway = Gateway::start(&text);
    let data = gateway.directory().join("data");
    let file = data.join("admin.token");
    let token = token_in(&data);
    assert_eq!(token.len(), 43, "256 bits in base64url");
    assert_eq!((mode(&file), mode(&data)), (0o600, 0o700));
    let directory = gateway.shared_directory();
    drop(gateway);
    let again = Gateway::start_in(directory, &text);
    assert_eq!(token_in(&data), token);
    assert_eq!(status_with(&again, &token), 200);
    let other = Gateway::start(&text);
    assert_ne!(token_in(&other.directory().join("data")), token);
    assert_eq!(status_with(&other, &token), 401);
}

#[test]
fn token_is_told_to_nobody() {
    let gateway = start();
    let token = token_in(&gateway.directory().join("data"));
    let told = [gateway.metrics(), gateway.errors().join("\n"), gateway.output().join("\n")];
    assert!(told.iter().all(|told| !told.contains(&token)), "{told:?}");
}

#[test]
fn gateways_that_start_at_once_in_one_data_directory_have_one_token() {
    let shared = tempfile::tempdir().expect("a directory");
    let upstream = Upstream::start();
    for round in 0..5 {
        let data = shared.path().join(format!("data-{round}"));
        let text = |name: &str| {
            let data = data.display();
            let standard = standard(&upstream);
            format!(
                "data_directory: '{data}'\nstore: {{ embedded: {{ path: '{data}/{name}.redb' }} }}\n\
                 {standard}"
            )
        };
        let mut all: Vec<_> = ["one", "two", "three"]
            .map(|name| Gateway::spawn_in(directory(), &text(name)))
            .into_iter()
            .collect();
        all.iter_mut().for_each(Gateway::wait_until_ready);
        let token = token_in(&data);
        for gateway in &all {
            assert_eq!(status_with(gateway, &token), 200, "round {round}");
        }
        assert_eq!(mode(&data.join("admin.token")), 0o600);
        let left = std::fs::read_dir(&data).expect("a list").map(|one| one.expect("one").path());
        let left: Vec<_> =
            left.filter(|path| path.extension().is_none_or(|e| e != "redb")).collect();
        assert_eq!(left, [data.join("admin.token")]);
    }
}

/// A directory with a token that a gateway has made, and the token.
fn used() -> (Arc<TempDir>, String, String) {
    let text = standard(&Upstream::start());
    let gateway = Gateway::start(&text);
    let token = token_in(&gateway.directory().join("data"));
    (gateway.shared_directory(), text, token)
}

#[test]
fn token_that_others_could_read_or_write_is_replaced() {
    let (directory, text, mut token) = used();
    let data = directory.path().join("data");
    let file = data.join("admin.token");
    for exposed in [0o640, 0o604, 0o620, 0o602, 0o610, 0o666] {
        set_mode(&file, exposed);
        let gateway = Gateway::start_in(directory.clone(), &text);
        let new = token_in(&data);
        assert_ne!(new, token, "{exposed:o}");
        assert_eq!((status_with(&gateway, &token), status_with(&gateway, &new)), (401, 200));
        assert_eq!(mode(&file), 0o600);
        let told = told_of(&gateway, &file);
        assert!(told.contains("WARN") && told.contains(&format!("{exposed:04o}")), "{told}");
        token = new;
    }
    set_mode(&file, 0o400);
    let gateway = Gateway::start_in(directory, &text);
    assert_eq!((token_in(&data), status_with(&gateway, &token)), (token.clone(), 200));
    assert!(!told_of(&gateway, &file).contains("WARN"));
}

#[test]
fn token_that_is_no_token_is_replaced() {
    let (directory, text, token) = used();
    let data = directory.path().join("data");
    let file = data.join("admin.token");
    for damaged in
        ["", "\n", "admin", &token[1..], &format!("{token}A"), &token.replace(&token[..1], "+")]
    {
        std::fs::write(&file, damaged).expect("a file");
        let gateway = Gateway::start_in(directory.clone(), &text);
        let new = token_in(&data);
        assert_eq!((new.len(), status_with(&gateway, &new)), (43, 200), "{damaged:?}");
        assert!(told_of(&gateway, &file).contains("WARN"), "{damaged:?}");
        if !damaged.trim().is_empty() {
            assert_eq!(status_with(&gateway, damaged), 401, "{damaged:?}");
        }
    }
}

#[test]
fn token_that_is_replaced_or_removed_while_the_gateway_runs_opens_nothing_any_more() {
    let (directory, text, old) = used();
    let data = directory.path().join("data");
    let file = data.join("admin.token");
    let gateway = Gateway::start_in(directory, &text);
    let new = "Q".repeat(43);
    std::fs::write(&file, &new).expect("a file");
    eventually("the new token", || (status_with(&gateway, &new) == 200).then_some(()));
    assert_eq!(status_with(&gateway, &old), 401);
    std::fs::remove_file(&file).expect("it was there");
    eventually("another token", || {
        let made = std::fs::read_to_string(&file).ok()?;
        (status_with(&gateway, made.trim_end()) == 200).then_some(())
    });
    assert_eq!(status_with(&gateway, &new), 401);
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn gateway_that_cannot_keep_a_token_says_what_to_do_and_does_not_start() {
    let directory = directory();
    // A file where the directory should be: not even root can write below it.
    std::fs::write(directory.path().join("data"), "in the way").expect("a file");
    let elsewhere = "store: { embedded: { path: elsewhere.redb } }\n";
    let text = format!("{elsewhere}{}", standard(&Upstream::start()));
    let mut gateway = Gateway::spawn_in(directory.clone(), &text);
    assert_eq!(gateway.wait().code(), Some(1));
    let file = directory.path().join("data/admin.token");
    let told = eventually("an error", || {
        let told = gateway.errors().join("\n");
        told.contains("portcullis: ").then_some(told)
    });
    assert!(
        told.contains(&format!("cannot keep the admin token in {}: ", file.display())),
        "{told}"
    );
    assert!(told.contains("admin.token_file"), "{told}");
    // With a token of one's own nothing has to be kept there.
    std::fs::write(directory.path().join("own"), "a long random value").expect("a file");
    let given = "admin: { address: '127.0.0.1:0', token_file: own }";
    let text = text.replace("admin: { address: '127.0.0.1:0' }", given);
    let gateway = Gateway::start_in(directory, &text);
    assert_eq!(status_with(&gateway, "a long random value"), 200);
}

// ---- the command line

/// A configuration like the running gateway's, with the port that it was given.
fn found(gateway: &Gateway) {
    let text = std::fs::read_to_string(gateway.file()).expect("the configuration");
    let address = format!("admin: {{ address: '{}' }}", gateway.admin());
    let text = text.replace("admin: { address: '127.0.0.1:0' }", &address);
    std::fs::write(gateway.directory().join("found.yaml"), text).expect("a file");
}

#[test]
fn command_finds_the_token_through_the_configuration() {
    let gateway = start();
    found(&gateway);
    let create =
        ["api-keys", "create", "--subject", "importer", "--json", "--config", "found.yaml"];
    let made: serde_json::Value =
        serde_json::from_str(&done(run(gateway.directory(), &create))).expect("JSON");
    assert_eq!(made["subject"], json!("importer"));
    // Where nothing tells of the data directory, nothing is found.
    let admin = format!("http://{}", gateway.admin());
    let ran = run(gateway.directory(), &["gateways", "--admin", &admin]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("--admin-token-file"), "{ran:?}");
}

#[test]
fn command_finds_the_token_where_the_environment_says() {
    let data = tempfile::tempdir().expect("a directory");
    let place = data.path().join("kept").display().to_string();
    let environment = [("PORTCULLIS_DATA_DIRECTORY", &*place)];
    let text = standard(&Upstream::start());
    let mut gateway = Gateway::spawn_with(directory(), &text, &environment);
    gateway.wait_until_ready();
    found(&gateway);
    let list = ["gateways", "--config", "found.yaml"];
    done(run_with(gateway.directory(), &list, &environment));
    assert_eq!(run(gateway.directory(), &list).code, 1);
}

#[test]
fn health_needs_no_token() {
    let gateway = start();
    found(&gateway);
    std::fs::remove_file(gateway.directory().join("data/admin.token")).expect("it was there");
    done(run(gateway.directory(), &["health", "--config", "found.yaml"]));
    assert!(!told_of(&gateway, Path::new("health")).contains("401"));
}

#[test]
fn neither_check_nor_a_command_makes_a_file() {
    let directory = directory();
    let text = standard(&Upstream::start());
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let list = |directory: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(directory).expect("a list");
        entries.map(|entry| entry.expect("an entry").file_name()).collect()
    };
    let before = list(directory.path());
    done(run(directory.path(), &["check"]));
    assert_eq!(run(directory.path(), &["gateways"]).code, 1, "nobody is there");
    assert_eq!(list(directory.path()), before);
}

//! Files of the gateway that others could read or change.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::fleet;
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::jwks::{Jwks, Serves, jwk};
use crate::harness::tokens;
use crate::harness::upstream::Upstream;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

/// A gateway that writes everything that one can write: the configuration of a gateway that fetches
/// keys and audits into a file.
fn configuration(jwks: &Jwks) -> String {
    let fixed = "public_key_file: issuer.pem";
    let standard = standard(&Upstream::start());
    let text = standard.replace(fixed, &format!("jwks_url: '{}', refresh: 1h", jwks.url()));
    assert_ne!(text, standard);
    format!("audit_log: {{ file: data/log/audit.jsonl }}\n{text}")
}

/// Everything below a directory, and the directory.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in std::fs::read_dir(directory).expect("a list") {
        let path = entry.expect("an entry").path();
        found.extend(if path.is_dir() { below(&path) } else { vec![path] });
    }
    found.sort();
    found
}

fn warnings(gateway: &Gateway) -> Vec<String> {
    let lines = gateway.errors().into_iter();
    lines.filter(|line| line.contains("is not the gateway's alone")).collect()
}

#[test]
fn what_the_gateway_writes_is_its_alone_and_else_is_warned_of() {
    let jwks = Jwks::start(Serves::Keys(vec![jwk(tokens::pair(), "a")]));
    let text = configuration(&jwks);
    let directory = directory();
    let data = directory.path().join("data");
    // Whatever the mask of whoever starts it: the harness has the usual one.
    let gateway = Gateway::start_in(directory.clone(), &text);
    let answer = fleet::post(&gateway, &json!({ "scope": "everything" }));
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(warnings(&gateway), Vec::<String>::new());
    drop(gateway);
    let all = below(&data);
    let names: Vec<_> = all
        .iter()
        .map(|path| path.strip_prefix(&data).expect("below").display().to_string())
        .collect();
    let written = [
        "",
        "admin.token",
        "jwks",
        "jwks/keys-test.json",
        "log",
        "log/audit.jsonl",
        "portcullis.redb",
    ];
    assert_eq!(names, written);
    for path in &all {
        let right = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), right, "{}", path.display());
    }
    // The token is replaced instead, and where the audit log is, others may have logs, too.
    let told = |path: &&PathBuf| !path.ends_with("admin.token") && !path.ends_with("log");
    let exposed: Vec<_> = all.iter().filter(told).collect();
    for path in &exposed {
        let wider = if path.is_dir() { 0o755 } else { 0o640 };
        let right = mode(path);
        set_mode(path, wider);
        let gateway = Gateway::start_in(directory.clone(), &text);
        let [warning] = &*warnings(&gateway) else { panic!("{:?}", warnings(&gateway)) };
        let (shown, right_shown) = (path.display(), format!("{right:o}"));
        assert!(warning.contains("WARN"), "{warning}");
        assert!(warning.contains(&format!("{shown} is not the gateway's alone")), "{warning}");
        assert!(warning.contains(&format!("its mode is {wider:04o}")), "{warning}");
        assert!(warning.ends_with(&format!("chmod {right_shown} {shown}")), "{warning}");
        drop(gateway);
        // What was fetched anew has its mode again.
        set_mode(path, right);
    }
}

//! Files of the gateway that others could read or change, and secrets that travel in the clear.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::certificates::Authority;
use crate::harness::client::exchange;
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::jwks::{JwksEndpoint, JwksReply, jwk};
use crate::harness::program::run;
use crate::harness::upstream::Upstream;
use crate::harness::{fleet, people, set_mode, tokens};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").mode() & 0o777
}

/// A gateway that writes everything that one can write: the configuration of a gateway that fetches
/// keys and audits into a file.
fn configuration(jwks: &JwksEndpoint) -> String {
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
    lines.filter(|line| line.contains("others can read or change")).collect()
}

#[test]
fn what_the_gateway_writes_is_its_alone_and_else_is_warned_of() {
    let jwks = JwksEndpoint::start(JwksReply::Keys(vec![jwk(tokens::pair(), "a")]));
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
        assert!(warning.contains(&format!("others can read or change {shown}")), "{warning}");
        assert!(warning.contains(&format!("its mode is {wider:04o}")), "{warning}");
        assert!(warning.ends_with(&format!("chmod {right_shown} {shown}")), "{warning}");
        drop(gateway);
        // What was fetched anew has its mode again.
        set_mode(path, right);
    }
}

// ---- in the clear

/// What is warned of listeners at the start and by `check`, which must agree.
fn cleartext(listener: &str, more: &str) -> Vec<String> {
    let directory = people::directory();
    let site = Authority::new().issue("site.test");
    std::fs::write(directory.path().join("site.pem"), &site.chain).expect("a file");
    std::fs::write(directory.path().join("site.key"), &site.key).expect("a file");
    let text = people::configuration(&Upstream::start(), more);
    let loopback = "listeners: [{ address: '127.0.0.1:0' }]";
    let text = text.replace(loopback, &format!("listeners: [{listener}]"));
    let is_told = |line: &str| line.contains("without encryption");
    std::fs::write(directory.path().join("gateway.yaml"), &text).expect("a file");
    let ran = run(directory.path(), &["check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let checked: Vec<_> =
        ran.stderr.lines().filter(|line| is_told(line)).map(str::to_owned).collect();
    // Not every machine has the other family of addresses.
    if !listener.contains("[::") {
        let gateway = Gateway::start_in(directory.clone(), &text);
        let lines = gateway.errors();
        assert_eq!(lines.iter().filter(|line| is_told(line)).count(), checked.len(), "{lines:?}");
    }
    checked
}

#[test]
fn login_over_plain_http_that_others_can_reach_is_warned_of() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let warnings = cleartext(&format!("{{ address: '{address}' }}"), "");
        let [warning] = &*warnings else { panic!("{address}: {warnings:?}") };
        assert!(
            warning.contains("warning: listeners[0]: passwords and session cookies"),
            "{warning}"
        );
        assert!(warning.contains("`trusted_proxies`"), "{warning}");
    }
    let tls = "tls: { certificates: [{ certificate_file: site.pem, key_file: site.key }] }";
    for (listener, more) in [
        ("{ address: '127.0.0.1:0' }", ""),
        ("{ address: '127.9.9.9:0' }", ""),
        ("{ address: '[::1]:0' }", ""),
        (&*format!("{{ address: '0.0.0.0:0', {tls} }}"), ""),
        ("{ address: '0.0.0.0:0' }", "trusted_proxies: [10.0.0.0/8]\n"),
    ] {
        assert_eq!(cleartext(listener, more), Vec::<String>::new(), "{listener} {more}");
    }
    // Of two, the one.
    let both = format!("{{ address: '0.0.0.0:0', {tls} }}, {{ address: '0.0.0.0:0' }}");
    let warnings = cleartext(&both, "");
    assert!(warnings.len() == 1 && warnings[0].contains("listeners[1]"), "{warnings:?}");
}

#[test]
fn gateway_at_which_nobody_logs_in_is_not_warned_of() {
    let text = standard(&Upstream::start()).replace("127.0.0.1:0' }]", "0.0.0.0:0' }]");
    let gateway = Gateway::start(&text);
    assert!(!gateway.errors().iter().any(|line| line.contains("without encryption")));
    assert_eq!(exchange(gateway.address(), "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").status, 404);
}

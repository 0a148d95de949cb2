//! `portcullis revocations list` and `gateways`, as operators use them.

mod lift;

use serde_json::Value;

use crate::harness::eventually;
use crate::harness::fleet::{self, Fleet, redis};
use crate::harness::gateway::{Gateway, standard, with_key_id};
use crate::harness::program::{Ran, bad_input, done, operate};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{ISSUER, now};
use crate::harness::upstream::Upstream;

pub(super) const TOKEN: &str = "an-admin-token-of-some-length";

/// Runs a command against a gateway.
pub(super) fn run(gateway: &Gateway, arguments: &[&str]) -> Ran {
    operate(gateway, &std::env::temp_dir(), arguments, &[("USER", "ops")])
}

pub(super) fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&with_key_id(&standard(&upstream)));
    (upstream, gateway)
}

/// The cells of a table.
fn cells(text: &str) -> Vec<Vec<&str>> {
    let row = |line| -> Vec<&str> {
        str::split(line, "  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    };
    text.lines().map(row).collect()
}

#[test]
fn table_lists_who_is_cut_off() {
    let (_upstream, gateway) = start();
    let header = ["ID", "SCOPE", "OF", "ISSUER", "ISSUED UNTIL", "EXPIRES", "ACTOR", "REASON"];
    let empty = done(run(&gateway, &["revocations", "list"]));
    assert_eq!(cells(&empty), [&header[..], &[], &["0 of 0 revocations"]]);
    let before = (now() - 3600).to_string();
    for arguments in [
        vec!["--everything", "--before", &before, "--reason", "a drill"],
        vec!["--session", "s-1"],
        vec!["--key", "k-1", "--issuer", "test", "--reason", "it's \"stolen\""],
    ] {
        done(run(&gateway, &[vec!["revoke"], arguments].concat()));
    }
    let listed = done(run(&gateway, &["revocations", "list"]));
    let json = done(run(&gateway, &["revocations", "list", "--json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json, fleet::admin(&gateway, "/v1/revocations?limit=100").expect("the list"));
    let text =
        |number: usize, name: &str| json["revocations"][number][name].as_str().expect("text");
    assert_eq!(
        cells(&listed),
        [
            &header[..],
            &[
                text(0, "id"),
                "everything",
                "-",
                "-",
                text(0, "issued_until"),
                text(0, "expires_at"),
                "ops",
                "a drill",
            ],
            &[text(1, "id"), "session", "s-1", "-", "ever", text(1, "expires_at"), "ops"],
            &[text(2, "id"), "key", "k-1", ISSUER, "ever", "never", "ops", "it's \"stolen\""],
            &[],
            &["3 of 3 revocations"],
        ]
    );
    let page = done(run(&gateway, &["revocations", "list", "--offset", "1", "--limit", "1"]));
    assert!(page.contains("  session  s-1 ") && page.ends_with("\n1 of 3 revocations\n"), "{page}");
}

#[test]
fn page_that_is_no_number_is_bad_input() {
    let (_upstream, gateway) = start();
    for arguments in [["--limit", "many"], ["--offset", "-1"], ["--limit", "1.5"]] {
        bad_input(run(&gateway, &[&["revocations", "list"], &arguments[..]].concat()));
    }
    bad_input(run(&gateway, &["revocations"]));
}

#[test]
fn table_lists_the_gateways() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&redis(&server.settings()), 2);
    done(run(fleet.gateway(1), &["revoke", "--everything", "--wait", "10s"]));
    // What a gateway tells of itself it tells once it has got there.
    let rows = eventually("both of them, up to date", || {
        let printed = done(run(fleet.gateway(1), &["gateways"]));
        let rows: Vec<Vec<String>> = cells(&printed)
            .iter()
            .map(|row| row.iter().map(ToString::to_string).collect())
            .collect();
        (rows.len() == 3 && rows[1..].iter().all(|row| row[4] == "0")).then_some(rows)
    });
    let header = ["ID", "NAME", "VERSION", "POSITION", "LAG", "SILENT", "CLOCK", "DIFFERS IN"];
    assert_eq!(rows[0], header);
    for (row, name) in rows[1..].iter().zip(["gw-1", "gw-2"]) {
        assert_eq!(row[1..5], [name, env!("CARGO_PKG_VERSION"), "1", "0"]);
        assert!(row[5].strip_suffix('s').is_some_and(|silent| silent.parse::<f64>().is_ok()));
    }
    let json = done(run(fleet.gateway(2), &["gateways", "--json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["gateways"].as_array().map(Vec::len), Some(2));
}

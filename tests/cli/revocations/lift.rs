//! `portcullis revocations lift`, as operators use it.

use serde_json::json;

use crate::harness::eventually;
use crate::harness::fleet::{Fleet, Verdict, ask, redis, token_of};
use crate::harness::gateway::Gateway;
use crate::harness::program::{Ran, operate};
use crate::harness::redis::RedisServer;
use crate::harness::revocations::{revoke, revoke_on_all, subject};
use crate::harness::tokens::ISSUER;
use crate::harness::upstream::Upstream;

fn run(gateway: &Gateway, arguments: &[&str]) -> Ran {
    let arguments = [&["revocations", "lift"], arguments].concat();
    operate(gateway, &std::env::temp_dir(), &arguments, &[("USER", "ops")])
}

fn list(gateway: &Gateway) -> String {
    operate(gateway, &std::env::temp_dir(), &["revocations", "list"], &[]).stdout
}

#[test]
fn cut_off_is_lifted_by_the_id_that_the_list_shows() {
    let gateway = Gateway::standard(&Upstream::start());
    revoke(&gateway, &subject("ada"));
    let listed = list(&gateway);
    let row = listed.lines().nth(1).expect("a row");
    let id = row.split_whitespace().next().expect("an id");
    let arguments = [id, "--reason", "the wrong ada", "--wait"];
    let Ran { code, stdout, stderr } = run(&gateway, &arguments);
    assert_eq!((code, &*stderr), (0, ""));
    let told = "lifted 1 revocation of subject ada (position 2)\nconfirmed on 1 of 1 gateways in ";
    assert!(stdout.starts_with(told), "{stdout}");
    assert_eq!(ask(&gateway, &token_of("ada")), Verdict::Accepted);
    let listed = list(&gateway);
    let row = listed.lines().nth(1).expect("a row");
    assert!(row.starts_with(id) && row.contains("  lifted subject  ada  "), "{row}");
    assert!(row.contains("  ops ") && row.trim_end().ends_with("the wrong ada"), "{row}");
    assert!(listed.ends_with("\n1 of 1 revocations\n"), "{listed}");
}

#[test]
fn all_cut_offs_of_a_scope_are_lifted_by_its_name() {
    let gateway = Gateway::standard(&Upstream::start());
    for draft in [
        subject("ada"),
        subject("ada"),
        json!({ "scope": "subject", "subject": "ada", "issuer": "test" }),
        json!({ "scope": "client", "client": "c" }),
        json!({ "scope": "issuer", "issuer": "test" }),
    ] {
        revoke(&gateway, &draft);
    }
    for (arguments, told) in [
        (vec!["--subject", "ada"], "lifted 2 revocations of subject ada".to_owned()),
        (vec!["--subject", "ada", "--issuer", "test"], "lifted 1 revocation of subject ada".into()),
        (vec!["--client", "c"], "lifted 1 revocation of client c".into()),
        (vec!["--issuer-all", "test"], format!("lifted 1 revocation of issuer {ISSUER}")),
    ] {
        let Ran { code, stdout, stderr } = run(&gateway, &arguments);
        assert_eq!((code, &*stderr), (0, ""), "{arguments:?}");
        assert!(stdout.starts_with(&format!("{told} (position ")), "{stdout}");
    }
    assert_eq!(ask(&gateway, &token_of("ada")), Verdict::Accepted);
}

#[test]
fn what_cannot_be_lifted_is_told_with_the_reason_and_an_exit_code() {
    let gateway = Gateway::standard(&Upstream::start());
    let session = revoke(&gateway, &json!({ "scope": "session", "session": "s" }));
    let mistake = revoke(&gateway, &subject("ada"));
    assert_eq!(run(&gateway, &[&mistake]).code, 0);
    for (arguments, code, told) in [
        (vec![&*mistake], 1, "portcullis: the revocation has been lifted already"),
        (vec!["0123456789abcde2"], 1, "portcullis: there is no such revocation to lift"),
        (vec!["--subject", "bob"], 1, "portcullis: there is no such revocation to lift"),
        (vec![&*session], 2, "portcullis: the id belongs to the revocation of one session: only"),
        (vec!["ada"], 2, "portcullis: `ada` is not the id of a revocation"),
        (vec!["--subject", "ada", "--issuer", "nobody"], 2, "portcullis: there is no issuer"),
        (vec!["--subject", "ada", "--wait", "soon"], 2, "`soon` is not a duration"),
        (vec![], 2, "error: the following required arguments were not provided"),
        (vec!["--client", "c", "--issuer", "test"], 2, "error: "),
        (vec![&*mistake, "--subject", "ada"], 2, "error: "),
    ] {
        let ran = run(&gateway, &arguments);
        assert_eq!((ran.code, &*ran.stdout), (code, ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.starts_with(told), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn gateway_that_has_not_confirmed_a_lift_is_named_and_goes_on_refusing() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&redis(&server.settings()), 2);
    let id = revoke_on_all(fleet.gateway(1), "ada");
    fleet.gateway(2).stand_still();
    let ran = run(fleet.gateway(1), &[&id, "--wait", "3s"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("confirmed on 1 of 2 gateways"), "{ran:?}");
    assert!(ran.stderr.starts_with("portcullis: not confirmed by gw-2 ("), "{ran:?}");
    fleet.gateway(2).signal("CONT");
    let ada = token_of("ada");
    eventually("the lift", || (ask(fleet.gateway(2), &ada) == Verdict::Accepted).then_some(()));
}

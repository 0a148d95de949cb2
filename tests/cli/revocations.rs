//! `portcullis revoke`, `revocations list` and `gateways`, as operators use them.

mod lift;

use serde_json::{Value, json};

use crate::harness::fleet::{self, Fleet, Verdict, ask, await_silence, redis, token_of};
use crate::harness::gateway::{Gateway, directory, standard, with_key_id};
use crate::harness::program::{Ran, bad_input, done, failed, operate, run_fed, run_with};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{ISSUER, now, token};
use crate::harness::upstream::Upstream;
use crate::harness::{eventually, jwks};

const TOKEN: &str = "an-admin-token-of-some-length";

/// Runs a command against a gateway.
fn run(gateway: &Gateway, arguments: &[&str]) -> Ran {
    operate(gateway, &std::env::temp_dir(), arguments, &[("USER", "ops")])
}

fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&with_key_id(&standard(&upstream)));
    (upstream, gateway)
}

// ---- revoke

#[test]
fn every_scope_has_its_argument_and_what_was_revoked_is_printed() {
    let (_upstream, gateway) = start();
    let whole = token(json!({"jti": "t-2"}));
    for (number, (arguments, told)) in [
        (vec!["--jti", "t-1", "--issuer", "test"], "token t-1"),
        (vec!["--token", &whole], "token t-2"),
        (vec!["--session", "s-1"], "session s-1"),
        (vec!["--subject", "alice"], "subject alice"),
        (vec!["--subject", "alice", "--issuer", ISSUER], "subject alice"),
        (vec!["--client", "c-1"], "client c-1"),
        (vec!["--key", "k-1"], "key k-1"),
        (vec!["--key", "k-1", "--issuer", "test"], "key k-1"),
        (vec!["--issuer-all", "test"], &*format!("issuer {ISSUER}")),
        (vec!["--everything"], "everything"),
    ]
    .into_iter()
    .enumerate()
    {
        let arguments = [vec!["revoke"], arguments].concat();
        let printed = done(run(&gateway, &arguments));
        assert_eq!(printed, format!("revoked {told} (position {})\n", number + 1));
    }
}

#[test]
fn next_request_after_the_command_is_refused() {
    let (_upstream, gateway) = start();
    let token = token_of("alice");
    assert_eq!(ask(&gateway, &token), Verdict::Accepted);
    done(run(&gateway, &["revoke", "--subject", "alice"]));
    assert_eq!(ask(&gateway, &token), Verdict::Revoked);
}

#[test]
fn token_is_read_from_standard_input() {
    let (_upstream, gateway) = start();
    let (token, other) = (token(json!({"jti": "t-1"})), token(json!({})));
    let admin = gateway.admin_arguments();
    let admin: Vec<_> = admin.iter().map(String::as_str).collect();
    let arguments = [&["revoke", "--token", "-"], admin.as_slice()].concat();
    let ran = run_fed(&std::env::temp_dir(), &arguments, &format!("{token}\n"));
    assert_eq!(done(ran), "revoked token t-1 (position 1)\n");
    assert_eq!(
        (ask(&gateway, &token), ask(&gateway, &other)),
        (Verdict::Revoked, Verdict::Accepted)
    );
    let told = bad_input(run_fed(&std::env::temp_dir(), &arguments, ""));
    assert!(told.contains("token_malformed"), "{told}");
}

#[test]
fn json_is_the_answer_of_the_api() {
    let (_upstream, gateway) = start();
    let arguments = ["revoke", "--subject", "alice", "--reason", "a drill", "--json", "--wait"];
    let printed = done(run(&gateway, &arguments));
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let told: Value = serde_json::from_str(&printed).expect("JSON");
    for (name, value) in [
        ("scope", json!("subject")),
        ("subject", json!("alice")),
        ("reason", json!("a drill")),
        ("actor", json!("ops")),
        ("position", json!(1)),
        ("durable", json!(true)),
        ("confirmed", json!(1)),
        ("gateways", json!(1)),
    ] {
        assert_eq!(told[name], value, "{name} of {told}");
    }
}

#[test]
fn actor_is_the_user_unless_it_is_named() {
    let (_upstream, gateway) = start();
    let actor = |printed: String| {
        let told: Value = serde_json::from_str(&printed).expect("JSON");
        told["actor"].clone()
    };
    let everything = ["revoke", "--everything", "--json"];
    assert_eq!(actor(done(run(&gateway, &everything))), "ops");
    let named = [&everything[..], &["--actor", "alert-17"]].concat();
    assert_eq!(actor(done(run(&gateway, &named))), "alert-17");
    let nobody = operate(&gateway, &std::env::temp_dir(), &everything, &[]);
    assert_eq!(actor(done(nobody)), "admin");
}

#[test]
fn cut_off_is_passed_on_in_both_of_its_forms() {
    let (_upstream, gateway) = start();
    let then = now() - 100;
    let (seconds, date) = (then.to_string(), "2026-01-31T12:00:00+02:00");
    let printed = done(run(&gateway, &["revoke", "--everything", "--json", "--before", &seconds]));
    let told: Value = serde_json::from_str(&printed).expect("JSON");
    let date_told = told["issued_until"].as_str().expect("a date").to_owned();
    let printed =
        done(run(&gateway, &["revoke", "--everything", "--json", "--before", &date_told]));
    let again: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(again["issued_until"], told["issued_until"]);
    for (before, told) in [
        (
            "yesterday",
            "portcullis: `before`: `yesterday` is not a time; write 2026-01-31T12:00:00Z",
        ),
        (date, "is not a time"),
        ("0", "nothing that was issued until then can still be accepted"),
    ] {
        let printed = bad_input(run(&gateway, &["revoke", "--everything", "--before", before]));
        assert!(printed.contains(told), "{printed}");
    }
    // As people write what they calculated wrongly; it is the value, and not another option.
    let printed = bad_input(run(&gateway, &["revoke", "--everything", "--before=-1"]));
    assert!(printed.contains("before 1970"), "{printed}");
}

#[test]
fn arguments_that_exclude_each_other_are_bad_input() {
    let (_upstream, gateway) = start();
    for arguments in [
        vec![],
        vec!["--subject", "alice", "--client", "c-1"],
        vec!["--subject", "alice", "--everything"],
        vec!["--token", "x", "--jti", "y", "--issuer", "test"],
        vec!["--jti", "t-1"],
        vec!["--issuer", "test"],
        vec!["--issuer-all", "test", "--issuer", "test"],
        vec!["--token", "x", "--issuer", "test"],
        vec!["--session", "s", "--issuer", "test"],
        vec!["--client", "c", "--issuer", "test"],
        vec!["--everything", "--issuer", "test"],
        vec!["--session", "s", "--before", "0"],
        vec!["--jti", "t", "--issuer", "test", "--before", "0"],
        vec!["--token", "x", "--before", "0"],
        vec!["--everything", "surplus"],
    ] {
        let arguments = [vec!["revoke"], arguments].concat();
        let told = bad_input(run(&gateway, &arguments));
        assert!(told.contains("Usage: portcullis revoke"), "{arguments:?}: {told}");
    }
    assert_eq!(fleet::admin(&gateway, "/v1/revocations").expect("the list")["total"], 0);
}

#[test]
fn what_the_gateway_does_not_understand_is_bad_input_in_its_words() {
    let (_upstream, gateway) = start();
    for (arguments, told) in [
        (["--issuer-all", "tset"], "portcullis: there is no issuer `tset`; known are: test\n"),
        (["--subject", ""], "portcullis: `subject` is empty\n"),
        (
            ["--token", "nonsense"],
            "portcullis: the token is not acceptable anyway: token_malformed \
             (the token has 1 part, and a signed one has 3)\n",
        ),
    ] {
        let arguments = [&["revoke"], &arguments[..]].concat();
        assert_eq!(bad_input(run(&gateway, &arguments)), told);
    }
}

#[test]
fn list_that_is_full_is_a_failure_that_says_so() {
    let upstream = Upstream::start();
    let text = format!("revocation: {{ max_entries: 1 }}\n{}", standard(&upstream));
    let gateway = Gateway::start(&text);
    done(run(&gateway, &["revoke", "--subject", "alice"]));
    let told = failed(run(&gateway, &["revoke", "--subject", "bob"]));
    assert!(told.starts_with("portcullis: there are as many live revocations as "), "{told}");
}

/// A name from a token must not draw on the operator's terminal.
#[test]
fn control_characters_in_names_are_spelt_out() {
    let (_upstream, gateway) = start();
    let name = "alice\u{1b}[2J\nrevoked everything (position 9)\u{202e}";
    let shown = "alice\\u{1b}[2J\\nrevoked everything (position 9)\\u{202e}";
    let printed = done(run(&gateway, &["revoke", "--subject", name, "--reason", name]));
    assert_eq!(printed, format!("revoked subject {shown} (position 1)\n"));
    let listed = done(run(&gateway, &["revocations", "list"]));
    assert_eq!(listed.matches(shown).count(), 2, "{listed}");
    assert!(!listed.contains(['\u{1b}', '\u{202e}']), "{listed}");
    // One line for the header, one for the revocation, an empty one and the count.
    assert_eq!(listed.lines().count(), 4, "{listed}");
}

// ---- --wait

#[test]
fn who_waits_is_told_how_many_have_confirmed_and_how_fast() {
    let (_upstream, gateway) = start();
    for (number, wait) in
        [vec!["--wait"], vec!["--wait", "2s"], vec!["--wait=7d"]].iter().enumerate()
    {
        let arguments = [vec!["revoke", "--subject", "alice"], wait.clone()].concat();
        let printed = done(run(&gateway, &arguments));
        let lines: Vec<_> = printed.lines().collect();
        let first = format!("revoked subject alice (position {})", number + 1);
        assert_eq!((lines.len(), lines[0]), (2, first.as_str()), "{printed}");
        let took = lines[1].strip_prefix("confirmed on 1 of 1 gateways in ").expect("confirmation");
        let took: f64 =
            took.strip_suffix(" ms").and_then(|took| took.parse().ok()).expect("a time");
        assert!((0.0..20_000.0).contains(&took), "{printed}");
    }
}

#[test]
fn wait_that_is_no_duration_is_bad_input_and_nothing_is_revoked() {
    let (_upstream, gateway) = start();
    for wait in ["nonsense", "2", "0s", "-1s", "2 s", ""] {
        let option = format!("--wait={wait}");
        let told = bad_input(run(&gateway, &["revoke", "--everything", &option]));
        let expected = format!("`{wait}` is not a duration: write 500ms, 2s …\n");
        assert_eq!(told, expected);
    }
    assert_eq!(fleet::admin(&gateway, "/v1/revocations").expect("the list")["total"], 0);
}

#[test]
fn gateway_that_does_not_confirm_is_named_and_the_command_fails() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&redis(&server.settings()), 2);
    let (first, second) = (fleet.gateway(1), fleet.gateway(2));
    let confirmed = done(run(first, &["revoke", "--subject", "alice", "--wait", "10s"]));
    assert!(confirmed.contains("\nconfirmed on 2 of 2 gateways in "), "{confirmed}");
    second.stand_still();
    await_silence(first, "gw-2");
    let begun = std::time::Instant::now();
    let ran = run(first, &["revoke", "--subject", "bob", "--wait", "300ms"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(begun.elapsed() >= std::time::Duration::from_millis(300), "it did not wait");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("revoked subject bob (position "), "{ran:?}");
    assert!(lines[1].starts_with("confirmed on 1 of 2 gateways in "), "{ran:?}");
    let told = ran.stderr.strip_prefix("portcullis: not confirmed by gw-2 (");
    let told = told.unwrap_or_else(|| panic!("{ran:?}"));
    assert!(told.contains(", silent for ") && told.ends_with("s)\n"), "{ran:?}");
    // As JSON it is the same, for programs.
    let ran = run(first, &["revoke", "--subject", "carol", "--wait", "300ms", "--json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.code, &answer["missing"][0]["name"]), (1, &json!("gw-2")));
    second.signal("CONT");
    done(run(first, &["revoke", "--subject", "dave", "--wait", "15s"]));
    assert_eq!(ask(second, &token_of("bob")), Verdict::Revoked);
}

// ---- where the gateway is

#[test]
fn gateway_is_found_through_the_configuration_with_its_token() {
    let directory = directory();
    std::fs::write(directory.path().join("token"), format!("{TOKEN}\n")).expect("a file");
    let section = "admin: { address: '127.0.0.1:0', token_file: token }";
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", section);
    let gateway = Gateway::start_in(directory.clone(), &text);
    let address = format!("address: '{}'", gateway.admin());
    let text =
        text.replace("address: '127.0.0.1:0', token_file", &format!("{address}, token_file"));
    std::fs::write(directory.path().join("found.yaml"), text).expect("a file");
    let file = directory.path().join("found.yaml").display().to_string();
    let found = |arguments: &[&str]| {
        let arguments = [arguments, &["--config", &file]].concat();
        done(run_with(&std::env::temp_dir(), &arguments, &[]))
    };
    assert_eq!(found(&["revoke", "--everything"]), "revoked everything (position 1)\n");
    assert!(found(&["revocations", "list"]).ends_with("\n1 of 1 revocations\n"));
    assert_eq!(found(&["gateways"]).lines().count(), 2);
}

#[test]
fn token_is_read_from_the_file_that_is_named() {
    let section = format!("admin: {{ address: '127.0.0.1:0', token: {TOKEN} }}");
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", &section);
    let gateway = Gateway::start(&text);
    let file = |name: &str, token: &str| {
        let file = gateway.directory().join(name);
        std::fs::write(&file, token).expect("a file");
        file.display().to_string()
    };
    let (right, wrong) = (file("right", &format!("{TOKEN}\n")), file("wrong", "wrong"));
    let odd = file("odd", "two\nlines");
    let with = |token_file: &str| {
        run(&gateway, &["revoke", "--everything", "--admin-token-file", token_file])
    };
    done(with(&right));
    let required = "portcullis: the admin token is required. Name the gateway's configuration with \
                    --config, or a file that holds the token with --admin-token-file (the gateway's \
                    own is `admin.token` in its data directory)\n";
    let shown = required.replace(
        "the admin token is required",
        "the gateway does not accept the admin token that it was shown",
    );
    assert_eq!(failed(with(&wrong)), shown);
    assert_eq!(failed(run(&gateway, &["revocations", "list"])), required);
    assert!(!failed(with(&odd)).contains("lines"), "a token is not repeated");
    let told = bad_input(with("/nowhere/token"));
    assert_eq!(told, "/nowhere/token: No such file or directory (os error 2)\n");
    // As the environment of a container names it.
    let admin = format!("http://{}/", gateway.admin());
    let environment = [("PORTCULLIS_ADMIN_TOKEN_FILE", right.as_str())];
    let arguments = ["gateways", "--admin", &admin];
    done(run_with(&std::env::temp_dir(), &arguments, &environment));
}

/// The configuration's token is for the configuration's gateway.
#[test]
fn token_of_the_configuration_is_sent_nowhere_else() {
    let directory = directory();
    let section = format!("admin: {{ address: '127.0.0.1:0', token: {TOKEN} }}");
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", &section);
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let stranger = Upstream::start();
    let admin = format!("http://{}", stranger.address());
    let arguments = ["gateways", "--config", "gateway.yaml", "--admin", &admin];
    assert_eq!(run_with(directory.path(), &arguments, &[]).code, 1);
    assert!(stranger.last().values("authorization").is_empty(), "{:?}", stranger.last());
}

#[test]
fn gateway_that_is_not_there_is_a_failure_that_says_where_it_was_looked_for() {
    let (_upstream, gateway) = start();
    let (admin, directory) = (gateway.admin(), gateway.shared_directory());
    drop(gateway);
    let text = standard(&Upstream::start());
    let text = text
        .replace("admin: { address: '127.0.0.1:0' }", &format!("admin: {{ address: '{admin}' }}"));
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let told = format!("portcullis: no gateway answers at http://{admin}: ");
    for command in [
        vec!["revoke", "--everything"],
        vec!["revoke", "--everything", "--wait"],
        vec!["revocations", "list"],
        vec!["gateways"],
    ] {
        let by_configuration = run_with(directory.path(), &command, &[]);
        let url = format!("http://{admin}");
        let by_url = [command, vec!["--admin", &url]].concat();
        for ran in [by_configuration, run_with(directory.path(), &by_url, &[])] {
            let printed = failed(ran);
            assert!(printed.starts_with(&told) && printed.contains("refused"), "{printed}");
        }
    }
}

#[test]
fn configuration_that_is_not_there_is_bad_input() {
    let told = bad_input(run_with(
        &std::env::temp_dir(),
        &["revoke", "--everything", "--config", "nowhere.yaml"],
        &[],
    ));
    assert!(told.starts_with("nowhere.yaml: error: the file cannot be read: "), "{told}");
}

#[test]
fn what_is_no_url_is_bad_input() {
    for admin in ["", "nonsense", "127.0.0.1:9901", "ftp://127.0.0.1:9901", "http://"] {
        let arguments = ["gateways", "--admin", admin];
        let told = bad_input(run_with(&std::env::temp_dir(), &arguments, &[]));
        let expected = format!("`{admin}` is not a URL: write http://127.0.0.1:9901\n");
        assert_eq!(told, expected);
    }
}

#[test]
fn whoever_answers_without_being_a_gateway_is_a_failure() {
    for (status, body) in
        [(200, "<html>"), (200, "{}"), (200, "[]"), (404, "not here"), (302, ""), (500, "")]
    {
        let serves = jwks::JwksReply::Raw { status, fields: String::new(), body: body.to_owned() };
        let other = jwks::JwksEndpoint::start(serves);
        let url = other.url();
        let admin = url.rsplit_once('/').expect("a path").0;
        for command in
            [vec!["revoke", "--everything"], vec!["revocations", "list"], vec!["gateways"]]
        {
            let arguments = [command, vec!["--admin", admin]].concat();
            let told = failed(run_with(&std::env::temp_dir(), &arguments, &[]));
            let expected = match (status, body) {
                (200, _) => format!("what answers at {admin} is not a gateway"),
                (_, "") => format!("the answer was {status} "),
                (_, text) => text.to_owned(),
            };
            assert!(
                told.starts_with(&format!("portcullis: {expected}")),
                "{status} {body}: {told}"
            );
        }
    }
}

#[test]
fn gateway_is_asked_past_any_proxy() {
    let (_upstream, gateway) = start();
    let environment = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        .map(|name| (name, "http://127.0.0.1:1"));
    done(operate(&gateway, &std::env::temp_dir(), &["gateways"], &environment));
}

// ---- lists

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

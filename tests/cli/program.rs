//! The program as such: help, versions, exit codes, and what it never prints.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::client::{self, get};
use crate::harness::commands::{commands, name};
use crate::harness::gateway::{Gateway, PROGRAM, directory, standard};
use crate::harness::program::{Ran, run};
use crate::harness::tokens::{self, bearer};
use crate::harness::upstream::Upstream;

fn here(arguments: &[&str]) -> Ran {
    run(tempfile::tempdir().expect("a directory").path(), arguments)
}

#[test]
fn help_names_every_command() {
    let commands = commands();
    let names: Vec<_> = commands[0].get_subcommands().map(|command| command.get_name()).collect();
    assert!(names.len() > 14, "{names:?}");
    for help in [["--help"], ["-h"], ["help"]] {
        let ran = here(&help);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{help:?}");
        for command in &names {
            let line = format!("\n  {command} ");
            assert!(ran.stdout.contains(&line), "{command} is not in {}", ran.stdout);
        }
    }
}

#[test]
fn every_command_has_a_help_of_its_own() {
    for command in commands() {
        let words: Vec<_> = name(&command).split(' ').skip(1).collect();
        let ran = here(&[words.as_slice(), &["--help"]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{words:?}");
        let usage = format!("Usage: {}", name(&command));
        assert!(ran.stdout.contains(&usage), "{}", ran.stdout);
    }
}

#[test]
fn version_is_that_of_the_package() {
    for version in ["--version", "-V"] {
        let ran = here(&[version]);
        assert_eq!(ran.code, 0);
        assert_eq!(ran.stdout, concat!("portcullis ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[test]
fn what_is_not_a_command_is_bad_input() {
    for arguments in [
        vec!["frobnicate"],
        vec!["check", "--frobnicate"],
        vec!["check", "surplus"],
        vec!["keys", "frobnicate"],
        vec!["keys"],
        vec![],
    ] {
        let ran = here(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.contains("Usage: portcullis"), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn serve_with_a_bad_configuration_is_bad_input() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("gateway.yaml"), "colour: red\n").expect("a file");
    let ran = run(directory.path(), &["serve"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("gateway.yaml:1: error: colour: "), "{}", ran.stderr);
}

#[test]
fn serve_on_an_address_that_is_taken_fails() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let text = standard(&Upstream::start());
    for (field, name) in [
        ("listeners: [{ address: '", "listeners[0].address"),
        ("admin: { address: '", "admin.address"),
    ] {
        let directory = directory();
        let text = text.replace(&format!("{field}127.0.0.1:0"), &format!("{field}{address}"));
        std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
        let ran = run(directory.path(), &["serve"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        let told = format!("portcullis: cannot listen on {address}: ");
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
        let remedy =
            format!("({name}: another process has it: stop that one, or change the field)");
        assert!(ran.stderr.contains(&remedy), "{}", ran.stderr);
    }
}

#[test]
fn nothing_secret_is_printed_however_talkative_the_gateway_is() {
    const SECRET: &str = "thirty-two-bytes-of-pure-entropy";
    const ADMIN: &str = "the-token-of-the-admin-listener";
    let directory = directory();
    std::fs::write(directory.path().join("admin.token"), ADMIN).expect("a file");
    let text = standard(&Upstream::start())
        .replace("algorithms: [ES256]", "algorithms: [HS256]")
        .replace("public_key_file: issuer.pem", "secret: '${IDP_SECRET}'")
        .replace("admin: { ", "admin: { token_file: admin.token, ");
    let environment = [("IDP_SECRET", SECRET), ("PORTCULLIS_LOG", "debug")];
    let mut gateway = Gateway::spawn_with(directory, &text, &environment);
    gateway.wait_until_ready();
    let key = portcullis::issuer::key_pairs::SigningKey::from_file(SECRET.as_bytes(), None);
    let token = tokens::signed(&key.expect("a key"), "at+jwt", json!({}));
    assert_eq!(gateway.get_as("/whoami", &token).status, 200);
    let wrong = format!("{token}x");
    assert_eq!(gateway.get_as("/whoami", &wrong).status, 401);
    let admin = bearer(ADMIN);
    let metrics = get("/metrics", &[("Authorization", admin.as_str()), ("Host", "localhost")]);
    assert_eq!(client::exchange(gateway.admin(), metrics).status, 200);
    gateway.logged(|line| line["status"] == 401);
    gateway.signal("TERM");
    gateway.wait();
    let printed = format!("{}\n{:?}", gateway.errors().join("\n"), gateway.log());
    for secret in [SECRET, ADMIN, token.as_str()] {
        assert!(!printed.contains(secret), "{secret} is in\n{printed}");
    }
}

/// What `serve` logs until it finds that its second port is taken; `through` says how it is started.
fn log_of_a_start(through: impl FnOnce(&str) -> Command, no_color: Option<&str>) -> String {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("an address");
    let directory = directory();
    let listeners = format!("listeners: [{{ address: '127.0.0.1:0' }}, {{ address: '{taken}' }}]");
    let text =
        standard(&Upstream::start()).replace("listeners: [{ address: '127.0.0.1:0' }]", &listeners);
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let mut command = through(&format!("{PROGRAM} serve"));
    command.current_dir(directory.path()).stdin(Stdio::null()).env_remove("NO_COLOR");
    command.envs(no_color.map(|value| ("NO_COLOR", value))).env("TERM", "xterm");
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("cannot listen on"), "{text}");
    text
}

/// A shell, whose standard error is a pipe.
fn piped(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

/// A terminal.
fn on_a_terminal(command: &str) -> Command {
    let mut script = Command::new("script");
    script.args(["-qec", command, "/dev/null"]);
    script
}

#[test]
fn log_has_colours_on_a_terminal_only() {
    let has_colours = |text: String| text.contains("\u{1b}[");
    assert!(!has_colours(log_of_a_start(piped, None)));
    assert!(has_colours(log_of_a_start(on_a_terminal, None)));
    // https://no-color.org
    assert!(!has_colours(log_of_a_start(on_a_terminal, Some("1"))));
    assert!(has_colours(log_of_a_start(on_a_terminal, Some(""))));
}

#[test]
fn configuration_without_its_option_is_refused_with_the_option() {
    for command in ["serve", "check"] {
        let ran = run(directory().path(), &[command, "gateway.yaml"]);
        assert_eq!((ran.code, &*ran.stdout), (2, ""));
        let told = "unexpected argument 'gateway.yaml' found";
        let tip = "tip: the configuration file is named with --config";
        assert!(ran.stderr.contains(told) && ran.stderr.contains(tip), "{}", ran.stderr);
    }
}

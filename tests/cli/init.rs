//! `portcullis init`: what it writes runs, and the commands that it prints do what they say.

mod arguments;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::client::{self, get};
use crate::harness::gateway::PROGRAM;
use crate::harness::jwks::{JwksEndpoint, JwksReply, jwk};
use crate::harness::password_login::{FORM, NAVIGATION, encoded, post};
use crate::harness::program::{Ran, done, program, ran, run};
use crate::harness::redis::free_port;
use crate::harness::upstream::Upstream;
use crate::harness::{eventually, tokens};

/// A directory in which the command was run, and what it said.
struct Written {
    directory: TempDir,
    listen: SocketAddr,
    told: String,
    upstream: Upstream,
}

impl Written {
    /// Runs `init` with these arguments, on free ports and in front of an upstream of its own.
    fn new(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let upstream = Upstream::start();
        let [listen, admin] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let service = upstream.address().to_string();
        let fixed = ["--listen", &listen, "--admin-address", &admin, "--upstream", &service];
        let told = done(run(directory.path(), &[&["init"], arguments, &fixed].concat()));
        Self { directory, listen: listen.parse().expect("an address"), told, upstream }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The three commands that were printed.
    fn next(&self) -> [String; 3] {
        let (_, rest) = self.told.split_once("\nNext:\n").expect("what is next");
        let lines: Vec<_> = rest.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        <[&str; 3]>::try_from(lines).expect("three commands").map(str::to_owned)
    }

    /// Runs a printed line in a shell.
    fn shell(&self, line: &str, environment: &[(&str, &str)]) -> Ran {
        let mut shell = shell(self.directory.path(), line);
        ran(&shell.envs(environment.iter().copied()).output().expect("a shell"))
    }

    /// Checks the configuration and serves it with the printed commands; it is ready.
    fn serve(&self) -> Served {
        let [check, serve, _] = self.next();
        let checked = done(self.shell(&check, &[]));
        assert!(checked.contains("1 route, 0 of them public"), "{checked}");
        let mut shell = shell(self.directory.path(), &format!("exec {serve}"));
        shell.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let served = Served(shell.spawn().expect("the gateway starts"));
        let health = serve.replace(" serve", " health");
        eventually("readiness", || (self.shell(&health, &[]).code == 0).then_some(()));
        served
    }
}

/// A gateway that runs until this is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shell that finds the program, about to run a line.
fn shell(directory: &Path, line: &str) -> Command {
    let mut environment = program(directory, &[]);
    let programs = Path::new(PROGRAM).parent().expect("its directory").display();
    let path = format!("{programs}:{}", std::env::var("PATH").expect("a path"));
    environment.env("PATH", path).env("no_proxy", "127.0.0.1");
    let mut shell = Command::new("sh");
    shell.current_dir(directory).args(["-c", line]).stdin(Stdio::null());
    for (name, value) in environment.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn tokens_of_the_provider_open_what_init_for_jwt_writes() {
    let keys = JwksEndpoint::start(JwksReply::Keys(vec![jwk(tokens::pair(), "k-1")]));
    let url = keys.url();
    let issuer = url.trim_end_matches("/jwks.json");
    let written = Written::new(&["--for", "jwt", "--issuer", issuer, "--audience", "orders-api"]);
    let guess = format!(
        "The URL of the keys is a guess: compare it with `jwks_uri` in\n{issuer}/.well-known/openid-configuration\n"
    );
    assert!(written.told.ends_with(&guess), "{}", written.told);
    assert!(written.told.starts_with("wrote gateway.yaml\n\nNext:\n"), "{}", written.told);
    let _served = written.serve();
    let [_, _, curl] = written.next();
    let refused = done_quietly(written.shell(&curl, &[("TOKEN", "not-a-token")]));
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let key = tokens::signing_key(tokens::pair(), Some("k-1"));
    let token = tokens::signed(&key, "at+jwt", json!({ "iss": issuer }));
    let opened = done_quietly(written.shell(&curl, &[("TOKEN", &token)]));
    assert!(opened.starts_with("HTTP/1.1 200 "), "{opened}");
    let seen = written.upstream.received();
    assert_eq!(seen.last().expect("a request").values("x-auth-subject"), ["alice"]);
}

/// What a command printed that may show its progress.
fn done_quietly(ran: Ran) -> String {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

#[test]
fn key_set_that_is_named_is_no_guess() {
    let keys = JwksEndpoint::start(JwksReply::Keys(vec![jwk(tokens::pair(), "k-1")]));
    let arguments = ["--for", "jwt", "--issuer", "issuer of tokens", "--audience", "a"];
    let named = ["--audience", "orders-api", "--jwks-url", &keys.url()];
    let written = Written::new(&[&arguments[..], &named].concat());
    assert!(!written.told.contains("guess"), "{}", written.told);
    let _served = written.serve();
    let key = tokens::signing_key(tokens::pair(), Some("k-1"));
    let token = tokens::signed(&key, "at+jwt", json!({ "iss": "issuer of tokens" }));
    let fields = [("Authorization", format!("Bearer {token}"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(client::exchange(written.listen, get("/a", &fields)).status, 200);
}

#[test]
fn first_user_logs_in_to_what_init_for_session_writes() {
    let written = Written::new(&["--for", "session", "--user", "Zo\u{eb} \"x\""]);
    let line = written.told.lines().nth(1).expect("what was written");
    let told = line.strip_prefix("wrote users.yaml: user Zo\u{eb} \"x\", password ");
    let password = told.and_then(|told| told.strip_suffix(", which is not shown again"));
    let password = password.unwrap_or_else(|| panic!("{line}"));
    assert_eq!(password.len(), 22, "{password}");
    let users = std::fs::read_to_string(written.path("users.yaml")).expect("a file");
    assert!(!users.contains(password), "{users}");
    assert_eq!(mode(&written.path("users.yaml")), 0o600);
    let _served = written.serve();
    let [_, _, open] = written.next();
    assert_eq!(open, format!("open http://{}/ in a browser, and log in", written.listen));
    let sent = client::exchange(written.listen, get("/", &NAVIGATION));
    assert_eq!((sent.status, sent.field("location")), (302, Some("/auth/login?return_to=/")));
    let fields = [&NAVIGATION[..], &[("Content-Type", FORM)]].concat();
    let body = encoded(&[("username", "Zo\u{eb} \"x\""), ("password", password)]);
    let login = post(written.listen, &fields, &body);
    let cookie = login.field("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().expect("its value");
    let opened = client::exchange(written.listen, get("/", &[("Cookie", cookie)]));
    assert_eq!(opened.status, 200, "{opened:?}");
}

#[test]
fn api_key_opens_what_init_for_api_key_writes() {
    let written = Written::new(&["--for", "api-key", "--output", "my gate's.yaml"]);
    let [check, ..] = written.next();
    assert_eq!(check, r"portcullis check --config 'my gate'\''s.yaml'");
    let _served = written.serve();
    let [_, _, curl] = written.next();
    let opened = done_quietly(written.shell(&curl, &[]));
    assert!(opened.starts_with("HTTP/1.1 200 "), "{opened}");
    let seen = written.upstream.received();
    assert_eq!(seen.last().expect("a request").values("x-auth-subject"), ["demo"]);
    let refused = client::exchange(written.listen, get("/", &[]));
    assert_eq!((refused.status, refused.slug().as_str()), (401, "credential_absent"));
}

#[test]
fn file_that_exists_is_left_alone_unless_it_is_forced() {
    for taken in ["gateway.yaml", "users.yaml"] {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(taken), "mine").expect("a file");
        let init = ["init", "--for", "session"];
        let refused = run(directory.path(), &init);
        let told = format!(
            "portcullis: {taken} exists and was not changed: name another file with --output, or \
             overwrite it with --force\n"
        );
        assert_eq!((refused.code, refused.stdout, refused.stderr), (2, String::new(), told));
        let left = std::fs::read_to_string(directory.path().join(taken)).expect("a file");
        assert_eq!(left, "mine");
        assert_eq!(std::fs::read_dir(directory.path()).expect("a list").count(), 1);
        done(run(directory.path(), &["init", "--for", "session", "--force"]));
        assert_eq!(mode(&directory.path().join("users.yaml")), 0o600);
        let checked = run(directory.path(), &["check"]);
        assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
    }
}

#[test]
fn passwords_are_never_the_same() {
    let password = || {
        let directory = tempfile::tempdir().expect("a directory");
        let told = done(run(directory.path(), &["init", "--for", "session"]));
        let (_, rest) = told.split_once("user demo, password ").expect("a password");
        rest.split(',').next().expect("its end").to_owned()
    };
    assert_ne!(password(), password());
}

#[test]
fn standard_output_takes_the_configuration_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let ran = run(directory.path(), &["init", "--for", "api-key", "--output", "-"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.starts_with("Next:\n  portcullis check --config FILE\n"), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(directory.path()).expect("a list").count(), 0);
    std::fs::write(directory.path().join("gateway.yaml"), ran.stdout).expect("a file");
    let checked = run(directory.path(), &["check"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
}

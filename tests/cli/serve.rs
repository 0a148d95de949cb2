//! Starting, or saying why not.

use std::net::TcpListener;

use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::jwks::{JwksEndpoint, JwksReply};
use crate::harness::tokens::token;
use crate::harness::upstream::Upstream;
use crate::harness::{SLACK, client, eventually};

#[test]
fn taken_port_is_named_and_ends_with_exit_code_1() {
    let upstream = Upstream::start();
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("an address").to_string();
    for section in ["listeners: [{ address: '", "admin: { address: '"] {
        let configuration = standard(&upstream)
            .replace(&format!("{section}127.0.0.1:0"), &format!("{section}{taken}"));
        assert!(configuration.contains(&taken));
        let mut gateway = Gateway::spawn_in(directory(), &configuration);
        assert_eq!(gateway.wait().code(), Some(1), "{section}");
        let last = eventually("a reason", || gateway.errors().pop());
        assert!(last.contains(&taken) && last.contains("in use"), "{last}");
    }
}

#[test]
fn bad_configuration_tells_every_error_with_its_line_and_ends_with_exit_code_2() {
    let configuration = "
listeners: [{ address: nowhere }]
admin: { address: '127.0.0.1:0' }
server: { threads: 0 }
limits: { header_timeout: soon }
upstreams: { behind: { peers: ['nowhere'] } }
routes:
  - { name: a, match: { path: /a }, upstream: behind }
  - { name: b, match: { path: /b }, upstream: elsewhere, public: true }
  - { name: c, match: { path: /c }, upstream: behind, pubic: true }
";
    let mut gateway = Gateway::spawn_in(directory(), configuration);
    assert_eq!(gateway.wait().code(), Some(2));
    let file = gateway.file().display().to_string();
    for (line, field) in [
        (2, "listeners[0].address"),
        (4, "server.threads"),
        (5, "limits.header_timeout"),
        (6, "upstreams.behind.peers[0]"),
        (8, "routes[0]"),
        (9, "routes[1].upstream"),
        (10, "routes[2]"),
    ] {
        let start = format!("{file}:{line}: error: {field}");
        eventually(&start, || {
            gateway.errors().iter().any(|told| told.starts_with(&start)).then_some(())
        });
    }
    assert!(gateway.log().is_empty());
}

#[test]
fn missing_configuration_is_named_and_ends_with_exit_code_2() {
    let output = std::process::Command::new(crate::harness::gateway::PROGRAM)
        .args(["serve", "--config", "no/such/file.yaml"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no/such/file.yaml") && told.contains("cannot be read"), "{told}");
}

#[test]
fn gateway_starts_again_where_another_was_killed() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::standard(&upstream);
    let token = token(serde_json::json!({}));
    assert_eq!(gateway.get_as("/orders/7", &token).status, 200);
    gateway.signal("KILL");
    gateway.wait();
    let address = gateway.address();
    // On the same port too, although connections to it were not closed in order.
    let configuration = standard(&upstream).replacen("127.0.0.1:0", &address.to_string(), 1);
    let again = Gateway::start_in(gateway.shared_directory(), &configuration);
    assert_eq!(again.address(), address);
    assert_eq!(again.get_as("/orders/7", &token).status, 200);
}

#[test]
fn killed_gateway_leaves_keys_that_the_next_one_starts_with() {
    let upstream = Upstream::start();
    let pair = crate::harness::tokens::pair();
    let jwks = JwksEndpoint::start(JwksReply::Keys(vec![crate::harness::jwks::jwk(pair, "one")]));
    let configuration = standard(&upstream).replace(
        "{ public_key_file: issuer.pem }",
        &format!("{{ jwks_url: '{}', timeout: 300ms }}", jwks.url()),
    );
    let mut gateway = Gateway::start(&configuration);
    let key = crate::harness::tokens::signing_key(pair, Some("one"));
    let token = crate::harness::tokens::signed(&key, "at+jwt", serde_json::json!({}));
    assert_eq!(gateway.get_as("/orders/7", &token).status, 200);
    gateway.signal("KILL");
    gateway.wait();
    jwks.serve(JwksReply::Raw { status: 500, fields: String::new(), body: String::new() });
    let again = Gateway::start_in(gateway.shared_directory(), &configuration);
    assert_eq!(again.get_as("/orders/7", &token).status, 200);
}

#[test]
fn hangup_while_starting_does_not_kill() {
    let upstream = Upstream::start();
    let jwks = JwksEndpoint::start(JwksReply::Hang(std::time::Duration::from_secs(2)));
    let configuration = standard(&upstream).replace(
        "{ public_key_file: issuer.pem }",
        &format!("{{ jwks_url: '{}', timeout: 1500ms }}", jwks.url()),
    );
    let mut gateway = Gateway::spawn_in(directory(), &configuration);
    // It waits for its first keys.
    eventually("a fetch", || (jwks.requests() > 0).then_some(()));
    gateway.signal("HUP");
    gateway.wait_until_ready();
    assert_eq!(client::exchange(gateway.address(), client::get("/public/x", &[])).status, 200);
}

#[test]
fn terminated_while_starting_ends_at_once() {
    let upstream = Upstream::start();
    let jwks = JwksEndpoint::start(JwksReply::Hang(std::time::Duration::from_secs(12)));
    let configuration = standard(&upstream).replace(
        "{ public_key_file: issuer.pem }",
        &format!("{{ jwks_url: '{}', timeout: 10s }}", jwks.url()),
    );
    let mut gateway = Gateway::spawn_in(directory(), &configuration);
    eventually("a fetch", || (jwks.requests() > 0).then_some(()));
    let begun = std::time::Instant::now();
    gateway.signal("TERM");
    gateway.wait();
    assert!(begun.elapsed() < SLACK, "it took {:?}", begun.elapsed());
}

/// A store that another gateway writes could lose what either was told.
#[test]
fn file_of_another_gateway_is_refused_and_named() {
    let upstream = Upstream::start();
    let first = Gateway::standard(&upstream);
    let mut second = Gateway::spawn_in(first.shared_directory(), &standard(&upstream));
    assert_eq!(second.wait().code(), Some(1));
    let last = eventually("a reason", || second.errors().pop());
    assert!(last.contains("portcullis.redb"), "{last}");
    assert_eq!(first.get_as("/orders/7", &token(serde_json::json!({}))).status, 200);
}

#[test]
fn file_that_is_no_store_is_refused_and_left_as_it_is() {
    let upstream = Upstream::start();
    let directory = directory();
    std::fs::create_dir(directory.path().join("data")).expect("a directory");
    let file = directory.path().join("data/portcullis.redb");
    let text = "something of somebody else's".repeat(1000);
    std::fs::write(&file, &text).expect("a file");
    let mut gateway = Gateway::spawn_in(directory, &standard(&upstream));
    assert_eq!(gateway.wait().code(), Some(1));
    let last = eventually("a reason", || gateway.errors().pop());
    assert!(last.contains("portcullis.redb"), "{last}");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), text);
}

#[test]
fn store_is_told_when_the_gateway_starts_and_never_its_password() {
    let upstream = Upstream::start();
    let section = "store: { redis: { url: 'redis://us:hunter2@127.0.0.1:1' } }\n";
    let configuration = section.to_owned() + &standard(&upstream);
    let mut gateway = Gateway::spawn_in(directory(), &configuration);
    gateway.wait_until_bound();
    eventually("that it is away", || {
        let lines = gateway.errors();
        lines.iter().any(|line| line.contains("cannot be followed")).then_some(())
    });
    let told = gateway.errors().join("\n");
    assert!(told.contains("the store is Redis at 127.0.0.1:1"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

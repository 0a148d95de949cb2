//! The store in a file beside the gateway.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use portcullis::issuer::key_pairs::{KeyKind, generate};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::client::{self, get};
use crate::harness::eventually;
use crate::harness::fleet::{self, Verdict, ask, post, revoke, revoke_on_all, said, token_of};
use crate::harness::gateway::{AdminListener, Gateway, PROGRAM, directory};
use crate::harness::jwks::jwk;
use crate::harness::tokens::{self, bearer, now, signed, token};
use crate::harness::upstream::Upstream;

const STORE: &str = "store: { embedded: { path: data/revocations.redb } }\n";

/// Starts a gateway in this directory.
fn start(directory: &Arc<TempDir>, upstream: &Upstream) -> Gateway {
    let text = fleet::configuration(upstream, "gw-1", STORE);
    Gateway::start_in(directory.clone(), &text)
}

/// Ends a gateway and waits until it is gone.
fn end(mut gateway: Gateway, signal: &str) {
    gateway.signal(signal);
    gateway.wait();
}

/// Starts a gateway that does not get far; what it says, which is also what to do.
fn last_words(directory: Arc<TempDir>, lines: &str) -> String {
    let upstream = Upstream::start();
    let mut gateway = Gateway::spawn_in(directory, &fleet::configuration(&upstream, "gw-1", lines));
    assert_eq!(gateway.wait().code(), Some(1), "{:?}", gateway.errors());
    let told = eventually("a reason, and what to do", || {
        gateway.errors().into_iter().find(|line| line.contains("store.embedded.path"))
    });
    assert!(!gateway.errors().iter().any(|line| line.ends_with(" ready")));
    told
}

#[test]
fn restart_keeps_revocations_of_every_scope() {
    let id = "the-key";
    let key = tokens::signing_key(tokens::pair(), Some(id));
    let signed_by_key = |changes: Value| signed(&key, "at+jwt", changes);
    // Issued after whatever is revoked now; clocks may be apart.
    let later = || json!({ "sub": "other", "iat": now() + 25 });
    let whole = signed_by_key(json!({ "jti": "whole" }));
    let other_pair = generate(KeyKind::P256).expect("a key pair");
    let other_key = tokens::signing_key(&other_pair, Some("other-key"));
    let keys = json!({ "keys": [jwk(tokens::pair(), id), jwk(&other_pair, "other-key")] });
    let issuer = tokens::ISSUER;
    for (draft, hit, spared) in [
        (
            json!({ "scope": "token", "jti": "one", "issuer": issuer }),
            signed_by_key(json!({ "jti": "one" })),
            signed_by_key(json!({ "jti": "two" })),
        ),
        (json!({ "scope": "token", "token": &whole }), whole.clone(), signed_by_key(json!({}))),
        (
            json!({ "scope": "session", "session": "s-1" }),
            signed_by_key(json!({ "sid": "s-1" })),
            signed_by_key(json!({ "sid": "s-2" })),
        ),
        (
            json!({ "scope": "subject", "subject": "user-1" }),
            signed_by_key(json!({ "sub": "user-1" })),
            signed_by_key(json!({ "sub": "user-1", "iat": now() + 25 })),
        ),
        (
            json!({ "scope": "subject", "subject": "user-1", "issuer": "test" }),
            signed_by_key(json!({ "sub": "user-1" })),
            signed_by_key(json!({ "sub": "user-2" })),
        ),
        (
            json!({ "scope": "client", "client": "c-1" }),
            signed_by_key(json!({ "client_id": "c-1" })),
            signed_by_key(json!({ "client_id": "c-2" })),
        ),
        (
            json!({ "scope": "key", "key": id }),
            signed_by_key(later()),
            signed(&other_key, "at+jwt", json!({})),
        ),
        (
            json!({ "scope": "issuer", "issuer": issuer }),
            signed_by_key(json!({})),
            signed_by_key(later()),
        ),
        (json!({ "scope": "everything" }), signed_by_key(json!({})), signed_by_key(later())),
    ] {
        let upstream = Upstream::start();
        let directory = directory();
        std::fs::write(directory.path().join("keys.json"), keys.to_string()).expect("a file");
        let text = fleet::configuration(&upstream, "gw-1", STORE)
            .replace("public_key_file: issuer.pem", "jwks_file: keys.json");
        let gateway = Gateway::start_in(directory.clone(), &text);
        assert_eq!(ask(&gateway, &hit), Verdict::Accepted, "{draft}");
        assert_eq!(post(&gateway, &draft).status, 201, "{draft}");
        end(gateway, "KILL");
        let gateway = Gateway::start_in(directory, &text);
        assert_eq!(ask(&gateway, &hit), Verdict::Revoked, "{draft}");
        assert_eq!(ask(&gateway, &spared), Verdict::Accepted, "{draft}");
        let listing = fleet::admin(&gateway, "/v1/revocations").expect("a list");
        assert_eq!(listing["total"], 1, "{draft}");
        assert_eq!(listing["revocations"][0]["scope"], draft["scope"]);
    }
}

#[test]
fn acknowledged_revocation_survives_a_gateway_that_is_killed_at_once() {
    let (upstream, directory) = (Upstream::start(), directory());
    let mut revoked: Vec<String> = Vec::new();
    for round in 0..6 {
        let gateway = start(&directory, &upstream);
        for token in &revoked {
            assert_eq!(ask(&gateway, token), Verdict::Revoked, "round {round}");
        }
        // Several at once share a transaction; all of them are acknowledged.
        let subjects: Vec<_> = (0..8).map(|number| format!("user-{round}-{number}")).collect();
        std::thread::scope(|scope| {
            for subject in &subjects {
                scope.spawn(|| assert_eq!(revoke(&gateway, subject).status, 201));
            }
        });
        gateway.signal("KILL");
        revoked.extend(subjects.iter().map(|subject| token_of(subject)));
    }
    let gateway = start(&directory, &upstream);
    for token in &revoked {
        assert_eq!(ask(&gateway, token), Verdict::Revoked);
    }
    assert_eq!(ask(&gateway, &token_of("user-0-8")), Verdict::Accepted);
}

#[test]
fn acknowledged_revocation_survives_a_gateway_that_is_stopped() {
    let (upstream, directory) = (Upstream::start(), directory());
    let mut gateway = start(&directory, &upstream);
    revoke_on_all(&gateway, "user-1", 1);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let gateway = start(&directory, &upstream);
    assert_eq!(ask(&gateway, &token_of("user-1")), Verdict::Revoked);
    assert_eq!(ask(&gateway, &token_of("user-2")), Verdict::Accepted);
    // The new process is the only one that is counted.
    revoke_on_all(&gateway, "user-2", 1);
}

#[test]
fn second_gateway_on_the_same_file_ends_with_exit_code_1_and_says_why() {
    let (upstream, shared) = (Upstream::start(), directory());
    let gateway = start(&shared, &upstream);
    let lines = STORE.replace("data/", &format!("{}/data/", shared.path().display()));
    let told = last_words(directory(), &lines);
    assert!(told.contains("revocations.redb") && told.contains("in use"), "{told}");
    revoke_on_all(&gateway, "user-1", 1);
    assert_eq!(ask(&gateway, &token_of("user-1")), Verdict::Revoked);
}

#[test]
fn file_that_cannot_be_made_ends_the_gateway_with_exit_code_1() {
    let place = directory();
    std::fs::write(place.path().join("file"), "in the way").expect("a file");
    for path in ["file/revocations.redb", "/proc/revocations.redb", "/dev/full"] {
        let lines = format!("store: {{ embedded: {{ path: {path} }} }}\n");
        let told = last_words(place.clone(), &lines);
        assert!(told.contains(path.trim_start_matches('/')), "{told}");
    }
}

#[test]
fn what_is_no_store_is_left_as_it_is_and_ends_the_gateway_with_exit_code_1() {
    let place = directory();
    let path = place.path().join("data/revocations.redb");
    std::fs::create_dir_all(&path).expect("a directory");
    let told = last_words(place.clone(), STORE);
    assert!(told.contains("revocations.redb"), "{told}");
    assert!(path.is_dir());
    std::fs::remove_dir(&path).expect("it is empty");
    let text = "somebody's diary\n".repeat(1000);
    std::fs::write(&path, &text).expect("a file");
    let told = last_words(place.clone(), STORE);
    assert!(told.contains("revocations.redb") && told.contains("left as it is"), "{told}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), text);
}

#[test]
fn store_that_was_emptied_ends_the_gateway_with_exit_code_1_and_says_what_is_lost() {
    let (upstream, place) = (Upstream::start(), directory());
    let mut gateway = start(&place, &upstream);
    gateway.signal("KILL");
    gateway.wait();
    std::fs::write(place.path().join("data/revocations.redb"), "").expect("a file");
    let told = last_words(place, STORE);
    assert!(told.contains("revocations.redb is empty"), "{told}");
}

#[test]
fn full_list_takes_no_more_and_says_what_to_do() {
    let (upstream, place) = (Upstream::start(), directory());
    let lines = format!("{STORE}revocation: {{ max_entries: 3 }}\n");
    let text = fleet::configuration(&upstream, "gw-1", &lines);
    let gateway = Gateway::start_in(place.clone(), &text);
    for number in 0..3 {
        revoke_on_all(&gateway, &format!("user-{number}"), 1);
    }
    // One who is cut off already is no exception: what they were issued since is not yet.
    for subject in ["user-3", "user-1"] {
        let answer = revoke(&gateway, subject);
        assert_eq!((answer.status, &*answer.slug()), (507, "revocation_list_full"), "{answer:?}");
        assert_eq!(answer.json()["durable"], false, "{answer:?}");
        assert!(answer.body.contains("revocation.max_entries"), "{answer:?}");
    }
    assert_eq!(ask(&gateway, &token_of("user-3")), Verdict::Accepted);
    let hit = |gateway: &Gateway| {
        for number in 0..3 {
            let token = token(json!({ "sub": format!("user-{number}"), "iat": now() - 5 }));
            assert_eq!(ask(gateway, &token), Verdict::Revoked);
        }
    };
    hit(&gateway);
    end(gateway, "KILL");
    // More room.
    let gateway = Gateway::start_in(place, &text.replace("max_entries: 3", "max_entries: 4"));
    hit(&gateway);
    revoke_on_all(&gateway, "user-3", 1);
    assert_eq!(ask(&gateway, &token_of("user-3")), Verdict::Revoked);
    assert_eq!(revoke(&gateway, "user-4").status, 507);
}

#[test]
fn subject_may_be_revoked_again_for_what_was_issued_since() {
    let (upstream, place) = (Upstream::start(), directory());
    let gateway = start(&place, &upstream);
    let early = token(json!({ "sub": "user-1", "iat": now() - 20 }));
    let late = token(json!({ "sub": "user-1", "iat": now() - 5 }));
    let draft = |before: i64| json!({ "scope": "subject", "subject": "user-1", "before": before });
    assert_eq!(post(&gateway, &draft(now() - 10)).status, 201);
    assert_eq!(
        (ask(&gateway, &early), ask(&gateway, &late)),
        (Verdict::Revoked, Verdict::Accepted)
    );
    assert_eq!(post(&gateway, &draft(now())).status, 201);
    assert_eq!((ask(&gateway, &early), ask(&gateway, &late)), (Verdict::Revoked, Verdict::Revoked));
    // An earlier cut-off takes nothing back, not even after a restart.
    assert_eq!(post(&gateway, &draft(now() - 10)).status, 201);
    assert_eq!((ask(&gateway, &early), ask(&gateway, &late)), (Verdict::Revoked, Verdict::Revoked));
    end(gateway, "KILL");
    let gateway = start(&place, &upstream);
    assert_eq!((ask(&gateway, &early), ask(&gateway, &late)), (Verdict::Revoked, Verdict::Revoked));
}

/// A gateway whose disk can be full: where that would be a signal, it is an error.
struct GatewayWithFullDisk {
    child: Child,
    address: SocketAddr,
    admin: AdminListener,
    errors: Arc<Mutex<Vec<String>>>,
    _directory: Arc<TempDir>,
}

impl GatewayWithFullDisk {
    fn start(directory: Arc<TempDir>, text: &str) -> Self {
        let file = directory.path().join("gateway.yaml");
        std::fs::write(&file, text).expect("a file");
        let mut child = Command::new("env")
            .args(["--ignore-signal=XFSZ", PROGRAM, "serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let errors = Arc::new(Mutex::new(Vec::new()));
        let (sink, pipe) = (errors.clone(), child.stderr.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                sink.lock().expect("the lines").push(line);
            }
        });
        let lines = eventually("readiness", || {
            let lines = errors.lock().expect("the lines").clone();
            lines.iter().any(|line: &String| line.ends_with(" ready")).then_some(lines)
        });
        let after = |marker: &str| {
            let (_, rest) = lines.iter().find_map(|line| line.split_once(marker)).expect(marker);
            rest.split("//").nth(1).expect("an address").trim().parse().expect("an address")
        };
        let address = after("listening on ");
        let admin = AdminListener::at(after("admin on "), directory.path());
        Self { child, address, admin, errors, _directory: directory }
    }

    /// How long files may be: writing beyond is an error.
    fn limit(&self, bytes: &str) {
        let (pid, limit) = (self.child.id().to_string(), format!("--fsize={bytes}:unlimited"));
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(status.expect("prlimit runs").success());
    }

    fn revoke(&self, subject: &str) -> client::Answer {
        let draft = json!({ "scope": "subject", "subject": subject });
        client::exchange(self.admin.clone(), fleet::revocation(&draft))
    }

    fn ask(&self, token: &str) -> Verdict {
        let fields = [("Authorization", &*bearer(token))];
        said(&client::exchange(self.address, get("/whoami", &fields)))
    }
}

impl Drop for GatewayWithFullDisk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the gateway wrote:\n{}", self.errors.lock().expect("them").join("\n"));
        }
    }
}

#[test]
fn disk_that_fails_acknowledges_nothing_and_everything_returns_with_it() {
    let (upstream, place) = (Upstream::start(), directory());
    let lines = format!("{STORE}{}", fleet::stale_after("1s"));
    let gateway =
        GatewayWithFullDisk::start(place, &fleet::configuration(&upstream, "gw-1", &lines));
    let (revoked, other) = (token_of("user-1"), token_of("user-2"));
    let answer = gateway.revoke("user-1");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!((gateway.ask(&revoked), gateway.ask(&other)), (Verdict::Revoked, Verdict::Accepted));

    gateway.limit("4096");
    let answer = gateway.revoke("user-2");
    assert_eq!((answer.status, &*answer.slug()), (503, "store_unavailable"), "{answer:?}");
    assert_eq!(answer.json()["durable"], false, "{answer:?}");
    assert_ne!(gateway.ask(&other), Verdict::Revoked);
    assert_eq!(gateway.ask(&revoked), Verdict::Revoked);

    gateway.limit("unlimited");
    eventually("recovery", || (gateway.ask(&other) == Verdict::Accepted).then_some(()));
    assert_eq!(gateway.ask(&revoked), Verdict::Revoked);
    let answer = eventually("an acknowledged revocation", || {
        let answer = gateway.revoke("user-2");
        (answer.status == 201).then_some(answer)
    });
    assert_eq!(answer.json()["durable"], true, "{answer:?}");
    assert_eq!((gateway.ask(&revoked), gateway.ask(&other)), (Verdict::Revoked, Verdict::Revoked));
}

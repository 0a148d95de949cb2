//! Software that was not written here, before and behind the real gateway: PyJWT, Authlib, and from
//! npm jose and openid-client. schemathesis calls the HTTP APIs as their documents say.
//!
//! `scripts/interop.sh` brings them, in the versions that are pinned in `tests/interop`.

mod clients;
mod fleet;
mod openapi;
mod program;
mod rotation;
mod upstream;
mod verifiers;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use portcullis::issuer::key_pairs::{KeyKind, generate};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::client;
use crate::harness::gateway::Gateway;
use crate::harness::login::{self, PASSWORD, common_hash};
use crate::harness::program::operate;
use crate::harness::upstream::Upstream;

/// Of the access tokens, and of the internal ones.
const ACCESS_AUDIENCE: &str = "orders-api";
const INTERNAL_AUDIENCE: &str = "orders";

/// The client that has a secret, [`PASSWORD`], and may ask about tokens. Its own may be for what
/// internal ones are for.
const WITH_SECRET: &str = "batch";

/// The client that has a key, in [`KEY_FILE`].
const WITH_KEY: &str = "robot";
const KEY_FILE: &str = "robot.pem";

/// The path of a route that any credential opens.
const PATH: &str = "/orders/7";

/// A gateway that is found where its issuer says, and an upstream that gets internal tokens.
struct Site {
    upstream: Upstream,
    gateway: Gateway,
    issuer: String,
}

impl Site {
    /// One that signs with ES256.
    fn open() -> Self {
        Self::open_signing("ES256")
    }

    fn open_signing(algorithm: &str) -> Self {
        let upstream = Upstream::start();
        let address = reserved_address();
        let issuer = issuer_at(address);
        let terms = Terms { algorithm, ..Terms::of(address, &issuer, upstream.address()) };
        Self { gateway: Gateway::start_in(directory(), &terms.configuration()), upstream, issuer }
    }

    /// Carol's access token.
    fn access_token(&self) -> String {
        text(&log_in(&self.gateway)["access_token"])
    }

    /// The internal token that the upstream gets for this access token.
    #[track_caller]
    fn internal_token(&self, access_token: &str) -> String {
        let answer = self.gateway.get_as(PATH, access_token);
        assert_eq!(answer.status, 200, "{answer:?}");
        let received = self.upstream.last();
        let [field] = received.values("authorization")[..] else {
            panic!("not one token: {received:?}")
        };
        field.strip_prefix("Bearer ").expect("a bearer token").to_owned()
    }
}

/// What gateways differ in.
#[derive(Clone, Copy)]
struct Terms<'t> {
    address: SocketAddr,
    issuer: &'t str,
    upstream: SocketAddr,
    algorithm: &'t str,
    name: &'t str,
    /// Sections of their own.
    lines: &'t str,
}

impl<'t> Terms<'t> {
    fn of(address: SocketAddr, issuer: &'t str, upstream: SocketAddr) -> Self {
        Self { address, issuer, upstream, algorithm: "ES256", name: "gw-1", lines: "" }
    }

    fn configuration(&self) -> String {
        let Self { address, issuer, upstream, algorithm, name, lines } = self;
        format!(
            "{lines}
listeners: [{{ address: '{address}' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ name: {name}, threads: 2, shutdown_grace: 10s }}
{login}
tokens:
  issuer: {issuer}
  access: {{ audiences: [{ACCESS_AUDIENCE}] }}
  signing: {{ algorithm: {algorithm}, encryption_key_file: kek }}
clients:
  - id: {WITH_SECRET}
    secret_hash: '{hash}'
    scopes: [orders:read, orders:write]
    audiences: [{ACCESS_AUDIENCE}, {INTERNAL_AUDIENCE}]
    introspection: true
  - id: {WITH_KEY}
    public_key_file: robot-public.pem
    algorithms: [RS256]
    scopes: [orders:read]
api_keys: {{}}
upstreams:
  behind: {{ peers: ['{upstream}'] }}
routes:
  - name: orders
    match: {{ path: '/orders/{{*rest}}' }}
    upstream: behind
    authenticate: [bearer, session, api_key]
    forward: {{ internal_token: {{ audience: {INTERNAL_AUDIENCE} }} }}
",
            login = login::SECTION,
            hash = common_hash(),
        )
    }
}

/// A directory with the users, and with all keys.
fn directory() -> Arc<TempDir> {
    let directory = login::directory();
    let pair = generate(KeyKind::Rsa).expect("a key pair");
    let files = [
        (KEY_FILE, pair.private.as_bytes()),
        ("robot-public.pem", pair.public.as_bytes()),
        ("kek", b"thirty-two bytes and a few more."),
    ];
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).expect("a file");
    }
    directory
}

fn issuer_at(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Runs the program beside a gateway's configuration, which must work; what it prints.
#[track_caller]
fn run(gateway: &Gateway, arguments: &[&str]) -> String {
    let ran = operate(gateway, gateway.directory(), arguments, &[]);
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    ran.stdout
}

/// What a login without a browser gives carol.
fn log_in(gateway: &Gateway) -> Value {
    let body = json!({ "username": "carol", "password": PASSWORD, "deliver": "tokens" });
    let fields = [("Content-Type", "application/json")];
    let request = client::request("POST", "/auth/login", &fields, &body.to_string());
    let answer = gateway.exchange(request);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// A free address that nobody is given by chance for a minute: a connection that ended there lingers,
/// and only who asks for the port by its number gets it.
fn reserved_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let caller = TcpStream::connect(address).expect("a connection");
    // The side that ends it first is the one that lingers.
    drop(listener.accept().expect("a connection"));
    drop(caller);
    address
}

/// A JSON string.
#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// Where scripts and pins are.
fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop"))
}

//! The upstream of the documentation: a service in Python that knows its callers by the internal token.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};

use serde_json::{Map, Value};

use super::program::python;
use super::{
    INTERNAL_AUDIENCE, PATH, Terms, WITH_SECRET, directory, issuer_at, log_in, reserved_address,
    run, scripts, text,
};
use crate::harness::client::{self, Answer};
use crate::harness::gateway::Gateway;
use crate::harness::login::{Login, PASSWORD};
use crate::harness::{eventually, tokens};

const SCRIPT: &str = "upstream.py";

/// The upstream with a gateway before it.
struct Service {
    gateway: Gateway,
    issuer: String,
    upstream: SocketAddr,
    child: Child,
}

impl Service {
    fn start() -> Self {
        let (address, upstream) = (reserved_address(), reserved_address());
        let issuer = issuer_at(address);
        let terms = Terms::of(address, &issuer, upstream);
        let gateway = Gateway::start_in(directory(), &terms.configuration());
        let mut command = python(SCRIPT);
        command.args([&issuer, &upstream.port().to_string()]).stderr(Stdio::null());
        let child = command.spawn().expect("the upstream starts");
        let service = Self { gateway, issuer, upstream, child };
        eventually("the upstream", || TcpStream::connect(upstream).ok());
        service
    }

    /// What the upstream knows of who sends this through the gateway.
    #[track_caller]
    fn caller(&self, name: &str, value: &str) -> Map<String, Value> {
        let answer = self.gateway.exchange(client::get(PATH, &[(name, value)]));
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let Value::Object(claims) = answer.json() else { panic!("no claims: {answer:?}") };
        claims
    }

    /// An access token about a client, for this audience.
    #[track_caller]
    fn granted(&self, audience: &str) -> String {
        let secret = PASSWORD.replace(' ', "+");
        let body = format!(
            "grant_type=client_credentials&client_id={WITH_SECRET}&client_secret={secret}\
             &audience={audience}"
        );
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        let request = client::request("POST", "/auth/token", &fields, &body);
        let answer = self.gateway.exchange(request);
        assert_eq!(answer.status, 200, "{answer:?}");
        text(&answer.json()["access_token"])
    }

    /// What the upstream says to who goes round the gateway.
    fn directly(&self, fields: &[(&str, &str)]) -> Answer {
        client::exchange(self.upstream, client::get(PATH, fields))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn bearer_session_and_api_key_reach_an_upstream_as_the_same_kind_of_caller() {
    let service = Service::start();
    let gateway = &service.gateway;
    let bearer = tokens::bearer(&text(&log_in(gateway)["access_token"]));
    let session = Login::new(gateway.address(), "carol").cookie;
    let arguments = [
        "api-keys",
        "create",
        "--subject",
        "importer",
        "--scope",
        "orders:read",
        "--role",
        "clerk",
    ];
    let key = run(gateway, &arguments);
    let callers = [
        ("carol", service.caller("Authorization", &bearer)),
        ("carol", service.caller("Cookie", &session)),
        ("importer", service.caller("X-Api-Key", key.trim())),
    ];
    for (subject, claims) in &callers {
        assert_eq!(claims["sub"], *subject);
        assert_eq!(claims["iss"], service.issuer);
        assert_eq!(claims["aud"], INTERNAL_AUDIENCE);
        assert_eq!(claims["scope"], "orders:read");
        assert_eq!(claims["roles"], serde_json::json!(["clerk"]));
        assert!(claims["idp"].is_string() && claims["jti"].is_string(), "{claims:?}");
        let life_s = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
        assert_eq!(life_s, Some(60), "{claims:?}");
        // Whoever has a login, or a client, is told which.
        let names =
            claims.keys().map(String::as_str).filter(|name| !["sid", "client_id"].contains(name));
        let all = ["iss", "aud", "sub", "idp", "iat", "exp", "jti", "scope", "roles"];
        assert_eq!(names.collect::<BTreeSet<_>>(), BTreeSet::from(all));
    }
}

#[test]
fn upstream_refuses_who_goes_round_the_gateway() {
    let service = Service::start();
    assert_eq!(service.directly(&[]).status, 401);
    let of_a_login = text(&log_in(&service.gateway)["access_token"]);
    // For the same audience: only its type tells it from an internal one.
    let of_a_client = service.granted(INTERNAL_AUDIENCE);
    for token in [of_a_login, of_a_client] {
        let answer = service.directly(&[("Authorization", &tokens::bearer(&token))]);
        assert_eq!(answer.status, 401, "{token}");
    }
}

#[test]
fn upstream_says_when_it_cannot_know() {
    let mut service = Service::start();
    let token = text(&log_in(&service.gateway)["access_token"]);
    service.gateway.signal("TERM");
    service.gateway.wait();
    // It has not asked for the keys yet, and nobody gives them now.
    let answer = service.directly(&[("Authorization", &tokens::bearer(&token))]);
    assert_eq!(answer.status, 503, "{answer:?}");
}

#[test]
fn upstream_of_the_documentation_is_the_one_that_is_tested() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/tokens.md");
    let page = std::fs::read_to_string(page).expect("a file");
    let script = std::fs::read_to_string(scripts().join(SCRIPT)).expect("a file");
    let blocks: Vec<_> = page.split("```python\n").skip(1).collect();
    let [block] = blocks[..] else { panic!("{} scripts in Python", blocks.len()) };
    assert_eq!(block.split_once("```").map(|(block, _)| block), Some(script.as_str()));
}

//! Two gateways that share a Redis are one issuer to everybody else.

use serde_json::json;

use super::clients::{self, Client, first_party};
use super::rotation::key_id;
use super::verifiers::{self, Verifier, Wanted};
use super::{ACCESS_AUDIENCE, Terms, directory, issuer_at, log_in, reserved_address, run, text};
use crate::harness::gateway::Gateway;
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;
use crate::harness::{client, eventually, fleet};

/// Two gateways; the issuer says where the first is.
struct TwoGateways {
    gateways: [Gateway; 2],
    issuer: String,
    _redis: RedisServer,
}

impl TwoGateways {
    fn open() -> Self {
        let (redis, upstream) = (RedisServer::start(), Upstream::start());
        let addresses = [reserved_address(), reserved_address()];
        let issuer = issuer_at(addresses[0]);
        let lines = fleet::redis(&redis.settings());
        let start = |number: usize| {
            let terms = Terms {
                name: ["gw-1", "gw-2"][number],
                lines: &lines,
                ..Terms::of(addresses[number], &issuer, upstream.address())
            };
            Gateway::start_in(directory(), &terms.configuration())
        };
        Self { gateways: [start(0), start(1)], issuer, _redis: redis }
    }
}

#[test]
fn token_of_one_gateway_is_verified_with_the_keys_of_another_and_so_after_a_rotation() {
    let pair = TwoGateways::open();
    let [first, second] = &pair.gateways;
    let wanted = Wanted {
        algorithm: "ES256",
        issuer: &pair.issuer,
        audience: ACCESS_AUDIENCE,
        typ: "at+jwt",
    };
    let token = || text(&log_in(second)["access_token"]);
    let before = token();
    let mut verifiers =
        verifiers::Library::ALL.map(|library| Verifier::start(library, &pair.issuer));
    for verifier in &mut verifiers {
        verifier.accept(&before, wanted);
    }

    run(first, &["keys", "rotate", "--now"]);
    let after = eventually("a token signed with the new key", || {
        Some(token()).filter(|token| key_id(token) != key_id(&before))
    });
    for mut verifier in verifiers {
        verifier.accept(&after, wanted);
        verifier.end();
    }
}

#[test]
fn refresh_token_of_one_gateway_is_exchanged_and_revoked_at_another() {
    let pair = TwoGateways::open();
    let [_, second] = &pair.gateways;
    for library in clients::Library::ALL {
        let mut client = Client::start(library, &pair.issuer);
        let tokens = log_in(second);
        let next = client.refresh(&text(&tokens["refresh_token"])).expect("the next pair");
        let next = text(&next["refresh_token"]);
        client.revoke(&first_party(), &next, "refresh_token");
        client.end();
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        let body = format!("grant_type=refresh_token&client_id=first-party&refresh_token={next}");
        let answer = second.exchange(client::request("POST", "/auth/token", &fields, &body));
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_grant")));
    }
}

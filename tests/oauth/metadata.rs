//! What clients and resource servers find at well-known places.

use portcullis::gate::keys::{Algorithm, KeyMatch, KeySet};
use portcullis::gate::token::Token;
use serde_json::{Value, json};

use crate::harness::client::{self, Connection};
use crate::harness::gateway::Gateway;
use crate::harness::oauth::{self, ISSUER, LONG, TokenService};
use crate::harness::upstream::Upstream;

const METADATA: &str = "/.well-known/oauth-authorization-server";

#[test]
fn keys_verify_what_is_issued() {
    let service = TokenService::open();
    let answer = service.gateway.exchange(client::get("/.well-known/jwks.json", &[]));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("content-type"), Some("application/jwk-set+json"));
    let fresh = answer.field("cache-control").expect("a field");
    let fresh = fresh.strip_prefix("public, max-age=").expect("for all");
    assert!(fresh.parse::<u64>().is_ok_and(|seconds| seconds > 0), "{fresh}");
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    for jwk in answer.json()["keys"].as_array().expect("keys") {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(jwk[private].is_null(), "{jwk}");
        }
    }
    let (set, _) = KeySet::from_jwks(answer.body.as_bytes(), &[Algorithm::ES256]).expect("a set");
    let pair = service.tokens_of("alice");
    let token = Token::parse(&pair.access, 8192).expect("parses");
    assert_eq!(token.header().token_type.as_deref(), Some("at+jwt"));
    let key_id = token.header().key_id.as_deref();
    let (message, signature) = (token.signing_input(), token.signature());
    let verified = set.verify(key_id, Algorithm::ES256, message, signature);
    assert_eq!(verified, KeyMatch::Verified(key_id));
}

#[test]
fn metadata_says_where_and_how_to_ask() {
    let service = TokenService::open();
    let answer = service.gateway.exchange(client::get(METADATA, &[]));
    assert_eq!(answer.field("content-type"), Some("application/json"), "{answer:?}");
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    let told = answer.json();
    assert_eq!(told["issuer"], ISSUER);
    assert_eq!(told["response_types_supported"], json!([]));
    assert_eq!(told["grant_types_supported"], json!(["refresh_token", "client_credentials"]));
    let path = |name: &str| {
        let url = told[name].as_str().unwrap_or_else(|| panic!("{name} in {told}"));
        url.strip_prefix("https://gateway.test").expect("of this origin").to_owned()
    };
    assert_eq!(service.gateway.exchange(client::get(&path("jwks_uri"), &[])).status, 200);
    for name in ["token_endpoint", "revocation_endpoint", "introspection_endpoint"] {
        let answer = oauth::post(&service.gateway, &path(name), &[], &[]);
        assert_eq!(answer.status, if name == "introspection_endpoint" { 401 } else { 400 });
        let methods = &told[format!("{name}_auth_methods_supported")];
        let methods = methods.as_array().expect("a list");
        assert!(methods.contains(&json!("client_secret_basic")));
        assert_eq!(methods.contains(&json!("none")), name != "introspection_endpoint");
        let algorithms = &told[format!("{name}_auth_signing_alg_values_supported")];
        assert!(algorithms.as_array().expect("a list").contains(&json!("ES256")));
        assert!(!algorithms.to_string().contains("HS"), "{algorithms}");
    }
}

#[test]
fn head_is_answered_like_get_without_a_body() {
    let service = TokenService::open();
    for path in ["/.well-known/jwks.json", METADATA] {
        let whole = service.gateway.exchange(client::get(path, &[]));
        let mut connection = Connection::open(service.gateway.address());
        connection.send(client::request("HEAD", path, &[], ""));
        let head = connection.head_answer();
        assert_eq!(head.status, 200);
        for field in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.field(field), whole.field(field), "{path}: {field}");
        }
        assert_eq!(connection.exchange(client::get("/public/x", &[])).body, "from behind!");
    }
}

/// RFC 8414 §3.1.
#[test]
fn metadata_of_an_issuer_with_a_path_is_before_that_path() {
    let upstream = Upstream::start();
    let text = oauth::configuration(&upstream, LONG, "");
    let text = text.replacen("https://gateway.test\n", "https://gateway.test/tenant/a\n", 1);
    let base = "login:\n  base: /sign-in";
    let text = text.replacen("login:", base, 1);
    let gateway = Gateway::start_in(oauth::directory(), &text);
    assert_eq!(gateway.exchange(client::get(METADATA, &[])).status, 404);
    let path = format!("{METADATA}/tenant/a");
    let told: Value = gateway.exchange(client::get(&path, &[])).json();
    assert_eq!(told["issuer"], "https://gateway.test/tenant/a");
    assert_eq!(told["token_endpoint"], "https://gateway.test/sign-in/token");
    assert_eq!(told["jwks_uri"], "https://gateway.test/.well-known/jwks.json");
    let answer = oauth::post(&gateway, "/sign-in/token", &[], &[]);
    assert_eq!(answer.json()["error"], "invalid_request");
}

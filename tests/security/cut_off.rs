//! A revocation that cannot match anything must not be confirmed: whoever is told "revoked" goes home.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::fleet::{self, Verdict};
use crate::harness::gateway::{self, Gateway, standard};
use crate::harness::jwks::{JwksEndpoint, JwksReply, jwk};
use crate::harness::login;
use crate::harness::program::operate;
use crate::harness::tokens::{now, pair, signed, signing_key, token};
use crate::harness::upstream::Upstream;

/// A token with these claims, issued before anything that a test does.
fn issued(claims: Value) -> String {
    let mut claims = claims;
    claims["iat"] = json!(now() - 60);
    token(claims)
}

#[track_caller]
fn accepts(gateway: &Gateway, claims: Value) -> bool {
    fleet::ask(gateway, &issued(claims)) == Verdict::Accepted
}

/// What is told of a draft that is refused; nothing was written.
#[track_caller]
fn refused(gateway: &Gateway, draft: &Value) -> String {
    let answer = fleet::post(gateway, draft);
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (400, "bad_request"),
        "{draft}: {answer:?}"
    );
    assert_eq!(fleet::admin(gateway, "/v1/revocations").expect("the list")["total"], 0, "{draft}");
    answer.json()["detail"].as_str().expect("a detail").to_owned()
}

#[track_caller]
fn written(gateway: &Gateway, draft: &Value) {
    let answer = fleet::post(gateway, draft);
    assert_eq!(answer.status, 201, "{draft}: {answer:?}");
}

/// The standard gateway with more fields for its issuer.
fn with_issuer(upstream: &Upstream, fields: &str) -> Gateway {
    let algorithms = "algorithms: [ES256]";
    let text = standard(upstream).replace(algorithms, &format!("{algorithms}\n    {fields}"));
    Gateway::start(&text)
}

/// A directory with a key set whose only key is `one`.
fn directory() -> Arc<TempDir> {
    let directory = gateway::directory();
    let keys = json!({"keys": [jwk(pair(), "one")]}).to_string();
    std::fs::write(directory.path().join("jwks.json"), keys).expect("a file");
    directory
}

// ---- clients

#[test]
fn client_is_cut_off_whichever_claim_its_provider_uses() {
    let upstream = Upstream::start();
    for claim in ["client_id", "azp", "cid", "appid"] {
        let gateway = Gateway::standard(&upstream);
        assert!(accepts(&gateway, json!({ claim: "0oa1" })), "{claim}");
        let arguments = ["revoke", "--client", "0oa1", "--wait", "5s"];
        let ran = operate(&gateway, &std::env::temp_dir(), &arguments, &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("confirmed on 1 of 1"), "{ran:?}");
        assert!(!accepts(&gateway, json!({ claim: "0oa1" })), "{claim}");
        assert!(accepts(&gateway, json!({ claim: "0oa2" })), "{claim}");
    }
}

#[test]
fn first_claim_that_is_there_says_who_the_client_is() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    written(&gateway, &json!({"scope": "client", "client": "c-1"}));
    for (claims, is_hit) in [
        (json!({"client_id": "c-1", "azp": "c-2"}), true),
        (json!({"client_id": "c-2", "azp": "c-1"}), false),
        (json!({"azp": "c-2", "cid": "c-1"}), false),
        (json!({"cid": "c-1", "appid": "c-2"}), true),
        (json!({"cid": "c-2", "appid": "c-1"}), false),
    ] {
        assert_eq!(accepts(&gateway, claims.clone()), !is_hit, "{claims}");
    }
    let null = json!({"client_id": null, "azp": null, "cid": "c-1", "iat": now() - 60});
    let all = token(null);
    assert_eq!(fleet::ask(&gateway, &all), Verdict::Revoked);
}

#[test]
fn claim_that_names_the_client_can_be_configured() {
    let upstream = Upstream::start();
    let gateway = with_issuer(&upstream, "claims: { client: [tool, /act/client, azp] }");
    written(&gateway, &json!({"scope": "client", "client": "c-1"}));
    for (claims, is_hit) in [
        (json!({"tool": "c-1"}), true),
        (json!({"act": {"client": "c-1"}}), true),
        (json!({"azp": "c-1"}), true),
        (json!({"tool": "c-2", "azp": "c-1"}), false),
        // Not among them, so it is not who the client is.
        (json!({"client_id": "c-1"}), false),
    ] {
        assert_eq!(accepts(&gateway, claims.clone()), !is_hit, "{claims}");
    }
}

#[test]
fn client_is_refused_where_no_token_can_name_one() {
    let upstream = Upstream::start();
    let gateway = with_issuer(&upstream, "claims: { client: [] }");
    let told = refused(&gateway, &json!({"scope": "client", "client": "c-1"}));
    assert_eq!(
        told,
        "no issuer has claims that name a client (issuers[].claims.client), so nothing would be revoked"
    );
    assert!(accepts(&gateway, json!({"client_id": "c-1"})));
    // Whom sessions stand for is no client.
    let alone = only_sessions(&upstream);
    assert!(
        refused(&alone, &json!({"scope": "client", "client": "c-1"})).contains("nothing would")
    );
}

// ---- keys

#[test]
fn key_that_no_key_set_has_or_could_have_is_refused_by_name() {
    let upstream = Upstream::start();
    // A key from a PEM file has no id.
    let gateway = Gateway::standard(&upstream);
    for draft in [
        json!({"scope": "key", "key": "one"}),
        json!({"scope": "key", "key": "one", "issuer": "test"}),
    ] {
        let told = refused(&gateway, &draft);
        assert!(
            told.starts_with("no issuer has, or could fetch, a key with the id `one`"),
            "{told}"
        );
    }
    let arguments = ["revoke", "--key", "one", "--wait", "5s"];
    let ran = operate(&gateway, &std::env::temp_dir(), &arguments, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.contains("a key with the id `one`"), "{ran:?}");

    let text = standard(&upstream).replace("public_key_file: issuer.pem", "jwks_file: jwks.json");
    let fixed = Gateway::start_in(directory(), &text);
    let told = refused(&fixed, &json!({"scope": "key", "key": "on"}));
    assert!(told.contains("known: `one`"), "{told}");
    written(&fixed, &json!({"scope": "key", "key": "one"}));
    let by_one = signed(&signing_key(pair(), Some("one")), "at+jwt", json!({}));
    assert_eq!(fleet::ask(&fixed, &by_one), Verdict::Revoked);
}

/// What is fetched may have any key tomorrow.
#[test]
fn key_that_could_be_fetched_later_can_be_revoked_ahead() {
    let upstream = Upstream::start();
    let issuer = JwksEndpoint::start(JwksReply::Keys(vec![jwk(pair(), "one")]));
    let fetched = format!("jwks_url: '{}'", issuer.url());
    let text = standard(&upstream).replace("public_key_file: issuer.pem", &fetched);
    let gateway = Gateway::start(&text);
    written(&gateway, &json!({"scope": "key", "key": "two", "issuer": "test"}));
    written(&gateway, &json!({"scope": "key", "key": "two"}));
}

// ---- issuers without tokens

/// A gateway on which people log in, and that takes nobody's tokens.
fn only_sessions(upstream: &Upstream) -> Gateway {
    let text = format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
{}
upstreams: {{ behind: {{ peers: ['{}'] }} }}
routes:
  - {{ name: home, match: {{ path: /home }}, upstream: behind, authenticate: [session] }}
",
        login::SECTION,
        upstream.address()
    );
    Gateway::start_in(login::directory(), &text)
}

#[test]
fn token_and_key_of_an_issuer_without_tokens_are_refused() {
    let upstream = Upstream::start();
    let gateway = only_sessions(&upstream);
    let told = refused(&gateway, &json!({"scope": "token", "jti": "t-1", "issuer": "gateway"}));
    assert_eq!(
        told,
        "`gateway` issues no tokens that are accepted here, so nothing would be revoked"
    );
    let told = refused(&gateway, &json!({"scope": "key", "key": "k-1", "issuer": "gateway"}));
    assert!(told.starts_with("no issuer has, or could fetch, a key with the id `k-1`"), "{told}");
    let told = refused(&gateway, &json!({"scope": "token", "jti": "t-1", "issuer": "nobody"}));
    assert!(told.starts_with("there is no issuer `nobody`"), "{told}");
    // Sessions are vouched for by it, so these can match.
    for draft in [
        json!({"scope": "session", "session": "s-1"}),
        json!({"scope": "subject", "subject": "alice", "issuer": "gateway"}),
        json!({"scope": "issuer", "issuer": "gateway"}),
        json!({"scope": "everything"}),
    ] {
        written(&gateway, &draft);
    }
}

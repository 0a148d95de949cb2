//! Answers what clients and resource servers have to know: the public keys (RFC 7517 §5), and where
//! and how to ask (RFC 8414).

use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::json;

use crate::gate::denial::Slug;
use crate::oauth::refusal::TokenRefusal;
use crate::oauth::service::TokenContext;
use crate::web::answers;
use crate::web::message::Answer;

/// The path of the keys.
pub(crate) const KEYS_PATH: &str = "/.well-known/jwks.json";

/// The path of the metadata, before that of the issuer (RFC 8414 §3).
pub(crate) const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// How long the metadata may be believed, in seconds.
const METADATA_FRESH_S: u64 = 3600;

/// Algorithms with which clients may sign: all that are read, but those whose key is a secret.
const ALGORITHMS: [&str; 9] =
    ["ES256", "ES384", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

/// `GET /.well-known/jwks.json`.
pub(crate) fn keys(here: &TokenContext<'_>) -> Result<Answer, TokenRefusal> {
    let set = here.service.signing.current().ok_or(Slug::KeysUnavailable)?;
    let body = Bytes::copy_from_slice(set.jwks().as_bytes());
    Ok(public("application/jwk-set+json", body, set.fresh_for_s()))
}

/// `GET /.well-known/oauth-authorization-server`.
pub(crate) fn answer(here: &TokenContext<'_>) -> Answer {
    let with_proof = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let with_none = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
    let document = json!({
        "issuer": here.settings.issuer,
        "jwks_uri": format!("{}{KEYS_PATH}", here.settings.origin),
        "response_types_supported": [],
        "grant_types_supported": ["refresh_token", "client_credentials"],
        "token_endpoint": here.url("/token"),
        "token_endpoint_auth_methods_supported": with_none,
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "revocation_endpoint": here.url("/revoke"),
        "revocation_endpoint_auth_methods_supported": with_none,
        "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "introspection_endpoint": here.url("/introspect"),
        "introspection_endpoint_auth_methods_supported": with_proof,
        "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
    });
    public("application/json", document.to_string().into(), METADATA_FRESH_S)
}

/// An answer that is the same for everybody, pages of other sites included.
fn public(kind: &'static str, body: Bytes, fresh_s: u64) -> Answer {
    let mut answer = answers::with_body(200, HeaderValue::from_static(kind), body);
    answer.fields.retain(|(name, _)| *name != header::CACHE_CONTROL);
    let fresh = format!("public, max-age={fresh_s}");
    answer.fields.extend(answers::field(header::CACHE_CONTROL, &fresh));
    answer.fields.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")));
    answer
}

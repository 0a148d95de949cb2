//! Access tokens: their contents (RFC 9068 §2.2).

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::key_pairs::SigningError;
use super::signer::{Signer, TokenType};
use crate::gate::session::SessionId;
use crate::gate::time::UnixTime;

/// How many random bytes a `jti` has.
const TOKEN_ID_BYTES: usize = 20;

/// Claims that a login must not set: those of RFC 7519 §4.1 and of RFC 9068 §2.2, and others that
/// distinguish, bind or delegate tokens.
const RESERVED: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "azp",
    "scope",
    "scp",
    "roles",
    "sid",
    "auth_time",
    "acr",
    "amr",
    "cnf",
    "act",
];

/// The contents of an access token.
#[derive(Clone, Copy, Debug)]
pub struct AccessClaims<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audiences: &'a [Box<str>],
    /// `sub`.
    pub subject: &'a str,
    /// `client_id`.
    pub client: &'a str,
    /// `scope`.
    pub scopes: &'a [Box<str>],
    /// `iat`.
    pub issued: UnixTime,
    /// `exp`.
    pub expires: UnixTime,
    /// The login that it comes from, if there is one.
    pub login: Option<LoginClaims<'a>>,
}

/// What an access token says about the login that it comes from.
#[derive(Clone, Copy, Debug)]
pub struct LoginClaims<'a> {
    /// `sid`.
    pub session: SessionId,
    /// `auth_time`.
    pub authenticated: UnixTime,
    /// `roles`.
    pub roles: &'a [Box<str>],
    /// The claims of the session: all that is known of the subject.
    pub attributes: &'a Map<String, Value>,
    /// Which of them are copied to the token, by name.
    pub released: &'a [Box<str>],
}

/// Whether a login must not set a claim.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

impl AccessClaims<'_> {
    /// The signed token, with an id of its own.
    ///
    /// # Errors
    ///
    /// [`SigningError`] if the random source or the cryptographic library fails.
    pub fn sign(&self, signer: &Signer) -> Result<String, SigningError> {
        let mut id = [0; TOKEN_ID_BYTES];
        SystemRandom::new().fill(&mut id)?;
        let claims = self.claims(&URL_SAFE_NO_PAD.encode(id));
        signer.sign(TokenType::Access, claims.to_string().as_bytes())
    }

    fn claims(&self, id: &str) -> Value {
        let Self { issuer, audiences, subject, client, scopes, issued, expires, login } = *self;
        let mut claims = Map::new();
        if let Some(LoginClaims { attributes, released, .. }) = login {
            // These come first, so that they cannot override others, whatever their names.
            let named = released.iter().filter(|name| !is_reserved(name));
            let named =
                named.filter_map(|name| Some((name.to_string(), attributes.get(&**name)?.clone())));
            claims.extend(named);
        }
        let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        say("iss", json!(issuer));
        // RFC 7519 §4.1.3: a single audience may be a string.
        say("aud", if let [only] = audiences { json!(only) } else { json!(audiences) });
        say("sub", json!(subject));
        say("client_id", json!(client));
        say("jti", json!(id));
        say("iat", json!(issued.as_seconds()));
        say("exp", json!(expires.as_seconds()));
        if !scopes.is_empty() {
            say("scope", json!(scopes.join(" ")));
        }
        if let Some(LoginClaims { session, authenticated, roles, .. }) = login {
            say("sid", json!(session.to_string()));
            say("auth_time", json!(authenticated.as_seconds()));
            if !roles.is_empty() {
                say("roles", json!(roles));
            }
        }
        Value::Object(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: AccessClaims<'_> = AccessClaims {
        issuer: "https://gateway.example",
        audiences: &[],
        subject: "batch",
        client: "batch",
        scopes: &[],
        issued: UnixTime::from_seconds(100),
        expires: UnixTime::from_seconds(400),
        login: None,
    };

    #[test]
    fn token_of_a_machine_says_what_it_must_and_no_more() {
        let audiences = ["orders-api".into()];
        let claims = AccessClaims { audiences: &audiences, ..MACHINE }.claims("1");
        let expected = json!({
            "iss": "https://gateway.example", "aud": "orders-api", "sub": "batch",
            "client_id": "batch", "jti": "1", "iat": 100, "exp": 400,
        });
        assert_eq!(claims, expected);
        let audiences = ["a".into(), "b".into()];
        let scopes = ["x".into(), "y".into()];
        let claims = AccessClaims { audiences: &audiences, scopes: &scopes, ..MACHINE }.claims("1");
        assert_eq!((&claims["aud"], &claims["scope"]), (&json!(["a", "b"]), &json!("x y")));
    }

    #[test]
    fn claims_of_a_login_are_told_and_override_nothing() {
        let Value::Object(known) = json!({
            "email": "a@b.c", "tenant": "acme", "sub": "root", "aud": "all", "sid": "x",
            "roles": ["admin"], "scope": "all", "scp": "all", "cnf": {}, "exp": 9_999_999_999_u64,
        }) else {
            panic!("an object")
        };
        let released: Vec<Box<str>> = known
            .keys()
            .filter(|name| *name != "tenant")
            .map(|name| name.as_str().into())
            .collect();
        let session = SessionId::from_bytes([7; 32]);
        let login = LoginClaims {
            session,
            authenticated: UnixTime::from_seconds(50),
            roles: &["clerk".into()],
            attributes: &known,
            released: &released,
        };
        let audiences = ["orders-api".into()];
        let claims =
            AccessClaims { audiences: &audiences, subject: "u-17", login: Some(login), ..MACHINE };
        let expected = json!({
            "iss": "https://gateway.example", "aud": "orders-api", "sub": "u-17",
            "client_id": "batch", "jti": "1", "iat": 100, "exp": 400, "sid": session.to_string(),
            "auth_time": 50, "roles": ["clerk"], "email": "a@b.c",
        });
        assert_eq!(claims.claims("1"), expected);
    }
}

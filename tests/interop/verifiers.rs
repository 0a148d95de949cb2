//! PyJWT and jose verify what the gateway signs, with nothing but the URL of its keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::program::{Program, javascript, python};
use super::{ACCESS_AUDIENCE, INTERNAL_AUDIENCE, Site};

/// A library that verifies tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    PyJwt,
    Jose,
}

impl Library {
    pub(super) const ALL: [Self; 2] = [Self::PyJwt, Self::Jose];
}

/// What a token should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'w> {
    pub(super) algorithm: &'w str,
    pub(super) issuer: &'w str,
    pub(super) audience: &'w str,
    pub(super) typ: &'w str,
}

/// A script that verifies tokens with one of them, and keeps the keys that it fetched.
pub(super) struct Verifier(Program);

impl Verifier {
    /// One that trusts the keys of this issuer.
    pub(super) fn start(library: Library, issuer: &str) -> Self {
        let mut command = match library {
            Library::PyJwt => python("pyjwt_verifier.py"),
            Library::Jose => javascript("jose_verifier.mjs"),
        };
        command.arg(format!("{issuer}/.well-known/jwks.json"));
        Self(Program::start(command))
    }

    #[track_caller]
    fn ask(&mut self, token: &str, wanted: Wanted<'_>) -> Value {
        let Wanted { algorithm, issuer, audience, typ } = wanted;
        self.0.ask(&json!({
            "token": token,
            "algorithm": algorithm,
            "issuer": issuer,
            "audience": audience,
            "typ": typ,
        }))
    }

    /// The claims of a token that must be good, and the id of the key that signed it.
    #[track_caller]
    pub(super) fn accept(&mut self, token: &str, wanted: Wanted<'_>) -> (Value, String) {
        let answer = self.ask(token, wanted);
        let key = answer["key"].as_str().unwrap_or_else(|| panic!("{wanted:?}: {answer}"));
        (answer["claims"].clone(), key.to_owned())
    }

    /// Why it refuses a token: the claim, or the part of it.
    #[track_caller]
    pub(super) fn refuse(&mut self, token: &str, wanted: Wanted<'_>) -> String {
        let answer = self.ask(token, wanted);
        answer["refused"].as_str().unwrap_or_else(|| panic!("{wanted:?}: {answer}")).to_owned()
    }

    #[track_caller]
    pub(super) fn end(self) {
        self.0.end();
    }
}

/// The same token, in which somebody else is the subject.
fn with_other_subject(token: &str) -> String {
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("not a token: {token}") };
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let mut claims: Value = serde_json::from_slice(&payload).expect("claims");
    claims["sub"] = json!("mallory");
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{header}.{payload}.{signature}")
}

#[track_caller]
fn tokens_are_verified(algorithm: &str) {
    let site = Site::open_signing(algorithm);
    let access_token = site.access_token();
    let internal_token = site.internal_token(&access_token);
    let issuer = &*site.issuer;
    let access = Wanted { algorithm, issuer, audience: ACCESS_AUDIENCE, typ: "at+jwt" };
    let internal = Wanted { audience: INTERNAL_AUDIENCE, typ: "internal+jwt", ..access };
    for library in Library::ALL {
        let mut verifier = Verifier::start(library, issuer);
        for (token, wanted) in [(&access_token, access), (&internal_token, internal)] {
            let (claims, _) = verifier.accept(token, wanted);
            assert_eq!(claims["sub"], "carol", "{library:?}");
            let mut refuse = |token: &str, wanted| verifier.refuse(token, wanted);
            assert_eq!(refuse(token, Wanted { audience: "another", ..wanted }), "aud");
            assert_eq!(refuse(token, Wanted { issuer: "https://another", ..wanted }), "iss");
            assert_eq!(refuse(token, Wanted { typ: "JWT", ..wanted }), "typ");
            assert_eq!(refuse(token, Wanted { algorithm: "PS256", ..wanted }), "alg");
            assert_eq!(refuse(&with_other_subject(token), wanted), "signature");
        }
        // Neither is good where the other is wanted, for two reasons.
        for (token, wanted) in [(&access_token, internal), (&internal_token, access)] {
            let refused = verifier.refuse(token, wanted);
            assert!(["aud", "typ"].contains(&&*refused), "{library:?}: {refused}");
        }
        verifier.end();
    }
}

#[test]
fn tokens_signed_with_es256_are_verified_in_other_languages() {
    tokens_are_verified("ES256");
}

#[test]
fn tokens_signed_with_eddsa_are_verified_in_other_languages() {
    tokens_are_verified("EdDSA");
}

#[test]
fn tokens_signed_with_rs256_are_verified_in_other_languages() {
    tokens_are_verified("RS256");
}

#[test]
fn token_of_another_gateway_is_refused_in_other_languages() {
    let (site, other) = (Site::open(), Site::open());
    let token = other.access_token();
    for library in Library::ALL {
        let mut verifier = Verifier::start(library, &site.issuer);
        let wanted = Wanted {
            algorithm: "ES256",
            issuer: &other.issuer,
            audience: ACCESS_AUDIENCE,
            typ: "at+jwt",
        };
        assert_eq!(verifier.refuse(&token, wanted), "kid", "{library:?}");
        verifier.end();
    }
}

//! `private_key_jwt`: a client signs its identity for this gateway, for one use (RFC 7523 §3).

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock;
use crate::config::tokens::{Client, ClientAuthentication};
use crate::gate::claims;
use crate::gate::denial::Slug;
use crate::gate::keys::{Algorithm, KeyMatch};
use crate::gate::time::UnixTime;
use crate::gate::token::Token;
use crate::oauth::refusal::TokenRefusal;
use crate::oauth::service::TokenContext;

/// How long an assertion may be, in bytes.
const BYTES_MAX: usize = 8 * 1024;

/// How far ahead an assertion may end, in seconds. Those of Authlib live for an hour.
const LIFETIME_MAX_S: i64 = 60 * 60;

/// How far clocks may be apart, in seconds.
const CLOCK_SKEW_S: i64 = 30;

/// The accepted values of `typ`, which may be absent. None of our own tokens has one of them.
const TYPES: [&str; 2] = ["jwt", "client-authentication+jwt"];

/// What is needed to record the use of an assertion that was found good.
#[derive(Debug, PartialEq, Eq)]
struct VerifiedAssertion {
    token_id: Box<str>,
    /// When the assertion begins to be refused in any case.
    ends: UnixTime,
}

/// The client that signed an assertion. `named` is the client id that came beside it, if any.
pub(super) async fn verify<'t>(
    here: &TokenContext<'t>,
    named: Option<&str>,
    text: &str,
) -> Result<&'t Client, TokenRefusal> {
    let now = clock::now();
    let (client, verified) = read(here, named, text, now).map_err(TokenRefusal::client)?;
    here.service.count_assertion(&client.id)?;
    let VerifiedAssertion { token_id, ends } = verified;
    let key = spent_key(&client.id, &token_id);
    let spending = here.service.one_time.spend(&key, ends, now);
    match here.service.store_metrics.timed("spend_assertion", spending).await {
        Ok(true) => Ok(client),
        Ok(false) => Err(TokenRefusal::client("The assertion was used before")),
        Err(error) => {
            tracing::warn!(%error, "whether an assertion was used before is not known");
            Err(Slug::StoreUnavailable.into())
        }
    }
}

/// Makes all checks that need no store. The error says in words why the assertion is not good.
fn read<'t>(
    here: &TokenContext<'t>,
    named: Option<&str>,
    text: &str,
    now: UnixTime,
) -> Result<(&'t Client, VerifiedAssertion), &'static str> {
    let token = Token::parse(text, BYTES_MAX).map_err(|_| "The assertion is not a JWT")?;
    let header = token.header();
    let kind = header.token_type.as_deref().map(str::to_ascii_lowercase);
    if kind.is_some_and(|kind| !TYPES.contains(&kind.as_str())) || header.critical {
        return Err("The assertion is of a type that is not accepted");
    }
    let algorithm: Algorithm =
        header.algorithm.parse().map_err(|_| "The assertion's algorithm is not accepted")?;
    let all = token.claims().map_err(|_| "The assertion's claims cannot be read")?;
    let text_of = |name: &str| all.get(name).and_then(Value::as_str);
    // The unverified claims select the client, and grant nothing.
    let id = text_of("iss").filter(|iss| Some(*iss) == text_of("sub"));
    let id = id.filter(|id| named.is_none_or(|named| named == *id));
    let client = id.and_then(|id| here.settings.clients.named(id));
    let (client, keys) = match client.map(|client| (client, &client.authentication)) {
        Some((client, ClientAuthentication::PrivateKey(keys))) => (client, keys),
        Some((_, ClientAuthentication::None | ClientAuthentication::Secret(_))) | None => {
            return Err("The assertion is not by a client that signs its own");
        }
    };
    let key_id = header.key_id.as_deref();
    match keys.verify(key_id, algorithm, token.signing_input(), token.signature()) {
        KeyMatch::Verified(_) => {}
        KeyMatch::Signature | KeyMatch::Untried | KeyMatch::Algorithm | KeyMatch::Unknown => {
            return Err("The assertion's signature is not by a key of the client");
        }
    }
    if !is_for_us(&all, &here.names()) {
        return Err("The assertion is meant for someone else");
    }
    Ok((client, verified(&all, now)?))
}

/// Whether every audience is one of our own names. An assertion that is good elsewhere is refused.
fn is_for_us(all: &Map<String, Value>, ours: &[String]) -> bool {
    let is_ours = |name: &Value| name.as_str().is_some_and(|name| ours.iter().any(|o| o == name));
    match all.get("aud") {
        Some(Value::Array(names)) => !names.is_empty() && names.iter().all(is_ours),
        Some(name) => is_ours(name),
        None => false,
    }
}

fn verified(all: &Map<String, Value>, now: UnixTime) -> Result<VerifiedAssertion, &'static str> {
    let date = |name| claims::date(all, name).map_err(|_| "A date of the assertion cannot be read");
    let expires = date("exp")?.ok_or("The assertion has no `exp`")?;
    let ends = expires.plus(CLOCK_SKEW_S);
    if now >= ends {
        return Err("The assertion has expired");
    }
    if expires > now.plus(LIFETIME_MAX_S + CLOCK_SKEW_S) {
        return Err("The assertion lives longer than an hour");
    }
    let latest = now.plus(CLOCK_SKEW_S);
    if [date("iat")?, date("nbf")?].into_iter().flatten().any(|date| date > latest) {
        return Err("The assertion is not valid yet");
    }
    let token_id = all.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty());
    let token_id = token_id.ok_or("The assertion has no `jti`")?;
    Ok(VerifiedAssertion { token_id: token_id.into(), ends })
}

/// A digest, because ids can have any length, and each client has its own.
fn spent_key(client: &str, token_id: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in ["client assertion", client, token_id] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::oauth::client::assertion::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_000_000);

    fn judged(claims: Value) -> Result<VerifiedAssertion, &'static str> {
        let Value::Object(all) = claims else { panic!("an object") };
        verified(&all, NOW)
    }

    fn at(offset_s: i64) -> i64 {
        NOW.plus(offset_s).as_seconds()
    }

    #[test]
    fn assertion_ends_within_an_hour_and_has_not_ended() {
        let with = |offset_s| judged(json!({ "exp": at(offset_s), "jti": "1" }));
        let ends = with(3600).expect("good").ends;
        assert_eq!(ends, NOW.plus(3630), "remembered for as long as it could be used");
        assert!(with(3630).is_ok());
        assert_eq!(with(3631), Err("The assertion lives longer than an hour"));
        assert!(with(-29).is_ok());
        assert_eq!(with(-30), Err("The assertion has expired"));
        assert_eq!(judged(json!({ "jti": "1" })), Err("The assertion has no `exp`"));
        let description = "A date of the assertion cannot be read";
        assert_eq!(judged(json!({ "exp": "soon", "jti": "1" })), Err(description));
        assert_eq!(judged(json!({ "exp": at(60), "iat": "now", "jti": "1" })), Err(description));
    }

    #[test]
    fn assertion_of_the_future_is_refused_beyond_the_skew() {
        for name in ["iat", "nbf"] {
            let with = |offset_s| judged(json!({ "exp": at(60), name: at(offset_s), "jti": "1" }));
            assert!(with(30).is_ok(), "{name}");
            assert_eq!(with(31), Err("The assertion is not valid yet"), "{name}");
        }
    }

    #[test]
    fn assertion_has_an_id() {
        for claims in [json!({ "exp": at(60) }), json!({ "exp": at(60), "jti": "" })] {
            assert_eq!(judged(claims), Err("The assertion has no `jti`"));
        }
        assert_eq!(judged(json!({ "exp": at(60), "jti": 7 })), Err("The assertion has no `jti`"));
        assert_ne!(spent_key("a", "bc"), spent_key("ab", "c"));
    }

    #[test]
    fn audiences_are_ours_and_nobody_elses() {
        let ours = ["https://g".to_owned(), "https://g/auth/token".to_owned()];
        let is_for_us = |aud: Value| {
            let Value::Object(all) = json!({ "aud": aud }) else { panic!("an object") };
            super::is_for_us(&all, &ours)
        };
        assert!(is_for_us(json!("https://g")));
        assert!(is_for_us(json!(["https://g", "https://g/auth/token"])));
        for other in [
            json!("https://g/"),
            json!([]),
            json!(["https://g", "https://other"]),
            json!(["https://g", 7]),
            json!(null),
        ] {
            assert!(!is_for_us(other.clone()), "{other}");
        }
        assert!(!super::is_for_us(&Map::new(), &ours));
    }
}

//! Answers `POST introspect`: what a token is good for, for clients that may ask (RFC 7662). The
//! answer reveals nothing about a token that is not good now.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::config::tokens::Introspection;
use crate::feed::sessions::Charge;
use crate::gate::claims::Claims;
use crate::gate::denial::{Denial, Outcome};
use crate::gate::principal::Principal;
use crate::gate::session::{ApiKey, Session};
use crate::gate::time::UnixTime;
use crate::gate::token::Token;
use crate::issuer::refresh::RefreshToken;
use crate::oauth::client::{Unnamed, authenticate};
use crate::oauth::parameters::{Parameter, Parameters};
use crate::oauth::presented_token::{self, AuthenticToken};
use crate::oauth::refresh_family::{ends_by_rules, find_family};
use crate::oauth::refusal::{Error, TokenRefusal};
use crate::oauth::reuse;
use crate::oauth::revocation_status::{self, RevocationStatus};
use crate::oauth::service::TokenContext;
use crate::session::revocation::Account;
use crate::session::service::unavailable;
use crate::store::family::StoredFamily;
use crate::web::answers;
use crate::web::message::Answer;

/// What the answer says about a token.
type Description = Map<String, Value>;

/// Answers `POST introspect` (RFC 7662 §2.2): JSON with `active`, and the claims if it is.
///
/// # Errors
///
/// [`TokenRefusal`]: the client may not ask, or there is an outage.
pub(crate) async fn answer(here: &TokenContext<'_>, body: Bytes) -> Result<Answer, TokenRefusal> {
    let parameters = Parameters::parse(here.request.head.headers, body)?;
    let client = authenticate(here, &parameters, Unnamed::Refused).await?;
    match client.introspection {
        Introspection::Permitted if !client.authentication.is_public() => {}
        Introspection::Permitted | Introspection::Refused => {
            let reason = "The client may not ask about tokens";
            return Err(TokenRefusal::request(Error::UnauthorizedClient, reason));
        }
    }
    let text = parameters.required(Parameter::Token, "`token` is missing")?;
    let description = match (RefreshToken::parse(text), ApiKey::parse(text.as_bytes())) {
        (Some(token), _) => of_refresh(here, &token).await?,
        (None, Some(key)) => of_api_key(here, &key).await?,
        (None, None) => of_access(here, text).await?,
    };
    let mut members = Map::from_iter([("active".to_owned(), json!(description.is_some()))]);
    members.extend(description.unwrap_or_default());
    Ok(answers::private(200, &Value::Object(members)))
}

async fn of_access(here: &TokenContext<'_>, text: &str) -> Result<Option<Description>, Denial> {
    let Some(AuthenticToken { issuer, authentic }) = presented_token::verify(here, text).await?
    else {
        return Ok(None);
    };
    let list = &here.configuration.gate.revocations;
    let admitted = Principal::admit(authentic, list, here.list_age_max_ms(), clock::moment());
    let Some(principal) = if_current(admitted)? else { return Ok(None) };
    let mut description = of_claims(principal.authentic().claims());
    say(&mut description, "iss", json!(issuer.rules().issuer));
    say(&mut description, "token_type", json!("Bearer"));
    // The token was just verified. Its `aud` is parsed again, because only introspection needs it.
    let all = Token::parse(text, text.len()).ok().and_then(|token| token.claims().ok());
    if let Some(audience) = all.and_then(|mut all| all.remove("aud")) {
        say(&mut description, "aud", audience);
    }
    Ok(Some(description))
}

async fn of_api_key(here: &TokenContext<'_>, key: &ApiKey) -> Result<Option<Description>, Denial> {
    let gate = &here.configuration.gate;
    let stored = here.service.sessions.feed.stored(key.id()).await.map_err(unavailable)?;
    let stored = stored.filter(|stored| stored.record.api_key().is_some());
    let (Some(stored), Some(_)) = (stored, &gate.settings.api_key_header) else { return Ok(None) };
    let now = clock::moment();
    let session = Session::compile(key.id(), &stored, &gate.sessions.rules, now.steady);
    let authentic = session.authentic().clone();
    let admitted = Principal::admit(authentic, &gate.revocations, here.list_age_max_ms(), now);
    let Some(principal) = if_current(admitted)? else { return Ok(None) };
    let mut description = of_claims(principal.authentic().claims());
    // An API key has no session, so the answer has no session id.
    description.remove("sid");
    say(&mut description, "iss", json!(stored.record.issuer));
    say(&mut description, "token_type", json!("api_key"));
    Ok(Some(description))
}

async fn of_refresh(
    here: &TokenContext<'_>,
    token: &RefreshToken,
) -> Result<Option<Description>, Denial> {
    let (stored, record) = find_family(here, token, Charge::Client).await?;
    if let Some(dead) = stored.as_ref().filter(|stored| stored.is_dead) {
        // The gateway that marked the family as dead did not finish.
        let account = record.as_ref().map(Account::of);
        return reuse::end(here, &dead.family, account).await.map(|()| None);
    }
    let is_current = |stored: &StoredFamily| stored.current.digest == token.digest();
    let stored = stored.filter(is_current);
    let (Some(stored), Some(record)) = (stored, record) else { return Ok(None) };
    let ends = ends_by_rules(&stored, here.settings);
    let family = &stored.family;
    let status = revocation_status::of_login(here, family.session, &record, &family.client)?;
    if status == RevocationStatus::CutOff || clock::shared() >= ends {
        return Ok(None);
    }
    let mut description = Description::new();
    say(&mut description, "iss", json!(here.settings.issuer));
    say(&mut description, "sub", json!(record.subject));
    say(&mut description, "client_id", json!(family.client));
    say(&mut description, "sid", json!(family.session.to_string()));
    say(&mut description, "token_type", json!("refresh_token"));
    say(&mut description, "iat", json!(family.created.as_seconds()));
    say(&mut description, "exp", json!(ends.as_seconds()));
    if !family.scopes.is_empty() {
        say(&mut description, "scope", json!(family.scopes.join(" ")));
    }
    Ok(Some(description))
}

/// The principal, or `None` if its credential is not good now.
fn if_current(admitted: Result<Principal, Denial>) -> Result<Option<Principal>, Denial> {
    match admitted {
        Ok(principal) => Ok(Some(principal)),
        Err(denial) if denial.slug().outcome() == Outcome::Unavailable => Err(denial),
        Err(_) => Ok(None),
    }
}

fn of_claims(claims: &Claims) -> Description {
    let Claims { subject, expires, not_before, issued_at, token_id, scopes, .. } = claims;
    let mut description = Description::new();
    say(&mut description, "sub", json!(subject.as_str()));
    say(&mut description, "exp", json!(expires.as_seconds()));
    let dates = [("nbf", not_before), ("iat", issued_at)];
    for (name, date) in dates.map(|(name, date)| (name, date.map(UnixTime::as_seconds))) {
        say(&mut description, name, json!(date));
    }
    say(&mut description, "jti", json!(token_id));
    say(&mut description, "sid", json!(claims.session_id));
    say(&mut description, "client_id", json!(claims.client_id));
    if !scopes.is_empty() {
        say(&mut description, "scope", json!(scopes.join(" ")));
    }
    description
}

/// Leaves out what is not known.
fn say(description: &mut Description, name: &str, value: Value) {
    if !value.is_null() {
        description.insert(name.to_owned(), value);
    }
}

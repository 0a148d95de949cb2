//! Issues an access token for what is granted, and makes the answer that delivers it (RFC 6749
//! §5.1).

use serde_json::{Map, Value, json};

use crate::config::tokens::Client;
use crate::gate::denial::{Denial, Slug};
use crate::gate::session::{SessionId, SessionRecord};
use crate::gate::time::UnixTime;
use crate::issuer::access::{AccessClaims, LoginClaims};
use crate::oauth::parameters::Parameters;
use crate::oauth::refusal::{Error, TokenRefusal};
use crate::oauth::service::{GrantKind, TokenContext};

/// An access token that is about to be made.
#[derive(Clone, Copy)]
pub(crate) struct AccessDraft<'a> {
    /// The client that gets it.
    pub(crate) client: &'a Client,
    /// Its audiences.
    pub(crate) audiences: &'a [Box<str>],
    /// Its scopes.
    pub(crate) scopes: &'a [Box<str>],
    /// The login from which it comes. Without one, the token is about the client itself.
    pub(crate) login: Option<LoginDraft<'a>>,
}

/// The login from which an access token comes.
#[derive(Clone, Copy)]
pub(crate) struct LoginDraft<'a> {
    pub(crate) session: SessionId,
    pub(crate) record: &'a SessionRecord,
    /// When everything that comes of the login ends.
    pub(crate) ends: UnixTime,
}

/// An access token.
pub(crate) struct IssuedAccess {
    text: String,
    lives_s: i64,
    scopes: Vec<Box<str>>,
}

/// Makes an access token, and counts it.
///
/// # Errors
///
/// [`Slug::KeysUnavailable`] while there is no key, [`Slug::IdentityTooLarge`] if the token would be
/// longer than what this gateway reads.
pub(crate) fn access_token(
    here: &TokenContext<'_>,
    draft: AccessDraft<'_>,
    grant: GrantKind,
    now: UnixTime,
) -> Result<IssuedAccess, Denial> {
    let AccessDraft { client, audiences, scopes, login } = draft;
    let signer = here.service.signing.signer(now).ok_or(Slug::KeysUnavailable)?;
    let ends = now.plus(client.lifetime_s);
    let expires = login.map_or(ends, |login| ends.min(login.ends));
    let claims = AccessClaims {
        issuer: &here.settings.issuer,
        audiences,
        subject: login.map_or(&client.id, |login| &login.record.subject),
        client: &client.id,
        scopes,
        issued: now,
        expires,
        login: login.map(|LoginDraft { session, record, ends: _ }| LoginClaims {
            session,
            authenticated: record.created,
            roles: &record.roles,
            attributes: &record.claims,
            released: &here.settings.access.claims,
        }),
    };
    let text = claims.sign(&signer).map_err(|error| {
        tracing::error!(%error, "an access token cannot be signed");
        Slug::Internal
    })?;
    if text.len() > here.configuration.settings.limits.token_bytes_max {
        return Err(Slug::IdentityTooLarge.into());
    }
    here.count_issued("access", grant);
    Ok(IssuedAccess { text, lives_s: expires.since(now).max(0), scopes: scopes.to_vec() })
}

/// The members of RFC 6749 §5.1, but for the refresh token.
pub(crate) fn describe(access: &IssuedAccess) -> Map<String, Value> {
    let IssuedAccess { text, lives_s, scopes } = access;
    let mut members = Map::new();
    members.insert("access_token".to_owned(), json!(text));
    members.insert("token_type".to_owned(), json!("Bearer"));
    members.insert("expires_in".to_owned(), json!(lives_s));
    if !scopes.is_empty() {
        members.insert("scope".to_owned(), json!(scopes.join(" ")));
    }
    members
}

/// The audiences of a client's access token: those that the request names (RFC 8707 §2), or else
/// all that the client may name.
pub(super) fn audiences(
    client: &Client,
    parameters: &Parameters,
) -> Result<Vec<Box<str>>, TokenRefusal> {
    let named = parameters.resources();
    if named.is_empty() {
        return Ok(client.audiences.clone());
    }
    let requested: Vec<&str> = named.iter().map(|name| &**name).collect();
    among(&client.audiences, &requested).ok_or_else(|| {
        TokenRefusal::request(
            Error::InvalidTarget,
            "The client may not ask for tokens for this resource",
        )
    })
}

/// The requested scopes, if all of them are permitted. Without a request for scopes, all permitted
/// ones.
pub(super) fn scopes(
    permitted: &[Box<str>],
    parameters: &Parameters,
) -> Result<Vec<Box<str>>, TokenRefusal> {
    let Some(requested) = parameters.scopes() else { return Ok(permitted.to_vec()) };
    among(permitted, &requested)
        .ok_or_else(|| TokenRefusal::request(Error::InvalidScope, "A scope cannot be granted here"))
}

/// Each of `requested` once, if all are among `permitted`.
pub(crate) fn among(permitted: &[Box<str>], requested: &[&str]) -> Option<Vec<Box<str>>> {
    let mut found: Vec<Box<str>> = Vec::new();
    for name in requested {
        let name = permitted.iter().find(|permitted| ***permitted == **name)?;
        if !found.contains(name) {
            found.push(name.clone());
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use crate::oauth::issue::*;

    #[test]
    fn what_is_wanted_is_among_what_may_be_had() {
        let permitted: [Box<str>; 2] = ["a".into(), "b".into()];
        assert_eq!(among(&permitted, &["b", "a", "b"]), Some(vec!["b".into(), "a".into()]));
        assert_eq!(among(&permitted, &[]), Some(vec![]));
        assert_eq!(among(&permitted, &["a", "A"]), None);
        assert_eq!(among(&permitted, &["c"]), None);
    }
}

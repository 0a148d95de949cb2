//! Answers `POST revoke`: a client no longer needs a token (RFC 7009). A token that is not known
//! counts as revoked, which is all that a client needs to know.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::clock;
use crate::config::tokens::Client;
use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Slug};
use crate::gate::revocation::Scope;
use crate::issuer::refresh::RefreshToken;
use crate::oauth::client::{Unnamed, authenticate};
use crate::oauth::parameters::{Parameter, Parameters};
use crate::oauth::presented_token::{self, AuthenticToken};
use crate::oauth::refresh_family::{end_lost, find_family};
use crate::oauth::refusal::{Error, TokenRefusal};
use crate::oauth::service::TokenContext;
use crate::session::revocation::{self, Account, Actor};
use crate::store::session_end::SessionEnd;
use crate::web::answers;
use crate::web::message::Answer;

/// Answers `POST revoke` (RFC 7009 §2.2): 200 also for a token that is not known.
///
/// # Errors
///
/// [`TokenRefusal`], in the words of RFC 6749 §5.2.
pub(crate) async fn answer(here: &TokenContext<'_>, body: Bytes) -> Result<Answer, TokenRefusal> {
    let parameters = Parameters::parse(here.request.head.headers, body)?;
    let client = authenticate(here, &parameters, Unnamed::FirstParty).await?;
    let text = parameters.required(Parameter::Token, "`token` is missing")?;
    match RefreshToken::parse(text) {
        Some(token) => revoke_refresh(here, client, &token).await?,
        None => revoke_access(here, client, text).await?,
    }
    Ok(answers::private(200, &Value::Object(Map::new())))
}

/// Ends the whole login (§2.1): the holder of one of its tokens may have others.
async fn revoke_refresh(
    here: &TokenContext<'_>,
    client: &Client,
    token: &RefreshToken,
) -> Result<(), TokenRefusal> {
    let id = token.family();
    // This is how a client logs out.
    let (family, session) = find_family(here, token, Charge::Logout).await?;
    let Some(family) = family else {
        let why = (Actor::Client(&client.id), SessionEnd::Client);
        return Ok(end_lost(here, token, why).await?);
    };
    if family.family.client != client.id {
        return Err(not_its_own());
    }
    let TokenContext { service, configuration, .. } = here;
    if !configuration.gate.revocations.names(&Scope::Session(id.to_string().into())) {
        let (account, actor) = (session.as_ref().map(Account::of), Actor::Client(&client.id));
        service
            .sessions
            .cut_off_session(id, account.as_ref(), actor, SessionEnd::Client, configuration)
            .await?;
    }
    Ok(())
}

/// Revokes one access token.
async fn revoke_access(
    here: &TokenContext<'_>,
    client: &Client,
    text: &str,
) -> Result<(), TokenRefusal> {
    let Some(AuthenticToken { issuer, authentic }) = presented_token::verify(here, text).await?
    else {
        return Ok(());
    };
    // Tokens of other issuers are not ours to revoke.
    let is_own = here.configuration.own_issuer().is_some_and(|own| own.id() == issuer.id());
    if !is_own || authentic.end() <= clock::shared() {
        return Ok(());
    }
    if authentic.claims().client_id.as_deref() != Some(&*client.id) {
        return Err(not_its_own());
    }
    // Every token of ours has one.
    let id = authentic.token_id().ok_or(Denial::from(Slug::Internal))?;
    let scope = Scope::Token { issuer: issuer.rules().issuer.clone(), id: id.into() };
    if !here.configuration.gate.revocations.names(&scope) {
        // The account of the login, or of the client if the token is about the client.
        let subject = authentic.subject().as_str();
        let account = Account::new(authentic.issued_by(), subject, authentic.dated());
        let (dies, actor) = (authentic.end(), Actor::Client(&client.id));
        let record = revocation::of_token(scope, dies, &account, actor, here.configuration);
        here.service.sessions.cut_off(record).await?;
    }
    Ok(())
}

fn not_its_own() -> TokenRefusal {
    TokenRefusal::request(Error::UnauthorizedClient, "The token was given to another client")
}

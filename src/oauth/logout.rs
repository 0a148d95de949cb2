//! Answers `DELETE token`: logs out a browser whose login gave it tokens. Its refresh token is in a
//! cookie that comes here and nowhere else.

use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Slug};
use crate::gate::revocation::Scope;
use crate::gate::session::Origin;
use crate::issuer::refresh::RefreshToken;
use crate::oauth::refresh_family::{end_lost, find_family};
use crate::oauth::refusal::TokenRefusal;
use crate::oauth::service::TokenContext;
use crate::session::revocation::{Account, Actor};
use crate::store::session_end::SessionEnd;
use crate::web::answers;
use crate::web::message::Answer;
use crate::web::refresh_cookie::RefreshCookie;

/// Ends the login, and clears the cookie. A browser that is logged out already gets the same
/// answer.
pub(crate) async fn answer(here: &TokenContext<'_>) -> Result<Answer, TokenRefusal> {
    match here.configuration.gate.sessions.rules.terms().origins.origin(here.request.head) {
        Origin::Permitted | Origin::Unsaid => {}
        Origin::Foreign => return Err(Denial::from(Slug::Csrf).into()),
    }
    let cookie = RefreshCookie::of(here.configuration);
    let headers = here.request.head.headers;
    let old = cookie.find_old(headers);
    // A value that cannot be read belongs to no login. A browser with a cookie of the old name is
    // logged out, too.
    for value in cookie.find(headers).ok().flatten().into_iter().chain(old) {
        let text = std::str::from_utf8(value).ok();
        if let Some(token) = text.and_then(RefreshToken::parse) {
            end(here, &token).await?;
        }
    }
    let mut answer = answers::done();
    answers::add_cookie(&mut answer, &cookie.clear());
    if old.is_some() {
        answers::add_cookie(&mut answer, &cookie.clear_old());
    }
    Ok(answer)
}

async fn end(here: &TokenContext<'_>, token: &RefreshToken) -> Result<(), Denial> {
    let TokenContext { service, configuration, .. } = here;
    let id = token.family();
    let (family, session) = find_family(here, token, Charge::Logout).await?;
    if family.is_none() {
        return end_lost(here, token, (Actor::Gateway, SessionEnd::Logout)).await;
    }
    if configuration.gate.revocations.names(&Scope::Session(id.to_string().into())) {
        return Ok(());
    }
    let account = session.as_ref().map(Account::of);
    let subject = session.map(|record| record.subject).unwrap_or_default();
    let actor = Actor::Subject(&subject);
    service
        .sessions
        .cut_off_session(id, account.as_ref(), actor, SessionEnd::Logout, configuration)
        .await
}

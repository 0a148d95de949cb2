//! Answers `grant_type=refresh_token` (RFC 6749 §6): exchanges a refresh token, from the body or
//! its cookie, for the next one and an access token.

use serde_json::{Value, json};

use crate::gate::denial::{Denial, Slug};
use crate::gate::session::Origin;
use crate::issuer::refresh::RefreshToken;
use crate::oauth::issue;
use crate::oauth::parameters::{Parameter, Parameters};
use crate::oauth::refresh_outcome::{RefreshFailure, RefreshOutcome};
use crate::oauth::refusal::{Error, TokenRefusal};
use crate::oauth::rotation::{self, Exchanged};
use crate::oauth::service::TokenContext;
use crate::web::answers;
use crate::web::message::Answer;
use crate::web::refresh_cookie::RefreshCookie;

/// Where a refresh token was carried, for the metric and for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenCarrier {
    Body,
    Cookie,
}

impl TokenCarrier {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Cookie => "cookie",
        }
    }
}

/// A refresh token as it was presented.
struct PresentedToken {
    carrier: TokenCarrier,
    token: Option<RefreshToken>,
}

/// Answers `grant_type=refresh_token`.
pub(super) async fn answer(here: &TokenContext<'_>, parameters: &Parameters) -> Answer {
    let cookie = RefreshCookie::of(here.configuration);
    let (carrier, exchanged) = match find(here, parameters, &cookie) {
        Ok(presented) => (presented.carrier, exchange(here, parameters, presented).await),
        Err((carrier, description)) => {
            let refusal = TokenRefusal::request(Error::InvalidRequest, description);
            (carrier, Err(RefreshFailure { outcome: RefreshOutcome::Malformed, refusal }))
        }
    };
    let outcome = exchanged.as_ref().map_or_else(|failure| failure.outcome, |done| done.outcome);
    let attempts = &here.service.metrics.refreshes;
    attempts.with_label_values(&[carrier.as_str(), outcome.as_str()]).inc();
    let set = match (&exchanged, carrier) {
        (Ok(Exchanged { successor, .. }), TokenCarrier::Cookie) => {
            Some(cookie.set(successor, here.settings.refresh.idle_s))
        }
        // An outage never clears the cookie: a token that could not be judged may be good.
        (Err(failure), TokenCarrier::Cookie) if failure.is_final() => Some(cookie.clear()),
        (Ok(_) | Err(_), TokenCarrier::Cookie | TokenCarrier::Body) => None,
    };
    let mut answer = match exchanged {
        Ok(Exchanged { access, successor, .. }) => {
            let mut members = issue::describe(&access);
            if carrier == TokenCarrier::Body {
                members.insert("refresh_token".to_owned(), json!(*successor.expose()));
            }
            answers::private(200, &Value::Object(members))
        }
        Err(RefreshFailure { refusal, .. }) => refusal.answer(&here.configuration.settings.realm),
    };
    if let Some(set) = set {
        answers::add_cookie(&mut answer, &set);
    }
    if carrier == TokenCarrier::Cookie && cookie.find_old(here.request.head.headers).is_some() {
        answers::add_cookie(&mut answer, &cookie.clear_old());
    }
    answer
}

/// The refresh token of a request: in its body, else in its cookie.
fn find(
    here: &TokenContext<'_>,
    parameters: &Parameters,
    cookie: &RefreshCookie,
) -> Result<PresentedToken, (TokenCarrier, &'static str)> {
    let in_body = parameters.value(Parameter::RefreshToken);
    let in_cookie = cookie.find(here.request.head.headers);
    match (in_body, in_cookie) {
        (None, Ok(None)) if cookie.find_old(here.request.head.headers).is_some() => Err((
            TokenCarrier::Cookie,
            "The refresh cookie is from an earlier version: log in again",
        )),
        (None, Ok(None)) => Err((TokenCarrier::Body, "`refresh_token` is missing")),
        (Some(_), Ok(Some(_)) | Err(_)) => {
            Err((TokenCarrier::Body, "There are two refresh tokens"))
        }
        (None, Err(_)) => Err((TokenCarrier::Cookie, "The refresh cookie is repeated")),
        (Some(text), Ok(None)) => {
            Ok(PresentedToken { carrier: TokenCarrier::Body, token: RefreshToken::parse(text) })
        }
        (None, Ok(Some(bytes))) => {
            let text = std::str::from_utf8(bytes).ok();
            let token = text.and_then(RefreshToken::parse);
            Ok(PresentedToken { carrier: TokenCarrier::Cookie, token })
        }
    }
}

/// Exchanges a presented token for the next one and an access token.
async fn exchange(
    here: &TokenContext<'_>,
    parameters: &Parameters,
    PresentedToken { carrier, token }: PresentedToken,
) -> Result<Exchanged, RefreshFailure> {
    match carrier {
        TokenCarrier::Body => {}
        // The browser sends the cookie whichever page asks. Pages of other sites may not.
        TokenCarrier::Cookie => {
            match here.configuration.gate.sessions.rules.terms().origins.origin(here.request.head) {
                Origin::Permitted | Origin::Unsaid => {}
                Origin::Foreign => return Err(Denial::from(Slug::Csrf).into()),
            }
        }
    }
    let token = token.ok_or_else(|| {
        RefreshFailure::of(RefreshOutcome::Malformed, "The value is not a refresh token")
    })?;
    rotation::exchange(here, parameters, &token).await
}

//! A refresh token → the next one, and an access token (RFC 6749 §6, RFC 9700 §4.14).
//!
//! Each is good once. Who has lost the answer and asks again within a moment gets what it led to; who
//! comes later with a token that was used ends the login, for there are two of them then. What is late
//! only because it was on its way for long ends nothing.

use std::sync::Arc;

use http::header;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::clock;
use crate::config::Tokens;
use crate::config::tokens::Client;
use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::gate::revocation::Scope;
use crate::gate::session::{Origin, Provenance, SessionRecord};
use crate::gate::time::UnixTime;
use crate::issuer::refresh::{self, RefreshToken};
use crate::oauth::client::{Unnamed, authenticate};
use crate::oauth::issue::{self, AccessDraft, IssuedAccess, LoginDraft};
use crate::oauth::parameters::{Parameter, Parameters};
use crate::oauth::refresh_outcome::{RefreshFailure, RefreshOutcome};
use crate::oauth::refusal::{Error, TokenRefusal};
use crate::oauth::reuse;
use crate::oauth::revocation_status::{self, RevocationStatus};
use crate::oauth::service::{GrantKind, TokenContext};
use crate::secret::Secret;
use crate::session::revocation::{Account, Actor};
use crate::session::service::unavailable;
use crate::store::family::{
    Exchange, Family, Premise, Rotation, StoredFamily, Successor, TokenDigest,
};
use crate::telemetry::session_end::SessionEnd;
use crate::web::answers;
use crate::web::message::Answer;
use crate::web::refresh_cookie::RefreshCookie;

/// What carried a refresh token, for the metric and for the way back.
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

/// What an exchange gives.
struct Exchanged {
    outcome: RefreshOutcome,
    access: IssuedAccess,
    successor: Arc<RefreshToken>,
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
        Ok(PresentedToken { carrier, token }) => {
            (carrier, exchange(here, parameters, carrier, token).await)
        }
        Err((carrier, words)) => {
            let refusal = TokenRefusal::request(Error::InvalidRequest, words);
            (carrier, Err(RefreshFailure { outcome: RefreshOutcome::Malformed, refusal }))
        }
    };
    let outcome = exchanged.as_ref().map_or_else(|failure| failure.outcome, |done| done.outcome);
    let families = &here.service.sessions.families;
    families.refreshes.with_label_values(&[carrier.as_str(), outcome.as_str()]).inc();
    let set = match (&exchanged, carrier) {
        (Ok(Exchanged { successor, .. }), TokenCarrier::Cookie) => {
            Some(cookie.set(successor, here.settings.refresh.idle_s))
        }
        // Never for want of an answer: what could not be decided may be good.
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
        (None, Ok(None)) if cookie.find_old(here.request.head.headers).is_some() => {
            Err((TokenCarrier::Cookie, "The refresh cookie is of an earlier version: log in again"))
        }
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

async fn exchange(
    here: &TokenContext<'_>,
    parameters: &Parameters,
    carrier: TokenCarrier,
    token: Option<RefreshToken>,
) -> Result<Exchanged, RefreshFailure> {
    if carrier == TokenCarrier::Cookie {
        // A browser sends it whoever's page asks; no other site's may.
        match here.configuration.gate.sessions.rules.terms().origins.origin(here.request.head) {
            Origin::Permitted | Origin::Unsaid => {}
            Origin::Foreign => return Err(Denial::from(Slug::Csrf).into()),
        }
    }
    let token = token
        .ok_or_else(|| RefreshFailure::of(RefreshOutcome::Malformed, "This is no refresh token"))?;
    let presented_at = clock::steady();
    let unread_ms = here.service.standstill.unread_ms(presented_at);
    let client = authenticate(here, parameters, Unnamed::FirstParty).await?;
    let now = clock::shared();
    // Before anything is used up for nothing.
    here.service.signing.signer(now).ok_or(Denial::from(Slug::KeysUnavailable))?;
    let found = Found::of(here, &token, client).await?;
    let waited_ms = clock::steady().millis_since(presented_at).saturating_add(unread_ms);
    let Found { stored: StoredFamily { family, .. }, record } = &found;
    let scopes = issue::scopes(&family.scopes, parameters)?;
    let audiences = issue::audiences(client, parameters)?;
    match revocation_status::of_login(here, family.session, record, &client.id)? {
        RevocationStatus::Good => {}
        RevocationStatus::CutOff => {
            return Err(RefreshFailure::of(RefreshOutcome::Revoked, "The login was ended"));
        }
    }
    if now >= ends_by_rules(&found.stored, here.settings) {
        return Err(RefreshFailure::of(RefreshOutcome::Expired, "The refresh token has expired"));
    }
    let login = LoginDraft { session: family.session, record, ends: family.ends };
    let draft = AccessDraft { client, audiences: &audiences, scopes: &scopes, login: Some(login) };
    let access = issue::access_token(here, draft, GrantKind::RefreshToken, now)?;
    let (outcome, successor) = rotate(here, &token, &found, waited_ms, now).await?;
    if outcome == RefreshOutcome::Replayed && unread_ms > 0 {
        // Whether its grace is over is not known: it ends nothing, and gives nothing.
        return Err(Denial::from(Slug::StoreUnavailable).into());
    }
    if outcome == RefreshOutcome::Ok {
        here.count_issued("refresh", GrantKind::RefreshToken);
    }
    Ok(Exchanged { outcome, access, successor })
}

/// What the store knows of a token that a family of ours made for this client.
struct Found {
    stored: StoredFamily,
    record: SessionRecord,
}

impl Found {
    async fn of(
        here: &TokenContext<'_>,
        token: &RefreshToken,
        client: &Client,
    ) -> Result<Self, RefreshFailure> {
        let (stored, session) = find_family(here, token, Charge::Client).await?;
        let Some(stored) = stored else {
            // A family ends with its session; the list may still tell this token from one that was
            // made up.
            let scope = Scope::Session(token.family().to_string().into());
            return Err(match here.configuration.gate.revocations.names(&scope) {
                true => RefreshFailure::of(RefreshOutcome::Revoked, "The login was ended"),
                false => {
                    RefreshFailure::of(RefreshOutcome::Unknown, "The refresh token is not known")
                }
            });
        };
        if stored.family.client != client.id {
            reuse::tell_wrong_client(here, &stored.family, client).await;
            return Err(RefreshFailure::of(
                RefreshOutcome::WrongClient,
                "The refresh token was given to another client",
            ));
        }
        if stored.is_dead {
            return Err(reused(here, &stored.family, session.as_ref()).await);
        }
        let record = session.ok_or_else(|| {
            // What ended it may have been forgotten since.
            RefreshFailure::of(RefreshOutcome::Revoked, "The login was ended")
        })?;
        Ok(Self { stored, record })
    }
}

/// When a family ends by the rules in force: those that became stricter since hold for it, too.
pub(super) fn ends_by_rules(stored: &StoredFamily, tokens: &Tokens) -> UnixTime {
    let StoredFamily { family, used, .. } = stored;
    let rested = used.plus(family.idle_s.min(tokens.refresh.idle_s));
    family.ends.min(family.created.plus(tokens.refresh.absolute_s)).min(rested)
}

/// The family that made a token, and the session that it belongs to.
///
/// # Errors
///
/// [`Slug::VerificationBudget`] for somebody who has sent too many that none made, if this one is not
/// ours for sure: whoever makes tokens up must not keep the store busy. [`Slug::StoreUnavailable`].
pub(super) async fn find_family(
    here: &TokenContext<'_>,
    token: &RefreshToken,
    charge: Charge,
) -> Result<(Option<StoredFamily>, Option<SessionRecord>), Denial> {
    let (service, id) = (here.service, token.family());
    let provenance = token.provenance(&here.configuration.gate.sessions.tags);
    if let Some(seconds) =
        service.sessions.feed.refused_for(here.request.client, provenance, charge)
    {
        return Err(Denial::with(Slug::VerificationBudget, Detail::RetryAfter(seconds)));
    }
    let family = service.sessions.families.timed("find_family", service.refresh_families.find(id));
    let found = service.sessions.feed.stored_with(id, family).await.map_err(unavailable)?;
    let (family, session) = (found.0, found.1.map(|session| session.record));
    let family = family.filter(|stored| token.is_of(&tag_key(here.settings, &stored.family.key)));
    if family.is_none() {
        service.sessions.feed.spend(here.request.client, charge);
    }
    Ok((family, session))
}

/// Ends the login of a token that may be ours whose family the store does not have.
pub(super) async fn end_lost(
    here: &TokenContext<'_>,
    token: &RefreshToken,
    why: (Actor<'_>, SessionEnd),
) -> Result<(), Denial> {
    let TokenContext { service, configuration, request, .. } = here;
    match token.provenance(&configuration.gate.sessions.tags) {
        Provenance::Unproven => Ok(()),
        Provenance::Ours | Provenance::Unknown => {
            service.sessions.cut_off_lost(token.family(), request.client, why, configuration).await
        }
    }
}

/// With what the tags of a family with this key are made.
pub(crate) fn tag_key(tokens: &Tokens, family: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    refresh::tag_key(family, tokens.signing.keys.sealed_with().map(Secret::expose))
}

/// By what the store knows a token.
pub(crate) fn known_by(tokens: &Tokens, token: &RefreshToken) -> TokenDigest {
    let place = match tokens.signing.keys.sealed_with() {
        Some(_) => token.place(),
        // Of what comes after the current token the tag is all the proof there is, and who reads
        // the store could make it.
        None => 0,
    };
    TokenDigest { place, digest: token.digest() }
}

async fn rotate(
    here: &TokenContext<'_>,
    token: &RefreshToken,
    Found { stored: StoredFamily { family, current, read_ms, .. }, record }: &Found,
    waited_ms: u64,
    now: UnixTime,
) -> Result<(RefreshOutcome, Arc<RefreshToken>), RefreshFailure> {
    let no_randomness = |_| RefreshFailure::from(Denial::from(Slug::Internal));
    let memory = &here.service.memory;
    let next = match memory.unanswered(token).await {
        Some(next) => next,
        None => {
            let next = RefreshToken::generate(
                family.session,
                token.place().saturating_add(1),
                &tag_key(here.settings, &family.key),
                &here.configuration.gate.sessions.tags,
            );
            Arc::new(next.map_err(no_randomness)?)
        }
    };
    let sealed = token.seal(&next).map_err(no_randomness)?;
    let successor = Successor { digest: known_by(here.settings, &next), sealed };
    let service = here.service;
    let presented = known_by(here.settings, token);
    let premise = Premise { current: *current, read_ms: *read_ms, waited_ms };
    let end = (!premise.holds_for(presented)).then(|| reuse::login_end(here, family, record));
    let exchange = Exchange {
        family: family.session,
        presented,
        successor,
        grace_ms: here.settings.refresh.grace_ms,
        now,
        premise,
        end,
    };
    let rotating = service.refresh_families.rotate(&exchange);
    let rotated = service.sessions.families.timed("rotate_family", rotating).await;
    match &rotated {
        // One that arrives too late may be the second copy of one that did not.
        Ok(Rotation::TooLate) | Err(_) => memory.remember(token, next.clone()).await,
        Ok(_) => memory.forget(token).await,
    }
    match rotated {
        Ok(Rotation::Rotated) => Ok((RefreshOutcome::Ok, next)),
        Ok(Rotation::Replayed(way)) => match follow(token, &way) {
            Some(next) => Ok((RefreshOutcome::Replayed, Arc::new(next))),
            None => {
                tracing::error!(session = %family.session, "a refresh token's successor is spoilt");
                Err(Denial::from(Slug::StoreUnavailable).into())
            }
        },
        // Nothing happened, and nothing is said of the token.
        Ok(Rotation::Changed | Rotation::TooLate) => {
            Err(Denial::from(Slug::StoreUnavailable).into())
        }
        Ok(Rotation::Reused) => Err(reused(here, family, Some(record)).await),
        Ok(Rotation::Ended(charged)) => {
            let (account, end) = (Account::of(record), exchange.end.as_ref());
            Err(reuse_detected(reuse::ended(here, family, account, end, charged).await))
        }
        Ok(Rotation::Expired) => {
            Err(RefreshFailure::of(RefreshOutcome::Expired, "The refresh token has expired"))
        }
        Ok(Rotation::Absent) => {
            Err(RefreshFailure::of(RefreshOutcome::Revoked, "The login was ended"))
        }
        Err(error) => Err(unavailable(error).into()),
    }
}

/// The token to which a way leads: each opens the next.
fn follow(token: &RefreshToken, way: &[Vec<u8>]) -> Option<RefreshToken> {
    let (first, rest) = way.split_first()?;
    rest.iter().try_fold(token.open(first).ok()?, |token, sealed| token.open(sealed).ok())
}

/// Ends a login of which a token was used twice. Only when that is written down is it told.
async fn reused(
    here: &TokenContext<'_>,
    family: &Family,
    session: Option<&SessionRecord>,
) -> RefreshFailure {
    reuse_detected(reuse::end(here, family, session.map(Account::of)).await)
}

fn reuse_detected(ended: Result<(), Denial>) -> RefreshFailure {
    match ended {
        Ok(()) => {
            RefreshFailure::of(RefreshOutcome::ReuseDetected, "The refresh token was used before")
        }
        Err(denial) => RefreshFailure {
            outcome: RefreshOutcome::ReuseDetected,
            refusal: TokenRefusal::from(denial),
        },
    }
}

/// Whether a request says that a browser sent it: where scripts could read its answer, no refresh
/// token may stand in it.
pub(crate) fn is_by_browser(headers: &http::HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

//! Exchanges a refresh token for the next one: rotation (RFC 9700 §4.14.2).
//!
//! Each token is good once. A client that lost the answer and asks again within the grace period
//! gets the token to which the first one led. A used token that comes later ends the login, because
//! two parties hold it then. A request that is late only because it was on its way for long ends
//! nothing.

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;

use crate::clock;
use crate::config::tokens::Client;
use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Slug};
use crate::gate::revocation::Scope;
use crate::gate::session::SessionRecord;
use crate::gate::time::UnixTime;
use crate::issuer::refresh::RefreshToken;
use crate::oauth::client::{Unnamed, authenticate};
use crate::oauth::issue::{self, AccessDraft, IssuedAccess, LoginDraft};
use crate::oauth::parameters::Parameters;
use crate::oauth::refresh_family::{ends_by_rules, find_family, known_by, tag_key};
use crate::oauth::refresh_outcome::{RefreshFailure, RefreshOutcome};
use crate::oauth::refusal::TokenRefusal;
use crate::oauth::reuse;
use crate::oauth::revocation_status::{self, RevocationStatus};
use crate::oauth::service::{GrantKind, TokenContext};
use crate::session::revocation::Account;
use crate::session::service::unavailable;
use crate::store::family::{Exchange, Family, Premise, Rotation, StoredFamily, Successor};

/// The result of an exchange.
pub(super) struct Exchanged {
    /// For the metric.
    pub(super) outcome: RefreshOutcome,
    /// The access token.
    pub(super) access: IssuedAccess,
    /// The next refresh token.
    pub(super) successor: Arc<RefreshToken>,
}

/// Exchanges a token for the next one and an access token.
///
/// # Errors
///
/// [`RefreshFailure`] says why the exchange was refused.
pub(super) async fn exchange(
    here: &TokenContext<'_>,
    parameters: &Parameters,
    token: &RefreshToken,
) -> Result<Exchanged, RefreshFailure> {
    let presented_at = clock::steady();
    let unread_ms = here.service.standstill.unread_ms(presented_at);
    let client = authenticate(here, parameters, Unnamed::FirstParty).await?;
    let now = clock::shared();
    // This comes first, so that no token is used up in vain.
    here.service.signing.signer(now).ok_or(Denial::from(Slug::KeysUnavailable))?;
    let found = FoundFamily::of(here, token, client).await?;
    let waited_ms = clock::steady().millis_since(presented_at).saturating_add(unread_ms);
    let FoundFamily { stored: StoredFamily { family, .. }, record } = &found;
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
    let (outcome, successor) = rotate(here, token, &found, waited_ms, now).await?;
    if outcome == RefreshOutcome::Replayed && unread_ms > 0 {
        // Whether the grace period is over is unknown: the request ends nothing, and gets nothing.
        return Err(Denial::from(Slug::StoreUnavailable).into());
    }
    if outcome == RefreshOutcome::Ok {
        here.count_issued("refresh", GrantKind::RefreshToken);
    }
    Ok(Exchanged { outcome, access, successor })
}

/// What the store knows of a token that a family of ours made for this client.
struct FoundFamily {
    stored: StoredFamily,
    record: SessionRecord,
}

impl FoundFamily {
    async fn of(
        here: &TokenContext<'_>,
        token: &RefreshToken,
        client: &Client,
    ) -> Result<Self, RefreshFailure> {
        let (stored, session) = find_family(here, token, Charge::Client).await?;
        let Some(stored) = stored else {
            // A family ends with its session. The revocation list may still tell this token from an
            // invented one.
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

/// Lets the store replace this token with the next one. Returns the outcome, and the token that is
/// good now.
async fn rotate(
    here: &TokenContext<'_>,
    token: &RefreshToken,
    found: &FoundFamily,
    waited_ms: u64,
    now: UnixTime,
) -> Result<(RefreshOutcome, Arc<RefreshToken>), RefreshFailure> {
    let FoundFamily { stored: StoredFamily { family, current, read_ms, .. }, record } = found;
    let next = successor(here, token, family).await?;
    let sealed = token.seal(&next).map_err(no_randomness)?;
    let presented = known_by(here.settings, token);
    let premise = Premise { current: *current, read_ms: *read_ms, waited_ms };
    let exchange = Exchange {
        family: family.session,
        presented,
        successor: Successor { digest: known_by(here.settings, &next), sealed },
        grace_ms: here.settings.refresh.grace_ms,
        now,
        premise,
        end: (!premise.holds_for(presented)).then(|| reuse::login_end(here, family, record)),
    };
    let service = here.service;
    let rotating = service.refresh_families.rotate(&exchange);
    let rotated = service.store_metrics.timed("rotate_family", rotating).await;
    match &rotated {
        // A request that arrives too late may be the second copy of one that arrived in time.
        Ok(Rotation::TooLate) | Err(_) => {
            service.recent_exchanges.remember(token, next.clone()).await
        }
        Ok(_) => service.recent_exchanges.forget(token).await,
    }
    match rotated.map_err(unavailable)? {
        Rotation::Rotated => Ok((RefreshOutcome::Ok, next)),
        Rotation::Replayed(way) => match follow(token, &way) {
            Some(next) => Ok((RefreshOutcome::Replayed, Arc::new(next))),
            None => {
                tracing::error!(
                    session = %family.session,
                    "a refresh token's successor is damaged"
                );
                Err(Denial::from(Slug::StoreUnavailable).into())
            }
        },
        // Nothing happened, and the answer says nothing about the token.
        Rotation::Changed | Rotation::TooLate => Err(Denial::from(Slug::StoreUnavailable).into()),
        Rotation::Reused => Err(reused(here, family, Some(record)).await),
        Rotation::Ended(charged) => {
            let (account, end) = (Account::of(record), exchange.end.as_ref());
            Err(reuse_detected(reuse::ended(here, family, account, end, charged).await))
        }
        Rotation::Expired => {
            Err(RefreshFailure::of(RefreshOutcome::Expired, "The refresh token has expired"))
        }
        Rotation::Absent => Err(RefreshFailure::of(RefreshOutcome::Revoked, "The login was ended")),
    }
}

/// The token to exchange this one for: the same as before, if the store's answer was lost.
async fn successor(
    here: &TokenContext<'_>,
    token: &RefreshToken,
    family: &Family,
) -> Result<Arc<RefreshToken>, RefreshFailure> {
    if let Some(next) = here.service.recent_exchanges.unanswered(token).await {
        return Ok(next);
    }
    let next = RefreshToken::generate(
        family.session,
        token.place().saturating_add(1),
        &tag_key(here.settings, &family.key),
        &here.configuration.gate.sessions.tags,
    );
    Ok(Arc::new(next.map_err(no_randomness)?))
}

fn no_randomness(_: Unspecified) -> RefreshFailure {
    Denial::from(Slug::Internal).into()
}

/// The last token of a chain in which each token opens the next.
fn follow(token: &RefreshToken, way: &[Vec<u8>]) -> Option<RefreshToken> {
    let (first, rest) = way.split_first()?;
    rest.iter().try_fold(token.open(first).ok()?, |token, sealed| token.open(sealed).ok())
}

/// Ends a login because a token was used twice. The client hears of the reuse only after the end
/// has been written down.
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

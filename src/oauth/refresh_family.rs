//! Finds the family that made a refresh token, and ends the login of one that the store has lost.

use zeroize::Zeroizing;

use crate::config::Tokens;
use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::gate::session::{Provenance, SessionRecord};
use crate::gate::time::UnixTime;
use crate::issuer::refresh::{self, RefreshToken};
use crate::oauth::service::TokenContext;
use crate::secret::Secret;
use crate::session::revocation::Actor;
use crate::session::service::unavailable;
use crate::store::family::{StoredFamily, TokenDigest};
use crate::store::session_end::SessionEnd;

/// When a family ends by the rules in force. Rules that became stricter since apply to it, too.
pub(super) fn ends_by_rules(stored: &StoredFamily, tokens: &Tokens) -> UnixTime {
    let StoredFamily { family, used, .. } = stored;
    let rested = used.plus(family.idle_s.min(tokens.refresh.idle_s));
    family.ends.min(family.created.plus(tokens.refresh.absolute_s)).min(rested)
}

/// The family that made a token, and the session that it belongs to.
///
/// # Errors
///
/// [`Slug::VerificationBudget`] for a client that has sent too many tokens of no family, unless
/// this token is certainly ours: invented tokens must not keep the store busy.
/// [`Slug::StoreUnavailable`].
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
    let family = service.store_metrics.timed("find_family", service.refresh_families.find(id));
    let found = service.sessions.feed.stored_with(id, family).await.map_err(unavailable)?;
    let (family, session) = (found.0, found.1.map(|session| session.record));
    let family = family.filter(|stored| token.is_of(&tag_key(here.settings, &stored.family.key)));
    if family.is_none() {
        service.sessions.feed.spend(here.request.client, charge);
    }
    Ok((family, session))
}

/// Ends the login of a token that may be ours and whose family the store does not have.
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

/// The key of the tags of a family with this key.
pub(crate) fn tag_key(tokens: &Tokens, family: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    refresh::tag_key(family, tokens.signing.keys.sealed_with().map(Secret::expose))
}

/// How the store identifies a token.
pub(crate) fn known_by(tokens: &Tokens, token: &RefreshToken) -> TokenDigest {
    let place = match tokens.signing.keys.sealed_with() {
        Some(_) => token.place(),
        // The tag is the only proof of a token after the current one, and a reader of the store
        // could make it.
        None => 0,
    };
    TokenDigest { place, digest: token.digest() }
}

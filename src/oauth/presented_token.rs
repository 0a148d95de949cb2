//! Verifies a token that a client asks about, for what the gate knows of it.

use std::sync::Arc;

use crate::clock;
use crate::feed::jwks::KeySearch;
use crate::gate::authentic::Authentic;
use crate::gate::denial::{Denial, Slug};
use crate::gate::issuer::Issuer;
use crate::gate::verifier::{Refusal, Verification};
use crate::oauth::service::TokenContext;

/// A token that a client presented, and that is authentic. It need not be current.
pub(super) struct AuthenticToken {
    pub(super) issuer: Arc<Issuer>,
    pub(super) authentic: Arc<Authentic>,
}

/// Verifies a token of any issuer; `None` if it is not one that this gateway could accept.
///
/// # Errors
///
/// [`Slug::KeysUnavailable`] if that cannot be decided.
pub(super) async fn verify(
    here: &TokenContext<'_>,
    text: &str,
) -> Result<Option<AuthenticToken>, Denial> {
    let Verification { issuer, result, .. } = once(here, text);
    let (issuer, refusal) = match (issuer, result) {
        (Some(issuer), Ok(authentic)) => return Ok(Some(AuthenticToken { issuer, authentic })),
        (None, Ok(_) | Err(_)) => return Ok(None),
        (Some(issuer), Err(refusal)) => (issuer, refusal),
    };
    let key_id = match refusal {
        Refusal::Denied(denial) if denial.slug() == Slug::KeysUnavailable => {
            return Err(denial);
        }
        Refusal::Denied(_) => return Ok(None),
        Refusal::KeyUnknown { id, .. } => id,
    };
    match here.request.keys.seek(&issuer, &key_id).await {
        KeySearch::Absent => Ok(None),
        KeySearch::Unavailable => Err(Slug::KeysUnavailable.into()),
        KeySearch::Found => match once(here, text).result {
            Ok(authentic) => Ok(Some(AuthenticToken { issuer, authentic })),
            Err(_) => Ok(None),
        },
    }
}

fn once(here: &TokenContext<'_>, text: &str) -> Verification {
    let gate = &here.configuration.gate;
    let all: Vec<_> = (0..gate.issuers.len()).collect();
    gate.verifier.verify(text, &gate.issuers, &all, clock::now())
}

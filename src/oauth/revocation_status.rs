//! Asks the revocation list whether a client, session or subject may still get tokens.

use crate::clock;
use crate::config::tokens::Client;
use crate::gate::denial::{Denial, Slug};
use crate::gate::revocation::{GrantedBy, Revocable, Revocation};
use crate::gate::session::{SessionId, SessionRecord};
use crate::gate::time::UnixTime;
use crate::oauth::service::TokenContext;
use crate::session::next_second::ask_until_next_second;

/// The status of a login for which tokens were issued to a client.
///
/// # Errors
///
/// [`Slug::RevocationStale`] if the list is too old to say.
pub(super) fn of_login(
    here: &TokenContext<'_>,
    session: SessionId,
    record: &SessionRecord,
    client: &str,
) -> Result<RevocationStatus, Denial> {
    let session = session.to_string();
    let source = Revocable {
        issuer: &record.issuer,
        subject: &record.subject,
        token_id: None,
        session_id: Some(&session),
        client_id: Some(client),
        key_id: None,
        granted_by: GrantedBy::Gateway,
    };
    // The login's issuer may have another name than the issuer of the tokens.
    let names = [source, Revocable { issuer: &here.settings.issuer, ..source }];
    for source in names {
        if ask(here, source, record.created)? == RevocationStatus::CutOff {
            return Ok(RevocationStatus::CutOff);
        }
    }
    Ok(RevocationStatus::Good)
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RevocationStatus {
    /// It is not cut off.
    Good,
    /// It is.
    CutOff,
}

/// The time at which a token can be issued about a client that is not cut off at once. Cut-offs
/// count in seconds: one that was cut off a moment ago gets its next token in the next second.
/// `None` if that does not help.
///
/// # Errors
///
/// [`Slug::RevocationStale`] if the list is too old to say.
pub(super) async fn of_client(
    here: &TokenContext<'_>,
    client: &Client,
) -> Result<Option<UnixTime>, Denial> {
    let source = Revocable {
        issuer: &here.settings.issuer,
        subject: &client.id,
        token_id: None,
        session_id: None,
        client_id: Some(&client.id),
        key_id: None,
        granted_by: GrantedBy::Gateway,
    };
    let issued = ask_until_next_second(|| {
        let now = clock::shared();
        match ask(here, source, now) {
            Ok(RevocationStatus::Good) => Some(Ok(now)),
            Ok(RevocationStatus::CutOff) => None,
            Err(denial) => Some(Err(denial)),
        }
    });
    issued.await.transpose()
}

fn ask(
    here: &TokenContext<'_>,
    source: Revocable<'_>,
    dated: UnixTime,
) -> Result<RevocationStatus, Denial> {
    let list = &here.configuration.gate.revocations;
    match list.find_source(source, dated, here.list_age_max_ms(), clock::moment()) {
        Revocation::Clear => Ok(RevocationStatus::Good),
        Revocation::Revoked => Ok(RevocationStatus::CutOff),
        Revocation::Unknown => Err(Slug::RevocationStale.into()),
    }
}

//! Ends the login of a refresh token that was used twice: two parties hold it, and one of them has
//! stolen it. Everything that came of the login ends.
//!
//! The store ends the login in the step that detects the reuse: it removes the family and the
//! session, and writes to the revocation log. If the log has no room, the write is tried again. A
//! dead family that is still stored comes from a gateway of an earlier version that did not finish.
//! The gateway that finds it ends the login.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::tokens::Client;
use crate::feed::revocations::Taken;
use crate::gate::denial::{Denial, Slug};
use crate::gate::revocation::Scope;
use crate::gate::session::{SessionId, SessionRecord};
use crate::oauth::ending_logins::EndingPlace;
use crate::oauth::service::TokenContext;
use crate::runtime::Running;
use crate::session::revocation::{self, Account, Actor};
use crate::session::service::SessionService;
use crate::store::family::Family;
use crate::store::login_end::LoginEnd;
use crate::store::session_end::SessionEnd;
use crate::store::{AppendError, Charged};
use crate::telemetry::audit::{self, AuditRecord};

/// Why such a login ends.
const WHY: SessionEnd = SessionEnd::RefreshReused;

/// How often a failed write is tried again, the first pause, and the longest: for a day, after
/// which every access token has expired.
const TRIES_MAX: u32 = 3000;
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long to wait for another task that writes down the same end, and the pause between checks.
const OTHERS_PATIENCE: Duration = Duration::from_millis(500);
const OTHERS_PAUSE: Duration = Duration::from_millis(10);

/// What the store writes about a login if one of its tokens turns out to have been used twice.
pub(super) fn login_end(
    here: &TokenContext<'_>,
    family: &Family,
    record: &SessionRecord,
) -> LoginEnd {
    let account = Account::of(record);
    revocation::login_end(family.session, &account, Actor::Gateway, WHY, here.configuration)
}

/// Takes note that the store has ended a login because a refresh token was used twice, and that it
/// has written `end`.
///
/// # Errors
///
/// [`Slug::StoreUnavailable`] if there was no room for that; it is tried again.
pub(super) async fn ended(
    here: &TokenContext<'_>,
    family: &Family,
    account: Account,
    end: Option<&LoginEnd>,
    charged: Option<Charged>,
) -> Result<(), Denial> {
    let (sessions, client, id) = (&here.service.sessions, here.request.client, family.session);
    warn_of(family);
    sessions.feed.forget(id);
    if let (Some(LoginEnd { record, .. }), Some(charged)) = (end, charged) {
        let taken = sessions.revocations.wrote(record, charged);
        count(sessions);
        tell(here.configuration, "refresh_reused", id, client, Ok(taken)).await;
        return Ok(());
    }
    tracing::error!(
        session = %id,
        "the revocation list is full: access tokens of a stolen login stay valid"
    );
    tell(here.configuration, "refresh_reused", id, client, Err(Slug::StoreUnavailable)).await;
    if let Some(place) = here.service.ending_logins.place(id) {
        tokio::spawn(go_on(
            sessions.clone(),
            place,
            EndedLogin { id, account: Some(account) },
            client,
        ));
    }
    Err(Slug::StoreUnavailable.into())
}

fn warn_of(family: &Family) {
    let Family { session, client, .. } = family;
    tracing::warn!(%session, client = &**client, "a refresh token was used twice");
}

fn count(sessions: &SessionService) {
    sessions.feed.metrics().ended(WHY).inc();
}

/// Ends a login of which a refresh token was used twice, and whose family is dead.
///
/// # Errors
///
/// [`Slug::StoreUnavailable`] if that could not be written down; it is tried again.
pub(super) async fn end(
    here: &TokenContext<'_>,
    family: &Family,
    account: Option<Account>,
) -> Result<(), Denial> {
    let id = family.session;
    let Some(place) = place(here, id).await? else { return Ok(()) };
    let client = here.request.client;
    warn_of(family);
    let configuration = here.service.sessions.in_force.load();
    let end = EndedLogin { id, account };
    let ended = write_down(&here.service.sessions, &configuration, &end, client).await;
    if ended.is_err() {
        let sessions = here.service.sessions.clone();
        tokio::spawn(go_on(sessions, place, end, client));
    }
    ended
}

/// The end of a login, and its account if that is known.
struct EndedLogin {
    id: SessionId,
    account: Option<Account>,
}

/// Reserves the place to end a login; `None` if it has ended. A second task waits a moment for the
/// first.
async fn place(here: &TokenContext<'_>, id: SessionId) -> Result<Option<EndingPlace>, Denial> {
    let scope = Scope::Session(id.to_string().into());
    let begun = Instant::now();
    loop {
        if here.configuration.gate.revocations.names(&scope) {
            return Ok(None);
        }
        if let Some(place) = here.service.ending_logins.place(id) {
            return Ok(Some(place));
        }
        if begun.elapsed() > OTHERS_PATIENCE {
            // Another task is trying without success, and so would this one.
            return Err(Slug::StoreUnavailable.into());
        }
        tokio::time::sleep(OTHERS_PAUSE).await;
    }
}

async fn go_on(
    sessions: Arc<SessionService>,
    place: EndingPlace,
    end: EndedLogin,
    client: Option<IpAddr>,
) {
    let mut pause = PAUSE_FIRST;
    for _ in 0..TRIES_MAX {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        let configuration = sessions.in_force.load();
        if let Ok(taken) = append(&sessions, &configuration, &end).await {
            tell(&configuration, "refresh_reused", place.id, client, Ok(taken)).await;
            return;
        }
    }
    tracing::error!(session = %place.id, "a login whose refresh token was stolen is not revoked");
}

async fn write_down(
    sessions: &SessionService,
    configuration: &Running,
    end: &EndedLogin,
    client: Option<IpAddr>,
) -> Result<(), Denial> {
    let id = end.id;
    let appended = append(sessions, configuration, end).await;
    match appended {
        // A list that is full must not keep the cookie alive.
        Err(AppendError::Full) => forget(sessions, id).await,
        // The family is dead, as the next request will find.
        Err(AppendError::Store(_) | AppendError::Lifted) | Ok(_) => {}
    }
    let taken = appended.map_err(|_| Slug::StoreUnavailable);
    tell(configuration, "refresh_reused", id, client, taken).await;
    taken.map(drop).map_err(Denial::from)
}

async fn append(
    sessions: &SessionService,
    configuration: &Running,
    EndedLogin { id, account }: &EndedLogin,
) -> Result<Taken, AppendError> {
    let record = revocation::of_session(*id, account.as_ref(), Actor::Gateway, WHY, configuration);
    let taken = sessions.revocations.append(record).await.inspect_err(|error| {
        tracing::error!(
            %error, session = %id,
            "a login whose refresh token was stolen is not ended"
        );
    })?;
    sessions.feed.forget(*id);
    count(sessions);
    Ok(taken)
}

/// Removes a session that is not in the log yet from the store, and its family with it.
async fn forget(sessions: &SessionService, id: SessionId) {
    match sessions.feed.end(id).await {
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "a revoked session is not deleted"),
    }
}

/// Writes to the audit log that a client presented another client's refresh token. The token may be
/// a copy, and its owner has done nothing wrong.
pub(super) async fn tell_wrong_client(here: &TokenContext<'_>, family: &Family, client: &Client) {
    // Only once in a while: the holder of a token must not be able to fill the audit log.
    if !here.service.recent_exchanges.is_new_mistake(family.session, &client.id).await {
        return;
    }
    tracing::warn!(
        session = %family.session,
        client = &*client.id,
        "a client presented the refresh token of another"
    );
    let refused = Err(Slug::GrantInvalid);
    tell(
        here.configuration,
        "refresh_by_wrong_client",
        family.session,
        here.request.client,
        refused,
    )
    .await;
}

/// Writes a line to the audit log. A failure to write changes nothing that was decided.
async fn tell(
    configuration: &Running,
    what: &'static str,
    id: SessionId,
    client: Option<IpAddr>,
    taken: Result<Taken, Slug>,
) {
    let position = match taken {
        Ok(Taken::Durable(position)) => Some(position),
        Ok(Taken::Locally) | Err(_) => None,
    };
    let record = AuditRecord {
        audit: what,
        time: clock::wall(),
        actor: revocation::GATEWAY,
        client: client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical(),
        target: &Scope::Session(id.to_string().into()).to_string(),
        reason: "a refresh token was presented that is not valid any more, or is another client's",
        result: taken.map_or_else(Slug::as_str, |_| "ok"),
        position,
        durable: position.is_some(),
    };
    let line = record.line();
    if let Err(error) = audit::append(configuration.settings.audit_log.clone(), line).await {
        tracing::error!(%error, "the audit log cannot be written");
    }
}

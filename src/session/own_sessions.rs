//! Tells users about their own sessions: `GET session` and `GET sessions`.

use serde_json::{Value, json};

use crate::clock;
use crate::gate::credential::Carrier;
use crate::gate::denial::Denial;
use crate::gate::session::{Session, SessionId, StoredSession};
use crate::session::devices;
use crate::session::service::SessionContext;
use crate::session::service::unavailable;
use crate::web::answers;
use crate::web::date::date;
use crate::web::message::{Answer, Caller, ClientKind};

/// `GET session`: who am I.
pub(crate) async fn session(here: &SessionContext<'_>, caller: &Caller) -> Result<Answer, Denial> {
    let SessionContext { service, configuration, .. } = here;
    let id = caller.session.id();
    let stored = service.feed.stored(id).await.map_err(unavailable)?;
    // It has ended since the gate looked.
    let stored = stored.ok_or_else(|| configuration.gate.absent(id, Carrier::Session))?;
    let mut described = describe(here, id, &stored);
    described["last_seen_at"] = date(caller.session.last_seen());
    // Of the cookie, that is; tokens of the login may live on.
    described["expires_at"] = date(caller.session.authentic().end());
    described["idle_expires_at"] = date(caller.session.idle_ends());
    described["family"] = json!(stored.record.login().map(|login| &login.family));
    let record = &stored.record;
    Ok(answers::found(&json!({
        "subject": record.subject,
        "issuer": record.issuer,
        "method": record.method,
        "roles": record.roles,
        "scopes": record.scopes,
        "claims": record.claims,
        "session": described,
        "csrf_token": caller.secret.csrf_token(),
    })))
}

/// `GET sessions`: where else am I logged in. For a person it is a page.
pub(crate) async fn sessions(here: &SessionContext<'_>, caller: &Caller) -> Result<Answer, Denial> {
    let (issuer, subject) = caller.account()?;
    here.service.budgets.count_list(caller)?;
    let listing = here.service.feed.of_subject(issuer, subject).await;
    let listed = listing.map_err(unavailable)?;
    let live = listed.iter().filter(|(id, stored)| is_live(here, *id, stored));
    if here.request.client_kind == ClientKind::Person {
        return Ok(devices::answer(here, caller, live));
    }
    let described = live.map(|(id, stored)| {
        let mut described = describe(here, *id, stored);
        described["current"] = json!(*id == caller.session.id());
        let login = stored.record.login();
        described["user_agent"] = json!(login.map(|login| &login.user_agent));
        described["address"] = json!(login.map(|login| &login.address));
        described["method"] = json!(stored.record.method);
        described
    });
    Ok(answers::found(&json!({ "sessions": described.collect::<Vec<_>>() })))
}

/// Whether it could be used: it has not ended, and was not cut off.
fn is_live(here: &SessionContext<'_>, id: SessionId, stored: &StoredSession) -> bool {
    let gate = &here.configuration.gate;
    let now = clock::moment();
    let session = Session::compile_login(id, stored, &gate.sessions.rules, now.steady);
    now.shared() < session.authentic().end()
        && now.shared() < session.idle_ends()
        && !session.authentic().is_revoked(&gate.revocations, now)
}

/// By the rules in force. Rules that became stricter since apply to it, too.
fn describe(here: &SessionContext<'_>, id: SessionId, stored: &StoredSession) -> Value {
    let rules = &here.configuration.gate.sessions.rules;
    let session = Session::compile_login(id, stored, rules, clock::steady());
    json!({
        "id": id.to_string(),
        "created_at": date(stored.record.created),
        "last_seen_at": date(session.last_seen()),
        "expires_at": date(session.authentic().end()),
        "idle_expires_at": date(session.idle_ends()),
    })
}

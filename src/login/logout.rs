//! Ends sessions when their user logs out: this one, all of them, or one on another device.
//!
//! The revocation log, which every gateway follows, and the sessions with their families, in one step of
//! the store; only when that is written is somebody told that they are logged out.

use super::create_session::unavailable;
use super::revocation::{Account, Actor};
use super::{LoginContext, revocation};
use crate::gate::denial::{Denial, Slug};
use crate::gate::session::{Origin, SessionId, StoredSession};
use crate::telemetry::session_end::SessionEnd;
use crate::web::answers;
use crate::web::message::{Answer, Caller};

/// `POST logout`. Who is logged out already is told the same.
pub(super) async fn logout(
    here: &LoginContext<'_>,
    caller: Option<&Caller>,
) -> Result<Answer, Denial> {
    let LoginContext { endpoints, configuration, asked, .. } = here;
    // Without the cookie, which other sites cannot always send, the gate had nothing to look at.
    match configuration.gate.sessions.rules.terms().origins.origin(asked.request) {
        Origin::Permitted | Origin::Unsaid => {}
        Origin::Foreign => return Err(Slug::Csrf.into()),
    }
    if let Some(id) = asked.lost {
        let why = (Actor::Gateway, SessionEnd::Logout);
        endpoints.cut_off_lost(id, asked.client, why, configuration).await?;
    }
    if let Some(caller) = caller {
        let (issuer, subject) = caller.account()?;
        let id = caller.session.id();
        let account = Account::new(issuer, subject, caller.session.authentic().dated());
        let actor = Actor::Subject(subject);
        endpoints
            .cut_off_session(id, Some(&account), actor, SessionEnd::Logout, configuration)
            .await?;
    }
    Ok(gone(here))
}

/// `POST logout-everywhere`: one revocation, however many sessions there are.
///
/// A session that was begun a moment ahead of us would be taken for a new login, and gets an entry of its own: before
/// the others end, and with them the session that asks. Who is not told that it is done can ask again.
pub(super) async fn logout_everywhere(
    here: &LoginContext<'_>,
    caller: &Caller,
) -> Result<Answer, Denial> {
    let LoginContext { endpoints, configuration, .. } = here;
    let (issuer, subject) = caller.account()?;
    let (why, own) = (SessionEnd::LogoutEverywhere, caller.session.id());
    let listed =
        endpoints.services.sessions.of_subject(issuer, subject).await.map_err(unavailable)?;
    endpoints.services.revocations.dated_soon().await;
    let everything = revocation::of_subject(issuer, subject, why, configuration);
    let cut_off = everything.entry.cut_off;
    let ahead = listed.iter().filter(|(_, stored)| stored.record.created > cut_off);
    let (last, first): (Vec<_>, Vec<_>) = ahead.partition(|(id, _)| *id == own);
    let one = |(id, stored): &(SessionId, StoredSession)| {
        let (account, actor) = (Account::of(&stored.record), Actor::Subject(subject));
        revocation::of_session(*id, Some(&account), actor, why, configuration)
    };
    let records = first.into_iter().map(one);
    for record in records.chain([everything]).chain(last.into_iter().map(one)) {
        endpoints.cut_off(record).await?;
    }
    endpoints.count_end(why);
    listed.iter().for_each(|(id, _)| endpoints.services.sessions.forget(*id));
    Ok(gone(here))
}

/// `DELETE sessions/{id}`: one's own only. Whether others have such a session is not told.
pub(super) async fn end(
    here: &LoginContext<'_>,
    caller: &Caller,
    id: SessionId,
) -> Result<Answer, Denial> {
    let LoginContext { endpoints, configuration, .. } = here;
    let (issuer, subject) = caller.account()?;
    if id != caller.session.id() {
        endpoints.budgets.permit_search(caller)?;
    }
    let stored = endpoints.services.sessions.stored(id).await.map_err(unavailable)?;
    let own = stored
        .filter(|stored| *stored.record.issuer == *issuer && *stored.record.subject == *subject);
    let Some(stored) = own else {
        endpoints.budgets.count_stranger(caller)?;
        return Err(Slug::RouteUnknown.into());
    };
    let (account, actor) = (Account::of(&stored.record), Actor::Subject(subject));
    endpoints.cut_off_session(id, Some(&account), actor, SessionEnd::Device, configuration).await?;
    let mut answer = answers::done();
    if id == caller.session.id() {
        answers::clear_cookies(&mut answer, configuration);
    }
    Ok(answer)
}

fn gone(here: &LoginContext<'_>) -> Answer {
    answers::logged_out(here.asked.asker, here.configuration, here.login)
}

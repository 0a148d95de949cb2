//! Ends sessions when their user logs out: this one, all of them, or one on another device.
//!
//! One step of the store writes the revocation log, which every gateway follows, and removes the
//! sessions with their families. The user gets the answer that they are logged out only after that.

use crate::gate::denial::{Denial, Slug};
use crate::gate::session::{Origin, SessionId, StoredSession};
use crate::session::revocation::{self, Account, Actor};
use crate::session::service::SessionContext;
use crate::session::service::unavailable;
use crate::store::session_end::SessionEnd;
use crate::web::answers;
use crate::web::message::{Answer, Caller};

/// `POST logout`. A user who is logged out already gets the same answer.
pub(crate) async fn logout(
    here: &SessionContext<'_>,
    caller: Option<&Caller>,
) -> Result<Answer, Denial> {
    let SessionContext { service, configuration, request, .. } = here;
    // Other sites cannot always send the cookie. Without it, the gate had nothing to check.
    match configuration.gate.sessions.rules.terms().origins.origin(request.head) {
        Origin::Permitted | Origin::Unsaid => {}
        Origin::Foreign => return Err(Slug::Csrf.into()),
    }
    if let Some(id) = request.lost {
        let why = (Actor::Gateway, SessionEnd::Logout);
        service.cut_off_lost(id, request.client, why, configuration).await?;
    }
    if let Some(caller) = caller {
        let (issuer, subject) = caller.account()?;
        let id = caller.session.id();
        let account = Account::new(issuer, subject, caller.session.authentic().dated());
        let actor = Actor::Subject(subject);
        service
            .cut_off_session(id, Some(&account), actor, SessionEnd::Logout, configuration)
            .await?;
    }
    Ok(gone(here))
}

/// `POST logout-everywhere`: one revocation, however many sessions there are.
///
/// The cut-off would take a session that was created on a clock ahead of ours for a new login, so
/// each of these gets an entry of its own. Those entries come before the cut-off, and that of the
/// session that asks comes last: without a confirmation, the user can ask again.
pub(crate) async fn logout_everywhere(
    here: &SessionContext<'_>,
    caller: &Caller,
) -> Result<Answer, Denial> {
    let SessionContext { service, configuration, .. } = here;
    let (issuer, subject) = caller.account()?;
    let (why, own) = (SessionEnd::LogoutEverywhere, caller.session.id());
    let listed = service.feed.of_subject(issuer, subject).await.map_err(unavailable)?;
    service.revocations.dated_soon().await;
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
        service.cut_off(record).await?;
    }
    service.count_end(why);
    listed.iter().for_each(|(id, _)| service.feed.forget(*id));
    Ok(gone(here))
}

/// `DELETE sessions/{id}`: ends only a session of the user's own. The answer does not reveal
/// whether another user has such a session.
pub(crate) async fn end(
    here: &SessionContext<'_>,
    caller: &Caller,
    id: SessionId,
) -> Result<Answer, Denial> {
    let SessionContext { service, configuration, .. } = here;
    let (issuer, subject) = caller.account()?;
    if id != caller.session.id() {
        service.budgets.permit_search(caller)?;
    }
    let stored = service.feed.stored(id).await.map_err(unavailable)?;
    let own = stored
        .filter(|stored| *stored.record.issuer == *issuer && *stored.record.subject == *subject);
    let Some(stored) = own else {
        service.budgets.count_foreign_id(caller)?;
        return Err(Slug::RouteUnknown.into());
    };
    let (account, actor) = (Account::of(&stored.record), Actor::Subject(subject));
    service.cut_off_session(id, Some(&account), actor, SessionEnd::Device, configuration).await?;
    let mut answer = answers::done();
    if id == caller.session.id() {
        answers::clear_cookies(&mut answer, configuration);
    }
    Ok(answer)
}

fn gone(here: &SessionContext<'_>) -> Answer {
    answers::logged_out(here.request.client_kind, here.configuration, here.settings)
}

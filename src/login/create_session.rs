//! Creates a session for a user who has authenticated. Every login gets a new secret, against session
//! fixation (RFC 6265bis §8.4), and the browser's previous session ends.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use http::header;
use zeroize::Zeroizing;

use super::deliver::{Delivered, DeliveryPlan, SessionCookie};
use crate::clock;
use crate::config::Login;
use crate::config::login::LoggedIn;
use crate::gate::denial::{Denial, Slug};
use crate::gate::session::{
    LoginDetails, Session, SessionId, SessionKind, SessionRecord, SessionSecret, StoredSession,
};
use crate::gate::time::UnixTime;
use crate::login::service::LoginContext;
use crate::session::next_second::ask_until_next_second;
use crate::session::revocation::{self, Account, Actor};
use crate::session::service::unavailable;
use crate::store::session::Displaced;
use crate::store::session_end::SessionEnd;

/// How much of `User-Agent` is kept, in bytes.
const USER_AGENT_BYTES_MAX: usize = 256;

/// A session that has begun.
pub(super) struct NewSession {
    pub(super) secret: SessionSecret,
    pub(super) id: SessionId,
    pub(super) record: SessionRecord,
    /// The tokens that come with it, if they were requested.
    pub(super) delivered: Option<Delivered>,
}

/// The tokens with which a session is created.
pub(super) struct RequestedTokens<'a> {
    pub(super) plan: &'a DeliveryPlan<'a>,
    pub(super) scopes: Vec<Box<str>>,
}

/// Creates a session.
///
/// # Errors
///
/// [`Slug::StoreUnavailable`]; [`Slug::SessionRevoked`] for a user who may not log in for now;
/// [`Slug::Internal`] if there is no randomness; and the errors of [`DeliveryPlan::deliver`].
pub(super) async fn create_session(
    here: &LoginContext<'_>,
    name: &str,
    identity: LoggedIn,
    tokens: Option<RequestedTokens<'_>>,
) -> Result<NewSession, Denial> {
    let plan = tokens.as_ref().map(|tokens| tokens.plan);
    // Only a login that sets the cookie replaces the session of the browser's cookie.
    let replaced = match plan.map(|plan| plan.cookie) {
        None | Some(SessionCookie::Set) => replaced(here).await?,
        Some(SessionCookie::NotSet) => None,
    };
    // A client's own tokens have its id as their subject. The user's would look the same.
    let tokens_of = here.configuration.settings.tokens.as_ref();
    if tokens_of.is_some_and(|tokens| tokens.clients.named(&identity.subject).is_some()) {
        tracing::error!(subject = &*identity.subject, "the subject of a login is a client's id");
        return Err(Slug::LoginFailed.into());
    }
    let family = replaced.as_ref().and_then(|replaced| replaced.family_of(&identity, here));
    let mut bits = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *bits).map_err(|_| Slug::Internal)?;
    let secret = SessionSecret::generate(bits, &here.configuration.gate.sessions.tags);
    let id = secret.id();
    let family = family.unwrap_or_else(|| id.to_string().into());
    // A session dated by a clock that runs ahead would outlive cut-offs.
    if !here.service.sessions.revocations.is_dated_soon().await {
        return Err(Slug::StoreUnavailable.into());
    }
    let draft = SessionDraft { here, identity, family, plan };
    let record = draft.record_that_holds(id).await.ok_or(Slug::SessionRevoked)?;
    let service = here.service;
    // The session has its date now: if the user changes after this check, it is cut off with them.
    if !is_still_known(here, name) {
        return Err(Slug::LoginFailed.into());
    }
    write_down(here, id, &record).await?;
    let delivered = match tokens {
        None => None,
        Some(RequestedTokens { plan, scopes }) => match plan.deliver(id, &record, scopes).await {
            Ok(delivered) => Some(delivered),
            Err(denial) => {
                // The client never heard of the session, which would only be in the way.
                drop(service.sessions.feed.end(id).await);
                return Err(denial);
            }
        },
    };
    if let Some(Replaced { id: old, record: was }) = replaced {
        let (actor, why) = (Actor::Subject(&was.subject), SessionEnd::Replaced);
        let account = Account::of(&was);
        let ended =
            service.sessions.cut_off_session(old, Some(&account), actor, why, here.configuration);
        if let Err(denial) = ended.await {
            // The client never heard of the new session, which would only be in the way.
            drop(service.sessions.feed.end(id).await);
            return Err(denial);
        }
    }
    Ok(NewSession { secret, id, record, delivered })
}

/// Writes a session to the store. The sessions that make room for it end everywhere in the same
/// step, whether or not this gateway hears of that.
async fn write_down(
    here: &LoginContext<'_>,
    id: SessionId,
    record: &SessionRecord,
) -> Result<(), Denial> {
    let LoginContext { service, configuration, settings: login, .. } = here;
    let (sessions, why) = (&service.sessions, SessionEnd::Displaced);
    let (account, actor) = (Account::of(record), Actor::Subject(&record.subject));
    let end = revocation::login_end(id, &account, actor, why, configuration);
    let displaced =
        sessions.feed.begin(id, record.clone(), Some(&end)).await.map_err(unavailable)?;
    sessions.feed.metrics().created(login.method.as_str()).inc();
    for Displaced { id, created, end: written } in displaced {
        match written {
            Some(charged) => drop(sessions.revocations.wrote(&end.record_of(id, created), charged)),
            None => {
                tracing::warn!(
                    session = %id,
                    "the revocation list is full: a session that was ended to make room is not in it"
                );
            }
        }
        service.sessions.count_end(why);
    }
    Ok(())
}

/// Whether the configuration in force has the same entry for this name as that of the request. A
/// login takes time, and the configuration of the request may be out of date.
fn is_still_known(here: &LoginContext<'_>, name: &str) -> bool {
    let in_force = here.service.sessions.in_force.load();
    let user = |login: &Login| login.method.users().map(|users| users.0.get(name).cloned());
    in_force.settings.login.as_ref().map(|login| user(login)) == Some(user(here.settings))
}

/// The session that the browser has. An attacker who planted it, or knows it, must not be logged in
/// together with the user.
struct Replaced {
    id: SessionId,
    record: SessionRecord,
}

impl Replaced {
    /// Its family, if it belonged to the same user.
    fn family_of(&self, identity: &LoggedIn, here: &LoginContext<'_>) -> Option<Box<str>> {
        let Self { record, .. } = self;
        let is_same = record.subject == identity.subject && record.issuer == here.settings.issuer;
        record.login().filter(|_| is_same).map(|login| login.family.clone())
    }
}

async fn replaced(here: &LoginContext<'_>) -> Result<Option<Replaced>, Denial> {
    let LoginContext { service, configuration, request, .. } = here;
    let cookie = &configuration.gate.sessions.rules.terms().cookie;
    // A cookie that cannot be read belongs to no session, and the new cookie replaces it.
    let Some(secret) = cookie.find(request.head.headers).ok().flatten() else { return Ok(None) };
    let id = secret.id();
    let stored = service.sessions.feed.stored(id).await.map_err(unavailable)?;
    Ok(stored.map(|StoredSession { record, .. }| Replaced { id, record }))
}

/// A session that is about to be created.
struct SessionDraft<'a> {
    here: &'a LoginContext<'a>,
    identity: LoggedIn,
    family: Box<str>,
    plan: Option<&'a DeliveryPlan<'a>>,
}

impl SessionDraft<'_> {
    /// The record of a session that is not cut off as soon as it begins. Cut-offs count in seconds:
    /// a user who logs out everywhere and in again waits for the second to end. `None` if that does
    /// not help.
    async fn record_that_holds(&self, id: SessionId) -> Option<SessionRecord> {
        let gate = &self.here.configuration.gate;
        let ask = || {
            let record = self.record(clock::shared());
            let stored = StoredSession { last_seen: record.created, record };
            let session = Session::compile(id, &stored, &gate.sessions.rules, clock::steady());
            let is_revoked = session.authentic().is_revoked(&gate.revocations, clock::moment());
            (!is_revoked).then_some(stored.record)
        };
        ask_until_next_second(ask).await
    }

    fn record(&self, now: UnixTime) -> SessionRecord {
        let Self {
            here: LoginContext { configuration, settings: login, request, .. },
            identity,
            family,
            plan,
        } = self;
        let LoggedIn { subject, roles, scopes, claims } = identity.clone();
        let terms = configuration.gate.sessions.rules.terms();
        let address = request.client.map(|client| client.to_canonical().to_string());
        let details = LoginDetails {
            family: family.clone(),
            user_agent: user_agent(request.head.headers),
            address: address.unwrap_or_default().into(),
        };
        let (kind, (ends, idle_s)) = match plan {
            None => {
                (SessionKind::Login(details), (now.plus(terms.lifetime_max_s), terms.idle_max_s))
            }
            Some(plan) => (SessionKind::Tokens(details), plan.bounds(now, terms)),
        };
        SessionRecord {
            kind,
            subject,
            issuer: login.issuer.clone(),
            method: login.method.as_str().into(),
            roles,
            scopes,
            claims,
            created: now,
            ends,
            idle_s,
        }
    }
}

fn user_agent(headers: &http::HeaderMap) -> Box<str> {
    let bytes = headers.get(header::USER_AGENT).map(|value| value.as_bytes()).unwrap_or_default();
    let mut text: String =
        String::from_utf8_lossy(bytes).chars().filter(|letter| !letter.is_control()).collect();
    text.truncate(text.floor_char_boundary(USER_AGENT_BYTES_MAX));
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agent_is_cut_between_characters_and_holds_no_controls() {
        let of = |text: &[u8]| {
            let value = http::HeaderValue::from_bytes(text).expect("a value");
            user_agent(&http::HeaderMap::from_iter([(header::USER_AGENT, value)])).to_string()
        };
        assert_eq!(of("a\tb\u{85}c".as_bytes()), "abc");
        assert_eq!(of("\u{e9}".repeat(128).as_bytes()).len(), USER_AGENT_BYTES_MAX);
        assert_eq!(of(format!("a{}", "\u{e9}".repeat(128)).as_bytes()).len(), 255);
        assert_eq!(of(b"a\xffb"), "a\u{fffd}b");
    }
}

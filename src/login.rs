//! LOG IN. The gateway's own endpoints: who somebody is, a session for that, and its end.
//!
//! ```text
//! POST login ─attempts→ method ─LoggedIn→ session ─Set-Cookie→ browser
//! ```
//!
//! Knows nothing of sockets and of Pingora: a request comes in as [`Asked`], an answer goes out as
//! [`Reply`]. The ways to log in are behind one seam, `method::Finding`.

mod answers;
mod attempts;
mod begin;
mod devices;
pub mod endpoint;
mod enter;
mod form;
mod handoff;
mod leave;
mod method;
mod own;
mod page;
mod password;
mod return_to;
pub mod revocation;
mod sent;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::config::{Configuration, Login};
use crate::feed::revocations::RevocationFeed;
use crate::feed::sessions::SessionFeed;
use crate::gate::denial::{Denial, Slug};
use crate::gate::request::Request;
use crate::gate::session::{Session, SessionId, SessionSecret};
use crate::store::attempts::AttemptLedger;
use crate::store::record::Record;
use crate::telemetry::families::Families;
use crate::telemetry::session_end::SessionEnd;
use endpoint::Endpoint;
use method::Methods;
use page::Page;
use return_to::ReturnTo;

/// The largest body of a request to the gateway itself, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// The longest place to come back to that is accepted, in bytes.
pub const RETURN_TO_BYTES_MAX: usize = return_to::BYTES_MAX;

/// A request to the gateway itself. Its body holds passwords, so it is not to be shown.
pub struct Asked<'a> {
    /// Its head.
    pub request: &'a Request<'a>,
    /// Its body, whole; empty for an endpoint that reads none.
    pub body: Bytes,
    /// The id that it goes by in the logs.
    pub request_id: &'a str,
    /// From where.
    pub client: Option<IpAddr>,
    /// Whether a person looks at the answer: a browser that navigates.
    pub asker: Asker,
    /// Who asks, if the endpoint wants to know.
    pub caller: Option<Caller>,
}

/// Who looks at an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A person, in a browser that navigates.
    Person,
    /// A program, or a page's script.
    Program,
}

/// Somebody who is logged in: admitted by the gate, and no other site's page has sent him.
#[derive(Debug)]
pub struct Caller {
    /// His session.
    pub session: Arc<Session>,
    /// Its secret.
    pub secret: SessionSecret,
}

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// This.
    Answer(Answer),
    /// The answer of the table.
    Denial(Denial),
}

/// An answer. `Cache-Control: no-store` and the like are among its fields.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields, without `Content-Length`.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// Why it is a refusal, if it is one that is told in words of its own.
    pub denial: Option<Slug>,
}

/// The endpoints, shared by all configurations of the process.
#[derive(Debug)]
pub struct Endpoints {
    in_force: Arc<ArcSwap<Configuration>>,
    sessions: Arc<SessionFeed>,
    revocations: Arc<RevocationFeed>,
    attempts: Arc<dyn AttemptLedger>,
    families: Arc<Families>,
    methods: Methods,
}

/// One request, and all that is needed to answer it.
struct Here<'a> {
    endpoints: &'a Endpoints,
    configuration: &'a Configuration,
    login: &'a Login,
    asked: &'a Asked<'a>,
}

impl Endpoints {
    /// The endpoints, with what they write to.
    pub fn new(
        in_force: Arc<ArcSwap<Configuration>>,
        sessions: Arc<SessionFeed>,
        revocations: Arc<RevocationFeed>,
        attempts: Arc<dyn AttemptLedger>,
        families: Arc<Families>,
    ) -> Arc<Self> {
        Arc::new(Self {
            in_force,
            sessions,
            revocations,
            attempts,
            families,
            methods: Methods::new(),
        })
    }

    /// Answers a request to one of them.
    pub async fn answer(
        &self,
        endpoint: &Endpoint,
        mut asked: Asked<'_>,
        configuration: &Configuration,
        login: &Login,
    ) -> Reply {
        let body = std::mem::take(&mut asked.body);
        let here = Here { endpoints: self, configuration, login, asked: &asked };
        // The caller was asked for: without one, somebody forgot to.
        let caller = asked.caller.as_ref().ok_or(Denial::new(Slug::Internal));
        let answered = match (endpoint, caller) {
            (Endpoint::LoginPage, _) => Ok(login_page(&here)),
            (Endpoint::Login, _) => return enter::answer(&here, body).await,
            (Endpoint::Logout, caller) => leave::logout(&here, caller.ok()).await,
            (Endpoint::LogoutEverywhere, Ok(caller)) => {
                leave::logout_everywhere(&here, caller).await
            }
            (Endpoint::Session, Ok(caller)) => own::session(&here, caller).await,
            (Endpoint::Sessions, Ok(caller)) => own::sessions(&here, caller).await,
            (Endpoint::EndSession(id), Ok(caller)) => leave::end(&here, caller, *id).await,
            (
                Endpoint::LogoutEverywhere
                | Endpoint::Session
                | Endpoint::Sessions
                | Endpoint::EndSession(_),
                Err(denial),
            ) => Err(denial),
        };
        answered.map_or_else(Reply::Denial, Reply::Answer)
    }

    /// Ends one session for good, everywhere.
    async fn cut_off_session(
        &self,
        id: SessionId,
        subject: &str,
        why: SessionEnd,
        configuration: &Configuration,
    ) -> Result<(), Denial> {
        self.cut_off(revocation::of_session(id, subject, why, configuration)).await?;
        self.count_end(why);
        // No gateway accepts it any more; what is left of it is dropped when its time has come.
        if let Err(error) = self.sessions.end(id).await {
            tracing::warn!(%error, "a session that was cut off is not deleted");
        }
        Ok(())
    }

    /// Writes a revocation down.
    async fn cut_off(&self, record: Record) -> Result<(), Denial> {
        match self.revocations.append(record).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "a session cannot be ended");
                Err(Slug::StoreUnavailable.into())
            }
        }
    }

    fn count_end(&self, why: SessionEnd) {
        self.families.sessions_ended.with_label_values(&[why.as_str()]).inc();
    }
}

/// `GET login`. A place to go to that is not accepted is left out.
fn login_page(here: &Here<'_>) -> Answer {
    let query = here.asked.request.target.split_once('?').map_or("", |(_, query)| query);
    let pairs = form::parse(query.as_bytes()).unwrap_or_default();
    let mut wanted = pairs.iter().filter(|(name, _)| name == "return_to").map(|(_, value)| value);
    let wanted = wanted.next().filter(|_| wanted.next().is_none());
    let return_to = wanted.and_then(|text| ReturnTo::parse(text, here.login)).unwrap_or_default();
    Page { message: None, name: "", return_to: &return_to }.answer(200, here.login)
}

#[cfg(test)]
mod tests;

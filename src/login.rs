//! LOG IN. The gateway's own endpoints: who somebody is, a session for that, and its end; and the
//! tokens that may come of it.
//!
//! ```text
//! POST login ─attempts→ method ─LoggedIn→ session ─Set-Cookie→ browser
//!                                            └─family→ refresh token ─grant→ access token
//! ```
//!
//! Knows nothing of sockets and of Pingora: a request comes in as [`Asked`], an answer goes out as
//! [`Reply`]. The ways to log in are behind one seam, `finding::Finding`.

mod budgets;
mod create_session;
mod deliver;
mod devices;
pub mod endpoint;
mod finding;
mod grant;
mod handoff;
mod login_endpoint;
mod login_request;
mod logout;
mod method;
mod own_sessions;
mod page;
mod password_file;
mod return_to;
pub mod revocation;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::config::Login;
use crate::feed::revocations::{RevocationFeed, Taken};
use crate::feed::sessions::SessionFeed;
use crate::feed::signing::SigningFeed;
use crate::gate::denial::{Denial, Slug};
use crate::gate::revocation::Scope;
use crate::gate::session::SessionId;
use crate::password::hashing::Hashing;
use crate::runtime::{InForce, Running};
use crate::store::attempts::AttemptLedger;
use crate::store::family::FamilyStore;
use crate::store::record::Record;
use crate::store::{AppendError, StoreError};
use crate::telemetry::families::Families;
use crate::telemetry::session_end::SessionEnd;
use crate::web::form;
use crate::web::message::{Answer, Asked, Reply};
use budgets::Budgets;
use endpoint::{Endpoint, LoginEndpoint};
use grant::{Ending, Issuing, Memory, Secrets, Standstill};
use method::Methods;
use page::Page;
use return_to::ReturnTo;
use revocation::{Account, Actor};

/// The longest place to come back to that is accepted, in bytes.
pub const RETURN_TO_BYTES_MAX: usize = return_to::BYTES_MAX;

/// The endpoints, shared by all configurations of the process.
#[derive(Debug)]
pub struct Endpoints {
    services: LoginServices,
    methods: Methods,
    /// The secrets of clients that were found right.
    secrets: Secrets,
    /// The logins whose end is being written down.
    ending: Arc<Ending>,
    /// What is remembered of exchanges.
    memory: Memory,
    /// Whether what is read now may have come long before.
    standstill: Standstill,
    /// How often somebody asked about sessions.
    budgets: Budgets,
}

/// What the endpoints read and write.
#[derive(Clone, Debug)]
pub struct LoginServices {
    /// The configuration in force.
    pub in_force: InForce,
    /// Who is logged in.
    pub sessions: Arc<SessionFeed>,
    /// Who is cut off.
    pub revocations: Arc<RevocationFeed>,
    /// With which keys tokens are signed.
    pub signing: Arc<SigningFeed>,
    /// How often somebody tried.
    pub attempts: Arc<dyn AttemptLedger>,
    /// Which refresh tokens are good.
    pub refresh_families: Arc<dyn FamilyStore>,
    /// How many logins may wait for an identity service at once.
    pub hand_offs_max: usize,
    /// Counters.
    pub families: Arc<Families>,
}

/// A request about logins, and all that is needed to answer it.
struct LoginContext<'a> {
    endpoints: &'a Endpoints,
    configuration: &'a Running,
    login: &'a Login,
    asked: &'a Asked<'a>,
}

impl Endpoints {
    /// The endpoints, with what they read and write.
    pub fn new(services: LoginServices) -> Arc<Self> {
        let hashing = Arc::new(Hashing::new());
        let methods = Methods::new(hashing.clone(), services.hand_offs_max);
        Arc::new(Self {
            services,
            methods,
            secrets: Secrets::new(hashing),
            ending: Arc::default(),
            memory: Memory::default(),
            standstill: Standstill::default(),
            budgets: Budgets::new(),
        })
    }

    /// Watches for ever whether the gateway stands still; where requests are read.
    pub async fn watch(self: Arc<Self>) {
        self.standstill.watch().await;
    }

    /// Answers a request to one of them.
    pub async fn answer(
        &self,
        endpoint: &Endpoint,
        mut asked: Asked<'_>,
        configuration: &Running,
    ) -> Reply {
        let body = std::mem::take(&mut asked.body);
        match endpoint {
            Endpoint::Login(endpoint) => {
                let Some(login) = &configuration.settings.login else {
                    return Reply::Denial(Slug::RouteUnknown.into());
                };
                let here = LoginContext { endpoints: self, configuration, login, asked: &asked };
                self.answer_login(&here, endpoint, body).await
            }
            Endpoint::Token(endpoint) => match Issuing::of(self, configuration, &asked) {
                Some(here) => Reply::Answer(grant::answer(&here, *endpoint, body).await),
                None => Reply::Denial(Slug::RouteUnknown.into()),
            },
        }
    }

    async fn answer_login(
        &self,
        here: &LoginContext<'_>,
        endpoint: &LoginEndpoint,
        body: Bytes,
    ) -> Reply {
        // The caller was asked for: without one, somebody forgot to.
        let caller = here.asked.caller.as_ref().ok_or(Denial::new(Slug::Internal));
        let answered = match (endpoint, caller) {
            (LoginEndpoint::LoginPage, _) => Ok(login_page(here)),
            (LoginEndpoint::Login, _) => return login_endpoint::answer(here, body).await,
            (LoginEndpoint::Logout, caller) => logout::logout(here, caller.ok()).await,
            (LoginEndpoint::LogoutEverywhere, Ok(caller)) => {
                logout::logout_everywhere(here, caller).await
            }
            (LoginEndpoint::Session, Ok(caller)) => own_sessions::session(here, caller).await,
            (LoginEndpoint::Sessions, Ok(caller)) => own_sessions::sessions(here, caller).await,
            (LoginEndpoint::EndSession(id), Ok(caller)) => logout::end(here, caller, *id).await,
            (
                LoginEndpoint::LogoutEverywhere
                | LoginEndpoint::Session
                | LoginEndpoint::Sessions
                | LoginEndpoint::EndSession(_),
                Err(denial),
            ) => Err(denial),
        };
        answered.map_or_else(Reply::Denial, Reply::Answer)
    }

    /// Ends one session for good, everywhere.
    async fn cut_off_session(
        &self,
        id: SessionId,
        account: Option<&Account>,
        actor: Actor<'_>,
        why: SessionEnd,
        configuration: &Running,
    ) -> Result<(), Denial> {
        self.cut_off(revocation::of_session(id, account, actor, why, configuration)).await?;
        self.count_end(why);
        self.services.sessions.forget(id);
        Ok(())
    }

    /// Ends a login that the store does not have, so that it stays so: the store may be an earlier
    /// state of itself, or a server that was deposed, and get it back.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] for a client with too many of them, as nobody's account bounds these.
    async fn cut_off_lost(
        &self,
        id: SessionId,
        client: Option<IpAddr>,
        (actor, why): (Actor<'_>, SessionEnd),
        configuration: &Running,
    ) -> Result<(), Denial> {
        if configuration.gate.revocations.names(&Scope::Session(id.to_string().into())) {
            return Ok(());
        }
        self.budgets.count_lost(client)?;
        let record = revocation::of_lost_session(id, actor, why, configuration);
        self.told(self.services.revocations.append_for_nobody(record).await)?;
        self.services.sessions.forget(id);
        Ok(())
    }

    /// Writes a revocation down.
    async fn cut_off(&self, record: Record) -> Result<(), Denial> {
        self.told(self.services.revocations.append(record).await)
    }

    fn told(&self, taken: Result<Taken, AppendError>) -> Result<(), Denial> {
        match taken {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "a session or token cannot be ended");
                Err(Slug::StoreUnavailable.into())
            }
        }
    }

    fn count_end(&self, why: SessionEnd) {
        self.services.families.sessions_ended.with_label_values(&[why.as_str()]).inc();
    }
}

impl LoginServices {
    /// What a store answers, timed.
    async fn timed<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let done = work.await;
        self.families.store_answered(operation, done.is_ok(), begun.elapsed());
        done
    }
}

/// `GET login`. A place to go to that is not accepted is left out.
fn login_page(here: &LoginContext<'_>) -> Answer {
    let query = here.asked.request.target.split_once('?').map_or("", |(_, query)| query);
    let pairs = form::parse(query.as_bytes()).unwrap_or_default();
    let mut wanted = pairs.iter().filter(|(name, _)| name == "return_to").map(|(_, value)| value);
    let wanted = wanted.next().filter(|_| wanted.next().is_none());
    let return_to = wanted.and_then(|text| ReturnTo::parse(text, here.login)).unwrap_or_default();
    Page { message: None, name: "", return_to: &return_to }.answer(200, here.login)
}

#[cfg(test)]
mod tests;

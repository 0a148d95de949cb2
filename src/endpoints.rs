//! ANSWER. The gateway's own endpoints: path and method → handler.
//!
//! ```text
//! POST login ─attempts→ method ─LoggedIn→ session ─Set-Cookie→ browser
//!                                            └─family→ refresh token ─grant→ access token
//! ```
//!
//! It knows nothing of sockets and of Pingora: a request comes in as [`EndpointRequest`], and a
//! response goes out as [`Reply`].

pub mod table;

use std::sync::Arc;

use bytes::Bytes;

use crate::feed::metrics::StoreMetrics;
use crate::feed::revocations::RevocationFeed;
use crate::feed::sessions::SessionFeed;
use crate::feed::signing::SigningFeed;
use crate::gate::denial::{Denial, Slug};
use crate::login;
use crate::login::metrics::LoginMetrics;
use crate::login::service::{LoginContext, LoginService};
use crate::oauth;
use crate::oauth::metrics::TokenMetrics;
use crate::oauth::service::{TokenContext, TokenService, TokenStores};
use crate::password::hashing::Hashing;
use crate::runtime::{InForce, Running};
use crate::session::service::{SessionContext, SessionService};
use crate::session::{logout, own_sessions};
use crate::store::attempts::AttemptLedger;
use crate::store::family::FamilyStore;
use crate::store::one_time::OneTimeStore;
use crate::web::message::{Answer, EndpointRequest, Reply};
use table::{Endpoint, LoginEndpoint, TokenEndpoint};

/// The endpoints, shared by all configurations of the process.
#[derive(Debug)]
pub struct Endpoints {
    login: LoginService,
    sessions: Arc<SessionService>,
    tokens: Arc<TokenService>,
}

/// What the endpoints read and write.
#[derive(Debug)]
pub struct EndpointServices {
    /// The configuration in force.
    pub in_force: InForce,
    /// The sessions.
    pub sessions: Arc<SessionFeed>,
    /// The revocations.
    pub revocations: Arc<RevocationFeed>,
    /// The keys that sign tokens.
    pub signing: Arc<SigningFeed>,
    /// The attempts to log in or authenticate.
    pub attempts: Arc<dyn AttemptLedger>,
    /// The refresh tokens that are valid.
    pub refresh_families: Arc<dyn FamilyStore>,
    /// The values that may be used once, and have been.
    pub one_time: Arc<dyn OneTimeStore>,
    /// How many logins may wait for an identity service at once.
    pub hand_offs_max: usize,
    /// Metrics of logins.
    pub login_metrics: LoginMetrics,
    /// Metrics of token requests.
    pub token_metrics: TokenMetrics,
    /// Metrics of the store.
    pub store_metrics: StoreMetrics,
}

impl Endpoints {
    /// The endpoints, with what they read and write.
    pub fn new(services: EndpointServices) -> Arc<Self> {
        let EndpointServices {
            in_force,
            sessions,
            revocations,
            signing,
            attempts,
            refresh_families,
            one_time,
            hand_offs_max,
            login_metrics,
            token_metrics,
            store_metrics,
        } = services;
        let hashing = Arc::new(Hashing::new());
        let sessions = Arc::new(SessionService::new(in_force, sessions, revocations));
        let tokens = TokenService::new(
            sessions.clone(),
            signing,
            TokenStores { attempts: attempts.clone(), refresh_families, one_time },
            hashing.clone(),
            token_metrics,
            store_metrics,
        );
        let tokens = Arc::new(tokens);
        let login = LoginService::new(
            sessions.clone(),
            tokens.clone(),
            attempts,
            hashing,
            hand_offs_max,
            login_metrics,
        );
        Arc::new(Self { login, sessions, tokens })
    }

    /// Watches for ever whether the gateway stalls. It runs where requests are read.
    pub async fn watch(self: Arc<Self>) {
        self.tokens.standstill.watch().await;
    }

    /// Answers a request to one of the endpoints.
    pub async fn answer(
        &self,
        endpoint: &Endpoint,
        mut request: EndpointRequest<'_>,
        configuration: &Running,
    ) -> Reply {
        let body = std::mem::take(&mut request.body);
        match endpoint {
            Endpoint::Login(endpoint) => {
                self.answer_login(endpoint, &request, body, configuration).await
            }
            Endpoint::Token(endpoint) => {
                match TokenContext::of(&self.tokens, configuration, &request) {
                    Some(here) => Reply::Answer(answer_token(&here, *endpoint, body).await),
                    None => Reply::Denial(Slug::RouteUnknown.into()),
                }
            }
        }
    }

    async fn answer_login(
        &self,
        endpoint: &LoginEndpoint,
        request: &EndpointRequest<'_>,
        body: Bytes,
        configuration: &Running,
    ) -> Reply {
        let Some(login) = &configuration.settings.login else {
            return Reply::Denial(Slug::RouteUnknown.into());
        };
        let login_here =
            LoginContext { service: &self.login, configuration, settings: login, request };
        let here =
            SessionContext { service: &self.sessions, configuration, settings: login, request };
        // For an endpoint that requires a caller, the gate has found one. If there is none, the
        // gate was not asked, which is a defect.
        let caller = request.caller.as_ref().ok_or(Denial::new(Slug::Internal));
        let answered = match (endpoint, caller) {
            (LoginEndpoint::LoginPage, _) => Ok(login::page::answer(&login_here)),
            (LoginEndpoint::Login, _) => {
                return login::login_endpoint::answer(&login_here, body).await;
            }
            (LoginEndpoint::Logout, caller) => logout::logout(&here, caller.ok()).await,
            (LoginEndpoint::LogoutEverywhere, Ok(caller)) => {
                logout::logout_everywhere(&here, caller).await
            }
            (LoginEndpoint::Session, Ok(caller)) => own_sessions::session(&here, caller).await,
            (LoginEndpoint::Sessions, Ok(caller)) => own_sessions::sessions(&here, caller).await,
            (LoginEndpoint::EndSession(id), Ok(caller)) => logout::end(&here, caller, *id).await,
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
}

async fn answer_token(here: &TokenContext<'_>, endpoint: TokenEndpoint, body: Bytes) -> Answer {
    let answered = match endpoint {
        TokenEndpoint::Token => oauth::token::answer(here, body).await,
        TokenEndpoint::Logout => oauth::logout::answer(here).await,
        TokenEndpoint::Revoke => oauth::revoke::answer(here, body).await,
        TokenEndpoint::Introspect => oauth::introspect::answer(here, body).await,
        TokenEndpoint::Keys => oauth::metadata::keys(here),
        TokenEndpoint::Metadata => Ok(oauth::metadata::answer(here)),
    };
    answered.unwrap_or_else(|refusal| refusal.answer(&here.configuration.settings.realm))
}

#[cfg(test)]
mod tests;

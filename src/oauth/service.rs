//! Holds what the token endpoints need.

use std::sync::Arc;

use crate::config::Tokens;
use crate::feed::metrics::StoreMetrics;
use crate::feed::signing::SigningFeed;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::oauth::ending_logins::EndingLogins;
use crate::oauth::metrics::TokenMetrics;
use crate::oauth::recent_exchanges::RecentExchanges;
use crate::oauth::secrets::Secrets;
use crate::oauth::standstill::Standstill;
use crate::password::hashing::Hashing;
use crate::rate_budget::RateBudget;
use crate::runtime::Running;
use crate::session::service::SessionService;
use crate::store::attempts::AttemptLedger;
use crate::store::family::FamilyStore;
use crate::store::one_time::OneTimeStore;
use crate::web::context::EndpointContext;
use crate::web::message::EndpointRequest;

/// How many assertions of a client a minute: each is kept so that it cannot be used again.
const ASSERTIONS_MAX: u32 = 600;

/// What the token endpoints read and write; shared by all configurations of the process.
#[derive(Debug)]
pub(crate) struct TokenService {
    /// Ends logins.
    pub(crate) sessions: Arc<SessionService>,
    /// The keys that sign tokens.
    pub(crate) signing: Arc<SigningFeed>,
    /// Counts attempts of clients to authenticate.
    pub(crate) attempts: Arc<dyn AttemptLedger>,
    /// Which refresh tokens are good.
    pub(crate) refresh_families: Arc<dyn FamilyStore>,
    /// Which assertions were used.
    pub(super) one_time: Arc<dyn OneTimeStore>,
    /// What clients ask for.
    pub(super) metrics: TokenMetrics,
    /// How the store answers.
    pub(crate) store_metrics: StoreMetrics,
    /// The secrets of clients that were found right.
    pub(super) secrets: Secrets,
    /// The logins whose end is being written down.
    pub(super) ending_logins: Arc<EndingLogins>,
    /// What is remembered of exchanges.
    pub(super) recent_exchanges: RecentExchanges,
    /// Tells whether a request that is read now may have arrived long before.
    pub(crate) standstill: Standstill,
    /// How many assertions clients have used lately.
    assertions: RateBudget<Box<str>>,
}

/// What the token endpoints keep in the store.
#[derive(Debug)]
pub(crate) struct TokenStores {
    pub(crate) attempts: Arc<dyn AttemptLedger>,
    pub(crate) refresh_families: Arc<dyn FamilyStore>,
    pub(crate) one_time: Arc<dyn OneTimeStore>,
}

impl TokenService {
    /// What the token endpoints need, at the start of the process.
    pub(crate) fn new(
        sessions: Arc<SessionService>,
        signing: Arc<SigningFeed>,
        stores: TokenStores,
        hashing: Arc<Hashing>,
        metrics: TokenMetrics,
        store_metrics: StoreMetrics,
    ) -> Self {
        let TokenStores { attempts, refresh_families, one_time } = stores;
        Self {
            sessions,
            signing,
            attempts,
            refresh_families,
            one_time,
            metrics,
            store_metrics,
            secrets: Secrets::new(hashing),
            ending_logins: Arc::default(),
            recent_exchanges: RecentExchanges::default(),
            standstill: Standstill::default(),
            assertions: RateBudget::new(ASSERTIONS_MAX),
        }
    }

    /// Counts an assertion that is about to be kept.
    ///
    /// # Errors
    ///
    /// [`Slug::RateLimited`] if it is one too many.
    pub(super) fn count_assertion(&self, client: &str) -> Result<(), Denial> {
        let client = client.into();
        if let Some(seconds) = self.assertions.spent(&client) {
            return Err(Denial::with(Slug::RateLimited, Detail::RetryAfter(seconds)));
        }
        self.assertions.spend(client);
        Ok(())
    }
}

/// What tokens are issued for, as metrics have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantKind {
    /// A user logged in.
    Login,
    /// RFC 6749 §6.
    RefreshToken,
    /// RFC 6749 §4.4.
    ClientCredentials,
}

impl GrantKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// A request about tokens, and everything that is needed to answer it.
pub(crate) type TokenContext<'a> = EndpointContext<'a, TokenService, Tokens>;

impl<'a> TokenContext<'a> {
    /// A request, if tokens are issued here.
    pub(crate) fn of(
        service: &'a TokenService,
        configuration: &'a Running,
        request: &'a EndpointRequest<'a>,
    ) -> Option<Self> {
        let settings = configuration.settings.tokens.as_deref()?;
        Some(Self { service, configuration, settings, request })
    }

    /// The URL of one of the endpoints below the base.
    pub(super) fn url(&self, below: &str) -> String {
        let base = self.configuration.gate.settings.own_base.as_deref().unwrap_or_default();
        format!("{}{base}{below}", self.settings.origin)
    }

    /// The audiences by which an assertion may name this gateway: the issuer, and the URLs where
    /// clients authenticate.
    pub(super) fn names(&self) -> [String; 4] {
        let issuer = self.settings.issuer.to_string();
        [issuer, self.url("/token"), self.url("/revoke"), self.url("/introspect")]
    }

    /// How old the revocation list may be, in milliseconds. What is issued lives on, so the limits
    /// of routes do not apply.
    pub(super) fn list_age_max_ms(&self) -> u64 {
        let age = self.configuration.settings.revocation.max_staleness;
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts a token that was issued.
    pub(crate) fn count_issued(&self, kind: &'static str, grant: GrantKind) {
        self.service.signing.metrics().issued(kind, grant.as_str());
    }
}

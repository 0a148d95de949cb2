//! Holds what logging in needs.

use std::sync::Arc;

use super::metrics::LoginMetrics;
use super::password_methods::PasswordMethods;
use crate::config::Login;
use crate::oauth::service::TokenService;
use crate::password::hashing::Hashing;
use crate::session::service::SessionService;
use crate::store::attempts::AttemptLedger;
use crate::web::context::EndpointContext;

/// What logins read and write; shared by all configurations of the process.
#[derive(Debug)]
pub(crate) struct LoginService {
    /// Ends the session that a login replaces.
    pub(crate) sessions: Arc<SessionService>,
    /// Issues the tokens that a login asks for.
    pub(crate) tokens: Arc<TokenService>,
    /// Counts attempts to log in.
    pub(crate) attempts: Arc<dyn AttemptLedger>,
    /// The metrics.
    pub(super) metrics: LoginMetrics,
    /// The login methods.
    pub(super) methods: PasswordMethods,
}

/// A login, and everything that is needed for it.
pub(crate) type LoginContext<'a> = EndpointContext<'a, LoginService, Login>;

impl LoginService {
    /// `hand_offs_max` is how many logins may wait for an identity service at once.
    pub(crate) fn new(
        sessions: Arc<SessionService>,
        tokens: Arc<TokenService>,
        attempts: Arc<dyn AttemptLedger>,
        hashing: Arc<Hashing>,
        hand_offs_max: usize,
        metrics: LoginMetrics,
    ) -> Self {
        let methods = PasswordMethods::new(hashing, hand_offs_max);
        Self { sessions, tokens, attempts, metrics, methods }
    }
}

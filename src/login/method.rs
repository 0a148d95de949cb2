//! The seam between the ways to log in and what comes of it: whichever it is, it finds out who
//! somebody is, or not, and knows nothing of sessions.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::handoff::{Clients, Service};
use super::hashing::Hashing;
use super::login_request::Credentials;
use super::password;
use crate::config::login::{LoggedIn, LoginMethod};
use crate::gate::denial::{Denial, Slug};
use crate::upstream::Upstream;

/// What the ways to log in need beside their configuration, shared by all configurations.
#[derive(Debug)]
pub(super) struct Methods {
    hashing: Arc<Hashing>,
    clients: Clients,
}

/// What came of credentials.
#[derive(Debug)]
pub(super) enum Finding {
    /// They are somebody's.
    LoggedIn(LoggedIn),
    /// They are nobody's.
    Refused(RefusalMessage),
    /// Nobody looked at them: there were too many. When to come again, in seconds.
    Limited(u32),
    /// Nobody could say, or nobody looked.
    Undecided(Denial),
    /// Somebody said something that is no answer.
    Unintelligible(Slug),
}

/// The words in which somebody is refused.
#[derive(Debug)]
pub(super) enum RefusalMessage {
    /// Ours.
    Gateway,
    /// Those of an identity service.
    Service(ServiceRefusal),
}

/// What an identity service says when it refuses.
#[derive(Debug)]
pub(super) struct ServiceRefusal {
    /// The status, 4xx.
    pub(super) status: u16,
    /// `Content-Type`.
    pub(super) kind: HeaderValue,
    /// The body.
    pub(super) body: Bytes,
}

/// Who sends credentials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    /// The client's address.
    pub(super) client: Option<IpAddr>,
    /// The id of the request.
    pub(super) request_id: Option<&'a HeaderValue>,
}

impl Methods {
    pub(super) fn new(hashing: Arc<Hashing>, hand_offs_max: usize) -> Self {
        Self { hashing, clients: Clients::new(hand_offs_max) }
    }

    /// Finds out whose credentials these are.
    pub(super) async fn verify(
        &self,
        method: &LoginMethod,
        upstreams: &[Arc<Upstream>],
        credentials: &Credentials,
        sender: Sender<'_>,
    ) -> Finding {
        match method {
            LoginMethod::PasswordFile(users) => {
                password::verify(&self.hashing, users, credentials, sender.client).await
            }
            LoginMethod::HandOff(settings) => match upstreams.get(settings.upstream) {
                Some(upstream) => {
                    self.clients.ask(Service { settings, upstream }, credentials, sender).await
                }
                None => Finding::Undecided(Slug::Internal.into()),
            },
        }
    }
}

//! How far a request has come, and what is known of it there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header};
use pingora::http::RequestHeader;

use super::client::RequestClient;
use super::forward::IdentityToken;
use super::pingora_lane::given_connection::GivenConnection;
use super::revocation_sweep::ServingGuard;
use super::trace::RequestId;
use crate::gate::policy::Permit;
use crate::upstream::Upstream;

/// How far a request has come. Each state holds what is known there, and nothing that is not.
#[derive(Debug, Default)]
#[expect(clippy::large_enum_variant, reason = "it stands in the box of its context")]
pub(super) enum ExchangeState {
    /// Nothing of it was looked at.
    #[default]
    New,
    /// Its head was read. It is being decided on, was refused, or is answered by the gateway itself.
    Received(RequestOrigin),
    /// It may go to its upstream.
    Permitted(UpstreamExchange),
}

/// Where a request comes from.
#[derive(Debug)]
pub(super) struct RequestOrigin {
    pub(super) client: RequestClient,
    pub(super) request_id: RequestId,
}

/// A request that may go to its upstream: there is a permit.
#[derive(Debug)]
pub(super) struct UpstreamExchange {
    pub(super) origin: RequestOrigin,
    pub(super) permit: Permit,
    /// Where the permit leads.
    pub(super) upstream: Arc<Upstream>,
    /// The token that tells the upstream who the caller is, in its header.
    pub(super) identity_token: Option<IdentityToken>,
    /// Whether a session or an API key was permitted, whose answers no shared cache may keep.
    pub(super) is_of_session: bool,
    /// By what the request is given up when its principal lapses; `None` without a principal.
    pub(super) revocable: Option<RevocableExchange>,
    /// How often an address was chosen.
    pub(super) tries: usize,
    /// The last try, once there was one.
    pub(super) attempt: Option<UpstreamAttempt>,
}

/// A request that is given up when its principal lapses.
#[derive(Debug)]
pub(super) struct RevocableExchange {
    pub(super) guard: ServingGuard,
    /// What is logged of it then, if there is a log.
    pub(super) logged: Option<LoggedRequest>,
}

/// What is logged of a request as it was received. Copied without its bytes.
#[derive(Debug)]
pub(super) struct LoggedRequest {
    pub(super) method: Method,
    pub(super) host: Option<HeaderValue>,
    pub(super) target: LoggedTarget,
}

/// What a request asked for, in the form in which its lane has it.
#[derive(Debug)]
pub(super) enum LoggedTarget {
    /// As Pingora parsed it.
    Uri(Uri),
    /// As it stood in the request line.
    Line(Bytes),
}

/// One try to have a request answered by one address of its upstream.
#[derive(Debug)]
pub(super) struct UpstreamAttempt {
    pub(super) address: SocketAddr,
    /// When the address was chosen.
    pub(super) chosen: Instant,
    /// How long it took from then to the first head of an answer, once there is one.
    pub(super) answered_after: Option<Duration>,
    /// The connection that Pingora was given for it.
    pub(super) connection: Option<Arc<GivenConnection>>,
}

impl ExchangeState {
    /// Where the request comes from, once its head was looked at.
    pub(super) fn origin(&self) -> Option<&RequestOrigin> {
        match self {
            Self::New => None,
            Self::Received(origin) => Some(origin),
            Self::Permitted(exchange) => Some(&exchange.origin),
        }
    }

    /// A request that was permitted goes to no upstream.
    pub(super) fn withdraw(&mut self) {
        if let Self::Permitted(exchange) = std::mem::take(self) {
            *self = Self::Received(exchange.origin);
        }
    }

    /// The exchange with the upstream, if the request may go there.
    pub(super) fn permitted(&self) -> Option<&UpstreamExchange> {
        match self {
            Self::Permitted(exchange) => Some(exchange),
            Self::New | Self::Received(_) => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn permitted_mut(&mut self) -> Option<&mut UpstreamExchange> {
        match self {
            Self::Permitted(exchange) => Some(exchange),
            Self::New | Self::Received(_) => None,
        }
    }
}

impl UpstreamAttempt {
    /// Whether its connection was a kept one on which nothing was answered.
    pub(super) fn was_dead(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.was_dead())
    }
}

impl UpstreamExchange {
    /// The `Host` that the upstream gets for a request without one. Empty before the first try.
    pub(super) fn upstream_host(&self) -> String {
        let address = self.attempt.as_ref().map(|attempt| attempt.address);
        address.map_or(String::new(), |address| self.upstream.host_at(address))
    }
}

impl LoggedRequest {
    /// A permitted request, whose target is a path.
    pub(super) fn of(request: &RequestHeader) -> Self {
        Self {
            method: request.method.clone(),
            host: request.headers.get(header::HOST).cloned(),
            target: LoggedTarget::Uri(request.uri.clone()),
        }
    }
}

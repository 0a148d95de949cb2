//! The answer of a login method to credentials, and their sender.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderValue;

use crate::config::login::LoggedIn;
use crate::gate::denial::{Denial, Slug};

/// What a login method decided about credentials.
#[derive(Debug)]
pub(super) enum LoginOutcome {
    /// They belong to this user.
    LoggedIn(LoggedIn),
    /// They belong to no user.
    Refused(RefusalMessage),
    /// They were not checked, because there were too many. When to try again, in seconds.
    Limited(u32),
    /// They could not be judged, or were not checked.
    Undecided(Denial),
    /// The service's answer could not be understood.
    Unintelligible(Slug),
}

/// The words of a refusal.
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

/// The sender of credentials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    /// The client's address.
    pub(super) client: Option<IpAddr>,
    /// The id of the request.
    pub(super) request_id: Option<&'a HeaderValue>,
}

//! What a login method says of credentials, and who sent them.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderValue;

use crate::config::login::LoggedIn;
use crate::gate::denial::{Denial, Slug};

/// What came of credentials.
#[derive(Debug)]
pub(super) enum LoginOutcome {
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

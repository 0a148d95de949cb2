//! Requests that two servers could read differently: they end at the gateway.

mod bodies;
mod heads;
mod noise;
mod pipelines;

use std::time::Duration;

use crate::harness::client::{Answer, Connection};
use crate::harness::gateway::{self, Gateway};
use crate::harness::upstream::{Behaviour, Upstream};

/// A request that must never be seen behind the gateway: it only ever stands where another
/// request's body, or the end of one, should be.
pub(super) const SMUGGLED: &str = "GET /public/smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

/// How soon a connection that is given up must be closed.
pub(super) const PROMPTLY: Duration = Duration::from_secs(5);

/// A gateway, and the upstream that it keeps from harm.
pub(super) struct GuardedUpstream {
    pub(super) upstream: Upstream,
    pub(super) gateway: Gateway,
}

impl GuardedUpstream {
    /// With the standard configuration.
    pub(super) fn build() -> Self {
        Self::build_with(gateway::standard)
    }

    pub(super) fn build_with(configuration: impl FnOnce(&Upstream) -> String) -> Self {
        let upstream = Upstream::start_with(Behaviour::Mirror);
        let gateway = Gateway::start(&configuration(&upstream));
        Self { upstream, gateway }
    }

    pub(super) fn connect(&self) -> Connection {
        Connection::open(self.gateway.address())
    }

    /// Sends bytes on a connection of their own, and asserts that they are answered so, and that
    /// nothing reaches the upstream. Returns the connection.
    #[track_caller]
    pub(super) fn denies(
        &self,
        bytes: impl AsRef<[u8]>,
        status: u16,
        slug: &str,
    ) -> (Connection, Answer) {
        let bytes = bytes.as_ref();
        let reached = self.upstream.received().len();
        let mut connection = self.connect();
        connection.send(bytes);
        let answer = connection.answer();
        let answer = answer.unwrap_or_else(|| panic!("no answer to {}", shown(bytes)));
        assert_eq!(answer.status, status, "{} was answered {answer:?}", shown(bytes));
        assert_eq!(answer.slug(), slug, "{}", shown(bytes));
        assert_eq!(self.upstream.received().len(), reached, "{} was forwarded", shown(bytes));
        (connection, answer)
    }

    /// The same, for bytes after which nobody can say where the next request begins: the
    /// connection must be closed too.
    #[track_caller]
    pub(super) fn cuts_off(&self, bytes: impl AsRef<[u8]>, status: u16, slug: &str) {
        let bytes = bytes.as_ref();
        let (mut connection, answer) = self.denies(bytes, status, slug);
        assert_eq!(answer.field("connection"), Some("close"), "{}", shown(bytes));
        assert!(connection.is_closed_within(PROMPTLY), "{} left it open", shown(bytes));
    }

    /// Sends bytes on a connection of their own, and asserts that they are answered 200.
    #[track_caller]
    pub(super) fn forwards(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let answer = self.connect().exchange(bytes.as_ref());
        assert_eq!(answer.status, 200, "{} was answered {answer:?}", shown(bytes.as_ref()));
        answer
    }

    /// Asserts that the smuggled request was not seen behind the gateway.
    #[track_caller]
    pub(super) fn kept_out(&self) {
        for received in self.upstream.received() {
            assert!(!received.line().contains("/smuggled"), "smuggled: {received:?}");
        }
    }
}

/// Bytes as they are shown when an assertion fails.
pub(super) fn shown(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(300)];
    format!("{:?}", String::from_utf8_lossy(start))
}

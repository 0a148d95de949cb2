//! What reaches the upstream, and what does not.

mod identity;
mod message;
mod provenance;
mod trace;

use std::collections::BTreeSet;

use crate::harness::client::{Answer, get};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::tokens::bearer;
use crate::harness::upstream::{Received, Upstream};

/// A gateway and what is behind it.
struct ForwardingGateway {
    upstream: Upstream,
    gateway: Gateway,
}

impl ForwardingGateway {
    fn start() -> Self {
        Self::start_with(str::to_owned)
    }

    /// The standard configuration, changed.
    fn start_with(change: impl FnOnce(&str) -> String) -> Self {
        let upstream = Upstream::start();
        let gateway = Gateway::start(&change(&standard(&upstream)));
        Self { upstream, gateway }
    }

    /// Sends a request that must be permitted, and returns what the upstream received.
    fn forward(&self, request: impl AsRef<[u8]>) -> Received {
        self.exchange(request).0
    }

    fn exchange(&self, request: impl AsRef<[u8]>) -> (Received, Answer) {
        let answer = self.gateway.exchange(request);
        assert_eq!(answer.status, 200, "{answer:?}");
        (self.upstream.last(), answer)
    }

    /// Gets a path with a token and more header lines.
    fn get_as(&self, path: &str, token: &str, more: &[(&str, &str)]) -> Received {
        let bearer = bearer(token);
        let mut fields = vec![("Authorization", bearer.as_str())];
        fields.extend_from_slice(more);
        self.forward(get(path, &fields))
    }
}

/// The standard configuration with these lines added at its beginning.
fn with(lines: &str) -> impl FnOnce(&str) -> String {
    move |standard| format!("{lines}\n{standard}")
}

/// What separates the words of a header name to some server: all that RFC 9110 §5.6.2 lets stand
/// in a name and that is neither letter nor digit.
const SEPARATORS: &str = "!#$%&'*+-.^_`|~";

/// `name` in every spelling that some server takes for it: with each separator, in another case,
/// and with the separators mixed.
fn spellings(name: &str) -> BTreeSet<String> {
    let mut spellings = BTreeSet::from([name.to_owned()]);
    for separator in SEPARATORS.chars() {
        spellings.insert(name.replace('-', &separator.to_string()));
        spellings.insert(name.replacen('-', &separator.to_string(), 1).to_uppercase());
    }
    spellings.insert(name.to_lowercase());
    spellings
}

/// Whether any header line of `received`, but for the credential, holds `text`.
fn mentions(received: &Received, text: &str) -> bool {
    received.head.split("\r\n").skip(1).any(|line| line.contains(text))
}

//! Who sent a request, as far as the trusted proxies tell.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use crate::gate::request::Scheme;

/// How many hops of `X-Forwarded-For` are looked at.
const HOPS_MAX: usize = 32;

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestClient {
    /// Who opened the connection.
    pub(super) peer: Option<IpAddr>,
    /// Who sent the request.
    pub(super) address: Option<IpAddr>,
    /// Whether the peer's word on forwarded requests is taken.
    pub(super) peer_is: PeerTrust,
    /// How the request came to us.
    pub(super) scheme: Scheme,
}

/// What the peer's word is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerTrust {
    /// Listed in `trusted_proxies`.
    Trusted,
    /// Anybody else.
    Untrusted,
}

impl RequestClient {
    /// How the request came to the first of us: a trusted proxy says how it came to it.
    pub(super) fn scheme_told(&self, headers: &HeaderMap) -> Scheme {
        let told = match self.peer_is {
            PeerTrust::Trusted => headers.get("x-forwarded-proto").map(|proto| proto.as_bytes()),
            PeerTrust::Untrusted => None,
        };
        match told {
            Some(b"https") => Scheme::Https,
            Some(b"http") => Scheme::Http,
            Some(_) | None => self.scheme,
        }
    }

    /// The client behind `peer`.
    pub(super) fn find(
        peer: Option<IpAddr>,
        scheme: Scheme,
        headers: &HeaderMap,
        trusted: &[IpNet],
    ) -> Self {
        let peer = peer.map(|peer| peer.to_canonical());
        if !peer.is_some_and(|peer| is_trusted(peer, trusted)) {
            return Self { peer, address: peer, peer_is: PeerTrust::Untrusted, scheme };
        }
        // From right to left: each trusted hop vouches for the one before it.
        let mut address = peer;
        let values: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = values.iter().rev().flat_map(|value| value.as_bytes().rsplit(|b| *b == b','));
        for hop in hops.take(HOPS_MAX) {
            let Some(hop) = std::str::from_utf8(hop).ok().and_then(|hop| address_of(hop.trim()))
            else {
                break;
            };
            address = Some(hop);
            if !is_trusted(hop, trusted) {
                break;
            }
        }
        Self { peer, address, peer_is: PeerTrust::Trusted, scheme }
    }
}

/// Whether an address (in its canonical form) is one of the `trusted_proxies`.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let address = text
        .parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a value"));
        }
        let trusted: Vec<IpNet> =
            trusted.iter().map(|network| network.parse().expect("a network")).collect();
        let peer = peer.parse().ok();
        let client = RequestClient::find(peer, Scheme::Http, &headers, &trusted);
        client.address.expect("an address").to_string()
    }

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
        assert_eq!(found("192.0.2.1", &["198.51.100.7"], &[]), "192.0.2.1");
        assert_eq!(found("192.0.2.1", &["198.51.100.7"], &["10.0.0.0/8"]), "192.0.2.1");
        assert_eq!(found("10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"]), "198.51.100.7");
        assert_eq!(found("::ffff:10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"]), "198.51.100.7");
    }

    #[test]
    fn what_a_client_put_in_front_is_not_believed() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(found("10.0.0.1", &["1.1.1.1, 198.51.100.7"], trusted), "198.51.100.7");
        assert_eq!(
            found("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"], trusted),
            "198.51.100.7"
        );
        assert_eq!(found("10.0.0.1", &["1.1.1.1", "198.51.100.7"], trusted), "198.51.100.7");
        assert_eq!(found("10.0.0.1", &["198.51.100.7, nonsense"], trusted), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["[2001:db8::1]:4711"], trusted), "2001:db8::1");
        assert_eq!(found("10.0.0.1", &[], trusted), "10.0.0.1");
    }
}

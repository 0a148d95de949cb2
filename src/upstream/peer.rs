//! The peer of an upstream, as Pingora needs it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ahash::RandomState;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};

use crate::config::UpstreamSettings;

/// The peer of an upstream, except its address.
pub(super) fn template(settings: &UpstreamSettings) -> HttpPeer {
    let UpstreamSettings {
        name: _,
        peers: _,
        tls,
        connect_timeout,
        read_timeout,
        write_timeout,
        idle_timeout,
        retries: _,
        in_flight_max: _,
    } = settings;
    // A placeholder, replaced for each request; `HttpPeer::new` would resolve a name.
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let server_name = tls.as_ref().map(|tls| tls.server_name.to_string()).unwrap_or_default();
    let mut peer = HttpPeer::new(nowhere, tls.is_some(), server_name);
    let options = &mut peer.options;
    options.connection_timeout = Some(*connect_timeout);
    // The TLS handshake gets time of its own.
    options.total_connection_timeout = Some(match tls {
        Some(_) => *connect_timeout * 3,
        None => *connect_timeout,
    });
    options.read_timeout = Some(*read_timeout);
    options.write_timeout = Some(*write_timeout);
    options.idle_timeout = Some(*idle_timeout);
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
        user_timeout: Duration::ZERO,
    });
    if let Some(authorities) = tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
        let parsed: Vec<_> =
            authorities.iter().map(|der| WrappedX509::new(der.clone(), parse_x509)).collect();
        options.ca = Some(Arc::from(parsed));
        // Pingora's pool does not separate authorities: a connection that one of them vouched for
        // must not be reused where another is trusted.
        static STATE: OnceLock<RandomState> = OnceLock::new();
        peer.group_key = STATE.get_or_init(RandomState::new).hash_one(authorities);
    }
    peer
}

/// The peer at `address`.
pub(super) fn at(template: &HttpPeer, address: SocketAddr) -> Box<HttpPeer> {
    let mut peer = Box::new(template.clone());
    peer._address = address.into();
    peer
}

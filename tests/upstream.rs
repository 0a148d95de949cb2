//! What becomes of a request when its upstream is slow, broken, hostile or gone.

mod answers;
mod bodies;
mod encrypted;
mod kept;
mod peers;
mod streams;

use std::net::SocketAddr;

use crate::harness::gateway::Gateway;
use crate::harness::tokens;

/// A gateway with a public and a protected route, and these settings of its only upstream.
fn gateway(upstream: &str) -> Gateway {
    Gateway::start(&configuration(upstream, ""))
}

/// The same, with more settings of its routes.
fn configuration(upstream: &str, route: &str) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ threads: 1, shutdown_grace: 1s }}
issuers:
  - name: test
    issuer: {issuer}
    audiences: [{audience}]
    algorithms: [ES256]
    keys: {{ public_key_file: issuer.pem }}
upstreams:
  behind: {{ {upstream} }}
routes:
  - {{ name: public, match: {{ path: '/public/{{*rest}}' }}, upstream: behind, public: true{route} }}
  - {{ name: orders, match: {{ path: '/orders/{{*rest}}' }}, upstream: behind, authenticate: [bearer]{route} }}
",
        issuer = tokens::ISSUER,
        audience = tokens::AUDIENCE,
    )
}

fn peers(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(|address| format!("'{address}'")).collect();
    format!("peers: [{}]", addresses.join(", "))
}

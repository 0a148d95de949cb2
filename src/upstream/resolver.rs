//! Resolves the names of upstream peers in the background; a request never waits for DNS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Upstream;

/// How often names are resolved. The system's resolver does not report how long an answer is valid.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);

/// How long the lookup of one name may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Resolves the peers of an upstream once.
pub async fn resolve(upstream: &Upstream) {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let settings = upstream.settings();
    for peer in &settings.peers {
        let look_up = tokio::net::lookup_host(&**peer);
        match tokio::time::timeout(RESOLVE_TIMEOUT, look_up).await {
            Ok(Ok(found)) => addresses.extend(found),
            Ok(Err(error)) => {
                tracing::warn!(
                    upstream = &*settings.name, peer = &**peer, %error,
                    "the name of a peer cannot be resolved"
                );
            }
            Err(_) => {
                tracing::warn!(
                    upstream = &*settings.name,
                    peer = &**peer,
                    "the name of a peer was not resolved in time"
                );
            }
        }
    }
    // The last known addresses are better than none.
    if !addresses.is_empty() {
        addresses.sort_unstable();
        addresses.dedup();
        upstream.publish(addresses);
    }
}

/// Resolves the peers of these upstreams for ever.
pub async fn run(upstreams: Vec<Arc<Upstream>>) {
    loop {
        tokio::time::sleep(RESOLVE_EVERY).await;
        for upstream in &upstreams {
            resolve(upstream).await;
        }
    }
}

use tokio::io::AsyncWriteExt;

use super::*;

/// An idle connection to `peer`, and the end of the upstream.
async fn put(idle: &IdleConnections, peer: &IdlePeer, patience: Duration) -> tokio::net::TcpStream {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let near = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let (far, _) = listener.accept().await.expect("a connection");
    let near = pingora::protocols::l4::stream::Stream::from(near);
    idle.put(peer, Box::new(near), patience);
    far
}

fn identity(server_name: Option<&str>) -> PeerIdentity {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    PeerIdentity { address, server_name: server_name.map(Into::into), authorities: 0 }
}

fn count(idle: &IdleConnections) -> usize {
    idle.count.load(Ordering::Relaxed)
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn connection_is_taken_once_and_for_its_own_peer_only() {
    let idle = IdleConnections::start(8);
    let (clear, encrypted) = (idle.of(identity(None)), idle.of(identity(Some("a"))));
    let _far = put(&idle, &clear, LONG).await;
    assert!(idle.take(&encrypted).is_none());
    assert!(idle.take(&clear).is_some());
    assert!(idle.take(&clear).is_none());
    assert_eq!(count(&idle), 0);
}

#[tokio::test]
async fn connection_that_spoke_or_was_closed_is_not_taken() {
    let idle = IdleConnections::start(8);
    let peer = idle.of(identity(None));
    let mut speaking = put(&idle, &peer, LONG).await;
    drop(put(&idle, &peer, LONG).await);
    speaking.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("written");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(idle.take(&peer).is_none());
    assert_eq!(count(&idle), 0);
}

#[tokio::test]
async fn sweep_closes_what_is_old_or_dead_and_forgets_the_peer() {
    let idle = IdleConnections::start(8);
    let peer = idle.of(identity(None));
    let _old = put(&idle, &peer, Duration::ZERO).await;
    drop(put(&idle, &peer, LONG).await);
    let _good = put(&idle, &peer, LONG).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    idle.sweep(Instant::now());
    assert_eq!(count(&idle), 1);
    drop(peer);
    idle.sweep(Instant::now());
    assert_eq!(lock(&idle.peers).len(), 1, "there is still a connection");
    idle.sweep(Instant::now() + 2 * LONG);
    assert_eq!((count(&idle), lock(&idle.peers).len()), (0, 0));
}

#[tokio::test]
async fn no_more_are_kept_than_may_be() {
    let idle = IdleConnections::start(1);
    let peer = idle.of(identity(None));
    let _one = put(&idle, &peer, LONG).await;
    let _other = put(&idle, &peer, LONG).await;
    assert_eq!(count(&idle), 1);
    assert!(idle.take(&peer).is_some());
    assert!(idle.take(&peer).is_none());
}

//! Stopping while clients are connected behind TLS.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::tls::TlsGateway;
use crate::harness::tls::client::{Http2, request};
use crate::harness::upstream::Behaviour;

/// What an overloaded machine may add to any time that is measured here.
const SLACK: Duration = Duration::from_secs(5);

/// A site whose grace is long, so that nothing ends only because it is over.
fn patient() -> TlsGateway {
    TlsGateway::open_changed(|text| text.replace("shutdown_grace: 10s", "shutdown_grace: 60s"))
}

fn wait_for_connections(gateway: &Gateway, count: f64) {
    eventually("the connections", || {
        (gateway.metric("portcullis_connections_open") == count).then_some(())
    });
}

#[test]
fn stream_in_flight_is_finished_before_the_gateway_stops() {
    let mut site = patient();
    let mut client = Http2::connect(site.gateway.address(), &site.authority);
    site.upstream.behave(Behaviour::Slow(Duration::from_secs(1)));
    let mut waiting = client.start_all(vec![request("GET", "/public/slow", &[])]);
    eventually("the request", || (!site.upstream.received().is_empty()).then_some(()));
    let begun = Instant::now();
    site.gateway.signal("TERM");
    let answer = waiting.remove(0)();
    assert_eq!((answer.status, answer.body.as_str()), (200, "from behind!"));
    assert!(client.is_ended_within(SLACK), "the connection stayed open");
    assert_eq!(site.gateway.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(1) + SLACK, "it took {:?}", begun.elapsed());
}

#[test]
fn idle_http2_connection_does_not_hold_up_the_stop() {
    let mut site = patient();
    let mut client = Http2::connect(site.gateway.address(), &site.authority);
    assert_eq!(client.get("/public/x", &[]).status, 200);
    let begun = Instant::now();
    site.gateway.signal("TERM");
    assert!(client.is_ended_within(SLACK), "the connection stayed open");
    assert_eq!(site.gateway.wait().code(), Some(0));
    assert!(begun.elapsed() < SLACK, "it took {:?}", begun.elapsed());
}

#[test]
fn handshake_in_progress_does_not_hold_up_the_stop() {
    let mut site = patient();
    let _silent = TcpStream::connect(site.gateway.address()).expect("the gateway accepts");
    wait_for_connections(&site.gateway, 1.0);
    let begun = Instant::now();
    site.gateway.signal("TERM");
    site.gateway.wait();
    assert!(begun.elapsed() < SLACK, "it took {:?}", begun.elapsed());
}

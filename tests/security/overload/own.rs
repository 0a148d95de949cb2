//! Requests to the gateway itself: what is unfinished or slow keeps nobody from logging out.

use std::net::{IpAddr, TcpStream};

use crate::harness::client::{self, Connection, get, request};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::identity::{IdentityReply, IdentityService};
use crate::harness::login::{self, Login};
use crate::harness::oauth;
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::{eventually, people};

/// The beginning of a request, of whose body nothing comes.
fn unfinished(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    )
}

fn open_as(gateway: &Gateway, client: &str) -> Connection {
    let client: IpAddr = client.parse().expect("an address");
    Connection::over(client::connect_from(client, gateway.address()))
}

/// With the defaults a client has 64 places of 256.
#[test]
fn requests_without_their_body_take_no_place_from_others() {
    let upstream = Upstream::start();
    let gateway = oauth::TokenService::open().gateway;
    drop(upstream);
    let alice = Login::new(gateway.address(), "alice");
    let clients = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.1"];
    let mut held: Vec<Connection> = Vec::new();
    for path in ["/auth/login", "/auth/token", "/auth/logout"] {
        for client in clients {
            for _ in 0..70 {
                let mut connection = open_as(&gateway, client);
                connection.send(unfinished(path));
                held.push(connection);
            }
        }
        // Those that are read wait with those whose bodies go to upstreams.
        if path == "/auth/login" {
            eventually("all of them", || {
                (gateway.metric("portcullis_requests_in_flight") == 350.0).then_some(())
            });
        }
        eventually("no place in use", || {
            (gateway.metric("portcullis_requests_in_flight_own") == 0.0).then_some(())
        });
        for page in ["/auth/login", "/.well-known/jwks.json"] {
            assert_eq!(gateway.exchange(get(page, &[])).status, 200, "{path}");
        }
        let bob = Login::new(gateway.address(), "bob");
        bob.log_out(gateway.address());
    }
    alice.log_out(gateway.address());
}

/// A gateway that hands logins off to a service that says nothing, and whose upstream may have all
/// requests that can be in flight.
fn waiting(
    sections: &str,
    start: impl FnOnce(&str) -> Gateway,
) -> (Upstream, IdentityService, Gateway) {
    let (upstream, identity) = (Upstream::start(), IdentityService::start(IdentityReply::Nothing));
    let behind = format!("peers: ['{}']", upstream.address());
    let all = format!("{behind}, limits: {{ in_flight: 10000 }}");
    let peers = format!("upstreams:\n  identity: {{ peers: ['{}'] }}\n", identity.address());
    let text = standard(&upstream).replace(&behind, &all).replacen("upstreams:\n", &peers, 1);
    let handoff = "{ upstream: identity, path: /verify, subject: /id, timeout: 30s }";
    let gateway = start(&format!("{text}{sections}login: {{ handoff: {handoff} }}\n"));
    (upstream, identity, gateway)
}

#[test]
fn logins_leave_a_quarter_of_the_places_to_logouts() {
    let (_upstream, identity, gateway) = waiting("limits: { in_flight_own: 8 }\n", Gateway::start);
    let log_in = |number: usize| login::request(&format!("user-{number}"), "secret", &[]);
    let mut waiting = Vec::new();
    for number in 0..6 {
        let mut connection = Connection::open(gateway.address());
        connection.send(log_in(number));
        waiting.push(connection);
    }
    eventually("all questions", || (identity.received().len() == 6).then_some(()));
    let answer = gateway.exchange(log_in(6));
    assert_eq!((answer.status, answer.slug().as_str()), (503, "overloaded"));
    let line = gateway.logged(|line| line["slug"] == "overloaded");
    let reason =
        "in flight already: 6 of this client (three quarters of its share of limits.in_flight_own)";
    assert_eq!(line["reason"], reason);
    let left =
        gateway.exchange(request("POST", "/auth/logout", &[("Sec-Fetch-Site", "same-origin")], ""));
    assert_eq!(left.status, 204, "{left:?}");
    assert_eq!(gateway.exchange(get("/auth/login", &[])).status, 200);
    drop(waiting);
}

#[test]
fn requests_to_the_gateway_itself_have_places_of_their_own() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let sections = "limits: { in_flight: 1 }\n";
    let gateway = Gateway::start_in(
        people::directory(),
        &format!("{}{sections}login: {{ password_file: users.yaml }}\n", standard(&upstream)),
    );
    let mut stuck = Connection::open(gateway.address());
    stuck.send(get("/public/x", &[]));
    eventually("the request", || (!upstream.received().is_empty()).then_some(()));
    assert_eq!(gateway.exchange(get("/public/x", &[])).slug(), "overloaded");
    // Nothing of upstreams is left, and that keeps nobody out but those who let it be awaited.
    let page = gateway.exchange(get("/auth/login", &[("Accept", "text/html")]));
    assert_eq!(page.status, 200, "{page:?}");
    Login::new(gateway.address(), "alice").log_out(gateway.address());
    let answer = gateway.exchange(unfinished("/auth/login"));
    assert_eq!((answer.status, answer.slug().as_str()), (503, "overloaded"));
    let line = gateway.logged(|line| line["slug"] == "overloaded" && line["path"] == "/auth/login");
    assert_eq!(line["reason"], "in flight already: 1 of this client (limits.in_flight_per_client)");
    drop(stuck);
}

/// Each has a connection to the service.
#[test]
fn logins_that_wait_for_a_service_leave_descriptors_to_others() {
    let limits = "trusted_proxies: [127.0.0.1]\n";
    let (upstream, identity, gateway) = waiting(limits, |text| {
        let directory = crate::harness::gateway::directory();
        Gateway::start_with_descriptors(directory, text, 1024)
    });
    upstream.behave(Behaviour::Silent);
    let as_client = |number: usize| format!("198.51.100.{}", number % 16);
    let mut held = Vec::new();
    let mut send = |bytes: String| {
        let mut connection = Connection::open(gateway.address());
        connection.send(bytes);
        held.push(connection);
    };
    // All that may be in flight, from several clients; their upstream says nothing.
    for number in 0..336 {
        send(get("/public/x", &[("X-Forwarded-For", &as_client(number))]));
    }
    eventually("all requests", || {
        (gateway.metric("portcullis_requests_in_flight") == 336.0).then_some(())
    });
    for number in 0..64 {
        let from = as_client(number);
        send(login::request(&format!("user-{number}"), "secret", &[("X-Forwarded-For", &from)]));
    }
    eventually("all questions", || (identity.received().len() == 32).then_some(()));
    let line = gateway.logged(|line| line["slug"] == "overloaded");
    assert_eq!(line["reason"], "in flight already: 32 requests to identity services");
    // And all connections that there may be.
    let _idle: Vec<_> = (0..48).map(|_| TcpStream::connect(gateway.address())).collect();
    for _ in 0..3 {
        let probe = client::exchange(gateway.admin(), get("/readyz", &[("Host", "localhost")]));
        assert_eq!(probe.status, 200, "{probe:?}");
    }
    assert!(!gateway.errors().iter().any(|line| line.contains("cannot accept")), "EMFILE");
    assert!(gateway.metric("process_open_fds") < 1000.0);
}

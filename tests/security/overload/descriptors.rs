//! Descriptors: however many a client would use up, some are left for everybody else.

use std::net::TcpStream;

use crate::harness::client::{self, Connection, get};
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::proxy::Proxy;
use crate::harness::redis::RedisServer;
use crate::harness::script::script;
use crate::harness::tls::client::{Http2, request};
use crate::harness::tls::{NAME, configuration, install};
use crate::harness::tokens::bearer;
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::{certificates::Authority, eventually, fleet};

/// As many as systems give to programs that ask for nothing.
const DESCRIPTORS: usize = 1024;

/// Takes everybody at their word; the client is whom it says it is.
const TRUSTING: &str = "trusted_proxies: [127.0.0.1]\n";

/// A gateway behind TLS with few descriptors, whose upstream never answers below `/public/hold`.
fn narrow() -> (Authority, Gateway) {
    let address = script(|_, mut line| {
        while let Some(head) = line.read_head() {
            if head.contains(" /public/hold") {
                line.read_to_end();
                return;
            }
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let upstream = Upstream::start();
    let text =
        configuration(&upstream).replace(&upstream.address().to_string(), &address.to_string());
    let authority = Authority::new();
    let directory = directory();
    install(&directory, &authority.issue(NAME));
    let gateway = Gateway::start_with_descriptors(directory, &(text + TRUSTING), DESCRIPTORS);
    (authority, gateway)
}

/// Asserts that another client is served, and so are the probes.
fn assert_alive(gateway: &Gateway, authority: &Authority) {
    let probe = client::exchange(gateway.admin(), get("/readyz", &[("Host", "localhost")]));
    assert_eq!(probe.status, 200, "{probe:?}");
    let other = Http2::connect(gateway.address(), authority);
    for _ in 0..3 {
        let answer = other.get("/public/x", &[("x-forwarded-for", "192.0.2.99")]);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{answer:?}");
    }
}

#[test]
fn streams_without_a_body_and_idle_sockets_leave_room_for_others() {
    let (authority, gateway) = narrow();
    let idle: Vec<_> =
        (0..200).map(|_| TcpStream::connect(gateway.address()).expect("a socket")).collect();
    let connections: Vec<_> =
        (0..32).map(|_| Http2::connect(gateway.address(), &authority)).collect();
    let mut begun = Vec::new();
    for connection in &connections {
        for _ in 0..32 {
            let upload = request("POST", "/public/hold", &[("x-forwarded-for", "192.0.2.1")]);
            begun.extend(connection.begin(upload, b""));
        }
    }
    assert_eq!(begun.len(), 1024);
    assert_alive(&gateway, &authority);
    drop((begun, connections, idle));
}

#[test]
fn streams_that_the_upstream_never_answers_leave_room_for_others() {
    let (authority, gateway) = narrow();
    let connections: Vec<_> =
        (0..32).map(|_| Http2::connect(gateway.address(), &authority)).collect();
    let mut begun = Vec::new();
    for connection in &connections {
        for _ in 0..32 {
            let upload = request("POST", "/public/hold", &[("x-forwarded-for", "192.0.2.1")]);
            begun.extend(connection.begin(upload, b"x"));
        }
    }
    // A quarter of 336.
    eventually("what the client may have", || {
        (gateway.metric("portcullis_requests_in_flight") == 84.0).then_some(())
    });
    assert_alive(&gateway, &authority);
    let line = gateway.logged(|line| line["slug"] == "overloaded");
    let reason = "in flight already: 84 of this client (limits.in_flight_per_client)";
    assert_eq!((&line["status"], &line["reason"]), (&503.into(), &reason.into()));
    drop((begun, connections));
    eventually("an empty house", || {
        (gateway.metric("portcullis_requests_in_flight") == 0.0).then_some(())
    });
}

#[test]
fn bounds_are_cut_to_what_descriptors_allow_and_the_operator_is_told() {
    let text = standard(&Upstream::start());
    let limits = "limits: { connections: 449, in_flight: 336 }\n";
    let gateway = Gateway::start_with_descriptors(directory(), &format!("{text}{limits}"), 1024);
    assert_eq!(gateway.metric("portcullis_connections_max"), 448.0);
    assert_eq!(gateway.metric("portcullis_requests_in_flight_max"), 336.0);
    let told = gateway.errors().join("\n");
    assert!(told.contains("only 1024 descriptors open: enough for 448 connections"), "{told}");
    assert!(told.contains("limits.connections is 449, but the process may have 1024"), "{told}");
    assert!(!told.contains("limits.in_flight is"), "{told}");
    // What is enough is not warned of.
    let limits = "limits: { connections: 448 }\n";
    let gateway = Gateway::start_with_descriptors(directory(), &format!("{text}{limits}"), 4096);
    assert_eq!(gateway.metric("portcullis_connections_max"), 448.0);
    let told = gateway.errors().join("\n");
    assert!(!told.contains("descriptors open"), "{told}");
}

#[test]
fn soft_limit_is_raised_to_the_hard_one() {
    let text = standard(&Upstream::start());
    let gateway = Gateway::start_with_soft_descriptors(directory(), &text, 256, 2048);
    assert_eq!(gateway.metric("process_max_fds"), 2048.0);
    // Half of what is left after an eighth was kept back.
    assert_eq!(gateway.metric("portcullis_connections_max"), 896.0);
}

/// A link to the store that is lost takes a descriptor to be made anew.
#[test]
fn links_to_the_store_are_made_anew_though_clients_hold_all_that_they_may() {
    let (server, upstream) = (RedisServer::start(), Upstream::start());
    let proxy = Proxy::start(server.port());
    let store = format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", proxy.port());
    let text = standard(&upstream) + TRUSTING + &store;
    let gateway = Gateway::start_with_descriptors(directory(), &text, DESCRIPTORS);
    let open = || {
        let mut connection = Connection::open(gateway.address());
        connection.send(get("/public/x", &[]));
        connection.answer().is_some().then_some(connection)
    };
    let (mut clients, mut refused) = (Vec::new(), 0);
    while clients.len() + refused < 800 {
        match open() {
            Some(connection) => clients.push(connection),
            None => refused += 1,
        }
    }
    assert_eq!(clients.len(), 448, "and {refused} refused");
    // And as many upstream connections as there may be.
    upstream.behave(Behaviour::Silent);
    for (number, client) in clients[..336].iter_mut().enumerate() {
        let from = format!("198.51.100.{}", number % 8);
        client.send(get("/public/hold", &[("X-Forwarded-For", &from)]));
    }
    eventually("all requests", || {
        (gateway.metric("portcullis_requests_in_flight") == 336.0).then_some(())
    });
    let asking = clients.last_mut().expect("a connection");
    for round in 0..3 {
        let links = proxy.links();
        for link in &links {
            link.cut();
        }
        eventually("other links", || {
            let are_there = proxy.links().len() > links.len();
            (are_there && gateway.metric("portcullis_store_up") == 1.0).then_some(())
        });
        // What is read and what is written go different ways.
        let subject = format!("s-{round}");
        eventually("a revocation", || {
            (fleet::revoke(&gateway, &subject).status == 201).then_some(())
        });
        let token = bearer(&fleet::token_of(&subject));
        eventually("its effect", || {
            let answer = asking.exchange(get("/whoami", &[("Authorization", &token)]));
            (answer.slug() == "token_revoked").then_some(())
        });
    }
    assert!(!gateway.errors().iter().any(|line| line.contains("cannot accept")), "EMFILE");
}

//! The speed of a token: what the store is asked, and how often.

use std::sync::{Arc, Barrier};

use crate::harness::client::{self, Connection, get};
use crate::harness::eventually;
use crate::harness::outcome::accepted;
use crate::harness::redis::RedisServer;
use crate::harness::redis::monitor::Monitor;
use crate::harness::sessions::{SessionFleet, ask_on, denied, made_up, settle, told};

/// How many reads that lead to nothing one address may cause in a minute.
const ABSENT_MAX: usize = 1000;

/// How often a gateway has read a session from its store.
fn reads(site: &SessionFleet, number: usize) -> f64 {
    let series =
        "portcullis_store_operations_seconds_count{operation=\"find_session\",result=\"ok\"}";
    site.gateway(number).metric(series)
}

/// What is said to a cookie, on a connection that stays open.
fn ask(connection: &mut Connection, cookie: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let fields = [&[("Cookie", cookie)], fields].concat();
    told(&connection.exchange(get("/home/x", &fields)))
}

#[test]
fn store_is_asked_once_for_a_session_and_then_no_more() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let alice = site.log_in("alice");
    settle(&site, 1, &alice);
    let monitor = Monitor::start(&server);
    for (number, reads) in [(1, 0), (2, 1)] {
        let mut connection = Connection::open(site.gateway(number).address());
        for _ in 0..200 {
            assert_eq!(ask_on(&mut connection, &alice), accepted());
        }
        assert_eq!(monitor.count("GET", &alice.id), reads, "{:?}", monitor.about(&alice.id));
    }
    // Nothing else is about this session, but that it was used: once at most for each gateway.
    let others: Vec<_> = monitor
        .about(&alice.id)
        .into_iter()
        .filter(|line| {
            !["GET", "ZSCORE", "EVALSHA"].iter().any(|name| line.contains(&format!("\"{name}\"")))
        })
        .collect();
    assert!(others.len() <= 2 && others.iter().all(|line| line.contains("\"ZADD\"")), "{others:?}");
    assert_eq!(monitor.count("ZSCORE", &alice.id), 1);
    assert_eq!(monitor.count("EVALSHA", &alice.id), 1);
    for name in ["MGET", "HGET", "HGETALL", "SCAN", "KEYS"] {
        assert_eq!(monitor.count(name, "session"), 0, "{name}");
    }
}

#[test]
fn commands_do_not_grow_with_requests() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 1);
    let alice = site.log_in("alice");
    let mut connection = Connection::open(site.gateway(1).address());
    settle(&site, 1, &alice);
    let names = ["get", "mget", "zscore", "evalsha", "eval"];
    let before = names.map(|name| server.calls(name));
    let begun = std::time::Instant::now();
    for _ in 0..1000 {
        assert_eq!(ask_on(&mut connection, &alice), accepted());
    }
    // The heartbeat is a script, every second.
    let beats = begun.elapsed().as_secs() * 4 + 8;
    for (name, before) in names.into_iter().zip(before) {
        let more = server.calls(name) - before;
        let allowed = if name == "evalsha" { beats } else { 0 };
        assert!(more <= allowed, "{name}: {more}, and {allowed} would do");
    }
}

#[test]
fn first_requests_at_the_same_time_are_one_read() {
    let server = RedisServer::start();
    let site = Arc::new(SessionFleet::on(&server, "", 2));
    let alice = site.log_in("alice");
    let monitor = Monitor::start(&server);
    // While the server stands still all of them come.
    server.pause();
    let barrier = Arc::new(Barrier::new(100));
    let threads: Vec<_> = (0..100)
        .map(|_| {
            let (site, alice, barrier) = (site.clone(), alice.clone(), barrier.clone());
            std::thread::spawn(move || {
                let mut connection = Connection::open(site.gateway(2).address());
                barrier.wait();
                ask_on(&mut connection, &alice)
            })
        })
        .collect();
    eventually("all of them", || {
        let misses = site.gateway(2).metric("portcullis_session_cache_misses_total");
        (misses == 100.0).then_some(())
    });
    server.resume();
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), accepted());
    }
    assert_eq!(monitor.count("GET", &alice.id), 1);
    assert_eq!(reads(&site, 2), 1.0);
}

#[test]
fn made_up_sessions_are_unknown_and_never_become_any() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 1);
    let monitor = Monitor::start(&server);
    let mut connection = Connection::open(site.gateway(1).address());
    let cookie = made_up();
    assert_eq!(ask(&mut connection, &cookie, &[]), denied("session_unknown"));
    assert_eq!(reads(&site, 1), 1.0);
    // Asked again it is known not to be there.
    for _ in 0..50 {
        assert_eq!(ask(&mut connection, &cookie, &[]), denied("session_unknown"));
    }
    assert_eq!(reads(&site, 1), 1.0);
    let written = ["\"SET\"", "\"ZADD\"", "\"HSET\""];
    let id = portcullis::gate::session::SessionSecret::parse(
        cookie.split_once('=').expect("a pair").1.as_bytes(),
    );
    let id = id.expect("a secret").id().to_string();
    let about = monitor.about(&id);
    assert!(about.iter().all(|line| !written.iter().any(|word| line.contains(word))), "{about:?}");
}

#[test]
fn address_that_asks_for_many_that_there_are_not_has_to_wait_and_others_do_not() {
    let site = SessionFleet::embedded("trusted_proxies: [127.0.0.0/8]\n");
    let alice = site.log_in("alice");
    let mut connection = Connection::open(site.gateway(1).address());
    let (one, two) = ([("X-Forwarded-For", "192.0.2.1")], [("X-Forwarded-For", "192.0.2.2")]);
    for _ in 0..ABSENT_MAX {
        assert_eq!(ask(&mut connection, &made_up(), &one), denied("session_unknown"));
    }
    let before = reads(&site, 1);
    for _ in 0..10 {
        assert_eq!(ask(&mut connection, &made_up(), &one), denied("verification_budget"));
    }
    assert_eq!(reads(&site, 1), before, "the store was asked all the same");
    assert_eq!(ask(&mut connection, &made_up(), &two), denied("session_unknown"));
    // Who is known is served, from there as well.
    assert_eq!(ask(&mut connection, &alice.cookie, &one), accepted());
}

#[test]
fn repeating_one_that_there_is_not_costs_nothing_and_is_not_limited() {
    let site = SessionFleet::embedded("");
    let mut connection = Connection::open(site.gateway(1).address());
    let cookie = made_up();
    for _ in 0..ABSENT_MAX + 10 {
        assert_eq!(ask(&mut connection, &cookie, &[]), denied("session_unknown"));
    }
    assert!(reads(&site, 1) <= 2.0, "{}", reads(&site, 1));
}

#[test]
fn sessions_that_do_not_fit_in_memory_are_read_again() {
    let site = SessionFleet::embedded("sessions: { cache_size: 4KiB }\n");
    let logins: Vec<_> = (0..40).map(|_| site.log_in("dave")).collect();
    for _ in 0..2 {
        for login in &logins {
            assert_eq!(site.ask(1, login), accepted());
        }
    }
    assert!(reads(&site, 1) > 0.0, "all of them fitted");
}

#[test]
fn reload_keeps_the_sessions_in_memory() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 1);
    let alice = site.log_in("alice");
    settle(&site, 1, &alice);
    let before = reads(&site, 1);
    site.reload(1, &(site.lines.clone() + "realm: another\n"));
    assert_eq!(
        client::exchange(site.gateway(1).address(), get("/whoami", &[])).field("www-authenticate"),
        Some("Bearer realm=\"another\"")
    );
    server.pause();
    assert_eq!(site.ask(1, &alice), accepted());
    server.resume();
    assert_eq!(reads(&site, 1), before);
}

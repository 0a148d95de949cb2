//! A new configuration in a running gateway.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::harness::client::{self, Connection, get};
use crate::harness::fleet::{self, Verdict};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::redis::{RedisOptions, RedisServer};
use crate::harness::tokens::{self, bearer, token};
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::{PATIENCE, eventually};

pub(crate) const GENERATION: &str = "portcullis_config_generation";
pub(crate) const RELOADED: &str = "portcullis_config_reloads_total{result=\"ok\"}";
pub(crate) const FAILED: &str = "portcullis_config_reloads_total{result=\"failed\"}";
const CACHE_HITS: &str = "portcullis_token_cache_hits_total";
const CACHE_MISSES: &str = "portcullis_token_cache_misses_total";

/// Writes a configuration that must be refused, and returns what was said about it.
#[track_caller]
pub(crate) fn refused(gateway: &Gateway, configuration: &str) -> String {
    let failed = gateway.metric(FAILED);
    let told = gateway.errors().len();
    std::fs::write(gateway.file(), configuration).expect("a file");
    gateway.signal("HUP");
    eventually("a refusal", || (gateway.metric(FAILED) > failed).then_some(()));
    eventually("a reason", || {
        let lines = gateway.errors().split_off(told);
        lines.iter().any(|line| line.contains("not reloaded")).then_some(())
    });
    // Lines that belong to one message are written at once, but read one by one.
    let mut lines = gateway.errors().len();
    eventually("the end of the message", || {
        std::thread::sleep(Duration::from_millis(20));
        let earlier = std::mem::replace(&mut lines, gateway.errors().len());
        (earlier == lines).then_some(())
    });
    gateway.errors().split_off(told).join("\n")
}

#[test]
fn hangup_swaps_routes_without_dropping_a_request_in_flight() {
    let upstream = Upstream::start_with(Behaviour::Slow(Duration::from_secs(2)));
    let gateway = Gateway::standard(&upstream);
    let mut slow = Connection::open(gateway.address());
    slow.send(get("/public/slow", &[]));
    eventually("the slow request", || (!upstream.received().is_empty()).then_some(()));
    upstream.behave(Behaviour::Answer);
    let moved = standard(&upstream).replace("/public/{*rest}", "/moved/{*rest}");
    gateway.reload(&moved);
    assert_eq!(gateway.exchange(get("/moved/x", &[])).status, 200);
    assert_eq!(gateway.exchange(get("/public/x", &[])).slug(), "route_unknown");
    let answer = slow.answer().expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "from behind!"));
    // The connection outlives the configuration that it began with.
    assert_eq!(slow.exchange(get("/public/slow", &[])).slug(), "route_unknown");
    assert_eq!(slow.exchange(get("/moved/slow", &[])).status, 200);
}

#[test]
fn reload_reaches_an_upstream_that_moved() {
    let (old, new) = (Upstream::start(), Upstream::start());
    let gateway = Gateway::standard(&old);
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.exchange(get("/public/x", &[])).status, 200);
    gateway.reload(&standard(&new));
    for _ in 0..4 {
        assert_eq!(connection.exchange(get("/public/x", &[])).status, 200);
    }
    assert_eq!((old.received().len(), new.received().len()), (1, 4));
}

#[test]
fn broken_configuration_keeps_the_old_one_and_tells_every_mistake_with_its_line() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::standard(&upstream);
    let broken = standard(&upstream)
        .replace("algorithms: [ES256]", "algorithms: [none]")
        .replace("shutdown_grace: 10s", "shutdown_grace: later")
        .replace("authenticate: [bearer]\n    require", "require");
    let line_of = |text: &str| {
        broken.lines().position(|line| line.contains(text)).map(|at| at + 1).expect("the line")
    };
    let told = refused(&gateway, &broken);
    for (line, field) in [
        (line_of("algorithms: [none]"), "issuers[0].algorithms"),
        (line_of("shutdown_grace: later"), "server.shutdown_grace"),
        (line_of("name: orders"), "routes[1]"),
    ] {
        let start = format!("{}:{line}: error: {field}", gateway.file().display());
        assert!(told.contains(&start), "{start} is not in\n{told}");
    }
    assert_eq!((gateway.metric(GENERATION), gateway.metric(RELOADED)), (1.0, 0.0));
    assert_eq!(gateway.exchange(get("/orders/7", &[])).slug(), "credential_absent");
    assert_eq!(gateway.get_as("/orders/7", &token(json!({}))).status, 200);
    assert!(gateway.is_running());
}

#[test]
fn text_that_is_not_yaml_keeps_the_old_configuration() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for text in ["", "{", "\t", "\0", "routes: [", "a: *b", "- - -", "!!binary x", "{{{{{{{{"] {
        refused(&gateway, text);
        assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200, "{text:?}");
    }
    assert_eq!(gateway.metric(GENERATION), 1.0);
}

#[test]
fn change_that_needs_a_restart_is_refused_and_named() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let good = standard(&upstream);
    for (from, to, field) in [
        ("threads: 2", "threads: 3", "server.threads"),
        (
            "listeners: [{ address: '127.0.0.1:0' }]",
            "listeners: [{ address: '127.0.0.2:0' }]",
            "listeners",
        ),
        (
            "listeners: [{ address: '127.0.0.1:0' }]",
            "listeners: [{ address: '127.0.0.1:0' }, { address: '127.0.0.2:0' }]",
            "listeners",
        ),
        ("admin: { address: '127.0.0.1:0' }", "admin: { address: '127.0.0.2:0' }", "admin.address"),
    ] {
        let changed = good.replacen(from, to, 1).replace("/public/{*rest}", "/moved/{*rest}");
        assert_ne!(changed, good);
        let told = refused(&gateway, &changed);
        assert!(told.contains(field) && told.contains("Restart"), "{told}");
        // All or nothing: the rest of the change is not in force either.
        assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
        assert_eq!(gateway.exchange(get("/moved/x", &[])).slug(), "route_unknown");
    }
    assert_eq!(gateway.metric(GENERATION), 1.0);
}

#[test]
fn change_of_the_store_needs_a_restart_and_says_so() {
    let upstream = Upstream::start();
    let with = |section: &str| format!("{section}\n{}", standard(&upstream));
    let gateway = Gateway::start(&with("store: { embedded: { path: one.redb } }"));
    for section in [
        "store: { embedded: { path: other.redb } }",
        "store: { redis: { url: 'redis://127.0.0.1:1' } }",
        "",
    ] {
        let told = refused(&gateway, &with(section));
        let expected = "store cannot change while running. Restart the gateway, or undo the change";
        assert!(told.contains(expected), "{section}: {told}");
    }
    // What was in force is, and what is cut off now is cut off.
    assert_eq!(fleet::revoke(&gateway, "alice").status, 201);
    assert_eq!(fleet::ask(&gateway, &fleet::token_of("alice")), Verdict::Revoked);
    assert_eq!(gateway.metric(GENERATION), 1.0);
    gateway.reload(&with("store: { embedded: { path: ./one.redb } }\nrealm: another"));
}

#[test]
fn change_of_the_way_to_redis_needs_a_restart_and_tells_no_password() {
    let password = "the-password-of-redis";
    let options = RedisOptions { password: Some(password.to_owned()), ..RedisOptions::default() };
    let server = RedisServer::start_with(options);
    let upstream = Upstream::start();
    let with = |password: &str, rest: &str| {
        let port = server.port();
        let url = format!("redis://:{password}@127.0.0.1:{port}{rest}");
        format!("store: {{ redis: {{ url: '{url} }} }}\n{}", standard(&upstream))
    };
    let gateway = Gateway::start(&with(password, "'"));
    for changed in [
        with(password, "/1'"),
        with(password, "', prefix: another"),
        with("another-password", "'"),
        with(password, "'")
            .replace("127.0.0.1:", "localhost:")
            .replace("'localhost:0'", "'127.0.0.1:0'"),
    ] {
        let told = refused(&gateway, &changed);
        assert!(told.contains("store cannot change while running"), "{told}");
    }
    let told = gateway.errors().join("\n");
    assert!(!told.contains(password) && !told.contains("another-password"), "{told}");
    // The same in other words.
    gateway.reload(&with(password, "/0', prefix: portcullis"));
}

#[test]
fn who_is_cut_off_stays_so_whatever_is_reloaded() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = token(json!({}));
    assert_eq!(gateway.get_as("/whoami", &token).status, 200);
    assert_eq!(fleet::revoke(&gateway, "alice").status, 201);
    for (from, to) in [
        ("algorithms: [ES256]", "algorithms: [ES256]\n    clock_skew: 20s"),
        ("name: test", "name: renamed"),
        ("server: {", "token_cache: { size: 1MiB }\nserver: {"),
        ("server: {", "revocation: { max_staleness: 60s, when_stale: allow }\nserver: {"),
    ] {
        gateway.reload(&standard(&upstream).replacen(from, to, 1));
        assert_eq!(fleet::ask(&gateway, &token), Verdict::Revoked, "{to}");
    }
}

#[test]
fn changed_answer_to_staleness_holds_for_the_next_request() {
    let mut server = RedisServer::start();
    let upstream = Upstream::start();
    let with = |when_stale: &str| {
        let store = format!("store: {{ redis: {{ url: '{}' }} }}\n", server.url());
        let revocation = format!("revocation: {{ max_staleness: 1s, when_stale: {when_stale} }}");
        format!("{store}{revocation}\n{}", standard(&upstream))
    };
    let (deny, allow) = (with("deny"), with("allow"));
    let gateway = Gateway::start(&deny);
    server.kill();
    let token = token(json!({}));
    eventually("an old list", || (fleet::ask(&gateway, &token) == Verdict::Unknown).then_some(()));
    gateway.reload(&allow);
    assert_eq!(fleet::ask(&gateway, &token), Verdict::Accepted);
    gateway.reload(&deny);
    assert_eq!(fleet::ask(&gateway, &token), Verdict::Unknown);
}

#[test]
fn changed_name_is_told_to_the_other_gateways() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&fleet::configuration(&upstream, "before", ""));
    let name = || fleet::roster(&gateway)?.first().map(|one| one["name"].clone());
    eventually("the first name", || (name()? == "before").then_some(()));
    gateway.reload(&fleet::configuration(&upstream, "after", ""));
    eventually("the other name", || (name()? == "after").then_some(()));
    assert_eq!(fleet::roster(&gateway).map(|all| all.len()), Some(1));
}

#[test]
fn tokens_that_may_live_longer_than_before_are_warned_of() {
    let upstream = Upstream::start();
    let lifetime = |value: &str| {
        let fields = format!("algorithms: [ES256]\n    max_lifetime: {value}");
        standard(&upstream).replace("algorithms: [ES256]", &fields)
    };
    let gateway = Gateway::start(&lifetime("1h"));
    let warned = || gateway.errors().iter().any(|line| line.contains("max_lifetime was raised"));
    gateway.reload(&lifetime("30m"));
    assert!(!warned());
    gateway.reload(&lifetime("2h"));
    eventually("a warning", || warned().then_some(()));
}

#[test]
fn generation_increases_with_every_configuration() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    assert_eq!(gateway.metric(GENERATION), 1.0);
    for round in 1..4 {
        gateway.reload(&format!("{}# {round}\n", standard(&upstream)));
        assert_eq!(gateway.metric(GENERATION), f64::from(round + 1));
        assert_eq!(gateway.metric(RELOADED), f64::from(round));
    }
}

#[test]
fn verified_token_is_still_in_the_cache_after_an_unrelated_change() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = token(json!({}));
    assert_eq!(gateway.get_as("/orders/7", &token).status, 200);
    gateway.reload(&standard(&upstream).replace("/public/{*rest}", "/moved/{*rest}"));
    let misses = gateway.metric(CACHE_MISSES);
    let hits = gateway.metric(CACHE_HITS);
    assert_eq!(gateway.get_as("/orders/7", &token).status, 200);
    assert_eq!(gateway.metric(CACHE_MISSES), misses, "it was verified again");
    assert_eq!(gateway.metric(CACHE_HITS), hits + 1.0);
}

#[test]
fn verified_token_is_refused_once_its_audience_is_no_longer_accepted() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = token(json!({}));
    let mut connection = Connection::open(gateway.address());
    let request = get("/orders/7", &[("Authorization", &bearer(&token))]);
    assert_eq!(connection.exchange(&request).status, 200);
    let accepted = format!("audiences: [{}]", tokens::AUDIENCE);
    gateway.reload(&standard(&upstream).replace(&accepted, "audiences: [billing-api]"));
    let answer = connection.exchange(&request);
    assert_eq!((answer.status, answer.slug().as_str()), (401, "token_audience"));
}

#[test]
fn verified_token_is_refused_once_its_issuer_is_gone() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = token(json!({}));
    assert_eq!(gateway.get_as("/whoami", &token).status, 200);
    gateway.reload(&standard(&upstream).replace(tokens::ISSUER, "https://other.test"));
    let answer = gateway.get_as("/whoami", &token);
    assert_eq!((answer.status, answer.slug().as_str()), (401, "token_issuer"));
}

#[test]
fn verified_token_is_measured_by_the_new_rules_of_its_route() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = token(json!({}));
    assert_eq!(gateway.get_as("/orders/7", &token).status, 200);
    gateway.reload(&standard(&upstream).replace("[orders:read]", "[orders:write]"));
    let answer = gateway.get_as("/orders/7", &token);
    assert_eq!((answer.status, answer.slug().as_str()), (403, "scope_missing"));
}

#[test]
fn changed_identity_headers_are_stripped_and_set_at_once() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = bearer(&token(json!({"email": "a@example.test"})));
    let spoofed = |name| get("/orders/7", &[("Authorization", &*token), (name, "mallory")]);
    assert_eq!(gateway.exchange(spoofed("X-Auth-Email")).status, 200);
    assert_eq!(upstream.last().values("x-auth-email"), ["a@example.test"]);
    gateway.reload(&standard(&upstream).replace("X-Auth-Email", "X-Auth-Mail"));
    assert_eq!(gateway.exchange(spoofed("X-Auth-Mail")).status, 200);
    assert_eq!(upstream.last().values("x-auth-mail"), ["a@example.test"]);
}

#[test]
fn changed_limits_hold_for_the_next_request_on_an_open_connection() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let mut connection = Connection::open(gateway.address());
    let large = get("/public/x", &[("X", &"a".repeat(2000))]);
    assert_eq!(connection.exchange(&large).status, 200);
    gateway.reload(&(standard(&upstream) + "limits: { header_bytes: 1KiB }\n"));
    // The head of the next request may be awaited with the limits of before.
    let mut second = Connection::open(gateway.address());
    assert_eq!(second.exchange(get("/public/x", &[])).status, 200);
    assert_eq!(second.exchange(&large).slug(), "headers_too_large");
}

#[test]
fn storm_of_reloads_loses_no_request() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = bearer(&token(json!({})));
    let stop = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = Connection::open(gateway.address());
                while !stop.load(Ordering::Relaxed) {
                    let answer =
                        connection.exchange(get("/orders/7", &[("Authorization", &token)]));
                    assert_eq!((answer.status, answer.body.as_str()), (200, "from behind!"));
                    let fresh = client::exchange(gateway.address(), get("/public/x", &[]));
                    assert_eq!(fresh.status, 200);
                    served.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        for round in 0..50 {
            let text = format!("{}# round {round}\n", standard(&upstream));
            std::fs::write(gateway.file(), text).expect("a file");
            gateway.signal("HUP");
        }
        let begun = std::time::Instant::now();
        let enough = || gateway.metric(RELOADED) >= 2.0 && served.load(Ordering::Relaxed) >= 200;
        while !enough() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) >= 200, "{served:?} requests");
    assert!(gateway.metric(RELOADED) >= 2.0);
    assert_eq!(upstream.received().len(), served.load(Ordering::Relaxed));
}

#[test]
fn reloads_do_not_pile_up_memory_or_files() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("files").count();
    gateway.reload(&format!("{}# first\n", standard(&upstream)));
    let before = files();
    for round in 0..10 {
        gateway.reload(&format!("{}# {round}\n", standard(&upstream)));
    }
    // The admin connection that asks for the metrics comes and goes.
    eventually("no more open files than before", || (files() <= before + 1).then_some(()));
}

/// Reading takes several times the memory of what is kept, which the allocator would keep for good.
#[test]
fn memory_that_reading_many_routes_took_is_given_back() {
    let upstream = Upstream::start();
    let routes: String = (0..3000)
        .map(|number| {
            format!(
                "  - {{ name: many-{number}, match: {{ path: '/many/{number}/{{*rest}}' }}, \
                 upstream: behind, authenticate: [bearer], require: {{ scopes: [read] }} }}\n"
            )
        })
        .collect();
    let gateway = Gateway::start(&(standard(&upstream) + &routes));
    let status = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid()));
        let text = text.expect("a process");
        ["VmHWM:", "VmRSS:"].map(|name| {
            let line = text.lines().find(|line| line.starts_with(name)).expect("a line");
            let kilobytes = line.split_whitespace().nth(1).expect("a number");
            kilobytes.parse::<f64>().expect("a number")
        })
    };
    eventually("less memory", || {
        let [most, now] = status();
        std::thread::sleep(Duration::from_millis(50));
        (now < most * 0.85).then_some(())
    });
}

//! A store that is away logs nobody out.

use std::time::{Duration, Instant};

use crate::harness::client::{self, Connection, get};
use crate::harness::login::{self, Login};
use crate::harness::outcome::accepted;
use crate::harness::redis::{Data, RedisServer, Sentinels};
use crate::harness::sessions::{SessionFleet, ask_on, await_told, denied, made_up, settle, told};
use crate::harness::{eventually, fleet};

/// Within what time it is said that the store is away.
const AT_ONCE: Duration = Duration::from_millis(2500);

/// Gateways that may be three seconds behind: on a busy machine one may be late.
const HASTY: &str = "revocation: { max_staleness: 3s }\n";

/// How a server goes away.
#[derive(Clone, Copy, Debug)]
enum Absence {
    /// Connections stay, and nothing moves on them.
    Pause,
    /// Nobody listens.
    Death,
}

impl Absence {
    fn begin(self, server: &mut RedisServer) {
        match self {
            Self::Pause => server.pause(),
            Self::Death => server.kill(),
        }
    }

    fn end(self, server: &mut RedisServer) {
        match self {
            Self::Pause => server.resume(),
            Self::Death => server.restart(Data::Kept),
        }
    }
}

/// Asserts what is said to a session that is not in memory: that nobody knows, soon, and without
/// touching the cookie.
fn assert_unknown_is_unavailable(site: &SessionFleet, number: usize, login: &Login) {
    let begun = Instant::now();
    assert_eq!(site.ask(number, login), denied("store_unavailable"));
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

fn goes_away(absence: Absence) {
    let mut server = RedisServer::start_durable();
    let site = SessionFleet::on(&server, HASTY, 2);
    let alice = site.log_in("alice");
    let bob = Login::new(site.gateway(2).address(), "bob");
    let address = site.gateway(1).address();
    settle(&site, 1, &alice);
    site.assert_in(&alice);
    let mut connection = Connection::open(address);
    let ask = |path: &str| site.ask_for(1, &alice, path);
    let writes = |login: &Login| told(&login.send(address, "POST", "/writes"));

    absence.begin(&mut server);
    // Known ones go on.
    assert_eq!(ask_on(&mut connection, &alice), accepted());
    assert_unknown_is_unavailable(&site, 1, &bob);
    let cookie = made_up();
    let answer = client::exchange(address, get("/home/x", &[("Cookie", &cookie)]));
    assert_eq!(told(&answer), denied("store_unavailable"));
    // Until nobody knows who was cut off, and then as the route says.
    await_told(&site, 1, &alice, &denied("revocation_stale"));
    assert_eq!(ask("/writes"), accepted());
    assert_eq!(writes(&alice), denied("revocation_stale"));
    assert_eq!(ask("/open"), accepted());
    eventually("the end of the grace", || match ask("/grace") {
        told if told == accepted() => None,
        told => {
            assert_eq!(told, denied("revocation_stale"));
            Some(())
        }
    });
    assert_eq!(ask("/open"), accepted());
    assert_unknown_is_unavailable(&site, 1, &bob);
    assert_eq!(told(&bob.ask(address, "/open")), denied("store_unavailable"));

    // Nobody logs in and nobody logs out.
    assert_eq!(told(&login::attempt(address, "alice", &[])), denied("store_unavailable"));
    let out = told(&alice.send(address, "POST", "/auth/logout"));
    assert!(["store_unavailable", "revocation_stale"].contains(&&*out.1), "{out:?}");
    let out = told(&alice.send(address, "POST", "/auth/logout-everywhere"));
    assert!(["store_unavailable", "revocation_stale"].contains(&&*out.1), "{out:?}");

    absence.end(&mut server);
    for number in [1, 2] {
        await_told(&site, number, &alice, &accepted());
        await_told(&site, number, &bob, &accepted());
    }
    assert_eq!(writes(&alice), accepted());
    let again = site.log_in("alice");
    site.assert_in(&again);
    alice.log_out(address);
    await_told(&site, 2, &alice, &denied("session_revoked"));
}

#[test]
fn server_that_stands_still_logs_nobody_out_and_nothing_is_guessed() {
    goes_away(Absence::Pause);
}

#[test]
fn server_that_is_killed_logs_nobody_out_and_nothing_is_guessed() {
    goes_away(Absence::Death);
}

#[test]
fn logout_that_cannot_be_written_is_refused_and_the_session_goes_on() {
    let mut server = RedisServer::start_durable();
    // The list may be old: it is the logout itself that fails.
    let site = SessionFleet::on(&server, "revocation: { max_staleness: 60s }\n", 1);
    let alice = site.log_in("alice");
    settle(&site, 1, &alice);
    let address = site.gateway(1).address();
    server.kill();
    for (method, path) in [
        ("POST", "/auth/logout".to_owned()),
        ("POST", "/auth/logout-everywhere".to_owned()),
        ("DELETE", format!("/auth/sessions/{}", alice.id)),
    ] {
        assert_eq!(
            told(&alice.send(address, method, &path)),
            denied("store_unavailable"),
            "{path}"
        );
        assert_eq!(site.ask(1, &alice), accepted());
    }
    let answer = login::attempt(address, "alice", &[("Cookie", &alice.cookie)]);
    assert_eq!(told(&answer), denied("store_unavailable"));
    server.restart(Data::Kept);
    assert_eq!(site.ask(1, &alice), accepted());
    eventually("a logout", || {
        (alice.send(address, "POST", "/auth/logout").status == 204).then_some(())
    });
    assert_eq!(site.ask(1, &alice), denied("session_revoked"));
}

#[test]
fn who_was_active_while_the_store_was_away_is_not_logged_out() {
    let mut server = RedisServer::start_durable();
    let lines = "revocation: { max_staleness: 60s }\nsessions: { idle_timeout: 3s }\n";
    let site = SessionFleet::on(&server, lines, 1);
    let (bob, alice) = (site.log_in("bob"), site.log_in("alice"));
    let mut connection = Connection::open(site.gateway(1).address());
    settle(&site, 1, &alice);
    for absence in [Absence::Pause, Absence::Death] {
        assert_eq!(ask_on(&mut connection, &alice), accepted());
        absence.begin(&mut server);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(4200) {
            assert_eq!(ask_on(&mut connection, &alice), accepted(), "{absence:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        absence.end(&mut server);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            assert_eq!(ask_on(&mut connection, &alice), accepted(), "{absence:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    // Who rested is.
    assert_eq!(site.ask(1, &bob), denied("session_expired"));
    assert_eq!(ask_on(&mut connection, &alice), accepted());
}

#[test]
fn who_rests_while_the_store_is_away_is_not_told_anything_that_is_not_known() {
    let server = RedisServer::start();
    let lines = "revocation: { max_staleness: 60s }\nsessions: { idle_timeout: 3s }\n";
    let site = SessionFleet::on(&server, lines, 1);
    let alice = site.log_in("alice");
    assert_eq!(site.ask(1, &alice), accepted());
    server.pause();
    // He may have been active elsewhere.
    std::thread::sleep(Duration::from_millis(3100));
    assert_eq!(site.ask(1, &alice), denied("store_unavailable"));
    server.resume();
    await_told(&site, 1, &alice, &denied("session_expired"));
}

#[test]
fn gateway_that_starts_without_its_store_lets_nobody_in_and_logs_nobody_out() {
    let mut server = RedisServer::start_durable();
    let site = SessionFleet::on(&server, HASTY, 1);
    let alice = site.log_in("alice");
    server.kill();
    let text = crate::harness::sessions::configuration(&site.upstream, &site.lines);
    let late = crate::harness::gateway::Gateway::spawn_in(login::directory(), &text);
    let (address, _) = fleet::addresses(&late);
    eventually("a listener", || {
        (client::exchange(address, get("/public/x", &[])).status == 200).then_some(())
    });
    for path in ["/home/x", "/open", "/grace", "/writes"] {
        let told = told(&alice.ask(address, path));
        assert_eq!(told.0, 503, "{path}: {told:?}");
    }
    server.restart(Data::Kept);
    eventually("the session", || (alice.ask(address, "/home/x").status == 200).then_some(()));
}

#[test]
fn fail_over_in_the_middle_of_traffic_logs_nobody_out() {
    let mut sentinels = Sentinels::start();
    let lines = fleet::redis(&sentinels.settings());
    let site = SessionFleet::start(&lines, 2);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    site.assert_in(&alice);
    let old = sentinels.master().port();
    // What is acknowledged by one server only may be lost with it.
    eventually("a replica that has it all", || {
        (sentinels.master().cli(&["wait", "1", "100"]).trim() == "1").then_some(())
    });
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let addresses = [1, 2].map(|number| site.gateway(number).address());
    std::thread::scope(|scope| {
        let watches = addresses.map(|address| {
            let (alice, is_over) = (&alice, &is_over);
            scope.spawn(move || {
                let mut connection = Connection::open(address);
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let told = ask_on(&mut connection, alice);
                    // Busy all along: she is in, or nobody can say for a while.
                    let is_right = told == accepted() || told == denied("revocation_stale");
                    assert!(is_right, "{told:?}");
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        });
        sentinels.master().kill();
        sentinels.await_another_than(old);
        for number in [1, 2] {
            // Bob was not in memory on the second gateway.
            eventually("the session", || match site.ask(number, &bob) {
                told if told == accepted() => Some(()),
                told => {
                    assert!(told.0 == 503, "{told:?}");
                    None
                }
            });
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        for watch in watches {
            watch.join().expect("nobody was logged out");
        }
    });
    site.assert_in(&alice);
    let carol = eventually("a login", || {
        let answer = login::attempt(addresses[0], "carol", &[]);
        (answer.status == 200).then(|| Login::read(&answer))
    });
    for number in [1, 2] {
        await_told(&site, number, &carol, &accepted());
    }
    carol.log_out(addresses[1]);
    await_told(&site, 1, &carol, &denied("session_revoked"));
    // Of the new server's changes gateways are told as well.
    let server = sentinels.master();
    let key = crate::harness::sessions::key(server, &alice);
    assert_eq!(server.cli(&["del", &key]).trim(), "1");
    for number in [1, 2] {
        await_told(&site, number, &alice, &denied("session_unknown"));
    }
}

#[test]
fn server_without_room_keeps_who_is_logged_in_and_refuses_new_logins() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let alice = site.log_in("alice");
    server.cli(&["config", "set", "maxmemory", "1"]);
    site.assert_in(&alice);
    let address = site.gateway(1).address();
    assert_eq!(told(&login::attempt(address, "bob", &[])), denied("store_unavailable"));
    site.assert_in(&alice);
    // A logout makes more room than it takes.
    alice.log_out(address);
    for number in [1, 2] {
        await_told(&site, number, &alice, &denied("session_revoked"));
    }
    server.cli(&["config", "set", "maxmemory", "0"]);
    let bob = site.log_in("bob");
    site.assert_in(&bob);
}

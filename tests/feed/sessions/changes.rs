//! What others do to the store by hand, and how soon that is noticed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::Connection;
use crate::harness::eventually;
use crate::harness::login::Login;
use crate::harness::outcome::accepted;
use crate::harness::redis::{RedisOptions, RedisServer};
use crate::harness::sessions::{SessionFleet, ask_on, await_told, delete, denied, key};

/// Within what time a change is noticed where the server tells of it.
const PROMPT: Duration = Duration::from_millis(50);

/// Changes the record of a session by hand.
fn rewrite(server: &RedisServer, login: &Login, change: impl FnOnce(&mut Value)) {
    let key = key(server, login);
    let mut record: Value = serde_json::from_str(&server.cli(&["get", &key])).expect("JSON");
    change(&mut record);
    assert_eq!(server.cli(&["set", &key, &record.to_string(), "keepttl"]).trim(), "OK");
}

/// Waits until gateways are told of changes: a deletion is noticed at once.
fn await_tracking(server: &RedisServer, count: usize) {
    eventually("tracking", || {
        let clients = server.cli(&["client", "list"]);
        let is_told = |line: &&str| {
            line.split(' ').any(|field| field.starts_with("flags=") && field.contains('t'))
        };
        (clients.lines().filter(is_told).count() == count).then_some(())
    });
}

/// A gateway that is not told, and looks again after so long.
fn untold(port: u16, recheck: &str) -> String {
    format!(
        "store: {{ redis: {{ url: 'redis://127.0.0.1:{port}', username: gateway, password: secret }} }}\n\
         sessions: {{ recheck: {recheck} }}\n",
    )
}

/// Stands before a server and lets everything through late.
fn slow(server: &RedisServer, delay: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (near, far) = (listener.local_addr().expect("an address").port(), server.port());
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(("127.0.0.1", far)) else { return };
            let copies = |stream: &TcpStream| stream.try_clone().expect("a copy");
            let (asks, answers) = ((copies(&near), copies(&far)), (far, near));
            std::thread::spawn(move || pass_on(asks.0, asks.1, Duration::ZERO));
            std::thread::spawn(move || pass_on(answers.0, answers.1, delay));
        }
    });
    near
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, late) = std::sync::mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        for (due, bytes) in late {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let mut buffer = [0; 16 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if sender.send((Instant::now() + delay, buffer[..bytes].to_vec())).is_err() {
            break;
        }
    }
}

/// A server whose user may do anything but be told of changes.
fn mute_server() -> RedisServer {
    let rules = "on >secret ~* +@all -client|tracking".to_owned();
    let user = Some(("gateway".to_owned(), rules));
    RedisServer::start_with(RedisOptions { user, ..RedisOptions::default() })
}

#[test]
fn deletion_is_noticed_on_every_gateway_within_milliseconds() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 3);
    let bob = site.log_in("bob");
    await_tracking(&server, 3);
    let mut connections: Vec<_> =
        [1, 2, 3].map(|number| Connection::open(site.gateway(number).address())).into();
    let mut best = Duration::MAX;
    for _ in 0..6 {
        let alice = site.log_in("alice");
        site.assert_in(&alice);
        let key = key(&server, &alice);
        assert_eq!(server.cli(&["del", &key]).trim(), "1");
        let begun = Instant::now();
        for connection in &mut connections {
            eventually("a refusal", || {
                let told = ask_on(connection, &alice);
                (told != accepted()).then(|| assert_eq!(told, denied("session_unknown")))
            });
        }
        best = best.min(begun.elapsed());
    }
    assert!(best < PROMPT, "{best:?}");
    site.assert_in(&bob);
}

#[test]
fn other_ways_to_lose_a_session_are_noticed_as_well() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 1);
    await_tracking(&server, 1);
    let commands: [fn(&str) -> Vec<String>; 4] = [
        |key| vec!["unlink".into(), key.into()],
        |key| vec!["pexpire".into(), key.into(), "1".into()],
        |key| vec!["rename".into(), key.into(), "elsewhere".into()],
        |_| vec!["flushdb".into()],
    ];
    for command in commands {
        let alice = site.log_in("alice");
        assert_eq!(site.ask(1, &alice), accepted());
        let command = command(&key(&server, &alice));
        server.cli(&command.iter().map(String::as_str).collect::<Vec<_>>());
        await_told(&site, 1, &alice, &denied("session_unknown"));
    }
}

#[test]
fn where_the_server_does_not_tell_a_deletion_is_noticed_when_it_is_looked_at_again() {
    let server = mute_server();
    let site = SessionFleet::start(&untold(server.port(), "1s"), 2);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    site.assert_in(&alice);
    site.assert_in(&bob);
    let begun = Instant::now();
    delete(&server, &alice);
    let mut longest = Duration::ZERO;
    for number in [1, 2] {
        let mut connection = Connection::open(site.gateway(number).address());
        // Whoever is busy never waits.
        while ask_on(&mut connection, &alice) == accepted() {
            assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
            let asked = Instant::now();
            assert_eq!(ask_on(&mut connection, &bob), accepted());
            longest = longest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(ask_on(&mut connection, &alice), denied("session_unknown"));
    }
    assert!(longest < Duration::from_millis(900), "{longest:?}");
    site.assert_in(&bob);
    assert!(
        site.gateway(1).errors().iter().any(|line| line.contains("client|tracking")),
        "nobody was told that changes are not told"
    );
}

#[test]
fn session_that_is_busy_does_not_wait_for_a_store_that_stands_still() {
    let server = mute_server();
    let site = SessionFleet::start(
        &(untold(server.port(), "1s") + "revocation: { max_staleness: 60s }\n"),
        1,
    );
    let alice = site.log_in("alice");
    let mut connection = Connection::open(site.gateway(1).address());
    crate::harness::sessions::settle(&site, 1, &alice);
    server.pause();
    let (begun, mut waits) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(4) {
        let asked = Instant::now();
        assert_eq!(ask_on(&mut connection, &alice), accepted());
        if asked.elapsed() > Duration::from_millis(250) {
            waits.push(asked.elapsed());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    server.resume();
    // A busy machine makes anybody wait a little; the store would, for a second each time.
    let waited: Duration = waits.iter().sum();
    assert!(waited < Duration::from_secs(2), "{waits:?}");
}

#[test]
fn where_the_server_is_slow_a_deletion_is_noticed_all_the_same() {
    let server = mute_server();
    let port = slow(&server, Duration::from_millis(150));
    let site = SessionFleet::start(&untold(port, "1s"), 1);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let mut connection = Connection::open(site.gateway(1).address());
    assert_eq!(ask_on(&mut connection, &alice), accepted());
    let begun = Instant::now();
    delete(&server, &alice);
    let mut longest = Duration::ZERO;
    while ask_on(&mut connection, &alice) == accepted() {
        assert!(begun.elapsed() < Duration::from_secs(3), "it goes on for ever");
        let asked = Instant::now();
        assert_eq!(ask_on(&mut connection, &bob), accepted());
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(ask_on(&mut connection, &alice), denied("session_unknown"));
    assert!(longest < Duration::from_millis(900), "{longest:?}");
    site.assert_in(&bob);
}

#[test]
fn record_that_is_rewritten_by_hand_takes_effect() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    await_tracking(&server, 2);
    let alice = site.log_in("alice");
    site.assert_in(&alice);
    assert_eq!(site.ask_for(2, &alice, "/admins"), denied("role_missing"));
    rewrite(&server, &alice, |record| record["roles"] = json!(["admin"]));
    for number in [1, 2] {
        eventually("the new role", || {
            (site.ask_for(number, &alice, "/admins") == accepted()).then_some(())
        });
        assert_eq!(site.upstream.last().values("x-auth-roles"), ["admin"]);
    }
    rewrite(&server, &alice, |record| record["roles"] = json!([]));
    for number in [1, 2] {
        eventually("the lost role", || {
            (site.ask_for(number, &alice, "/admins") == denied("role_missing")).then_some(())
        });
        assert_eq!(site.ask(number, &alice), accepted());
    }
    // Set to have ended, it has ended.
    rewrite(&server, &alice, |record| record["ends"] = json!(1));
    for number in [1, 2] {
        await_told(&site, number, &alice, &denied("session_expired"));
    }
}

#[test]
fn everything_deleted_is_noticed_and_a_new_login_works() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    await_tracking(&server, 2);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    site.assert_in(&alice);
    site.assert_in(&bob);
    server.cli(&["flushall"]);
    for number in [1, 2] {
        await_told(&site, number, &alice, &denied("session_unknown"));
        await_told(&site, number, &bob, &denied("session_unknown"));
    }
    let alice = site.log_in("alice");
    site.assert_in(&alice);
}

#[test]
fn connections_that_are_killed_log_nobody_out_and_changes_are_told_again() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    site.assert_in(&alice);
    for round in 0..30 {
        server.cli(&["client", "kill", "type", "normal"]);
        for number in [1, 2] {
            for login in [&alice, &bob] {
                assert_eq!(site.ask(number, login), accepted(), "round {round}");
            }
        }
    }
    await_tracking(&server, 2);
    site.assert_in(&alice);
    delete(&server, &alice);
    let begun = Instant::now();
    for number in [1, 2] {
        await_told(&site, number, &alice, &denied("session_unknown"));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    site.assert_in(&bob);
}

#[test]
fn what_is_deleted_while_nobody_is_told_is_noticed_afterwards() {
    // Told of nothing while the connection is down; all is asked again when it is back.
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 1);
    await_tracking(&server, 1);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    site.assert_in(&alice);
    site.assert_in(&bob);
    let key = key(&server, &alice);
    server.cli(&[
        "eval",
        &format!("redis.call('client','kill','type','normal') return redis.call('del','{key}')"),
        "0",
    ]);
    // Whether a script may kill or not, the one after the other will do.
    server.cli(&["client", "kill", "type", "normal"]);
    server.cli(&["del", &key]);
    await_told(&site, 1, &alice, &denied("session_unknown"));
    site.assert_in(&bob);
}

#[test]
fn record_of_a_later_version_is_not_read_and_left_alone() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let key = key(&server, &alice);
    rewrite(&server, &alice, |record| record["version"] = json!(2));
    let later = server.cli(&["get", &key]);
    let address = site.gateway(2).address();
    assert_eq!(site.ask(2, &alice), denied("store_unavailable"));
    assert_eq!(
        crate::harness::sessions::told(&alice.ask(address, "/auth/session")),
        denied("store_unavailable")
    );
    assert_eq!(
        crate::harness::sessions::told(&alice.send(address, "POST", "/auth/logout")),
        denied("store_unavailable")
    );
    assert_eq!(server.cli(&["get", &key]), later);
    assert_eq!(site.ask(2, &bob), accepted());
    // Another login of the same user neither.
    let again = site.log_in("alice");
    site.assert_in(&again);
    assert_eq!(server.cli(&["get", &key]), later);
    rewrite(&server, &alice, |record| record["version"] = json!(1));
    await_told(&site, 2, &alice, &accepted());
}

#[test]
fn record_that_is_garbage_opens_nothing() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 1);
    await_tracking(&server, 1);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    site.assert_in(&alice);
    let key = key(&server, &alice);
    for garbage in
        ["", "{}", "null", "[]", "{\"version\":1}", "{\"version\":1,\"subject\":\"root\"}", "x"]
    {
        server.cli(&["set", &key, garbage]);
        await_told(&site, 1, &alice, &denied("store_unavailable"));
    }
    server.cli(&["del", &key]);
    server.cli(&["lpush", &key, "a list"]);
    await_told(&site, 1, &alice, &denied("store_unavailable"));
    assert_eq!(site.ask(1, &bob), accepted());
}

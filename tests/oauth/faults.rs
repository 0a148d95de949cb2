//! Gateways that are killed, answers that are lost, and stores that are away: nobody loses their
//! login by any of it, and nobody is told that their token is not good while nobody can know.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::{self, Answer, Connection};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, SECRET, api_key, ask, ask_with_key, assert_invalid_grant,
    assert_unavailable, await_told, form, log_in, post, refresh, refreshes, refreshing, tokens,
    try_refresh,
};
use crate::harness::outcome::accepted;
use crate::harness::redis::monitor::Monitor;
use crate::harness::redis::{Data, RedisOptions, RedisServer, Sentinels};
use crate::harness::{PATIENCE, eventually, fleet};

/// Gateways whose list may be old, so that it is the exchange itself that fails.
const PATIENT: &str = "revocation: { max_staleness: 60s }\n";

/// How many log in and go on exchanging.
const PEOPLE: usize = 16;

/// Exchanges a token again and again, until it is exchanged. Whatever happens, it must not be
/// refused for good.
fn insist(addresses: &dyn Fn() -> Vec<SocketAddr>, token: &str, turn: usize) -> Granted {
    let begun = Instant::now();
    for attempt in turn.. {
        let addresses = addresses();
        let address = addresses[attempt % addresses.len()];
        match try_refresh(address, token) {
            Some(answer) if answer.status == 200 => return Granted::read(&answer),
            Some(answer) => assert_unavailable(&answer),
            None => {}
        }
        assert!(begun.elapsed() < PATIENCE, "it was never exchanged");
        std::thread::sleep(Duration::from_millis(10));
    }
    unreachable!("it goes on until it is exchanged")
}

/// Many who each exchange their token for the next, all along, while something happens. In the end
/// each has a token that is good. Returns how many exchanges there were.
fn all_along(
    ground_addresses: impl Fn() -> Vec<SocketAddr> + Sync,
    first: Vec<Granted>,
    happening: impl FnOnce(&AtomicUsize),
) -> (usize, Vec<Granted>) {
    let (is_over, exchanged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let last = std::thread::scope(|scope| {
        let threads: Vec<_> = first
            .into_iter()
            .enumerate()
            .map(|(number, mut granted)| {
                let (is_over, exchanged, addresses) = (&is_over, &exchanged, &ground_addresses);
                scope.spawn(move || {
                    while !is_over.load(Ordering::SeqCst) {
                        granted = insist(addresses, &granted.refresh, number);
                        exchanged.fetch_add(1, Ordering::SeqCst);
                    }
                    granted
                })
            })
            .collect();
        eventually("exchanges", || (exchanged.load(Ordering::SeqCst) > PEOPLE).then_some(()));
        happening(&exchanged);
        is_over.store(true, Ordering::SeqCst);
        threads.into_iter().map(|thread| thread.join().expect("a good token")).collect()
    });
    (exchanged.into_inner(), last)
}

/// Waits until there were so many more exchanges.
fn await_more(exchanged: &AtomicUsize, more: usize) {
    let before = exchanged.load(Ordering::SeqCst);
    eventually("exchanges that go on", || {
        (exchanged.load(Ordering::SeqCst) >= before + more).then_some(())
    });
}

fn people(site: &IssuingFleet) -> Vec<Granted> {
    (0..PEOPLE).map(|_| Granted::log_in(site.at(1), "alice")).collect()
}

// ---- gateways that are killed

#[test]
fn nothing_acknowledged_is_lost_when_a_gateway_with_an_embedded_store_is_killed() {
    let mut site = IssuingFleet::embedded("");
    let first = people(&site);
    let address = Arc::new(std::sync::Mutex::new(site.at(1)));
    let shared = address.clone();
    let addresses = move || vec![*shared.lock().expect("an address")];
    let (_, last) = all_along(addresses, first, |exchanged| {
        for _ in 0..5 {
            site.end(1, "KILL");
            site.revive(1);
            *address.lock().expect("an address") = site.at(1);
            await_more(exchanged, 2 * PEOPLE);
        }
    });
    for granted in last {
        let next = granted.next(site.at(1));
        assert_eq!(ask(site.at(1), HOME, &next.access), accepted());
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_one_of_three_gateways_is_killed() {
    let server = RedisServer::start();
    let mut site = IssuingFleet::on(&server, "", 3);
    let first = people(&site);
    let all = site.all().iter().map(crate::harness::gateway::Gateway::address);
    let all: Arc<std::sync::Mutex<Vec<SocketAddr>>> =
        Arc::new(std::sync::Mutex::new(all.collect()));
    let shared = all.clone();
    let addresses = move || shared.lock().expect("the addresses").clone();
    let (_, last) = all_along(addresses, first, |exchanged| {
        for number in [2, 3, 2] {
            site.end(number, "KILL");
            await_more(exchanged, PEOPLE);
            site.revive(number);
            all.lock().expect("the addresses")[number - 1] = site.at(number);
            await_more(exchanged, PEOPLE);
        }
    });
    for granted in last {
        let next = granted.next(site.at(1));
        assert_eq!(ask(site.at(2), HOME, &next.access), accepted());
    }
}

/// Who never read the answer asks again with the token that they have.
fn lost_answer_is_given_again(site: &mut IssuingFleet, restarts: bool) {
    let granted = Granted::log_in(site.at(1), "alice");
    let mut deaf = Connection::open(site.at(1));
    deaf.send(refreshing(&granted.refresh));
    eventually("an exchange", || (refreshes(site.gateway(1), "ok") >= 1.0).then_some(()));
    site.end(1, "KILL");
    if restarts {
        site.revive(1);
    }
    let at = if restarts { 1 } else { 2 };
    let next = granted.next(site.at(at));
    // What nobody read.
    let unread = Granted::read(&deaf.answer().expect("it was on its way"));
    assert_eq!(next.refresh, unread.refresh);
    let last = next.next(site.at(at));
    for granted in [&granted, &next, &unread, &last] {
        assert_eq!(ask(site.at(at), HOME, &granted.access), accepted());
    }
}

#[test]
fn answer_lost_with_its_gateway_is_given_again_by_another() {
    let server = RedisServer::start();
    lost_answer_is_given_again(&mut IssuingFleet::on(&server, "", 2), false);
}

#[test]
fn answer_lost_with_its_gateway_is_given_again_after_a_restart() {
    lost_answer_is_given_again(&mut IssuingFleet::embedded(""), true);
}

// ---- answers of the store that are lost

/// Stands between a gateway and a server. Once something is asked in which a text occurs, what is
/// asked arrives, and what is answered does not.
struct OneWayRelay {
    port: u16,
    is_deaf: Arc<AtomicBool>,
    text: Arc<Mutex<Option<String>>>,
}

impl OneWayRelay {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let is_deaf = Arc::new(AtomicBool::new(false));
        let text = Arc::new(Mutex::new(None::<String>));
        let (shared, watched) = (is_deaf.clone(), text.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(("127.0.0.1", server)).expect("the server accepts");
                let copies = |stream: &TcpStream| stream.try_clone().expect("a copy");
                let (asked, asks) = (copies(&near), copies(&far));
                let (is_deaf, watched) = (shared.clone(), watched.clone());
                let begins_it = is_deaf.clone();
                std::thread::spawn(move || {
                    pass_on(asked, asks, |bytes| {
                        let text = watched.lock().expect("the text");
                        if text.as_ref().is_some_and(|text| mentions(bytes, text.as_str())) {
                            begins_it.store(true, Ordering::SeqCst);
                        }
                        true
                    });
                });
                std::thread::spawn(move || {
                    pass_on(far, near, |_| !is_deaf.load(Ordering::SeqCst));
                });
            }
        });
        Self { port, is_deaf, text }
    }

    /// From the next time on that something is asked in which this occurs.
    fn deaf_from(&self, text: &str) {
        *self.text.lock().expect("the text") = Some(text.to_owned());
    }

    fn hears_again(&self) {
        *self.text.lock().expect("the text") = None;
        self.is_deaf.store(false, Ordering::SeqCst);
    }
}

fn mentions(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Passes on what is `wanted`. Whatever was swallowed once spoils the connection: it ends.
fn pass_on(mut from: TcpStream, mut to: TcpStream, wanted: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 64 * 1024];
    let mut swallowed = false;
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if !wanted(&buffer[..bytes]) {
            swallowed = true;
            continue;
        }
        if swallowed || to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

#[test]
fn exchange_whose_answer_the_store_could_not_give_is_made_up_for() {
    let server = RedisServer::start();
    let relay = OneWayRelay::start(server.port());
    let lines =
        format!("{PATIENT}store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", relay.port);
    let site = IssuingFleet::start(&lines, 1);
    let granted = Granted::log_in(site.at(1), "alice");
    let family = server.cli(&["--scan", "--pattern", "*famil*"]).trim().to_owned();
    let current = || server.cli(&["hget", &family, "current"]);
    let monitor = Monitor::start(&server);
    let granted = granted.next(site.at(1));
    // The one script that is about the family is the exchange.
    let commands = monitor.about(&family);
    let script = commands.iter().find(|line| line.contains("EVALSHA")).expect("an exchange");
    let exchange = script.split('"').nth(3).expect("the name of a script").to_owned();
    drop(monitor);
    let before = current();
    relay.deaf_from(&exchange);
    let answer = refresh(site.at(1), &granted.refresh);
    relay.hears_again();
    assert_unavailable(&answer);
    assert_ne!(current(), before, "it was exchanged");
    let next = eventually("the successor", || {
        let answer = refresh(site.at(1), &granted.refresh);
        if answer.status != 200 {
            assert_unavailable(&answer);
            return None;
        }
        Some(Granted::read(&answer))
    });
    let last = next.next(site.at(1));
    assert_eq!(ask(site.at(1), HOME, &last.access), accepted());
}

#[test]
fn login_whose_answer_the_store_could_not_give_is_refused_with_503() {
    let server = RedisServer::start();
    let relay = OneWayRelay::start(server.port());
    let lines =
        format!("{PATIENT}store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", relay.port);
    let site = IssuingFleet::start(&lines, 1);
    relay.is_deaf.store(true, Ordering::SeqCst);
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "tokens" }), &[]);
    relay.hears_again();
    assert_unavailable(&answer);
    eventually("a login", || {
        let answer = log_in(site.at(1), "alice", json!({ "deliver": "tokens" }), &[]);
        (answer.status == 200).then_some(())
    });
}

// ---- stores that are away

/// How a store goes away.
#[derive(Clone, Copy, Debug)]
enum Absence {
    /// Connections stay, and nothing moves on them.
    Pause,
    /// Nobody listens.
    Death,
    /// It takes no more.
    Full,
}

impl Absence {
    fn begin(self, server: &mut RedisServer) {
        match self {
            Self::Pause => server.pause(),
            Self::Death => server.kill(),
            Self::Full => drop(server.cli(&["config", "set", "maxmemory", "1"])),
        }
    }

    fn end(self, server: &mut RedisServer) {
        match self {
            Self::Pause => server.resume(),
            Self::Death => server.restart(Data::Kept),
            Self::Full => drop(server.cli(&["config", "set", "maxmemory", "0"])),
        }
    }
}

fn basic(id: &str) -> String {
    use base64::Engine;
    let both = format!("{id}:{}", SECRET.replace(' ', "+"));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
}

/// Asks about a token, as the client that may.
pub(super) fn introspect(address: SocketAddr, token: &str) -> Answer {
    let fields = [("Authorization", &*basic("service"))];
    client::exchange(address, form("/auth/introspect", &fields, &[("token", token)]))
}

/// A token for the machine itself.
fn machine(address: SocketAddr) -> Answer {
    let fields = [("Authorization", &*basic("batch"))];
    client::exchange(address, form("/auth/token", &fields, &[("grant_type", "client_credentials")]))
}

/// Asserts that it was either done, or could not be done; never that it is the asker's fault.
#[track_caller]
fn assert_done_or_unavailable(what: &str, answer: &Answer) {
    if answer.status != 200 {
        assert_eq!(answer.status, 503, "{what}: {answer:?}");
        assert_unavailable(answer);
    }
}

fn store_goes_away(absence: Absence) {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let site = IssuingFleet::on(&server, PATIENT, 2);
    let alice = Granted::log_in(site.at(1), "alice");
    let bob = Granted::log_in(site.at(2), "bob");
    let carol = [1, 2].map(|number| Granted::log_in(site.at(number), "carol"));
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted());
    // The gateway is told of its own writing, too, and reads once more.
    let hits = || site.gateway(1).metric("portcullis_session_cache_hits_total");
    let known = hits() + 3.0;
    eventually("the key in memory", || {
        assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted());
        (hits() >= known).then_some(())
    });
    for number in [1, 2] {
        assert_eq!(ask(site.at(number), HOME, &alice.access), accepted());
    }
    let before = Granted::read_access(&machine(site.at(1)));
    assert_eq!(ask(site.at(2), HOME, &before), accepted());

    absence.begin(&mut server);
    for number in [1, 2] {
        let address = site.at(number);
        for token in [&alice.refresh, &bob.refresh] {
            let begun = Instant::now();
            assert_unavailable(&refresh(address, token));
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }
        let login = log_in(address, "alice", json!({ "deliver": "tokens" }), &[]);
        assert_unavailable(&login);
        // What was issued is verified as ever, and by the keys in memory.
        for token in [&alice.access, &bob.access, &before] {
            assert_eq!(ask(address, HOME, token), accepted(), "{absence:?}");
        }
        let token = bob.refresh.as_str();
        assert_done_or_unavailable("introspection", &introspect(address, token));
        assert_done_or_unavailable("introspection", &introspect(address, &bob.access));
        let revoked = post(address, "/auth/revoke", &[("token", &carol[number - 1].refresh)]);
        match absence {
            // The end of a login makes more room than it takes.
            Absence::Full => assert_eq!(revoked.status, 200, "{revoked:?}"),
            Absence::Pause | Absence::Death => {
                assert_eq!(revoked.status, 503, "{absence:?}: {revoked:?}");
                assert_unavailable(&revoked);
            }
        }
        let revoked = post(address, "/auth/revoke", &[("token", &bob.access)]);
        assert_eq!(revoked.status, 503, "{absence:?}: {revoked:?}");
        // Machines have nothing that the store would have to remember.
        assert_done_or_unavailable("a machine's token", &machine(address));
        let keys = client::exchange(address, client::get("/.well-known/jwks.json", &[]));
        assert_eq!(keys.status, 200, "{keys:?}");
    }
    assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted(), "it is known here");
    let inside = client::get("/inside/x", &[("X-Api-Key", &key)]);
    assert_eq!(client::exchange(site.at(1), inside).status, 200, "signed from memory");

    absence.end(&mut server);
    for (number, granted) in [(1, &bob), (2, &alice)] {
        let next = eventually("the successor", || {
            let answer = refresh(site.at(number), &granted.refresh);
            if answer.status != 200 {
                assert_unavailable(&answer);
                return None;
            }
            Some(Granted::read(&answer))
        });
        let last = next.next(site.at(3 - number));
        await_told(site.at(number), HOME, &last.access, &accepted());
    }
}

#[test]
fn store_that_stands_still_makes_no_grant_invalid() {
    store_goes_away(Absence::Pause);
}

#[test]
fn store_that_is_killed_makes_no_grant_invalid() {
    store_goes_away(Absence::Death);
}

#[test]
fn store_that_is_full_makes_no_grant_invalid() {
    store_goes_away(Absence::Full);
}

/// By a list that is too old nobody can say whether the family's login was cut off meanwhile.
#[test]
fn list_that_is_too_old_makes_no_grant_invalid() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "revocation: { max_staleness: 1s }\n", 1);
    let alice = Granted::log_in(site.at(1), "alice");
    server.pause();
    await_told(site.at(1), "/bearers/x", &alice.access, &(503, "revocation_stale".to_owned()));
    assert_unavailable(&refresh(site.at(1), &alice.refresh));
    assert_eq!(ask(site.at(1), "/patient/x", &alice.access), accepted());
    assert_done_or_unavailable("introspection", &introspect(site.at(1), &alice.access));
    server.resume();
    await_told(site.at(1), HOME, &alice.access, &accepted());
    let next = eventually("the successor", || {
        let answer = refresh(site.at(1), &alice.refresh);
        (answer.status == 200).then(|| Granted::read(&answer))
    });
    assert_eq!(ask(site.at(1), HOME, &next.access), accepted());
}

/// What somebody has written over is not the holder's fault either.
#[test]
fn family_that_cannot_be_read_makes_no_grant_invalid() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, PATIENT, 1);
    let alice = Granted::log_in(site.at(1), "alice");
    let family = server.cli(&["--scan", "--pattern", "*famil*"]).trim().to_owned();
    server.cli(&["rename", &family, "aside"]);
    for command in [&["set", &family, "x"][..], &["hset", &family, "record", "{\"version\":99}"]] {
        server.cli(&["del", &family]);
        server.cli(command);
        assert_unavailable(&refresh(site.at(1), &alice.refresh));
    }
    server.cli(&["del", &family]);
    server.cli(&["rename", "aside", &family]);
    alice.next(site.at(1));
}

// ---- fail-over

#[test]
fn fail_over_amid_exchanges_makes_no_grant_invalid() {
    let sentinels = Sentinels::start();
    let lines = fleet::redis(&sentinels.settings()) + PATIENT;
    let site = IssuingFleet::start(&lines, 2);
    let first = people(&site);
    let addresses = [site.at(1), site.at(2)].to_vec();
    let accesses: Vec<_> = first.iter().map(|granted| granted.access.clone()).collect();
    let (_, last) = all_along(
        || addresses.clone(),
        first,
        |exchanged| {
            sentinels.fail_over();
            await_more(exchanged, 2 * PEOPLE);
        },
    );
    for granted in last {
        // This one may still wait for the other.
        let next = insist(&|| vec![site.at(1)], &granted.refresh, 0);
        assert_eq!(ask(site.at(2), HOME, &next.access), accepted());
    }
    for access in accesses {
        assert_eq!(ask(site.at(1), HOME, &access), accepted());
    }
}

/// What a replica never got is lost: the token that was exchanged is the current one again. Who has
/// the newer one goes on with it all the same.
#[test]
fn exchange_that_a_replica_never_got_is_done_again() {
    let mut sentinels = Sentinels::start();
    let lines = fleet::redis(&sentinels.settings()) + PATIENT + &tokens("1s");
    let site = IssuingFleet::start(&lines, 1);
    let alice = Granted::log_in(site.at(1), "alice");
    let bob = Granted::log_in(site.at(1), "bob");
    let master = sentinels.master();
    assert_eq!(master.cli(&["wait", "1", "20000"]).trim(), "1");
    let old = master.port();
    // From here on the replica gets nothing.
    assert_eq!(master.cli(&["acl", "setuser", "default", "-psync", "-sync"]).trim(), "OK");
    master.cli(&["client", "kill", "type", "replica"]);
    let newer = alice.next(site.at(1)).next(site.at(1));
    sentinels.master().kill();
    sentinels.await_another_than(old);
    eventually("an exchange at the new master", || {
        let answer = refresh(site.at(1), &bob.refresh);
        if answer.status != 200 {
            assert_unavailable(&answer);
            return None;
        }
        Some(())
    });
    let next = newer.next(site.at(1));
    assert_eq!(ask(site.at(1), HOME, &next.access), accepted());
    let last = next.next(site.at(1));
    // What was used before is no better for it, once that was not a moment ago.
    eventually("the end of the grace", || {
        let answer = refresh(site.at(1), &alice.refresh);
        if answer.status == 503 {
            return None;
        }
        assert_invalid_grant(&answer);
        Some(())
    });
    await_told(site.at(1), HOME, &last.access, &(401, "token_revoked".to_owned()));
}

#[test]
fn grace_is_not_used_up_by_a_restart_of_the_gateway() {
    let mut site = IssuingFleet::embedded(&tokens("10s"));
    let granted = Granted::log_in(site.at(1), "alice");
    let next = granted.next(site.at(1));
    for signal in ["TERM", "KILL"] {
        site.end(1, signal);
        site.revive(1);
        assert_eq!(granted.next(site.at(1)).refresh, next.refresh, "after {signal}");
    }
}

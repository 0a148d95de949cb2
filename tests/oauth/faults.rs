//! Gateways that are killed, answers that are lost, and stores that are away: nobody loses their
//! login by any of it, and nobody is told that their token is not good while nobody can know.

mod fail_over;
mod lost_answers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::{self, Answer, Connection};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, SECRET, api_key, ask, ask_with_key, assert_unavailable,
    await_told, form, log_in, post, refresh, refreshes, refreshing, try_refresh,
};
use crate::harness::outcome::accepted;
use crate::harness::redis::{Data, RedisOptions, RedisServer};
use crate::harness::{PATIENCE, eventually};

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

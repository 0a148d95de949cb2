//! Guessing: how often a name may be tried, and from where.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::harness::client::{self, Answer};
use crate::harness::eventually;
use crate::harness::fleet::redis;
use crate::harness::gateway::Gateway;
use crate::harness::login::{self, Login, PASSWORD};
use crate::harness::password_login::{
    FORM, LoginGateway, NAVIGATION, WRONG, assert_refused, configuration, encoded, guess, post,
    retry_after,
};
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;

/// Whose word on addresses is taken: ours.
const TRUSTING: &str = "trusted_proxies: [127.0.0.0/8]";

fn open(attempts: &str) -> LoginGateway {
    LoginGateway::open_with(TRUSTING, &format!("attempts: {attempts}"))
}

/// Tries a name from an address.
fn guess_from(address: SocketAddr, from: &str, name: &str, password: &str) -> Answer {
    guess(address, name, password, &[("X-Forwarded-For", from)])
}

#[track_caller]
fn assert_limited(answer: &Answer) {
    assert_refused(answer, 429, "rate_limited");
    assert!(retry_after(answer) >= 1, "{answer:?}");
}

#[test]
fn budget_of_a_name_is_the_same_from_all_addresses() {
    let site = open("{ per_account: 1/1h, per_address: 100000/1s }");
    let address = site.address();
    assert_refused(&guess_from(address, "192.0.2.1", "alice", WRONG), 401, "login_failed");
    for from in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "198.51.100.7, 192.0.2.3", "nonsense"] {
        let answer = guess_from(address, from, "alice", WRONG);
        assert_limited(&answer);
        assert!((3590..=3600).contains(&retry_after(&answer)), "{answer:?}");
    }
    // Others are not concerned.
    assert_eq!(guess_from(address, "192.0.2.1", "bob", PASSWORD).status, 200);
    let count = "portcullis_logins_total{method=\"password\",result=\"limited\"}";
    assert_eq!(site.gateway.metric(count), 5.0);
}

#[test]
fn budget_of_an_address_is_the_same_for_all_names() {
    let site = open("{ per_account: 100000/1s, per_address: 1/24h }");
    let address = site.address();
    assert_refused(&guess_from(address, "192.0.2.1", "alice", WRONG), 401, "login_failed");
    for name in ["alice", "bob", "nobody", "x"] {
        assert_limited(&guess_from(address, "192.0.2.1", name, PASSWORD));
        // What a client writes in front of its own address is not believed.
        assert_limited(&guess_from(address, "203.0.113.9, 192.0.2.1", name, PASSWORD));
    }
    assert_eq!(guess_from(address, "192.0.2.2", "alice", PASSWORD).status, 200);
}

#[test]
fn addresses_cannot_be_made_up_by_whoever_is_not_trusted() {
    let site =
        LoginGateway::open_with("", "attempts: { per_account: 100000/1s, per_address: 1/24h }");
    let address = site.address();
    assert_refused(&guess_from(address, "192.0.2.1", "alice", WRONG), 401, "login_failed");
    for field in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP"] {
        assert_limited(&guess(address, "alice", PASSWORD, &[(field, "192.0.2.2")]));
    }
}

#[test]
fn network_of_an_ipv6_address_counts_as_one() {
    let site = open("{ per_account: 100000/1s, per_address: 1/24h }");
    let address = site.address();
    assert_refused(&guess_from(address, "2001:db8:1:2::1", "alice", WRONG), 401, "login_failed");
    for from in ["2001:db8:1:2::2", "2001:db8:1:2:ffff:ffff:ffff:ffff", "[2001:db8:1:2::7]:443"] {
        assert_limited(&guess_from(address, from, "alice", PASSWORD));
    }
    assert_eq!(guess_from(address, "2001:db8:1:3::1", "alice", PASSWORD).status, 200);
    // An IPv4 address in the dress of the other kind is itself.
    assert_refused(&guess_from(address, "::ffff:192.0.2.9", "alice", WRONG), 401, "login_failed");
    assert_limited(&guess_from(address, "192.0.2.9", "alice", PASSWORD));
    assert_eq!(guess_from(address, "::ffff:192.0.2.10", "alice", PASSWORD).status, 200);
}

#[test]
fn other_spellings_of_a_name_are_no_other_budget() {
    let site = open("{ per_account: 1/1h, per_address: 100000/1s }");
    assert_refused(&guess(site.address(), "ALICE", WRONG, &[]), 401, "login_failed");
    for name in ["alice", "Alice ", "\talice"] {
        assert_limited(&guess(site.address(), name, PASSWORD, &[]));
    }
}

#[test]
fn each_attempt_makes_the_next_one_wait_longer_until_the_budget_is_used_up() {
    let site = open("{ per_account: 4/32s, per_address: 100000/1s }");
    let address = site.address();
    // The next has to wait for 2, then for 4 and for 8 s, and then for the whole time.
    assert_refused(&guess(address, "alice", WRONG, &[]), 401, "login_failed");
    let mut waits = Vec::new();
    let begun = Instant::now();
    for _ in 0..2 {
        let answer = guess(address, "alice", WRONG, &[]);
        assert_limited(&answer);
        waits.push(retry_after(&answer));
        // Asking again in the meantime does not make it longer.
        eventually("the end of the wait", || {
            let answer = guess(address, "alice", WRONG, &[]);
            if answer.status == 429 {
                assert!(retry_after(&answer) <= waits.last().copied().unwrap_or(0), "{answer:?}");
                std::thread::sleep(Duration::from_millis(100));
                return None;
            }
            assert_refused(&answer, 401, "login_failed");
            Some(())
        });
    }
    let answer = guess(address, "alice", PASSWORD, &[]);
    assert_limited(&answer);
    waits.push(retry_after(&answer));
    // Times are whole seconds.
    let expected = [2, 4, 8];
    for (wait, expected) in waits.iter().zip(expected) {
        assert!((expected - 1..=expected).contains(wait), "{waits:?}");
    }
    let elapsed = begun.elapsed().as_secs_f32();
    assert!((3.5..15.0).contains(&elapsed), "two waits took {elapsed} s");
}

/// Guesses at the same moment; how many were looked at.
fn guess_at_once(addresses: &[SocketAddr], count: usize, password: &str) -> Vec<Answer> {
    let barrier = Barrier::new(count);
    std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..count)
            .map(|number| {
                let (barrier, address) = (&barrier, addresses[number % addresses.len()]);
                scope.spawn(move || {
                    barrier.wait();
                    let from = format!("192.0.2.{number}");
                    guess_from(address, &from, "alice", password)
                })
            })
            .collect();
        guesses.into_iter().map(|one| one.join().expect("an answer")).collect()
    })
}

#[track_caller]
fn assert_within_budget(answers: &[Answer], budget: usize) {
    let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
    assert!((1..=budget).contains(&looked_at), "{looked_at} were looked at");
    for answer in answers.iter().filter(|answer| answer.status != 401) {
        assert_limited(answer);
    }
}

#[test]
fn many_guesses_at_once_are_as_many_as_one_after_the_other() {
    // Three at once before the first has to wait for a second.
    let site = open("{ per_account: 5/10s, per_address: 100000/1s }");
    assert_within_budget(&guess_at_once(&[site.address()], 50, WRONG), 5);
    // The right one among them would not be found.
    let site = open("{ per_account: 1/1h, per_address: 100000/1s }");
    assert_within_budget(&guess_at_once(&[site.address()], 50, WRONG), 1);
    for answer in guess_at_once(&[site.address()], 10, PASSWORD) {
        assert_limited(&answer);
    }
}

/// Two gateways on this server.
fn fleet(server: &RedisServer, attempts: &str) -> (Upstream, [Gateway; 2]) {
    let upstream = Upstream::start();
    let sections = format!("{TRUSTING}\n{}", redis(&server.settings()));
    let login = format!("password_file: users.yaml\n  attempts: {attempts}");
    let text = configuration(&upstream, &sections, &login);
    let start = || Gateway::start_in(login::directory(), &text);
    let gateways = [start(), start()];
    (upstream, gateways)
}

#[test]
fn gateways_on_one_store_share_budgets() {
    let server = RedisServer::start();
    let (_upstream, gateways) = fleet(&server, "{ per_account: 5/1h, per_address: 100000/1s }");
    let addresses = [gateways[0].address(), gateways[1].address()];
    assert_within_budget(&guess_at_once(&addresses, 50, WRONG), 5);
    for address in addresses {
        assert_limited(&guess(address, "alice", PASSWORD, &[]));
        assert_eq!(guess(address, "bob", PASSWORD, &[]).status, 200);
    }
}

#[test]
fn success_forgets_the_attempts_of_the_name() {
    // The first two at once; the third has to wait for half an hour.
    let site = open("{ per_account: 2/1h, per_address: 100000/1s }");
    let address = site.address();
    for _ in 0..5 {
        assert_eq!(guess(address, "alice", PASSWORD, &[]).status, 200);
    }
    assert_refused(&guess(address, "alice", WRONG, &[]), 401, "login_failed");
    assert_limited(&guess(address, "alice", PASSWORD, &[]));
}

/// An own account would otherwise buy guesses at another's.
#[test]
fn success_does_not_forget_what_an_address_did_to_others() {
    let site = open("{ per_account: 100000/1s, per_address: 3/16s }");
    let address = site.address();
    // What is wrong counts; what is right, in between, neither counts nor helps.
    let mut looked_at = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        guess_from(address, "192.0.2.1", "bob", PASSWORD);
        if guess_from(address, "192.0.2.1", "alice", WRONG).status == 401 {
            looked_at += 1;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // Two, or twice as many where one span of time ends and the next begins.
    assert!((1..=4).contains(&looked_at), "{looked_at} guesses in three seconds");
}

#[test]
fn name_that_is_locked_out_keeps_its_sessions() {
    let site = open("{ per_account: 1/1h, per_address: 100000/1s }");
    let address = site.address();
    let login = Login::new(address, "alice");
    assert_refused(&guess(address, "alice", WRONG, &[]), 401, "login_failed");
    assert_limited(&guess(address, "alice", PASSWORD, &[]));
    // Nor does a session help to log in again.
    assert_limited(&guess(address, "alice", PASSWORD, &login.fields()));
    assert_eq!(login.ask(address, "/pages/x").status, 200);
    assert_eq!(login.ask(address, "/auth/session").status, 200);
    login.log_out(address);
}

#[test]
fn budget_is_there_again_when_its_time_has_passed() {
    let site = open("{ per_account: 1/2s, per_address: 100000/1s }");
    let address = site.address();
    for _ in 0..2 {
        assert_refused(&guess(address, "alice", WRONG, &[]), 401, "login_failed");
        assert_limited(&guess(address, "alice", PASSWORD, &[]));
        std::thread::sleep(Duration::from_secs(2));
        eventually("the end of the wait", || {
            let answer = guess(address, "alice", PASSWORD, &[]);
            (answer.status == 200).then_some(())
        });
    }
}

#[test]
fn attempts_outlive_the_gateway() {
    let upstream = Upstream::start();
    let login = "password_file: users.yaml\n  attempts: { per_account: 1/1h }";
    let text = configuration(&upstream, "", login);
    let directory = login::directory();
    let gateway = Gateway::start_in(directory.clone(), &text);
    assert_refused(&guess(gateway.address(), "alice", WRONG, &[]), 401, "login_failed");
    gateway.signal("KILL");
    drop(gateway);
    let gateway = Gateway::start_in(directory, &text);
    assert_limited(&guess(gateway.address(), "alice", PASSWORD, &[]));
}

#[test]
fn nobody_is_let_in_while_attempts_cannot_be_counted() {
    let mut server = RedisServer::start();
    let (_upstream, gateways) = fleet(&server, "{ per_account: 5/1h }");
    let address = gateways[0].address();
    let before = Login::new(address, "bob");
    server.kill();
    for password in [PASSWORD, WRONG] {
        let answer = guess(address, "alice", password, &[]);
        assert_refused(&answer, 503, "store_unavailable");
        assert!(retry_after(&answer) >= 1);
    }
    let fields = [&NAVIGATION[..], &[("Content-Type", FORM)]].concat();
    let page = post(address, &fields, &encoded(&[("username", "alice"), ("password", PASSWORD)]));
    assert_eq!((page.status, page.field("set-cookie")), (503, None), "{page:?}");
    assert!(page.body.contains("try again") && page.body.contains("<form"), "{page:?}");
    // The page itself needs no store, and whoever is logged in is known from memory.
    assert_eq!(client::exchange(address, client::get("/auth/login", &[])).status, 200);
    let answer = before.send(address, "POST", "/auth/logout");
    assert_refused(&answer, 503, "store_unavailable");
    let count = "portcullis_logins_total{method=\"password\",result=\"unavailable\"}";
    assert_eq!(gateways[0].metric(count), 3.0);
}

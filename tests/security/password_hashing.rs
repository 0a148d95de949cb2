//! Passwords are slow to verify on purpose: a few who log in as fast as they can, with the right
//! password, must not keep everybody else waiting.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::client::{self, Answer};
use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, Login};
use crate::harness::upstream::Upstream;

/// Accounts that log in as fast as they can, each on so many connections at once.
const GREEDY: [&str; 3] = ["bob", "carol", "dave"];
const AT_ONCE: usize = 30;

/// How many logins of somebody else must succeed meanwhile.
const LOGINS: usize = 10;

fn start(upstream: &Upstream, lines: &str) -> Gateway {
    let text = format!("{lines}{}{}", login::SECTION, gateway::standard(upstream));
    Gateway::start_in(login::directory(), &text)
}

/// What those are told who are not let in: never that the store is at fault, and when to come again.
#[track_caller]
fn assert_refusal(answer: &Answer) {
    let told = (answer.status, &*answer.slug());
    assert!([(429, "rate_limited"), (503, "overloaded")].contains(&told), "{answer:?}");
    let pause = answer.field("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(pause > Some(0), "{answer:?}");
}

#[test]
fn few_accounts_that_log_in_as_fast_as_they_can_keep_nobody_else_out() {
    let upstream = Upstream::start();
    // All come from one address here, which has a part of what is served at once.
    let gateway = start(&upstream, "limits: { in_flight_own: 1000 }\n");
    let address = gateway.address();
    let is_over = AtomicBool::new(false);
    let statuses: BTreeSet<u16> = std::thread::scope(|scope| {
        let greedy: Vec<_> = GREEDY
            .iter()
            .flat_map(|name| [*name; AT_ONCE])
            .map(|name| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut statuses = BTreeSet::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let answer = login::attempt(address, name, &[]);
                        if answer.status != 200 {
                            assert_refusal(&answer);
                        }
                        statuses.insert(answer.status);
                    }
                    statuses
                })
            })
            .collect();
        let logins: Vec<_> =
            (0..LOGINS).map(|_| login::attempt(address, "alice", &[]).status).collect();
        is_over.store(true, Ordering::Relaxed);
        let statuses = greedy.into_iter().flat_map(|one| one.join().expect("a refusal")).collect();
        assert_eq!(logins, [200; LOGINS]);
        statuses
    });
    // They are let in, too, as far as their share goes, and told when it does not.
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    Login::new(address, "bob");
}

/// Whoever guesses costs as much as whoever knows, wherever the guesses come from.
#[test]
fn one_account_has_a_part_of_the_places_and_the_rest_is_for_others() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "trusted_proxies: [127.0.0.0/8]\n");
    let address = gateway.address();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..2 * AT_ONCE {
            let is_over = &is_over;
            scope.spawn(move || {
                let from = format!("192.0.2.{number}");
                let request = login::request("bob", "a guess", &[("X-Forwarded-For", &from)]);
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client::exchange(address, &request);
                    if answer.status != 401 {
                        assert_refusal(&answer);
                    }
                }
            });
        }
        let other = [("X-Forwarded-For", "198.51.100.7")];
        let logins: Vec<_> =
            (0..LOGINS).map(|_| login::attempt(address, "alice", &other).status).collect();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(logins, [200; LOGINS]);
    });
}

//! Many logins at once: hashing is slow, and nobody else may feel it.

use std::time::{Duration, Instant};

use crate::harness::login::{Login, PASSWORD};
use crate::harness::password_login::{LoginGateway, MANY, assert_refused, guess, retry_after};

#[test]
fn flood_of_logins_is_bounded_and_requests_go_on() {
    // All come from one address here, which has a part of what is served at once.
    let site = LoginGateway::open_with("limits: { in_flight_own: 1000 }\n", MANY);
    let address = site.address();
    let login = Login::new(address, "alice");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..100).map(|_| scope.spawn(|| guess(address, "bob", PASSWORD, &[]))).collect();
        let mut slowest = Duration::ZERO;
        while !all.iter().all(|one| one.is_finished()) {
            let begun = Instant::now();
            assert_eq!(login.ask(address, "/pages/x").status, 200);
            slowest = slowest.max(begun.elapsed());
        }
        assert!(slowest < Duration::from_secs(5), "a request took {slowest:?}");
        let answers = all.into_iter().map(|one| one.join().expect("an answer"));
        answers
            .map(|answer| {
                match answer.status {
                    200 => {}
                    _ => {
                        // All by one account, which has a part of the places.
                        assert_refused(&answer, 429, "rate_limited");
                        assert!(retry_after(&answer) > 0);
                    }
                }
                answer.status
            })
            .collect()
    });
    assert!(statuses.contains(&200), "somebody is let in");
    // And afterwards it is as before.
    Login::new(address, "carol");
}

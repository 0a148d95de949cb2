//! A Redis that fails over or is restarted amid exchanges.

use super::{PATIENT, PEOPLE, all_along, await_more, insist, people};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, ask, assert_invalid_grant, assert_unavailable, await_told,
    refresh, tokens,
};
use crate::harness::outcome::accepted;
use crate::harness::redis::Sentinels;
use crate::harness::{eventually, fleet};

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

//! Whatever happens to the store, nobody who was cut off comes back, and nobody else is.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::client::{Connection, get};
use crate::harness::eventually;
use crate::harness::fleet::{
    self, Fleet, Verdict, ask, await_silence, is_confirmed, redis, revoke, revoke_on_all,
    revoke_until_durable, revoke_until_on_all, revoke_within, said, stale_after, token_of,
};
use crate::harness::gateway::Gateway;
use crate::harness::redis::{Data, RedisServer, Sentinels};
use crate::harness::tokens::bearer;

/// How many gateways there are.
const COUNT: usize = 3;

/// Where the store keeps the log.
const LOG: &str = "portcullis:{revocations}:log";

/// And where it keeps the snapshot.
const LIVE: &str = "portcullis:{revocations}:live";

/// And where it keeps what gateways tell.
const GATEWAYS: &str = "portcullis:{revocations}:gateways";

/// Fail-overs take longer than a second.
const STALE_AFTER: &str = "1s";

fn lines(server: &RedisServer, max_staleness: &str) -> String {
    redis(&server.settings()) + &stale_after(max_staleness)
}

/// Waits until a gateway refuses a token as revoked.
fn await_refusal(gateway: &Gateway, token: &str) {
    eventually("a refusal", || (ask(gateway, token) == Verdict::Revoked).then_some(()));
}

/// Waits until each gateway lets in whoever is not revoked.
fn await_recovery(fleet: &Fleet) {
    let token = token_of("somebody");
    for gateway in fleet.all() {
        eventually("recovery", || (ask(gateway, &token) == Verdict::Accepted).then_some(()));
    }
}

/// How often a gateway has loaded the list anew for this cause.
fn loads(gateway: &Gateway, cause: &str) -> f64 {
    gateway.metric(&format!("portcullis_revocation_snapshots_total{{cause=\"{cause}\"}}"))
}

#[test]
fn server_that_restarts_with_its_data_loses_nothing() {
    let mut server = RedisServer::start_durable();
    let mut fleet = Fleet::start(&lines(&server, STALE_AFTER), COUNT);
    let mut watch = fleet.watch();
    for round in 0..2 {
        let before = format!("before-{round}");
        revoke_on_all(fleet.gateway(1 + round), &before, COUNT);
        watch.is_revoked(&token_of(&before));
        server.kill();
        server.restart(Data::Kept);
        let after = format!("after-{round}");
        revoke_until_on_all(fleet.gateway(2 + round), &after, COUNT);
        watch.is_revoked(&token_of(&after));
        await_recovery(&fleet);
    }
    for gateway in fleet.all() {
        assert_eq!(loads(gateway, "went_backwards"), 0.0);
        assert_eq!(loads(gateway, "trimmed"), 0.0);
    }
    watch.look_at(fleet.join());
    for subject in ["before-0", "after-0", "before-1", "after-1"] {
        for gateway in fleet.all() {
            assert_eq!(ask(gateway, &token_of(subject)), Verdict::Revoked, "{subject}");
        }
    }
    watch.end();
}

#[test]
fn what_a_server_forgot_stays_in_force_and_is_written_down_again() {
    const SUBJECTS: usize = 20;
    let mut server = RedisServer::start();
    let mut fleet = Fleet::start(&lines(&server, STALE_AFTER), COUNT);
    let mut watch = fleet.watch();
    let subjects: Vec<_> = (0..SUBJECTS).map(|number| format!("user-{number}")).collect();
    let tokens: Vec<_> = subjects.iter().map(|subject| token_of(subject)).collect();
    for (number, subject) in subjects.iter().enumerate() {
        revoke_on_all(fleet.gateway(1 + number % COUNT), subject, COUNT);
        watch.is_revoked(&tokens[number]);
    }
    server.restart(Data::Lost);
    await_recovery(&fleet);
    eventually("what was lost", || {
        let listing = fleet::admin(fleet.gateway(1), "/v1/revocations?limit=1000")?;
        let listed = listing["revocations"].as_array()?.iter();
        let listed: Vec<_> = listed.filter_map(|one| one["subject"].as_str()).collect();
        subjects.iter().all(|subject| listed.contains(&&**subject)).then_some(())
    });
    revoke_until_on_all(fleet.gateway(2), "after", COUNT);
    watch.is_revoked(&token_of("after"));
    watch.look_at(fleet.join());
    for gateway in fleet.all() {
        for token in &tokens {
            assert_eq!(ask(gateway, token), Verdict::Revoked);
        }
    }
    watch.end();
}

/// A gateway that was acknowledged a revocation knows of it, whether or not it has come back to it
/// through the log.
#[test]
fn revocation_that_only_its_writer_knew_is_written_down_again() {
    let mut server = RedisServer::start();
    let mut fleet = Fleet::start(&lines(&server, "10s"), 1);
    revoke_on_all(fleet.gateway(1), "user-1", 1);
    // The log can be written and not be read.
    server.cli(&["acl", "setuser", "default", "-xread"]);
    eventually("a gateway that cannot follow", || {
        let errors = fleet.gateway(1).errors();
        errors.iter().any(|line| line.contains("cannot be followed")).then_some(())
    });
    let answer = revoke(fleet.gateway(1), "user-2");
    assert_eq!(answer.json()["durable"], true, "{answer:?}");
    assert_eq!(ask(fleet.gateway(1), &token_of("user-2")), Verdict::Revoked);
    server.restart(Data::Lost);
    eventually("what was lost", || {
        let listing = fleet::admin(fleet.gateway(1), "/v1/revocations")?;
        (listing["total"].as_u64()? >= 1).then_some(())
    });
    revoke_until_on_all(fleet.gateway(1), "user-3", 1);
    let joined = fleet.join();
    for subject in ["user-1", "user-2", "user-3"] {
        assert_eq!(ask(joined, &token_of(subject)), Verdict::Revoked, "{subject}");
    }
}

/// A fail-over can lose what was acknowledged last and nothing else: the log then goes on from
/// where its writer had read it.
#[test]
fn revocation_that_was_lost_before_its_writer_had_read_it_is_written_down_again() {
    let server = RedisServer::start();
    let mut fleet = Fleet::start(&lines(&server, "10s"), 1);
    revoke_on_all(fleet.gateway(1), "user-1", 1);
    server.cli(&["acl", "setuser", "default", "-xread"]);
    eventually("a gateway that cannot follow", || {
        let errors = fleet.gateway(1).errors();
        errors.iter().any(|line| line.contains("cannot be followed")).then_some(())
    });
    let answer = revoke(fleet.gateway(1), "user-2");
    assert_eq!(answer.json()["durable"], true, "{answer:?}");
    // What a replica would hold that had not yet been told of the second one.
    let first = server.cli(&["xrange", LOG, "1-0", "1-0"]);
    let first = first.lines().last().expect("a record");
    let second = server.cli(&["xrange", LOG, "2-0", "2-0"]);
    let second = second.lines().last().expect("a record");
    assert!(first.contains("user-1") && second.contains("user-2"), "{first} {second}");
    let lose = "redis.call('DEL', KEYS[1])
        redis.call('XADD', KEYS[1], '1-0', 'record', ARGV[1])
        return redis.call('ZREM', KEYS[2], ARGV[2])";
    assert_eq!(server.cli(&["eval", lose, "2", LOG, LIVE, first, second]).trim(), "1");
    server.cli(&["acl", "setuser", "default", "+xread"]);
    revoke_until_on_all(fleet.gateway(1), "user-3", 1);
    let joined = fleet.join();
    for subject in ["user-1", "user-2", "user-3"] {
        await_refusal(joined, &token_of(subject));
    }
}

/// What two gateways write down again at once is in the log twice. A third one must not take the
/// second copy for the place where it was.
#[test]
fn log_that_was_lost_and_written_again_is_not_mistaken_for_the_old_one() {
    let server = RedisServer::start();
    let mut fleet = Fleet::start(&lines(&server, "10s"), 1);
    for subject in ["user-1", "user-0"] {
        revoke_on_all(fleet.gateway(1), subject, 1);
    }
    // What joins now never hears of the first one.
    let listed = server.cli(&["zrange", LIVE, "0", "-1"]);
    let first = listed.lines().find(|record| record.contains("user-1")).expect("a record");
    assert_eq!(server.cli(&["zrem", LIVE, first]).trim(), "1");
    fleet.join();
    fleet.await_roster(2);
    revoke_on_all(fleet.gateway(1), "user-2", 2);
    fleet.gateway(1).stand_still();
    server.cli(&["flushall"]);
    eventually("what was lost", || (server.cli(&["xlen", LOG]).trim() == "2").then_some(()));
    // What a third gateway, which had heard of the same, has written at the same time.
    let record = server.cli(&["xrange", LOG, "-", "+"]);
    let record = record.lines().last().expect("a record");
    assert!(record.contains("user-2"), "{record}");
    server.cli(&["xadd", LOG, "3-0", "record", record]);
    fleet.gateway(1).signal("CONT");
    revoke_until_on_all(fleet.gateway(1), "user-3", 2);
    let joined = fleet.join();
    for subject in ["user-3", "user-2", "user-0", "user-1"] {
        await_refusal(joined, &token_of(subject));
    }
}

/// With its data a server forgets who follows the log. Whoever has not come back yet may still let
/// in whom it has not heard of.
#[test]
fn gateway_that_the_server_forgot_is_not_passed_over_when_all_confirm() {
    let mut server = RedisServer::start();
    let fleet = Fleet::start(&lines(&server, "10s"), 2);
    let token = token_of("user-1");
    assert_eq!(ask(fleet.gateway(2), &token), Verdict::Accepted);
    fleet.gateway(2).stand_still();
    server.restart(Data::Lost);
    let answer = eventually("an acknowledged revocation", || {
        let answer = revoke_within(fleet.gateway(1), "user-1", 200);
        (answer.status == 201).then_some(answer)
    });
    let mut waiting = Connection::open(fleet.gateway(2).address());
    waiting.send(get("/whoami", &[("Authorization", &bearer(&token))]));
    fleet.gateway(2).signal("CONT");
    let said = said(&waiting.answer().expect("an answer"));
    assert!(!is_confirmed(&answer) || said != Verdict::Accepted, "{}", answer.body);
}

/// The same, asked of one that never knew the other.
#[test]
fn gateway_that_the_server_forgot_is_not_passed_over_by_one_that_has_just_started() {
    let mut server = RedisServer::start();
    let mut fleet = Fleet::start(&lines(&server, "10s"), 2);
    let token = token_of("user-1");
    assert_eq!(ask(fleet.gateway(2), &token), Verdict::Accepted);
    fleet.gateway(2).stand_still();
    server.restart(Data::Lost);
    eventually("a gateway that is back", || {
        server.cli(&["hvals", GATEWAYS]).contains("gw-1").then_some(())
    });
    let answer = revoke_within(fleet.join(), "user-1", 300);
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut waiting = Connection::open(fleet.gateway(2).address());
    waiting.send(get("/whoami", &[("Authorization", &bearer(&token))]));
    fleet.gateway(2).signal("CONT");
    let said = said(&waiting.answer().expect("an answer"));
    assert!(!is_confirmed(&answer) || said != Verdict::Accepted, "{}", answer.body);
}

#[test]
fn connections_that_are_cut_again_and_again_lose_nothing() {
    const SUBJECTS: usize = 60;
    let server = RedisServer::start();
    let fleet = Fleet::start(&lines(&server, "2s"), COUNT);
    let watch = fleet.watch();
    let is_over = AtomicBool::new(false);
    let subject = |number: usize| format!("user-{number}");
    let cut = std::thread::scope(|scope| {
        let cutting = scope.spawn(|| {
            let mut cut = 0;
            while !is_over.load(Ordering::SeqCst) {
                let told = server.cli(&["client", "kill", "type", "normal"]);
                cut += told.trim().parse::<usize>().expect("a number");
            }
            cut
        });
        let writing: Vec<_> = (0..COUNT)
            .map(|lane| {
                let (fleet, watch) = (&fleet, &watch);
                scope.spawn(move || {
                    for number in (0..SUBJECTS).filter(|number| number % COUNT == lane) {
                        let (subject, gateway) = (subject(number), fleet.gateway(1 + lane));
                        revoke_until_durable(gateway, &subject);
                        let token = token_of(&subject);
                        assert_eq!(ask(gateway, &token), Verdict::Revoked);
                        if is_confirmed(&revoke_within(gateway, &subject, 300)) {
                            watch.is_revoked(&token);
                        }
                    }
                })
            })
            .collect();
        for writing in writing {
            writing.join().expect("the writer");
        }
        is_over.store(true, Ordering::SeqCst);
        cutting.join().expect("the cutter")
    });
    assert!(cut > SUBJECTS, "only {cut} connections were cut");
    for number in 0..SUBJECTS {
        let token = token_of(&subject(number));
        for gateway in fleet.all() {
            await_refusal(gateway, &token);
        }
        watch.is_revoked(&token);
    }
    await_recovery(&fleet);
    watch.end();
}

#[test]
fn gateway_past_which_the_log_was_trimmed_loads_the_list_anew() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&lines(&server, STALE_AFTER), 2);
    let watch = fleet.watch();
    revoke_on_all(fleet.gateway(1), "user-0", 2);
    fleet.gateway(2).stand_still();
    // The first is on its way to the gateway already; the others are in the log only.
    for number in 1..=3 {
        assert_eq!(revoke(fleet.gateway(1), &format!("user-{number}")).status, 201);
    }
    server.cli(&["xtrim", LOG, "maxlen", "0"]);
    await_silence(fleet.gateway(1), "gw-2");
    for number in 0..=3 {
        watch.is_revoked(&token_of(&format!("user-{number}")));
    }
    fleet.gateway(2).signal("CONT");
    for number in 0..=3 {
        await_refusal(fleet.gateway(2), &token_of(&format!("user-{number}")));
    }
    assert_eq!(loads(fleet.gateway(2), "trimmed"), 1.0);
    revoke_until_on_all(fleet.gateway(1), "user-4", 2);
    await_recovery(&fleet);
    watch.end();
}

#[test]
fn fail_over_keeps_what_was_confirmed_and_takes_what_is_new() {
    let mut sentinels = Sentinels::start();
    let lines = redis(&sentinels.settings()) + &stale_after(STALE_AFTER);
    let mut fleet = Fleet::start(&lines, COUNT);
    let mut watch = fleet.watch();
    revoke_on_all(fleet.gateway(1), "before", COUNT);
    watch.is_revoked(&token_of("before"));
    let deposed = sentinels.master().port();
    sentinels.master().kill();
    std::thread::scope(|scope| {
        for number in 1..=COUNT {
            let (fleet, watch) = (&fleet, &watch);
            scope.spawn(move || {
                let subject = format!("during-{number}");
                revoke_until_on_all(fleet.gateway(number), &subject, COUNT);
                watch.is_revoked(&token_of(&subject));
            });
        }
        sentinels.await_another_than(deposed);
    });
    revoke_until_on_all(fleet.gateway(2), "after", COUNT);
    watch.is_revoked(&token_of("after"));
    await_recovery(&fleet);
    watch.look_at(fleet.join());
    for subject in ["before", "during-1", "during-2", "during-3", "after"] {
        for gateway in fleet.all() {
            assert_eq!(ask(gateway, &token_of(subject)), Verdict::Revoked, "{subject}");
        }
    }
    watch.end();
}

#[test]
fn what_a_fail_over_lost_stays_in_force_and_is_written_down_again() {
    const LOST: usize = 5;
    let mut sentinels = Sentinels::start();
    let lines = redis(&sentinels.settings()) + &stale_after(STALE_AFTER);
    let mut fleet = Fleet::start(&lines, COUNT);
    let mut watch = fleet.watch();
    revoke_on_all(fleet.gateway(1), "before", COUNT);
    watch.is_revoked(&token_of("before"));
    // From here on nothing reaches the replica.
    let master = sentinels.master();
    master.cli(&["acl", "setuser", "default", "-psync", "-sync"]);
    master.cli(&["client", "kill", "type", "replica"]);
    for number in 0..LOST {
        let subject = format!("lost-{number}");
        revoke_on_all(fleet.gateway(1 + number % COUNT), &subject, COUNT);
        watch.is_revoked(&token_of(&subject));
    }
    let deposed = master.port();
    master.kill();
    sentinels.await_another_than(deposed);
    await_recovery(&fleet);
    revoke_until_on_all(fleet.gateway(3), "after", COUNT);
    watch.is_revoked(&token_of("after"));
    // Not all: what the first one writes down again may be just what the next one looks for.
    assert!(fleet.all().iter().any(|gateway| loads(gateway, "went_backwards") >= 1.0));
    watch.look_at(fleet.join());
    for gateway in fleet.all() {
        for number in 0..LOST {
            let subject = format!("lost-{number}");
            assert_eq!(ask(gateway, &token_of(&subject)), Verdict::Revoked, "{subject}");
        }
        assert_eq!(ask(gateway, &token_of("before")), Verdict::Revoked);
    }
    watch.end();
}

//! Families in Redis: what is in the keys, and what others do with them.

use super::*;

/// The key of a family.
fn key(number: u64) -> String {
    format!("portcullis:{{revocations}}:family:{}", id(number))
}

/// The key of the record of a session.
fn session_key(number: u64) -> String {
    format!("portcullis:{{revocations}}:session:{}", id(number))
}

fn expires(server: &RedisServer, key: &str) -> i64 {
    server.cli(&["expiretime", key]).trim().parse().expect("a number")
}

/// Has the server believe that the last exchange of a family was so long ago.
fn exchanged(server: &RedisServer, number: u64, ago_ms: i64) {
    let now_ms = i64::try_from(clock::micros() / 1000).expect("a time");
    let rotated_ms = (now_ms - ago_ms).to_string();
    assert_eq!(server.cli(&["hset", &key(number), "rotated_ms", &rotated_ms]).trim(), "0");
}

/// All fields of a family; a hash has no order.
fn all_of(server: &RedisServer, number: u64) -> String {
    let fields = ["record", "current", "used", "previous", "rotated_ms", "sealed", "dead"];
    let fields = [&fields[..], &["earlier", "shared", "was_shared"]].concat();
    server.cli(&[&["hmget", &*key(number)][..], &fields[..]].concat())
}

#[tokio::test]
async fn grace_ends_by_the_clock_of_the_server() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let long_ms = GRACE_MS as i64;
    // Much less than an hour remains of those that are not over: this takes its time.
    for (number, (ago_ms, is_replayed)) in (1..).zip([
        (long_ms - 20_000, true),
        (long_ms, false),
        (10 * long_ms, false),
        (20_000 - long_ms, true),
        (-20_000 - long_ms, false),
    ]) {
        begin(&store, &family(number, now)).await;
        assert_eq!(rotate(&store, number, 0, 1, now).await, Rotation::Rotated);
        exchanged(&server, number, ago_ms);
        // The clock of a gateway says nothing.
        let now = now.plus(if is_replayed { 5000 } else { -5000 });
        let replayed = Rotation::Replayed(vec![sealed(1)]);
        let expected = if is_replayed { replayed } else { Rotation::Reused };
        assert_eq!(rotate(&store, number, 0, 2, now).await, expected, "{ago_ms}");
    }
}

/// Until a successor was used there is no second branch. A token that may have two holders already gets no more than
/// its grace.
#[tokio::test]
async fn token_leads_to_an_unused_successor_for_longer_than_its_grace() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    const SHORT_MS: u64 = 10_000;
    let ask = async |number, from, to| rotate_within(&store, number, from, to, SHORT_MS, now).await;
    for (number, ago_ms, is_led_on) in [(1, 90_000, true), (2, 100_000, false)] {
        begin(&store, &family(number, now)).await;
        assert_eq!(ask(number, 0, 1).await, Rotation::Rotated);
        exchanged(&server, number, ago_ms);
        let led_on = Rotation::Replayed(vec![sealed(1)]);
        let expected = if is_led_on { led_on } else { Rotation::Reused };
        assert_eq!(ask(number, 0, 9).await, expected, "{ago_ms}");
    }
    // Token 1 was given out twice.
    assert_eq!(ask(1, 1, 2).await, Rotation::Rotated);
    exchanged(&server, 1, 5_000);
    assert_eq!(ask(1, 1, 9).await, Rotation::Replayed(vec![sealed(2)]));
    exchanged(&server, 1, 15_000);
    assert_eq!(ask(1, 1, 9).await, Rotation::Reused);
    // Its successor was used.
    begin(&store, &family(3, now)).await;
    assert_eq!(ask(3, 0, 1).await, Rotation::Rotated);
    exchanged(&server, 3, 15_000);
    assert_eq!(ask(3, 1, 2).await, Rotation::Rotated);
    assert_eq!(ask(3, 0, 9).await, Rotation::Reused);
}

#[tokio::test]
async fn family_expires_by_the_clock_that_is_behind() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    // A gateway whose clock is ahead ends nothing.
    begin(&store, &family(1, now)).await;
    let ahead = now.plus(10 * LIFETIME_S);
    assert_eq!(rotate(&store, 1, 0, 1, ahead).await, Rotation::Rotated);
    // For one whose clock is behind nothing is over that is not over for it.
    begin(&store, &family(2, now.plus(-IDLE_S))).await;
    assert_eq!(rotate(&store, 2, 0, 1, now.plus(-1)).await, Rotation::Rotated);
    begin(&store, &family(3, now.plus(-IDLE_S))).await;
    assert_eq!(rotate(&store, 3, 0, 1, now).await, Rotation::Expired);
    assert_eq!(rotate(&store, 3, 0, 1, ahead).await, Rotation::Expired);
}

#[tokio::test]
async fn key_expires_an_hour_after_the_family_could_last_be_used() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let rested = now.plus(IDLE_S + MARGIN_S).as_seconds();
    begin(&store, &family(1, now)).await;
    assert!((rested..rested + 5).contains(&expires(&server, &key(1))));
    // Its use keeps it, by whichever clock is ahead.
    assert_eq!(rotate(&store, 1, 0, 1, now.plus(700)).await, Rotation::Rotated);
    assert_eq!(expires(&server, &key(1)), rested + 700);
    assert!(matches!(rotate(&store, 1, 0, 2, now.plus(900)).await, Rotation::Replayed(_)));
    assert_eq!(rotate(&store, 1, 99, 2, now.plus(900)).await, Rotation::Reused);
    assert_eq!(expires(&server, &key(1)), rested + 700);
    begin(&store, &family(2, now.plus(-IDLE_S))).await;
    assert!((rested..rested + 5).contains(&expires(&server, &key(2))), "a clock that is behind");
    // It ends before.
    begin(&store, &Family { ends: now.plus(77), ..family(3, now) }).await;
    assert_eq!(expires(&server, &key(3)), now.plus(77 + MARGIN_S).as_seconds());
    assert_eq!(rotate(&store, 3, 0, 1, now.plus(70)).await, Rotation::Rotated);
    assert_eq!(expires(&server, &key(3)), now.plus(77 + MARGIN_S).as_seconds());
}

#[tokio::test]
async fn what_was_used_is_kept_until_an_hour_after_it_may_be_forgotten_by_every_clock() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let key = |key: &str| format!("portcullis:{{revocations}}:spent:{key}");
    for (name, until, clock, least) in [
        ("one", 60, 0, 60),
        ("ahead", 1060, 1000, 1060),
        ("behind", -940, -1000, 60),
        ("past", -60, 0, 0),
    ] {
        assert_eq!(store.spend(name, now.plus(until), now.plus(clock)).await, Ok(true));
        let least = now.plus(least + MARGIN_S).as_seconds();
        let expires = expires(&server, &key(name));
        assert!((least..least + 5).contains(&expires), "{name}: {}", expires - least);
    }
}

#[tokio::test]
async fn only_what_can_be_exchanged_again_is_kept() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    begin(&store, &family(1, now)).await;
    let fields = |server: &RedisServer| {
        let fields = server.cli(&["hkeys", &key(1)]);
        let mut fields: Vec<_> = fields.split_whitespace().map(ToOwned::to_owned).collect();
        fields.sort();
        fields
    };
    assert_eq!(fields(&server), ["current", "record", "used"]);
    for number in 0..3 {
        assert_eq!(rotate(&store, 1, number, number + 1, now).await, Rotation::Rotated);
        let last = ["current", "previous", "record", "rotated_ms", "sealed", "used"];
        let before = (number > 0).then_some("earlier");
        let mut all: Vec<_> = last.into_iter().chain(before).collect();
        all.sort_unstable();
        assert_eq!(fields(&server), all);
    }
    assert_eq!(rotate(&store, 1, 99, 1, now).await, Rotation::Reused);
    assert_eq!(fields(&server), ["current", "dead", "record", "used"]);
}

#[tokio::test]
async fn deletion_of_the_session_by_hand_ends_the_family() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    begin(&store, &family(1, now)).await;
    assert_eq!(rotate(&store, 1, 0, 1, now).await, Rotation::Rotated);
    let before = all_of(&server, 1);
    server.cli(&["del", &session_key(1)]);
    for from in [1, 0, 99] {
        assert_eq!(rotate(&store, 1, from, 2, now).await, Rotation::Absent, "{from}");
    }
    assert_eq!(all_of(&server, 1), before);
}

#[tokio::test]
async fn deletion_of_the_family_by_hand_ends_it() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    begin(&store, &family(1, now)).await;
    server.cli(&["del", &key(1)]);
    assert_eq!(kept(&store, 1).await, None);
    assert_eq!(rotate(&store, 1, 0, 1, now).await, Rotation::Absent);
    assert_eq!(server.cli(&["exists", &key(1)]).trim(), "0");
}

#[tokio::test]
async fn family_of_a_later_version_is_left_alone() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let later = r#"{"version":2,"who":"ada"}"#;
    let known = portcullis::store::family::encode(&family(1, now));
    // It differs in nothing else, or in whatever else there may be.
    let almost = known.replace(r#""version":1"#, r#""version":2"#);
    let records = [later, &almost, "not even JSON", "[]", r#"{"version":"x"}"#];
    for (number, record) in (1..).zip(records) {
        begin(&store, &family(number, now)).await;
        server.cli(&["hset", &key(number), "record", record]);
        if record == later {
            server.cli(&["hset", &key(number), "used", "today"]);
        }
        let before = all_of(&server, number);
        let error = FamilyStore::find(&store, id(number)).await.expect_err("it cannot be read");
        assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
        for from in [0, 99] {
            let rotated = exchange(&store, number, token(from), &successor(1), GRACE_MS, now).await;
            assert!(matches!(rotated, Err(StoreError::Unreadable(_))), "{record}: {rotated:?}");
        }
        assert_eq!(store.begin(&family(number, now), token(7)).await, Ok(true));
        assert_eq!(all_of(&server, number), before);
        // Whoever says that it is to go need not be able to read it.
        assert_eq!(store.delete(id(number)).await, Ok(true));
    }
}

#[tokio::test]
async fn family_of_which_something_is_missing_is_unreadable() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    for (number, field) in (1..).zip(["record", "current", "used"]) {
        begin(&store, &family(number, now)).await;
        server.cli(&["hdel", &key(number), field]);
        let found = FamilyStore::find(&store, id(number)).await;
        assert!(matches!(found, Err(StoreError::Unreadable(_))), "{field}: {found:?}");
        let rotated = exchange(&store, number, token(0), &successor(1), GRACE_MS, now).await;
        assert!(matches!(rotated, Err(StoreError::Unreadable(_))), "{field}: {rotated:?}");
    }
}

#[tokio::test]
async fn fields_of_a_later_gateway_are_kept() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let family = family(1, now);
    begin(&store, &family).await;
    let record = server.cli(&["--raw", "hget", &key(1), "record"]);
    let record = record.trim().replacen('{', r#"{"device":{"version":9},"#, 1);
    server.cli(&["hset", &key(1), "record", &record, "device", "x"]);
    assert_eq!(kept(&store, 1).await, Some(used(&family, 0, now)));
    assert_eq!(rotate(&store, 1, 0, 1, now).await, Rotation::Rotated);
    assert_eq!(server.cli(&["hget", &key(1), "device"]).trim(), "x");
}

#[tokio::test]
async fn keys_of_another_program_are_unreadable() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    begin(&store, &family(1, now)).await;
    server.cli(&["del", &key(1)]);
    server.cli(&["set", &key(1), "x"]);
    let unreadable = |error: StoreError| matches!(error, StoreError::Unreadable(_));
    assert!(FamilyStore::find(&store, id(1)).await.is_err_and(unreadable));
    let rotated = exchange(&store, 1, token(0), &successor(1), GRACE_MS, now).await;
    assert!(rotated.is_err_and(unreadable));
    server.cli(&["rpush", "portcullis:{revocations}:spent:one", "x"]);
    assert!(store.spend("one", now.plus(60), now).await.is_err_and(unreadable));
}

#[tokio::test]
async fn full_server_refuses_exchanges_and_kills_nothing() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let family = family(1, now);
    begin(&store, &family).await;
    server.cli(&["config", "set", "maxmemory", "1"]);
    for from in [0, 99] {
        let refused = exchange(&store, 1, token(from), &successor(1), GRACE_MS, now).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
    let refused = store.spend("one", now.plus(60), now).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(kept(&store, 1).await, Some(used(&family, 0, now)));
    server.cli(&["config", "set", "maxmemory", "0"]);
    assert_eq!(rotate(&store, 1, 0, 1, now).await, Rotation::Rotated);
}

#[tokio::test]
async fn acknowledged_exchanges_survive_a_killed_server() {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let store = in_redis(&server);
    let now = clock::now();
    for number in [1, 2] {
        begin(&store, &family(number, now)).await;
    }
    assert_eq!(rotate(&store, 1, 0, 1, now.plus(4)).await, Rotation::Rotated);
    assert_eq!(rotate(&store, 2, 99, 1, now).await, Rotation::Reused);
    assert_eq!(store.spend("one", now.plus(60), now).await, Ok(true));
    server.restart(Data::Kept);
    server.settle();
    // The first answer of another server comes before it is known that it lacks nothing.
    assert!(FamilyStore::find(&store, id(1)).await.is_err());
    assert_eq!(kept(&store, 1).await, Some(used(&family(1, now), 1, now.plus(4))));
    assert_eq!(rotate(&store, 1, 0, 2, now).await, Rotation::Replayed(vec![sealed(1)]));
    assert_eq!(rotate(&store, 1, 1, 2, now).await, Rotation::Rotated);
    assert_eq!(rotate(&store, 2, 0, 1, now).await, Rotation::Reused);
    assert_eq!(store.spend("one", now.plus(60), now).await, Ok(false));
}

#[tokio::test]
async fn killed_connections_cost_nothing() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    begin(&store, &family(1, now)).await;
    for number in 0..10 {
        server.cli(&["client", "kill", "type", "normal"]);
        let rotated = rotate_within(&store, 1, number, number + 1, 0, now).await;
        assert_eq!(rotated, Rotation::Rotated);
        server.cli(&["client", "kill", "type", "normal"]);
        assert_eq!(store.spend(&number.to_string(), now.plus(9), now).await, Ok(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_exchanges_at_many_gateways_are_one() {
    let server = RedisServer::start();
    let stores =
        [0, 1, 2, 3].map(|_| Arc::new(in_redis(&server)) as Arc<dyn FamilyAndSessionStore>);
    for number in 1..=5 {
        hundred_at_once(&stores, number).await;
    }
}

#[tokio::test]
async fn everything_is_on_one_node_of_a_cluster() {
    let cluster = Cluster::start();
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    let store = Redis::open(&cluster.settings(&nodes)).expect("settings that can work");
    let now = clock::now();
    for number in 1..=4 {
        begin(&store, &family(number, now)).await;
        assert_eq!(rotate(&store, number, 0, 1, now).await, Rotation::Rotated);
        assert_eq!(rotate(&store, number, 0, 2, now).await, Rotation::Replayed(vec![sealed(1)]));
        assert_eq!(kept(&store, number).await, Some(used(&family(number, now), 1, now)));
        assert_eq!(store.spend(&number.to_string(), now.plus(9), now).await, Ok(true));
        assert_eq!(store.spend(&number.to_string(), now.plus(9), now).await, Ok(false));
        assert_eq!(cluster.home_of(&key(number)), cluster.home_of(&session_key(number)));
        assert_eq!(store.delete(id(number)).await, Ok(true));
    }
}

#[tokio::test]
async fn families_outlive_a_fail_over() {
    let mut sentinels = Sentinels::start();
    let store = Redis::open(&sentinels.settings()).expect("settings that can work");
    let now = clock::now();
    begin(&store, &family(1, now)).await;
    assert_eq!(rotate(&store, 1, 0, 1, now).await, Rotation::Rotated);
    assert_eq!(sentinels.master().cli(&["wait", "1", "20000"]).trim(), "1");
    sentinels.fail_over();
    let begun = std::time::Instant::now();
    loop {
        // The same exchange again, whatever became of it before.
        match exchange(&store, 1, token(1), &successor(2), 0, now).await {
            Ok(rotated) => break assert_eq!(rotated, Rotation::Rotated),
            Err(error) => assert!(begun.elapsed() < crate::harness::PATIENCE, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(rotate(&store, 1, 1, 3, now).await, Rotation::Replayed(vec![sealed(2)]));
}

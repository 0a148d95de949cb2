//! Who follows the log.

use portcullis::store::{Fleet, GATEWAY_FORGOTTEN_AFTER_MS, GatewayState, Roster};

use super::{GATEWAYS, open};
use crate::harness::redis::RedisServer;
use crate::store::append;

fn gateway(name: &str, applied: u64) -> GatewayState {
    GatewayState {
        instance: format!("instance of {name}"),
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        applied,
        mark: None,
        counted_for_ms: 0,
        clock_ahead_ms: None,
        settings: Default::default(),
    }
}

fn states(roster: &Roster) -> Vec<GatewayState> {
    roster.gateways.iter().map(|known| known.state.clone()).collect()
}

/// Makes it look as if the gateway had told this at another time, relative to the server's.
fn told(server: &RedisServer, state: &GatewayState, ago_ms: u64) {
    let script = "local time = redis.call('TIME') \
        local told = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[3] \
        redis.call('HSET', KEYS[1], ARGV[1], string.format('{\"told_ms\":%.0f,\"gateway\":%s}', \
        told, ARGV[2]))";
    let text = serde_json::to_string(state).expect("it is JSON");
    server.cli(&["eval", script, "1", GATEWAYS, &state.instance, &text, &ago_ms.to_string()]);
}

#[tokio::test]
async fn roster_names_the_gateways_and_how_far_each_is() {
    let server = RedisServer::start();
    let (one, two) = (open(&server), open(&server));
    assert_eq!(one.roster().await, Ok(Roster::default()));
    append(&one, &["a", "b"]).await;
    two.announce(&gateway("two", 1)).await.expect("it announces");
    one.announce(&gateway("one", 2)).await.expect("it announces");
    let roster = two.roster().await.expect("a roster");
    assert_eq!(roster.head, 2);
    assert_eq!(states(&roster), [gateway("one", 2), gateway("two", 1)]);
    assert!(roster.gateways.iter().all(|known| known.silent_ms < 20_000), "{roster:?}");
    two.announce(&gateway("two", 2)).await.expect("it announces");
    let roster = one.roster().await.expect("a roster");
    assert_eq!(states(&roster), [gateway("one", 2), gateway("two", 2)]);
}

#[tokio::test]
async fn gateway_that_leaves_is_no_longer_counted() {
    let server = RedisServer::start();
    let store = open(&server);
    for name in ["one", "two"] {
        store.announce(&gateway(name, 0)).await.expect("it announces");
    }
    store.leave(&gateway("one", 0).instance).await.expect("it leaves");
    store.leave("nobody").await.expect("there is nothing to do");
    assert_eq!(states(&store.roster().await.expect("a roster")), [gateway("two", 0)]);
}

#[tokio::test]
async fn silent_gateway_is_counted_until_it_is_forgotten() {
    let server = RedisServer::start();
    let store = open(&server);
    // A machine may take seconds for a test, which must not carry it over the border.
    let almost = GATEWAY_FORGOTTEN_AFTER_MS - 20_000;
    told(&server, &gateway("almost", 0), almost);
    told(&server, &gateway("gone", 0), GATEWAY_FORGOTTEN_AFTER_MS + 1);
    let roster = store.roster().await.expect("a roster");
    assert_eq!(states(&roster), [gateway("almost", 0)]);
    assert!(roster.gateways[0].silent_ms >= almost, "{roster:?}");
    assert_eq!(server.cli(&["hlen", GATEWAYS]).trim(), "1", "it is removed, too");
}

#[tokio::test]
async fn gateways_with_the_same_name_are_two() {
    let server = RedisServer::start();
    let store = open(&server);
    let other = GatewayState { instance: "another".to_owned(), ..gateway("one", 5) };
    store.announce(&gateway("one", 4)).await.expect("it announces");
    store.announce(&other).await.expect("it announces");
    assert_eq!(states(&store.roster().await.expect("a roster")), [other, gateway("one", 4)]);
}

#[tokio::test]
async fn gateway_whose_state_cannot_be_read_is_not_passed_over() {
    let server = RedisServer::start();
    let store = open(&server);
    server.cli(&["hset", GATEWAYS, "x", "not JSON"]);
    let error = store.roster().await.expect_err("it may be serving");
    assert!(error.to_string().contains(GATEWAYS), "{error}");
}

/// After a fail-over that lost writes, a gateway can be where this log never was.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_whose_position_holds_another_record_does_not_follow() {
    let server = RedisServer::start();
    let store = open(&server);
    let appended = append(&store, &["a", "b"]).await;
    let told = [
        ("here", 2, Some(appended[1].mark)),
        ("unmarked", 1, None),
        ("elsewhere", 2, Some(appended[1].mark ^ 1)),
        ("ahead", 3, Some(7)),
    ];
    for (name, applied, mark) in told {
        let state = GatewayState { mark, ..gateway(name, applied) };
        store.announce(&state).await.expect("it is told");
    }
    let roster = store.roster().await.expect("it answers");
    let follows: Vec<_> =
        roster.gateways.iter().map(|known| (&*known.state.name, known.follows)).collect();
    let expected = [("ahead", false), ("elsewhere", false), ("here", true), ("unmarked", true)];
    assert_eq!(follows, expected);
}

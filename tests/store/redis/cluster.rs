//! Redis Cluster.

use portcullis::store::redis::Redis;
use portcullis::store::settings::RedisSettings;
use portcullis::store::{Fleet, GatewayState, Position, RevocationLog};

use super::{GATEWAYS, LIVE, LOG, open_with};
use crate::harness::redis::{Cluster, RedisServer};
use crate::store::{IMPATIENCE, append, bounds, read, snapshot};

fn state(applied: u64) -> GatewayState {
    GatewayState {
        instance: "1".to_owned(),
        name: "one".to_owned(),
        version: "0".to_owned(),
        applied,
        mark: None,
        counted_for_ms: 0,
        clock_ahead_ms: None,
        settings: Default::default(),
    }
}

#[tokio::test]
async fn any_node_leads_to_the_one_that_has_the_keys() {
    let cluster = Cluster::start();
    let mut position = Position::default();
    for node in cluster.nodes() {
        let log = open_with(&cluster.settings(&[node]));
        let appended = append(&log, &["a"]).await;
        let (records, after) = read(&log, position).await;
        assert_eq!(records, appended);
        position = after;
        log.announce(&state(1)).await.expect("it announces");
        assert_eq!(log.roster().await.expect("a roster").gateways.len(), 1);
        log.list(0, 1, bounds().now).await.expect("a list");
    }
    let home = cluster.home_of(LOG);
    assert_eq!([cluster.home_of(LIVE), cluster.home_of(GATEWAYS)], [home, home]);
}

#[tokio::test]
async fn node_that_is_down_is_passed_over() {
    let cluster = Cluster::start();
    let mut gone = RedisServer::start();
    gone.kill();
    let nodes: Vec<_> = std::iter::once(&gone).chain(cluster.nodes()).collect();
    let log = open_with(&cluster.settings(&nodes));
    snapshot(&log).await.expect("a snapshot");
}

#[tokio::test]
async fn server_that_is_no_cluster_is_named() {
    let cluster = Cluster::start();
    let single = RedisServer::start();
    let log = open_with(&cluster.settings(&[&single]));
    let error = snapshot(&log).await.expect_err("there is no cluster");
    let text = error.to_string();
    assert!(text.contains("cluster") && text.contains(&single.address().to_string()), "{text}");
}

#[tokio::test]
async fn slot_that_moves_is_followed() {
    let cluster = Cluster::start();
    let log = open_with(&cluster.settings(&cluster.nodes().iter().collect::<Vec<_>>()));
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    let from = cluster.home_of(LOG);
    let to = (from + 1) % cluster.nodes().len();
    cluster.move_slot(&[LOG, LIVE], from, to);
    let appended = append(&log, &["b"]).await;
    // The call that is sent away is an error, the next one is not.
    let _ = log.tail(position, IMPATIENCE).await;
    assert_eq!(read(&log, position).await.0, appended);
    assert_eq!(cluster.home_of(LOG), to);
}

#[test]
fn prefix_that_would_spread_the_keys_is_refused() {
    use portcullis::store::settings::{RedisAddress, RedisLogin, RedisServers};
    let open = |prefix: &str| {
        let nodes = vec![RedisAddress { host: "nowhere.test".into(), port: 1 }];
        let settings = RedisSettings {
            servers: RedisServers::Cluster(nodes),
            login: RedisLogin::default(),
            database: 0,
            tls: None,
            prefix: prefix.into(),
        };
        Redis::open(&settings).map(drop)
    };
    assert_eq!(open("{a}"), Ok(()));
    open("{}").expect_err("each key would have a slot of its own");
}

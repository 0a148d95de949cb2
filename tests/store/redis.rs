//! The store in Redis, against real servers.

mod access;
mod cluster;
mod fleet;
mod late;
mod log;
mod loss;
mod outage;
mod sentinels;
mod servers;

use portcullis::store::redis::Redis;
use portcullis::store::settings::RedisSettings;

use crate::harness::redis::RedisServer;

/// A store in the server.
fn open(server: &RedisServer) -> Redis {
    open_with(&server.settings())
}

/// A store with these settings.
fn open_with(settings: &RedisSettings) -> Redis {
    Redis::open(settings).expect("settings that can work")
}

/// The keys of a store whose prefix is the default.
const LOG: &str = "portcullis:{revocations}:log";
const LIVE: &str = "portcullis:{revocations}:live";
const GATEWAYS: &str = "portcullis:{revocations}:gateways";

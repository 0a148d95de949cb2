//! The store in Redis 6.2 or later, or Valkey, for any number of gateways.
//!
//! | key                             | type       | holds                                         |
//! |---------------------------------|------------|-----------------------------------------------|
//! | `<prefix>:{revocations}:log`      | stream     | the log; entry `<sequence>-0`, field `record` |
//! | `<prefix>:{revocations}:live`     | sorted set | the snapshot: records, scored by their expiry |
//! | `<prefix>:{revocations}:gateways` | hash       | the fleet: instance → what it told, and when  |
//!
//! The keys share a hash tag, so that one script may touch them all in a cluster, too. An ACL user
//! needs `+@read +@write +@connection +@scripting +time` on them; in a cluster also `+cluster|info
//! +cluster|keyslot +cluster|slots`; at the sentinels `+sentinel|get-master-addr-by-name`.

mod cluster;
mod dial;
mod fault;
mod fleet;
mod link;
mod log;
mod master;
mod node;
mod reader;
mod reply;
mod script;
mod sentinels;
mod snapshot;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::settings::{RedisServers, RedisSettings};
use link::Link;
use master::Master;
use reader::Reader;

/// The revocation log and the fleet, in Redis.
pub struct Redis {
    keys: Keys,
    master: Master,
    /// For everything that is answered at once.
    link: Link,
    /// For following the log, which blocks. Taken out while it is in use, so that whoever stops
    /// waiting closes it.
    reader: Mutex<Option<Reader>>,
}

/// The names of the keys.
struct Keys {
    log: String,
    live: String,
    gateways: String,
}

impl Redis {
    /// A store in the servers that the settings name. It does not connect.
    ///
    /// # Errors
    ///
    /// A text for people, if the settings cannot work.
    pub fn open(settings: &RedisSettings) -> Result<Self, String> {
        let keys = Keys::below(&settings.prefix);
        if matches!(settings.servers, RedisServers::Cluster(_)) && !has_hash_tag(&keys.log) {
            let prefix = &settings.prefix;
            return Err(format!(
                "the key prefix `{prefix}` begins with an empty hash tag, which would spread the \
                 keys over a Redis Cluster"
            ));
        }
        let master = Master::new(settings, &keys.log)?;
        Ok(Self { keys, master, link: Link::default(), reader: Mutex::default() })
    }

    fn reader(&self) -> std::sync::MutexGuard<'_, Option<Reader>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn below(prefix: &str) -> Self {
        let key = |name: &str| format!("{prefix}:{{revocations}}:{name}");
        Self { log: key("log"), live: key("live"), gateways: key("gateways") }
    }
}

/// Whether a cluster would place the key by a part of it: what is between the first brace and the
/// next closing one, if that is not nothing.
fn has_hash_tag(key: &str) -> bool {
    key.split_once('{').is_some_and(|(_, rest)| rest.find('}').is_some_and(|length| length > 0))
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("log", &self.keys.log).finish_non_exhaustive()
    }
}

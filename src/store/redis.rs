//! The store in Redis 6.2 or later, or Valkey, for any number of gateways.
//!
//! | key, after `<prefix>:{revocations}:` | type       | holds                                    |
//! |--------------------------------------|------------|------------------------------------------|
//! | `log`                                | stream     | the log; entry `<sequence>-0`: `record`  |
//! | `live`                               | sorted set | the snapshot: records, scored by expiry  |
//! | `lifted`                             | sorted set | lifted ids, scored by their end          |
//! | `gateways`                           | hash       | the fleet: instance → state, and when    |
//! | `settled`                            | hash       | the server that wrote this, or a wait    |
//! | `session:<id>`                       | string     | a session's record; written once         |
//! | `sessions`                           | sorted set | ids, scored by when they were last used  |
//! | `due`                                | sorted set | `<id><subject>`, by when to look at it   |
//! | `subject:<subject>`                  | sorted set | ids of a subject, scored by their login  |
//! | `ends:<subject>`                     | sorted set | its single records, scored by their time |
//! | `cuts:<subject>`                     | hash       | its own cut-offs: `subject`, `grants`    |
//! | `attempts:<account>`                 | hash       | how many attempts, and when the last was |
//! | `family:<id>`                        | hash       | a session's refresh tokens               |
//! | `spent:<key>`                        | string     | a one-time value that was used           |
//! | `keyring`                            | string     | the gateway's own signing keys           |
//! | `tag_key`                            | string     | the key of the tags in secrets           |
//!
//! Times in scores are seconds since 1970. `<subject>` is a digest of issuer and subject, and the
//! same for all API keys. Only the record at `session:<id>` makes a session: without a record, an
//! id in any of the sets means nothing. The server pushes changes of keys below `session:` to the
//! gateways; using a session, or exchanging a token, changes no such key.
//!
//! The keys share a hash tag, so that one script may use them all in a cluster, too. A script gets
//! as arguments the keys that are known beforehand, and builds the others from these names. An ACL
//! user needs `+@read +@write +@connection +@scripting +time +info` on them. `+@connection`
//! includes `+client|tracking`; `+info` tells servers behind the same address apart. A cluster also
//! needs `+cluster|info +cluster|keyslot +cluster|slots`, and the sentinels
//! `+sentinel|get-master-addr-by-name`.

mod account_arguments;
mod attempts;
mod await_complete;
mod cluster;
mod completeness;
mod dial;
mod families;
mod fault;
mod fleet;
mod head;
mod identity;
mod keyring;
mod keys;
mod known_tag_key;
mod last_announcement;
mod lift;
mod link;
mod listener;
mod log;
mod master;
mod node;
mod one_time;
mod reader;
mod reply;
mod score;
mod script;
mod sentinels;
mod sessions;
mod snapshot;
mod spent;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::Position;
use super::settings::{RedisServers, RedisSettings};
use completeness::Completeness;
use head::LogHead;
use keys::{KeyNames, has_hash_tag};
use known_tag_key::KnownTagKey;
use last_announcement::LastAnnouncement;
use link::Link;
use master::Master;
use reader::LogReader;
use spent::Spent;

/// The store in Redis.
pub struct Redis {
    keys: KeyNames,
    master: Arc<Master>,
    /// For all commands that do not block.
    link: Link,
    /// For following the log, which blocks. Taken out while in use, so that a caller that stops
    /// waiting closes it.
    reader: Mutex<Option<LogReader>>,
    /// The head of the log, as the link for commands last saw it.
    head: LogHead,
    /// How far the log was read when the reader was found to be ahead of the link for commands.
    ahead: Mutex<Option<Position>>,
    /// When the server last stored this gateway's announcement.
    last_announcement: LastAnnouncement,
    /// Whether the server has all the data that it had.
    completeness: Completeness,
    /// The one-time values that were used at this gateway.
    spent: Spent,
    /// The key of the tags.
    known_tag_key: KnownTagKey,
}

impl Redis {
    /// A store in the configured servers. It does not connect yet.
    ///
    /// # Errors
    ///
    /// A message for the operator, if the settings cannot work.
    pub fn open(settings: &RedisSettings) -> Result<Self, String> {
        let keys = KeyNames::below(&settings.prefix);
        if matches!(settings.servers, RedisServers::Cluster(_)) && !has_hash_tag(&keys.log) {
            let prefix = &settings.prefix;
            return Err(format!(
                "the key prefix `{prefix}` begins with an empty hash tag, which would spread the \
                 keys over a Redis Cluster"
            ));
        }
        let master = Arc::new(Master::new(settings, &keys.log)?);
        Ok(Self {
            keys,
            master,
            link: Link::default(),
            reader: Mutex::default(),
            head: LogHead::default(),
            ahead: Mutex::default(),
            last_announcement: LastAnnouncement::default(),
            completeness: Completeness::default(),
            spent: Spent::default(),
            known_tag_key: KnownTagKey::default(),
        })
    }

    fn reader(&self) -> std::sync::MutexGuard<'_, Option<LogReader>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("log", &self.keys.log).finish_non_exhaustive()
    }
}

//! Settings of the store: where it is, compiled from `store`.

use std::fmt;
use std::path::PathBuf;

use crate::secret::Secret;

/// Which store, and where.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// A file beside the gateway, for one gateway.
    Embedded {
        /// The file.
        path: PathBuf,
    },
    /// Redis 6.2 or later, or Valkey, for any number of gateways.
    Redis(Box<RedisSettings>),
}

/// How to connect to Redis.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// The servers to connect to.
    pub servers: RedisServers,
    /// The gateway's login at the server.
    pub login: RedisLogin,
    /// Which of a server's databases.
    pub database: i64,
    /// TLS, if the connection uses it.
    pub tls: Option<RedisTls>,
    /// The prefix of every key.
    pub prefix: Box<str>,
}

/// The servers to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServers {
    /// One server, which is the master.
    Single(RedisAddress),
    /// Sentinels, which know the master.
    Sentinel {
        /// The name of the master.
        master: Box<str>,
        /// The sentinels.
        nodes: Vec<RedisAddress>,
    },
    /// Nodes of a cluster, which know each other.
    Cluster(Vec<RedisAddress>),
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedisAddress {
    /// A name or an address, without brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
}

/// The gateway's credentials at a server (`AUTH`); both `None` if it requires none.
#[derive(Clone, Debug, Default)]
pub struct RedisLogin {
    /// The ACL user; `default` if there is only a password.
    pub username: Option<Box<str>>,
    /// The password.
    pub password: Option<Secret>,
}

/// TLS towards Redis; always verified.
#[derive(Clone, Debug, Default)]
pub struct RedisTls {
    /// Certificate authorities (PEM) to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The gateway's own certificate chain and key (PEM), for servers that require one.
    pub identity: Option<(Vec<u8>, Secret)>,
}

impl StoreSettings {
    /// Whether both name the same store and the same way to reach it.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Embedded { path }, Self::Embedded { path: other }) => path == other,
            (Self::Redis(redis), Self::Redis(other)) => {
                let RedisSettings { servers, login, database, tls, prefix } = &**redis;
                *servers == other.servers
                    && login.is_same_as(&other.login)
                    && *database == other.database
                    && *prefix == other.prefix
                    && match (tls, &other.tls) {
                        (None, None) => true,
                        (Some(tls), Some(other)) => tls.is_same_as(other),
                        (Some(_), None) | (None, Some(_)) => false,
                    }
            }
            (Self::Embedded { .. }, Self::Redis(_)) | (Self::Redis(_), Self::Embedded { .. }) => {
                false
            }
        }
    }
}

impl RedisLogin {
    fn is_same_as(&self, other: &Self) -> bool {
        let exposed = |login: &Self| login.password.as_ref().map(|word| word.expose().to_vec());
        self.username == other.username && exposed(self) == exposed(other)
    }
}

impl RedisTls {
    fn is_same_as(&self, other: &Self) -> bool {
        let exposed = |tls: &Self| {
            tls.identity.as_ref().map(|(chain, key)| (chain.clone(), key.expose().to_vec()))
        };
        self.ca_pem == other.ca_pem && exposed(self) == exposed(other)
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nodes: &[RedisAddress]| {
            nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Embedded { path } => write!(f, "embedded in {}", path.display()),
            Self::Redis(redis) => match &redis.servers {
                RedisServers::Single(address) => write!(f, "Redis at {address}"),
                RedisServers::Sentinel { master, nodes } => {
                    write!(f, "Redis `{master}` of the sentinels {}", list(nodes))
                }
                RedisServers::Cluster(nodes) => write!(f, "Redis Cluster at {}", list(nodes)),
            },
        }
    }
}

//! `store`: where persistent data is kept.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// The persistent data: revocations, sessions, refresh tokens, API keys and signing keys.
///
/// There is one store: `embedded`, a file for one gateway, or `redis`, for any number of gateways.
/// Without either it is the embedded one. The store cannot change while the gateway runs, its
/// password and certificates included.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "not" = { "required": ["embedded", "redis"] }))]
pub(crate) struct Store {
    /// A local file, for one gateway.
    #[schemars(extend("x-default" = "used unless there is `redis`"))]
    pub(crate) embedded: Option<Embedded>,
    /// A Redis or Valkey that several gateways share.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) redis: Option<Redis>,
}

/// The embedded store: one file, written durably before anything is acknowledged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Embedded {
    /// The file of the store. Losing it loses the revocations.
    #[schemars(
        with = "text::Path",
        example = &"data/portcullis.redb",
        extend("x-default" = "`portcullis.redb` in `data_directory`")
    )]
    pub(crate) path: Option<String>,
}

/// A Redis 6.2 or later, or a Valkey, with `maxmemory-policy noeviction`.
///
/// Exactly one of `url`, `sentinel` and `cluster` says where it is. An ACL user needs `~<prefix>:*`
/// and `+@read +@write +@connection +@scripting +time +info`; in a cluster also
/// `+cluster|info +cluster|keyslot +cluster|slots`, at the sentinels
/// `+sentinel|get-master-addr-by-name`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "oneOf" = [
        { "required": ["url"] },
        { "required": ["sentinel"] },
        { "required": ["cluster"] },
    ],
    "not" = { "required": ["password_file", "password"] },
))]
pub(crate) struct Redis {
    /// The one server. `rediss://` uses TLS; the default port is 6379; a number after the slash is
    /// the database, 0 without it. The address may move, but leads to one master at a time.
    #[schemars(
        with = "text::RedisUrl",
        example = &"redis://10.0.0.1:6379/0",
        extend("x-default" = "none")
    )]
    pub(crate) url: Option<String>,
    /// The sentinels that know which server is the master.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) sentinel: Option<Sentinel>,
    /// Some servers of a Redis Cluster, from which the gateway finds the others. Their URLs must
    /// agree on TLS, user and password; a user or password in one URL applies to all. A cluster has
    /// database 0 only.
    #[schemars(
        with = "Vec<text::RedisUrl>",
        length(min = 1),
        example = ["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"],
        extend("x-default" = "none")
    )]
    pub(crate) cluster: Option<Vec<String>>,
    /// The ACL user that the gateway connects as. It needs a password.
    #[schemars(
        with = "String",
        example = &"portcullis",
        extend("x-default" = "Redis' own `default` user")
    )]
    pub(crate) username: Option<String>,
    /// A file with the password. White space around it is removed.
    #[schemars(with = "text::Path", example = &"secrets/redis", extend("x-default" = "no password"))]
    pub(crate) password_file: Option<String>,
    /// The password itself, instead of `password_file`.
    #[schemars(with = "text::Secret", example = &"${NAME}", extend("x-default" = "no password"))]
    pub(crate) password: Option<String>,
    /// Certificates for `rediss://`. Without TLS in the URL they are an error.
    pub(crate) tls: RedisTls,
    /// The prefix of every key in Redis. Gateways with the same prefix share everything.
    #[schemars(with = "text::RedisPrefix", example = &"staging", extend("default" = "portcullis"))]
    pub(crate) prefix: Option<String>,
}

/// The sentinels of a Redis.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["master", "nodes"]))]
pub(crate) struct Sentinel {
    /// The name of the master at the sentinels.
    #[schemars(with = "String", example = &"main")]
    pub(crate) master: Option<String>,
    /// The sentinels; the default port is 26379. Their URLs must agree on TLS, user, password and
    /// database; what one URL says applies to all, and to the master.
    #[schemars(
        with = "Vec<text::RedisUrl>",
        length(min = 1),
        example = ["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"]
    )]
    pub(crate) nodes: Vec<String>,
}

/// Certificates for a Redis with TLS.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "dependentRequired" = { "certificate_file": ["key_file"], "key_file": ["certificate_file"] },
))]
pub(crate) struct RedisTls {
    /// The authorities that may vouch for the server, in PEM, instead of the system's.
    #[schemars(
        with = "text::Path",
        example = &"tls/redis-ca.pem",
        extend("x-default" = "the system's authorities")
    )]
    pub(crate) ca_file: Option<String>,
    /// The certificate that the gateway presents, in PEM. It needs `key_file`.
    #[schemars(with = "text::Path", example = &"tls/us.pem", extend("x-default" = "none"))]
    pub(crate) certificate_file: Option<String>,
    /// The private key of `certificate_file`, in PEM.
    #[schemars(with = "text::Path", example = &"tls/us.key", extend("x-default" = "none"))]
    pub(crate) key_file: Option<String>,
}

//! The serde mirror of `gateway.yaml`. These types die in `compile`: nothing else sees them.
//!
//! Nearly every field is optional here, so that a missing one is reported by the compiler, which
//! knows what to write instead, and not by the first parser that stumbles.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Gateway {
    pub(super) listeners: Vec<Listener>,
    pub(super) admin: Admin,
    pub(super) server: Server,
    pub(super) limits: Limits,
    pub(super) access_log: AccessLog,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) realm: Option<String>,
    pub(super) data_directory: Option<String>,
    pub(super) store: Store,
    pub(super) revocation: Revocation,
    pub(super) sessions: Sessions,
    pub(super) login: Option<Login>,
    pub(super) tokens: Option<Tokens>,
    pub(super) clients: Vec<Client>,
    pub(super) clients_file: Option<String>,
    pub(super) api_keys: Option<ApiKeys>,
    pub(super) audit_log: AuditLog,
    pub(super) token_cache: TokenCache,
    pub(super) issuers: Vec<Issuer>,
    pub(super) upstreams: BTreeMap<String, Upstream>,
    pub(super) identity_headers: IdentityHeaders,
    pub(super) routes: Vec<Route>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listener {
    pub(super) address: Option<String>,
    pub(super) tls: Option<ListenerTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListenerTls {
    pub(super) certificates: Vec<Certificate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Certificate {
    pub(super) certificate_file: Option<String>,
    pub(super) key_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    pub(super) address: Option<String>,
    pub(super) token_file: Option<String>,
    pub(super) token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) name: Option<String>,
    pub(super) threads: Option<usize>,
    pub(super) shutdown_grace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) header_bytes: Option<String>,
    pub(super) header_count: Option<usize>,
    pub(super) header_timeout: Option<String>,
    pub(super) keepalive_timeout: Option<String>,
    pub(super) body_timeout: Option<String>,
    pub(super) body_rate: Option<String>,
    pub(super) body_deadline: Option<String>,
    pub(super) send_timeout: Option<String>,
    pub(super) send_rate: Option<String>,
    pub(super) token_bytes: Option<String>,
    pub(super) identity_bytes: Option<String>,
    pub(super) connections: Option<usize>,
    pub(super) connections_per_address: Option<usize>,
    pub(super) in_flight: Option<usize>,
    pub(super) in_flight_per_client: Option<usize>,
    pub(super) in_flight_own: Option<usize>,
    pub(super) http2_streams: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccessLog {
    pub(super) enabled: Option<bool>,
    pub(super) format: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) subject_key_file: Option<String>,
    pub(super) query: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    pub(super) embedded: Option<Embedded>,
    pub(super) redis: Option<Redis>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Embedded {
    pub(super) path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Redis {
    pub(super) url: Option<String>,
    pub(super) sentinel: Option<Sentinel>,
    pub(super) cluster: Option<Vec<String>>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) password: Option<String>,
    pub(super) tls: RedisTls,
    pub(super) prefix: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sentinel {
    pub(super) master: Option<String>,
    pub(super) nodes: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RedisTls {
    pub(super) ca_file: Option<String>,
    pub(super) certificate_file: Option<String>,
    pub(super) key_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Revocation {
    pub(super) max_staleness: Option<String>,
    pub(super) when_stale: Option<Value>,
    pub(super) max_entries: Option<u64>,
    pub(super) accept_local: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sessions {
    pub(super) cookie: Cookie,
    pub(super) idle_timeout: Option<String>,
    pub(super) absolute_timeout: Option<String>,
    pub(super) recheck: Option<String>,
    pub(super) allowed_origins: Vec<String>,
    pub(super) cache_size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cookie {
    pub(super) name: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) same_site: Option<String>,
    pub(super) dangerous_insecure: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Login {
    pub(super) base: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) handoff: Option<HandOff>,
    pub(super) return_to: Vec<String>,
    pub(super) attempts: Attempts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HandOff {
    pub(super) upstream: Option<String>,
    pub(super) path: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) roles: Option<String>,
    pub(super) scopes: Option<String>,
    pub(super) claims: BTreeMap<String, String>,
    pub(super) timeout: Option<String>,
    pub(super) on_failure: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Attempts {
    pub(super) per_account: Option<String>,
    pub(super) per_address: Option<String>,
    pub(super) successes_per_account: Option<String>,
    pub(super) successes_per_address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tokens {
    pub(super) issuer: Option<String>,
    pub(super) signing: Signing,
    pub(super) access: Access,
    pub(super) refresh: Refresh,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Signing {
    pub(super) algorithm: Option<String>,
    pub(super) rotate_every: Option<String>,
    pub(super) publish_before: Option<String>,
    pub(super) key_files: Vec<String>,
    pub(super) encryption_key_file: Option<String>,
    pub(super) encryption_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Access {
    pub(super) lifetime: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) claims: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Refresh {
    pub(super) idle: Option<String>,
    pub(super) absolute: Option<String>,
    pub(super) rotation_grace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Client {
    pub(super) id: Option<String>,
    pub(super) secret_hash: Option<String>,
    pub(super) public_key_file: Option<String>,
    pub(super) jwks_file: Option<String>,
    pub(super) algorithms: Vec<String>,
    pub(super) public: Option<bool>,
    pub(super) scopes: Vec<String>,
    pub(super) audiences: Vec<String>,
    pub(super) lifetime: Option<String>,
    pub(super) introspection: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApiKeys {
    pub(super) header: Option<String>,
    pub(super) max_lifetime: Option<String>,
}

/// One user of a password file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct User {
    pub(super) password: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) claims: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuditLog {
    pub(super) file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TokenCache {
    pub(super) size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Issuer {
    pub(super) name: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<String>,
    pub(super) keys: Option<Keys>,
    pub(super) clock_skew: Option<String>,
    pub(super) max_lifetime: Option<String>,
    pub(super) token_types: Option<Vec<String>>,
    pub(super) required_claims: Vec<String>,
    pub(super) roles: Option<String>,
    pub(super) claims: IssuerClaims,
}

/// Which claim says what.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IssuerClaims {
    pub(super) client: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keys {
    pub(super) jwks_url: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) max_stale: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) jwks_file: Option<String>,
    pub(super) public_key_file: Option<String>,
    pub(super) secret_file: Option<String>,
    pub(super) secret: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Upstream {
    pub(super) peers: Vec<String>,
    pub(super) balance: Option<String>,
    pub(super) tls: Option<UpstreamTls>,
    pub(super) timeouts: Timeouts,
    pub(super) retries: Option<usize>,
    pub(super) limits: UpstreamLimits,
    pub(super) forward: UpstreamForward,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamLimits {
    pub(super) in_flight: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamForward {
    pub(super) internal_token: Option<InternalToken>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamTls {
    pub(super) server_name: Option<String>,
    pub(super) ca_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timeouts {
    pub(super) connect: Option<String>,
    pub(super) read: Option<String>,
    pub(super) write: Option<String>,
    pub(super) idle: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IdentityHeaders {
    pub(super) subject: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) scopes: Option<String>,
    pub(super) roles: Option<String>,
    pub(super) session: Option<String>,
    pub(super) claims: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Route {
    pub(super) name: Option<String>,
    #[serde(rename = "match")]
    pub(super) matching: Match,
    pub(super) upstream: Option<String>,
    pub(super) public: Option<bool>,
    pub(super) authenticate: Option<Vec<String>>,
    pub(super) issuers: Option<Vec<String>>,
    pub(super) require: Require,
    pub(super) when_stale: Option<Value>,
    pub(super) forward: Forward,
    pub(super) limits: RouteLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Match {
    pub(super) hosts: Vec<String>,
    pub(super) path: Option<String>,
    pub(super) methods: Vec<String>,
    pub(super) dangerous_path: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Require {
    pub(super) scopes: Vec<String>,
    pub(super) any_role: Vec<String>,
    pub(super) claims: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Forward {
    pub(super) credential: Option<String>,
    pub(super) internal_token: Option<InternalToken>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InternalToken {
    pub(super) audience: Option<String>,
    pub(super) header: Option<String>,
    pub(super) lifetime: Option<String>,
    pub(super) claims: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RouteLimits {
    pub(super) body: Option<String>,
}

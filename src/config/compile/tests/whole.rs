//! A configuration that uses every field.

use rcgen::CertifiedKey;

use super::*;

/// A configuration that uses every field, and the files that it names.
pub(crate) fn whole() -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let put = |name: &str, bytes: &str| {
        std::fs::write(directory.path().join(name), bytes).expect("a file");
    };
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["site.test".to_owned()]).expect("a certificate");
    put("site.pem", &cert.pem());
    put("site.key", &signing_key.serialize_pem());
    put("idp.pem", &generate(KeyKind::P256).expect("a key pair").public);
    put("other.pem", &generate(KeyKind::P256).expect("a key pair").public);
    put(
        "set.json",
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    );
    put("token", "a long random value");
    put("kek", "at least thirty-two bytes of nothing else");
    put("signing.pem", &generate(KeyKind::P256).expect("a key pair").private);
    put("users.yaml", USERS);
    put("clients.yaml", CLIENTS);
    (directory, WHOLE.to_owned())
}

/// Users who use every field.
pub(crate) const USERS: &str = "\
alice:
  password: $argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8
  subject: u-17
  roles: [admin]
  scopes: [orders:read]
  claims: { email: alice@api.test, /org/id: 7 }
";

/// The other login method, with all of its own fields.
pub(crate) const HAND_OFF: &str = "\
handoff:
    upstream: pages
    path: /verify
    subject: /user/id
    roles: /user/roles
    scopes: /user/scopes
    claims: { email: /user/email }
    timeout: 3s
    on_failure: pass_through";

/// The login method of the whole configuration.
pub(crate) const PASSWORD_FILE: &str = "password_file: users.yaml";

pub(crate) const WHOLE: &str = "\
listeners:
  - address: 127.0.0.1:8080
  - address: 127.0.0.1:8443
    tls: { certificates: [{ certificate_file: site.pem, key_file: site.key }] }
admin: { address: 0.0.0.0:9901, token_file: token }
server: { name: gateway-1, threads: 4, shutdown_grace: 30s, lane: pingora }
limits:
  header_bytes: 32KiB
  header_count: 100
  header_timeout: 10s
  keepalive_timeout: 75s
  body_timeout: 60s
  body_rate: 500B/s
  body_deadline: 12h
  token_bytes: 8KiB
  identity_bytes: 8KiB
  send_timeout: 60s
  send_rate: 500B/s
  connections: 65536
  connections_per_address: 1000
  in_flight: 10000
  in_flight_per_client: 2500
  in_flight_own: 256
  http2_streams: 32
access_log: { enabled: true, format: json, subject: hashed, subject_key_file: token, query: false }
trusted_proxies: [10.0.0.0/8, '::1']
realm: the realm
data_directory: data
store:
  redis:
    sentinel: { master: main, nodes: ['rediss://10.0.0.1:26379/3', 'rediss://[::1]'] }
    username: us
    password_file: token
    tls: { ca_file: site.pem, certificate_file: site.pem, key_file: site.key }
    prefix: here
revocation: { max_staleness: 5s, when_stale: deny_writes, max_entries: 5000000, accept_local: true }
sessions:
  cookie: { name: sid, domain: api.test, same_site: strict, dangerous_insecure: true }
  idle_timeout: 30m
  absolute_timeout: 12h
  recheck: 5s
  allowed_origins: [https://app.test, 'http://localhost:3000']
  cache_size: 256MiB
login:
  base: /auth
  issuer: https://api.test
  password_file: users.yaml
  return_to: [https://app.test, https://other.test/callback]
  attempts: { per_account: 10/15m, per_address: 100/15m, successes_per_account: 5/1m, successes_per_address: 50/2m }
tokens:
  issuer: https://api.test
  signing:
    algorithm: ES256
    rotate_every: 30d
    publish_before: 1h
    encryption_key_file: kek
  access: { lifetime: 15m, audiences: [orders-api, billing-api], claims: [email] }
  refresh: { idle: 7d, absolute: 30d, rotation_grace: 10s }
clients: [{ id: mobile, public: true }]
clients_file: clients.yaml
api_keys: { header: X-Api-Key, max_lifetime: 90d }
audit_log: { file: data/audit.jsonl }
token_cache: { size: 64MiB }
issuers:
  - name: fetched
    issuer: https://fetched.test
    audiences: [a, b]
    algorithms: [RS256, ES256]
    keys: { jwks_url: https://fetched.test/keys, refresh: 10m, max_stale: 24h, timeout: 3s, ca_file: site.pem }
    clock_skew: 30s
    max_lifetime: 24h
    token_types: [at+jwt, JWT]
    required_claims: [jti]
    roles: /realm_access/roles
    claims: { client: [client_id, azp] }
  - { name: set, issuer: https://set.test, audiences: [a], algorithms: [EdDSA], keys: { jwks_file: set.json } }
  - { name: pem, issuer: https://pem.test, audiences: [a], algorithms: [ES256], keys: { public_key_file: idp.pem } }
  - { name: shared, issuer: https://shared.test, audiences: [a], algorithms: [HS256, HS512], keys: { secret: '${SET}' } }
upstreams:
  orders:
    peers: [127.0.0.1:9001, 'orders.internal:9002']
    balance: round_robin
    tls: { server_name: orders.internal, ca_file: site.pem }
    timeouts: { connect: 1s, read: 30s, write: 30s, idle: 60s }
    retries: 1
    limits: { in_flight: 5000 }
  pages: { peers: ['[::1]:9003'], forward: { internal_token: { audience: pages } } }
identity_headers:
  subject: X-Auth-Subject
  issuer: X-Auth-Issuer
  scopes: X-Auth-Scopes
  roles: X-Auth-Roles
  session: X-Auth-Session
  claims: { email: X-Auth-Email, /org/id: X-Auth-Org }
routes:
  - name: orders
    match: { hosts: [api.test, '*.api.test'], path: '/orders/{*rest}', methods: [GET, POST], dangerous_path: [semicolon] }
    upstream: orders
    authenticate: [bearer, session, api_key]
    issuers: [fetched, shared]
    require: { scopes: [orders:read], any_role: [admin, clerk], claims: { tenant: [acme, 7, true] } }
    when_stale: { allow_for: 30s }
    forward:
      credential: keep
      internal_token: { audience: orders, header: X-Internal-Token, lifetime: 90s, claims: [email, /org/unit] }
    limits: { body: 10MiB }
  - { name: any, match: { path: '/{a}/b' }, upstream: pages, authenticate: [bearer] }
  - { name: pages, match: { path: / }, upstream: pages, public: true }
";

/// How the whole configuration gets its signing keys.
pub(crate) const KEPT_KEYS: &str = "\
    algorithm: ES256
    rotate_every: 30d
    publish_before: 1h
    encryption_key_file: kek
";

/// The other way.
pub(crate) const GIVEN_KEYS: &str = "    key_files: [signing.pem]\n";

/// Clients that use every field.
pub(crate) const CLIENTS: &str = "\
- id: batch
  secret_hash: $argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8
  scopes: [orders:read, orders:write]
  audiences: [orders-api]
  lifetime: 20m
- { id: reports, public_key_file: idp.pem, algorithms: [ES256] }
- { id: devices, jwks_file: set.json, algorithms: [EdDSA], introspection: true }
- { id: kiosk, public: true }
";

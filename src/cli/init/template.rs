//! The text of the first configuration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::scalar::scalar;

/// What a configuration is generated from.
pub(super) struct Template {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) upstream: String,
    pub(super) start: StartingPoint,
}

/// How callers authenticate.
pub(super) enum StartingPoint {
    /// With tokens of an identity provider.
    Jwt(Provider),
    /// With a session, after a login with a password of this file.
    Session { password_file: &'static str },
    /// With API keys.
    ApiKey,
}

/// An identity provider.
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) jwks_url: String,
}

impl Template {
    pub(super) fn render(&self) -> String {
        let Self { listen, admin, upstream, start } = self;
        let (summary, sections, carrier) = match start {
            StartingPoint::Jwt(provider) => (
                "This gateway lets in requests with a token (JWT) of one identity provider.",
                provider.sections(),
                "bearer",
            ),
            StartingPoint::Session { password_file } => (
                "This gateway has users log in, and lets in requests with a session cookie.",
                session_sections(password_file),
                "session",
            ),
            StartingPoint::ApiKey => (
                "This gateway lets in requests with an API key.",
                API_KEY_SECTIONS.to_owned(),
                "api_key",
            ),
        };
        let upstream_text = scalar(upstream);
        format!(
            "# {summary}
# `portcullis check` reads this file and lists its routes; `portcullis serve` runs it.
# A running gateway reads changes by itself. Paths are relative to this file.

# Where clients connect. This is plain HTTP; for other machines, add
#   tls: {{ certificates: [{{ certificate_file: site.pem, key_file: site.key }}] }}
listeners:
  - address: {listen}

# Health, metrics, and the API that commands such as `portcullis revoke` use.
admin:
  address: {admin}

{sections}
# The service behind the gateway. `portcullis echo` can stand in for it.
upstreams:
  service:
    peers: [{upstream_text}]

# The most specific path wins. A route is public, or says who may use it. The service is told who
# is calling in X-Auth-Subject, X-Auth-Scopes and X-Auth-Roles, which clients cannot set.
routes:
  - name: everything
    match: {{ path: \"/{{*rest}}\" }}
    upstream: service
    authenticate: [{carrier}]
    # Callers without this scope get 403:
    # require: {{ scopes: [orders:read] }}

  # A path that is open to anybody:
  # - name: health
  #   match: {{ path: /health }}
  #   upstream: service
  #   public: true
"
        )
    }
}

impl Provider {
    fn sections(&self) -> String {
        let Self { issuer, audiences, jwks_url } = self;
        let audiences: Vec<_> = audiences.iter().map(|audience| scalar(audience)).collect();
        format!(
            "# Who issues the tokens. Each must carry iss, aud, exp, iat and sub.
issuers:
  - name: provider
    # `iss`, byte for byte.
    issuer: {}
    # `aud` must name one of these.
    audiences: [{}]
    # What the provider may sign with.
    algorithms: [RS256, ES256, EdDSA]
    # The provider's key set: the URL that its /.well-known/openid-configuration calls `jwks_uri`.
    keys:
      jwks_url: {}
",
            scalar(issuer),
            audiences.join(", "),
            scalar(jwks_url)
        )
    }
}

fn session_sections(password_file: &str) -> String {
    format!(
        "# Browsers get a cookie; the session itself stays in the gateway's store.
sessions:
  # Without a request for so long, a session ends.
  idle_timeout: 30m
  # It ends after so long in any case.
  absolute_timeout: 12h

# The gateway's own pages: /auth/login, /auth/sessions.
login:
  base: /auth
  password_file: {password_file}
"
    )
}

const API_KEY_SECTIONS: &str = "\
# `portcullis api-keys create --subject importer` makes a key, and prints it once.
api_keys:
  header: X-Api-Key
  max_lifetime: 90d
";

/// The URL at which an OpenID Connect issuer publishes where its keys are.
pub(super) fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The URL of a listener from this machine.
pub(super) fn url(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{listen}/")
}

#[cfg(test)]
mod tests;

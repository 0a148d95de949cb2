//! The table: every slug with its status, its challenge, its title and its meaning.

/// Declares [`Slug`] from one table. Each row has the meaning (also used in the reference), the
/// name, status, challenge and title.
macro_rules! slugs {
    ($($(#[doc = $meaning:literal])+ $slug:ident = ($name:literal, $status:literal, $challenge:expr, $title:literal);)+) => {
        /// The reason for a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Slug {
            $($(#[doc = $meaning])+ $slug,)+
        }

        impl Slug {
            /// Every slug, in the order of the table.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$slug),+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$slug => Row {
                        name: $name,
                        status: $status,
                        title: $title,
                        challenge: $challenge,
                        meaning: concat!($($meaning),+),
                    },)+
                }
            }
        }
    };
}

slugs! {
    /// The route requires a credential and the request has none. Another scheme (`Basic`) counts
    /// as none.
    CredentialAbsent = ("credential_absent", 401, REALM, "A credential is required");
    /// The credential cannot be read: two `Authorization` fields, or one without a scheme; two
    /// session cookies, or a damaged one; an incomplete API key.
    CredentialMalformed = ("credential_malformed", 400, INVALID_REQUEST, "The credential cannot be read");
    /// What follows `Bearer` is not a signed token (empty, `null`, opaque, encrypted, cut short),
    /// or it is longer than `limits.token_bytes`.
    TokenMalformed = ("token_malformed", 401, INVALID_TOKEN, "The token is malformed");
    /// The algorithm (`alg`) is not permitted for the issuer or for its key (RFC 8725 §3.1).
    /// `none` never is.
    TokenAlgorithm = ("token_algorithm", 401, INVALID_TOKEN, "The token's algorithm is not accepted");
    /// The signature does not verify. Where the token names no key, up to 16 keys of the issuer
    /// are tried.
    TokenSignature = ("token_signature", 401, INVALID_TOKEN, "The token's signature is not valid");
    /// The issuer has no key with this `kid`, or has withdrawn it.
    TokenKeyUnknown = ("token_key_unknown", 401, INVALID_TOKEN, "The token's key is not known");
    /// The route does not accept this issuer (`iss`).
    TokenIssuer = ("token_issuer", 401, INVALID_TOKEN, "The token's issuer is not accepted here");
    /// The audience (`aud`) does not name this service.
    TokenAudience = ("token_audience", 401, INVALID_TOKEN, "The token is for another audience");
    /// The token has expired (`exp`).
    TokenExpired = ("token_expired", 401, INVALID_TOKEN, "The token has expired");
    /// The token is not valid yet: `nbf` or `iat` lies in the future.
    TokenNotYetValid = ("token_not_yet_valid", 401, INVALID_TOKEN, "The token is not valid yet");
    /// The issuer may not send tokens of this type (`typ`).
    TokenType = ("token_type", 401, INVALID_TOKEN, "The token's type is not accepted");
    /// The token lives longer (`exp − iat`) than `max_lifetime` of its issuer allows.
    TokenLifetime = ("token_lifetime", 401, INVALID_TOKEN, "The token's lifetime is too long");
    /// A required claim is missing, is repeated, or has a type that cannot be read. Scopes and
    /// roles count only where the route requires them.
    TokenClaims = ("token_claims", 401, INVALID_TOKEN, "The token's claims are not acceptable");
    /// The token requires an extension (`crit`, RFC 7515 §4.1.11). None is supported.
    TokenCritical = ("token_critical", 401, INVALID_TOKEN, "The token needs an unknown extension");
    /// The token, or its session, subject, client, key or issuer, was revoked.
    TokenRevoked = ("token_revoked", 401, INVALID_TOKEN, "The token has been revoked");
    /// The store has no such session: it ended some time ago, or never existed.
    SessionUnknown = ("session_unknown", 401, REALM, "There is no such session");
    /// The session was unused for longer than `idle_timeout`, or is older than `absolute_timeout`.
    SessionExpired = ("session_expired", 401, REALM, "The session has expired");
    /// The session, or its subject or issuer, was revoked; a logout does so, too.
    SessionRevoked = ("session_revoked", 401, INVALID_TOKEN, "The session has been ended");
    /// There is no such API key.
    ApiKeyUnknown = ("api_key_unknown", 401, REALM, "There is no such API key");
    /// The API key has expired.
    ApiKeyExpired = ("api_key_expired", 401, REALM, "The API key has expired");
    /// The API key, or its subject or issuer, was revoked.
    ApiKeyRevoked = ("api_key_revoked", 401, INVALID_TOKEN, "The API key has been revoked");
    /// The name or the password is wrong.
    LoginFailed = ("login_failed", 401, REALM, "The name or the password is wrong");
    /// The client did not prove who it is: `invalid_client` (RFC 6749 §5.2).
    ClientInvalid = ("client_invalid", 401, REALM, "The client is not authenticated");
    /// The refresh token is unknown, expired or revoked, or belongs to another client:
    /// `invalid_grant` (RFC 6749 §5.2).
    GrantInvalid = ("grant_invalid", 400, NONE, "The refresh token is not valid");
    /// The refresh token was used twice. Everything that came of that login has ended:
    /// `invalid_grant`.
    RefreshReused = ("refresh_reused", 400, NONE, "The refresh token was used before");
    /// The request for a token cannot be granted to this client, or to any: every other error of
    /// RFC 6749 §5.2, for example `invalid_request` or `invalid_scope`.
    TokenRequest = ("token_request", 400, NONE, "The request for a token cannot be granted");
    /// The caller lacks a scope that the route requires. The challenge names the scopes.
    ScopeMissing = ("scope_missing", 403, INSUFFICIENT_SCOPE, "A required scope is missing");
    /// The caller has none of the roles that the route accepts.
    RoleMissing = ("role_missing", 403, NONE, "A required role is missing");
    /// A claim does not have one of the values that the route accepts.
    ClaimMismatch = ("claim_mismatch", 403, NONE, "A claim does not have an accepted value");
    /// The request carries the session cookie, and another site may have caused it.
    Csrf = ("csrf", 403, NONE, "The request may come from another site");
    /// Too many attempts: to log in, by assertions of a client, to list one's own sessions, or to
    /// log out of sessions that the store does not have. Also too many logins.
    RateLimited = ("rate_limited", 429, NONE, "Too many attempts");
    /// This address has presented too many unknown sessions, API keys or refresh tokens, and this
    /// one is not known to be ours.
    VerificationBudget = ("verification_budget", 429, NONE, "Too many unknown credentials");
    /// The issuer's keys could not be fetched, or are too old to be trusted.
    KeysUnavailable = ("keys_unavailable", 503, NONE, "The issuer's keys are not available");
    /// The revocation list is too old to tell whether the credential was revoked.
    RevocationStale = ("revocation_stale", 503, NONE, "The revocation list is too old");
    /// The store has to be asked and does not answer.
    StoreUnavailable = ("store_unavailable", 503, NONE, "The store does not answer");
    /// A bound is reached: of all requests, of this client's, of this upstream's, or of questions
    /// to the identity service. The log's `reason` names the bound.
    Overloaded = ("overloaded", 503, NONE, "Too many requests are being served");
    /// No route matches.
    RouteUnknown = ("route_unknown", 404, NONE, "There is nothing here");
    /// A route matches the path, but not the method. `Allow` names the methods.
    MethodNotAllowed = ("method_not_allowed", 405, NONE, "The method is not allowed here");
    /// The request target is opaque, ambiguous or malformed, or some upstreams would read it as a
    /// path of a stricter route.
    RequestTarget = ("request_target", 400, NONE, "The request target is not acceptable");
    /// The framing is ambiguous or malformed (RFC 9112 §6), or a field that may appear once is
    /// repeated.
    RequestFraming = ("request_framing", 400, NONE, "The request's framing is not acceptable");
    /// The body has a transfer coding other than `chunked` (RFC 9112 §6.1).
    TransferCoding = ("transfer_coding", 501, NONE, "The request's transfer coding is not known");
    /// The head or the body did not arrive in time.
    RequestTimeout = ("request_timeout", 408, NONE, "The request did not arrive in time");
    /// The request does not have exactly one valid `Host` (RFC 9112 §3.2). HTTP/1.0 may have none.
    HostMissing = ("host_missing", 400, NONE, "The request does not name one valid host");
    /// The body of a request to one of the gateway's endpoints cannot be read, or lacks something.
    RequestBody = ("request_body", 400, NONE, "The body cannot be read");
    /// The body is larger than the route allows.
    BodyTooLarge = ("body_too_large", 413, NONE, "The body is too large");
    /// The head is larger than `limits.header_bytes`, or has more fields than
    /// `limits.header_count`.
    HeadersTooLarge = ("headers_too_large", 431, NONE, "The header is too large");
    /// The identity headers, or the internal token, exceed `limits.identity_bytes`.
    IdentityTooLarge = ("identity_too_large", 431, NONE, "The caller's identity is too large");
    /// No peer of the upstream could be reached, or the upstream broke off.
    UpstreamUnavailable = ("upstream_unavailable", 502, NONE, "The upstream cannot be reached");
    /// The upstream did not answer in time.
    UpstreamTimeout = ("upstream_timeout", 504, NONE, "The upstream did not answer in time");
    /// A defect of the gateway. It denies.
    Internal = ("internal", 500, NONE, "The gateway failed");
}

/// Whether the caller was refused or nothing could be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The request was permitted.
    Permitted,
    /// The request was refused.
    Denied,
    /// The request could not be decided. A later retry may help.
    Unavailable,
}

impl Outcome {
    /// The label value in metrics and the access log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The `WWW-Authenticate` challenge that goes with a slug (RFC 6750 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// No challenge.
    None,
    /// Only the realm: nothing was presented, so there is no error to report.
    Realm,
    /// With an `error` code.
    Error(&'static str),
}

struct Row {
    name: &'static str,
    status: u16,
    title: &'static str,
    challenge: Challenge,
    meaning: &'static str,
}

const NONE: Challenge = Challenge::None;
const REALM: Challenge = Challenge::Realm;
const INVALID_REQUEST: Challenge = Challenge::Error("invalid_request");
const INVALID_TOKEN: Challenge = Challenge::Error("invalid_token");
const INSUFFICIENT_SCOPE: Challenge = Challenge::Error("insufficient_scope");

impl Slug {
    /// The slug as written in bodies, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// One sentence for users (`title` of RFC 9457 §3.1.3).
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// What it means, for the reference: a sentence or more, in Markdown.
    pub const fn meaning(self) -> &'static str {
        self.row().meaning.trim_ascii_start()
    }

    /// Whether a login would help: there is no session, or it has ended.
    pub const fn is_want_of_login(self) -> bool {
        matches!(
            self,
            Self::CredentialAbsent
                | Self::SessionUnknown
                | Self::SessionExpired
                | Self::SessionRevoked
        )
    }

    /// The challenge that goes with it.
    pub const fn challenge(self) -> Challenge {
        self.row().challenge
    }

    /// Whether this is a refusal or means that nothing could be decided.
    pub const fn outcome(self) -> Outcome {
        match self.status() {
            // A retry will not help.
            501 => Outcome::Denied,
            500.. => Outcome::Unavailable,
            _ => Outcome::Denied,
        }
    }
}

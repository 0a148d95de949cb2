//! The table: every slug with its status, its outcome and its challenge.

/// The reason for a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slug {
    /// No credential where one is required.
    CredentialAbsent,
    /// Two credentials, or a field for one that cannot be read.
    CredentialMalformed,
    /// What was presented as a token is none that could be verified: not a signed token, cut short,
    /// or too long.
    TokenMalformed,
    /// `alg` is not one that the issuer and its key permit (RFC 8725 §3.1).
    TokenAlgorithm,
    /// The signature does not verify.
    TokenSignature,
    /// No key of the issuer has this `kid`.
    TokenKeyUnknown,
    /// `iss` is not an issuer that this route accepts.
    TokenIssuer,
    /// `aud` does not name this service.
    TokenAudience,
    /// `exp` has passed.
    TokenExpired,
    /// `nbf` or `iat` lies in the future.
    TokenNotYetValid,
    /// `typ` is not one that the issuer may send.
    TokenType,
    /// The token lives longer than its issuer may make it live.
    TokenLifetime,
    /// A required claim is missing, repeated or of the wrong type.
    TokenClaims,
    /// `crit` asks for an extension (RFC 7515 §4.1.11); none is supported.
    TokenCritical,
    /// The token, or whom or what it stands for, was cut off.
    TokenRevoked,
    /// There is no such session: it ended some time ago, or never was.
    SessionUnknown,
    /// The session has rested, or lived, for too long.
    SessionExpired,
    /// The session, or whom it stands for, was cut off, by a logout for example.
    SessionRevoked,
    /// There is no such API key.
    ApiKeyUnknown,
    /// The API key has come to its end.
    ApiKeyExpired,
    /// The API key, or whom it stands for, was cut off.
    ApiKeyRevoked,
    /// The name and the password do not go together.
    LoginFailed,
    /// A client did not show that it is who it says: `invalid_client` (RFC 6749 §5.2).
    ClientInvalid,
    /// A refresh token is not good: `invalid_grant` (RFC 6749 §5.2).
    GrantInvalid,
    /// A refresh token was used twice: whatever came of that login has ended. `invalid_grant`.
    RefreshReused,
    /// A request for a token cannot be granted as it is, by anybody or by this client: any other
    /// error of RFC 6749 §5.2.
    TokenRequest,
    /// A required scope was not granted.
    ScopeMissing,
    /// None of the accepted roles is held.
    RoleMissing,
    /// A claim does not have one of the accepted values.
    ClaimMismatch,
    /// The request carries the session cookie, and another site may have caused it.
    Csrf,
    /// Too much was tried in too short a time.
    RateLimited,
    /// A client has presented too many sessions that there are not.
    VerificationBudget,
    /// The issuer's keys could not be obtained, or are too old to be believed.
    KeysUnavailable,
    /// The revocation list is too old to say who was cut off.
    RevocationStale,
    /// The store cannot be asked.
    StoreUnavailable,
    /// As much is being served as the gateway, an upstream or the client's share allows.
    Overloaded,
    /// No route matches.
    RouteUnknown,
    /// A route matches the path, but not the method.
    MethodNotAllowed,
    /// The request target is opaque, ambiguous or malformed.
    RequestTarget,
    /// The message framing is ambiguous or malformed (RFC 9112 §6).
    RequestFraming,
    /// The body is coded in a way that is not known here (RFC 9112 §6.1).
    TransferCoding,
    /// The header, or the body, did not arrive in time.
    RequestTimeout,
    /// Not exactly one valid `Host` (RFC 9112 §3.2).
    HostMissing,
    /// The body of a request to the gateway itself cannot be read, or lacks something.
    RequestBody,
    /// The body is larger than the route allows.
    BodyTooLarge,
    /// The header is larger, or has more fields, than the gateway allows.
    HeadersTooLarge,
    /// Who the caller is takes more room than an upstream may be sent.
    IdentityTooLarge,
    /// No peer of the upstream could be reached, or it broke off.
    UpstreamUnavailable,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// A defect of the gateway; it denies.
    Internal,
}

/// Whether the caller was refused or nothing could be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A permit was issued.
    Permitted,
    /// The answer is no.
    Denied,
    /// No answer could be given; asking again later may help.
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
}

const fn row(name: &'static str, status: u16, challenge: Challenge, title: &'static str) -> Row {
    Row { name, status, title, challenge }
}

const INVALID_REQUEST: Challenge = Challenge::Error("invalid_request");
const INVALID_TOKEN: Challenge = Challenge::Error("invalid_token");
const INSUFFICIENT_SCOPE: Challenge = Challenge::Error("insufficient_scope");

impl Slug {
    /// Every slug, in the order of the table.
    pub const ALL: [Self; 50] = [
        Self::CredentialAbsent,
        Self::CredentialMalformed,
        Self::TokenMalformed,
        Self::TokenAlgorithm,
        Self::TokenSignature,
        Self::TokenKeyUnknown,
        Self::TokenIssuer,
        Self::TokenAudience,
        Self::TokenExpired,
        Self::TokenNotYetValid,
        Self::TokenType,
        Self::TokenLifetime,
        Self::TokenClaims,
        Self::TokenCritical,
        Self::TokenRevoked,
        Self::SessionUnknown,
        Self::SessionExpired,
        Self::SessionRevoked,
        Self::ApiKeyUnknown,
        Self::ApiKeyExpired,
        Self::ApiKeyRevoked,
        Self::LoginFailed,
        Self::ClientInvalid,
        Self::GrantInvalid,
        Self::RefreshReused,
        Self::TokenRequest,
        Self::ScopeMissing,
        Self::RoleMissing,
        Self::ClaimMismatch,
        Self::Csrf,
        Self::RateLimited,
        Self::VerificationBudget,
        Self::KeysUnavailable,
        Self::RevocationStale,
        Self::StoreUnavailable,
        Self::Overloaded,
        Self::RouteUnknown,
        Self::MethodNotAllowed,
        Self::RequestTarget,
        Self::RequestFraming,
        Self::TransferCoding,
        Self::RequestTimeout,
        Self::HostMissing,
        Self::RequestBody,
        Self::BodyTooLarge,
        Self::HeadersTooLarge,
        Self::IdentityTooLarge,
        Self::UpstreamUnavailable,
        Self::UpstreamTimeout,
        Self::Internal,
    ];

    const fn row(self) -> Row {
        use Challenge::None;
        match self {
            Self::CredentialAbsent => {
                row("credential_absent", 401, Challenge::Realm, "A credential is required")
            }
            Self::CredentialMalformed => {
                row("credential_malformed", 400, INVALID_REQUEST, "The credential cannot be read")
            }
            // RFC 6750 §3.1: "expired, revoked, malformed" are one class; clients get another token.
            Self::TokenMalformed => {
                row("token_malformed", 401, INVALID_TOKEN, "What was presented is no usable token")
            }
            Self::TokenAlgorithm => {
                row("token_algorithm", 401, INVALID_TOKEN, "The token's algorithm is not accepted")
            }
            Self::TokenSignature => {
                row("token_signature", 401, INVALID_TOKEN, "The token's signature is not valid")
            }
            Self::TokenKeyUnknown => {
                row("token_key_unknown", 401, INVALID_TOKEN, "The token's key is not known")
            }
            Self::TokenIssuer => {
                row("token_issuer", 401, INVALID_TOKEN, "The token's issuer is not accepted here")
            }
            Self::TokenAudience => {
                row("token_audience", 401, INVALID_TOKEN, "The token is meant for someone else")
            }
            Self::TokenExpired => row("token_expired", 401, INVALID_TOKEN, "The token has expired"),
            Self::TokenNotYetValid => {
                row("token_not_yet_valid", 401, INVALID_TOKEN, "The token is not valid yet")
            }
            Self::TokenType => {
                row("token_type", 401, INVALID_TOKEN, "The token's type is not accepted")
            }
            Self::TokenLifetime => {
                row("token_lifetime", 401, INVALID_TOKEN, "The token lives longer than is accepted")
            }
            Self::TokenClaims => {
                row("token_claims", 401, INVALID_TOKEN, "The token's claims are not acceptable")
            }
            Self::TokenCritical => {
                row("token_critical", 401, INVALID_TOKEN, "The token needs an unknown extension")
            }
            Self::TokenRevoked => {
                row("token_revoked", 401, INVALID_TOKEN, "The token has been revoked")
            }
            Self::SessionUnknown => {
                row("session_unknown", 401, Challenge::Realm, "There is no such session")
            }
            Self::SessionExpired => {
                row("session_expired", 401, Challenge::Realm, "The session has expired")
            }
            Self::SessionRevoked => {
                row("session_revoked", 401, INVALID_TOKEN, "The session has been ended")
            }
            Self::ApiKeyUnknown => {
                row("api_key_unknown", 401, Challenge::Realm, "There is no such API key")
            }
            Self::ApiKeyExpired => {
                row("api_key_expired", 401, Challenge::Realm, "The API key has expired")
            }
            Self::ApiKeyRevoked => {
                row("api_key_revoked", 401, INVALID_TOKEN, "The API key has been revoked")
            }
            Self::LoginFailed => {
                row("login_failed", 401, Challenge::Realm, "The name or the password is wrong")
            }
            Self::ClientInvalid => {
                row("client_invalid", 401, Challenge::Realm, "The client is not authenticated")
            }
            Self::GrantInvalid => row("grant_invalid", 400, None, "The refresh token is not good"),
            Self::RefreshReused => {
                row("refresh_reused", 400, None, "The refresh token was used before")
            }
            Self::TokenRequest => {
                row("token_request", 400, None, "The request for a token cannot be granted")
            }
            Self::ScopeMissing => {
                row("scope_missing", 403, INSUFFICIENT_SCOPE, "A required scope is missing")
            }
            Self::RoleMissing => row("role_missing", 403, None, "A required role is missing"),
            Self::ClaimMismatch => {
                row("claim_mismatch", 403, None, "A claim does not have an accepted value")
            }
            Self::Csrf => row("csrf", 403, None, "The request may come from another site"),
            Self::RateLimited => row("rate_limited", 429, None, "Too many attempts"),
            Self::VerificationBudget => {
                row("verification_budget", 429, None, "Too many credentials that are none")
            }
            Self::KeysUnavailable => {
                row("keys_unavailable", 503, None, "The issuer's keys are not available")
            }
            Self::RevocationStale => {
                row("revocation_stale", 503, None, "Whether the token is revoked is not known")
            }
            Self::StoreUnavailable => {
                row("store_unavailable", 503, None, "What has to be asked does not answer")
            }
            Self::Overloaded => row("overloaded", 503, None, "Too much is being served already"),
            Self::RouteUnknown => row("route_unknown", 404, None, "There is nothing here"),
            Self::MethodNotAllowed => {
                row("method_not_allowed", 405, None, "The method is not allowed here")
            }
            Self::RequestTarget => {
                row("request_target", 400, None, "The request target is not acceptable")
            }
            Self::RequestFraming => {
                row("request_framing", 400, None, "The request's framing is not acceptable")
            }
            Self::TransferCoding => {
                row("transfer_coding", 501, None, "The request's transfer coding is not known")
            }
            Self::RequestTimeout => {
                row("request_timeout", 408, None, "The request did not arrive in time")
            }
            Self::HostMissing => {
                row("host_missing", 400, None, "The request does not name one valid host")
            }
            Self::RequestBody => row("request_body", 400, None, "The body cannot be read"),
            Self::BodyTooLarge => row("body_too_large", 413, None, "The body is too large"),
            Self::HeadersTooLarge => row("headers_too_large", 431, None, "The header is too large"),
            Self::IdentityTooLarge => {
                row("identity_too_large", 431, None, "Who the caller is takes too much room")
            }
            Self::UpstreamUnavailable => {
                row("upstream_unavailable", 502, None, "The upstream cannot be reached")
            }
            Self::UpstreamTimeout => {
                row("upstream_timeout", 504, None, "The upstream did not answer in time")
            }
            Self::Internal => row("internal", 500, None, "The gateway could not go on"),
        }
    }

    /// The slug as written in bodies, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// One sentence for people (`title` of RFC 9457 §3.1.3).
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// Whether it says no more than that nobody is logged in.
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

    /// Whether this says "no" or "cannot say".
    pub const fn outcome(self) -> Outcome {
        match self.status() {
            // Asking again will not help.
            501 => Outcome::Denied,
            500.. => Outcome::Unavailable,
            _ => Outcome::Denied,
        }
    }
}

//! The operations of the admin API: only their descriptions; `admin/` carries them out.

use utoipa::IntoResponses;

use super::answers::{
    ApiKeyList, Changed, GatewayList, NewApiKey, NewSigningKey, Problem, RevocationList,
    SessionList, SigningKeyList,
};
use super::requests::{
    ApiKeyOwner, ApiKeyRequest, Change, LiftedScope, Page, RevocationRequest, RotationRequest, User,
};

/// What every operation under `/v1` may answer.
#[derive(IntoResponses)]
pub enum Refused {
    /// The request makes no sense (`bad_request`).
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] Problem),
    /// The admin token is missing or wrong.
    #[response(status = 401, content_type = "text/plain")]
    Token(String),
    /// The `Host` is not a name of this machine, or a page in a browser asked.
    #[response(status = 421, content_type = "text/plain")]
    Elsewhere(String),
    /// The store cannot be reached (`store_unavailable`), or the signing keys (`keys_unavailable`).
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] Problem),
}

/// What a change may answer, too.
#[derive(IntoResponses)]
pub enum NotChanged {
    /// The change is in force, but could not be written to the audit log (`audit_log`).
    #[response(status = 500, content_type = "application/problem+json")]
    Unaudited(#[to_schema] Problem),
    /// There is no room: `revocation_list_full`, or 1,000 API keys (`api_keys_full`).
    #[response(status = 507, content_type = "application/problem+json")]
    Full(#[to_schema] Problem),
}

/// What a request with a body may answer, too.
#[derive(IntoResponses)]
pub enum BodyRefused {
    /// The body did not arrive within 10 seconds (`request_timeout`).
    #[response(status = 408, content_type = "application/problem+json")]
    Late(#[to_schema] Problem),
}

/// Is the process alive?
#[utoipa::path(get, path = "/livez", tag = "probes",
    responses((status = 200, description = "`alive`", body = String, content_type = "text/plain")))]
pub const fn livez() {}

/// Is the gateway ready for requests?
#[utoipa::path(get, path = "/readyz", tag = "probes",
    responses(
        (status = 200, description = "`ready`, or `stale`: the revocation list is too old",
            body = String, content_type = "text/plain"),
        (status = 503, description = "`starting`, `stopping`, or `clock`: the clock differs too much from the store's",
            body = String, content_type = "text/plain"),
    ))]
pub const fn readyz() {}

/// The metrics, in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "probes",
    security((), ("admin_token" = [])),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        (status = 401, description = "The configuration gives a token, and it is missing or wrong",
            body = String, content_type = "text/plain"),
        (status = 421, description = "The `Host` is not a name of this machine, or a page in a browser asked",
            body = String, content_type = "text/plain"),
    ))]
pub const fn metrics() {}

/// Lists the revocations in force, those that expire first at the top.
#[utoipa::path(get, path = "/v1/revocations", tag = "revocations", params(Page),
    security(("admin_token" = [])),
    responses((status = 200, description = "The revocations", body = RevocationList), Refused))]
pub const fn list_revocations() {}

/// Revokes a token, session, user, client, key, issuer, or everything.
#[utoipa::path(post, path = "/v1/revocations", tag = "revocations", request_body = RevocationRequest,
    security(("admin_token" = [])),
    responses(
        (status = 201, description = "It is in the store", body = Changed),
        (status = 202, description = "It is in force on this gateway only, until the store is back (`revocation.accept_local`)",
            body = Changed),
        Refused, NotChanged, BodyRefused))]
pub const fn create_revocation() {}

/// Lifts all revocations of a user, client or issuer.
#[utoipa::path(delete, path = "/v1/revocations", tag = "revocations", params(LiftedScope, Change),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "They are lifted", body = Changed),
        (status = 404, description = "There is none (`revocation_unknown`)", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "All are lifted already (`already_lifted`)", body = Problem,
            content_type = "application/problem+json"),
        Refused, NotChanged))]
pub const fn lift_all_of_a_scope() {}

/// Lifts one revocation.
#[utoipa::path(delete, path = "/v1/revocations/{id}", tag = "revocations",
    params(("id" = String, Path, pattern = "^[0-9a-f]{16}$",
        description = "Id of the revocation: 16 hexadecimal digits"), Change),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "It is lifted", body = Changed),
        (status = 404, description = "There is no such revocation (`revocation_unknown`)", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "It is lifted already (`already_lifted`)", body = Problem,
            content_type = "application/problem+json"),
        Refused, NotChanged))]
pub const fn lift_revocation() {}

/// Lists the sessions of a user that can be used, the latest login first.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(User),
    security(("admin_token" = [])),
    responses((status = 200, description = "The sessions", body = SessionList), Refused))]
pub const fn list_sessions() {}

/// Ends all sessions of a user, and revokes everything else that the issuer issued to them.
#[utoipa::path(delete, path = "/v1/sessions", tag = "sessions", params(User, Change),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "They are ended", body = Changed),
        (status = 202, description = "It is in force on this gateway only (`revocation.accept_local`)", body = Changed),
        Refused, NotChanged))]
pub const fn end_all_sessions() {}

/// Ends one session.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{43}$",
        description = "Id of the session: 43 characters"), Change),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "It is ended", body = Changed),
        (status = 202, description = "It is in force on this gateway only (`revocation.accept_local`)", body = Changed),
        (status = 404, description = "There is no such session (`session_unknown`)", body = Problem,
            content_type = "application/problem+json"),
        Refused, NotChanged))]
pub const fn end_session() {}

/// Lists the API keys that can be used, the latest first.
#[utoipa::path(get, path = "/v1/api-keys", tag = "API keys", params(ApiKeyOwner),
    security(("admin_token" = [])),
    responses((status = 200, description = "The API keys", body = ApiKeyList), Refused))]
pub const fn list_api_keys() {}

/// Creates an API key. The answer is the only place where the key is shown.
#[utoipa::path(post, path = "/v1/api-keys", tag = "API keys", request_body = ApiKeyRequest,
    security(("admin_token" = [])),
    responses((status = 201, description = "The key", body = NewApiKey), Refused, NotChanged, BodyRefused))]
pub const fn create_api_key() {}

/// Revokes an API key.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "API keys",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{43}$",
        description = "Id of the API key: 43 characters"), Change),
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "It is revoked", body = Changed),
        (status = 202, description = "It is in force on this gateway only (`revocation.accept_local`)", body = Changed),
        (status = 404, description = "There is no such API key (`api_key_unknown`)", body = Problem,
            content_type = "application/problem+json"),
        Refused, NotChanged))]
pub const fn revoke_api_key() {}

/// Lists the gateway's own signing keys.
#[utoipa::path(get, path = "/v1/keys", tag = "signing keys",
    security(("admin_token" = [])),
    responses((status = 200, description = "The keys", body = SigningKeyList), Refused))]
pub const fn list_signing_keys() {}

/// Makes the next signing key.
#[utoipa::path(post, path = "/v1/keys/rotate", tag = "signing keys", request_body = RotationRequest,
    security(("admin_token" = [])),
    responses(
        (status = 201, description = "The key", body = NewSigningKey),
        (status = 409, description = "There are 16 keys (`too_many_keys`)", body = Problem,
            content_type = "application/problem+json"),
        Refused, NotChanged, BodyRefused))]
pub const fn rotate_signing_keys() {}

/// Lists the gateways that share a store, and how current each one is.
#[utoipa::path(get, path = "/v1/gateways", tag = "gateways",
    security(("admin_token" = [])),
    responses((status = 200, description = "The gateways", body = GatewayList), Refused))]
pub const fn list_gateways() {}

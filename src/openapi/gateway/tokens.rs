//! The endpoints about tokens: only their descriptions; `oauth/` answers.

use super::oauth_answers::{Introspection, IssuedTokens, KeySet, RevokedToken, ServerMetadata};
use super::refusals::{ClientRefused, CookieLogoutRefused, GrantRefused, KeysRefused, Refused};
use super::requests::{PresentedToken, TokenRequest};

/// Issues an access token for a refresh token or for a client (RFC 6749 §3.2).
///
/// Each refresh token is good for one exchange, and gives the next one.
#[utoipa::path(post, path = "/auth/token", tag = "tokens",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    security((), ("client" = []), ("refresh_token" = [])),
    responses(
        (status = 200, description = "The tokens. If the refresh token came in its cookie, so does the next one",
            body = IssuedTokens,
            headers(("Set-Cookie" = String, description = "The next refresh token"))),
        GrantRefused))]
pub const fn issue_token() {}

/// Ends the login of the refresh cookie, and takes the cookie back.
///
/// A caller without such a cookie gets the same answer.
#[utoipa::path(delete, path = "/auth/token", tag = "tokens",
    security((), ("refresh_token" = [])),
    responses(
        (status = 204, description = "The login is ended",
            headers(("Set-Cookie" = String, description = "Takes the cookie back"))),
        CookieLogoutRefused))]
pub const fn end_refresh_cookie() {}

/// Revokes a token (RFC 7009).
///
/// A refresh token is revoked with all that came of its login, an access token alone. A token that is
/// not known gets the same answer as one that was revoked.
#[utoipa::path(post, path = "/auth/revoke", tag = "tokens",
    request_body(content = PresentedToken, content_type = "application/x-www-form-urlencoded"),
    security((), ("client" = [])),
    responses((status = 200, description = "The token is good no more", body = RevokedToken), ClientRefused))]
pub const fn revoke_token() {}

/// Tells a client what a token is good for (RFC 7662).
///
/// Only for clients that authenticate and have `introspection: true`.
#[utoipa::path(post, path = "/auth/introspect", tag = "tokens",
    request_body(content = PresentedToken, content_type = "application/x-www-form-urlencoded"),
    security((), ("client" = [])),
    responses((status = 200, description = "What is known of the token", body = Introspection), ClientRefused))]
pub const fn introspect_token() {}

/// Publishes the public signing keys (RFC 7517 §5).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "tokens", security(()),
    responses(
        (status = 200, description = "The keys", body = KeySet, content_type = "application/jwk-set+json",
            headers(("Cache-Control" = String, description = "How long they may be kept"))),
        KeysRefused))]
pub const fn key_set() {}

/// Publishes where and how clients ask for tokens (RFC 8414).
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "tokens", security(()),
    responses(
        (status = 200, description = "The metadata", body = ServerMetadata,
            headers(("Cache-Control" = String, description = "How long they may be kept"))),
        Refused))]
pub const fn metadata() {}

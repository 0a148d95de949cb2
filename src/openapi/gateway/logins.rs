//! The endpoints about logins: only their descriptions; `login/` and `session/` answer.

use super::answers::{LoggedInUser, LoginAnswer, OwnSessionList, Problem};
use super::refusals::{ChangeRefused, LoginRefused, LogoutRefused, Refused, SessionRefused};
use super::requests::{CsrfToken, LoginRequest, ReturnTo};

/// Shows the login page.
#[utoipa::path(get, path = "/auth/login", tag = "login", params(ReturnTo), security(()),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), Refused))]
pub const fn login_page() {}

/// Logs a user in.
///
/// A request from a page of another site is refused. A login that sets the session cookie ends the
/// session that the browser had before.
#[utoipa::path(post, path = "/auth/login", tag = "login", security(()),
    request_body(content(
        (LoginRequest = "application/json"),
        (LoginRequest = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The user is logged in. A browser gets the refresh token as a cookie",
            body = LoginAnswer,
            headers(("Set-Cookie" = String, description = "The session, the refresh token, or both"))),
        (status = 303, description = "The same, after a form that asks for no tokens",
            headers(
                ("Location" = String, description = "`return_to`"),
                ("Set-Cookie" = String, description = "The session"))),
        LoginRefused))]
pub const fn log_in() {}

/// Ends the session, and takes the cookies back.
///
/// A caller who is not logged in gets the same answer.
#[utoipa::path(post, path = "/auth/logout", tag = "login", params(CsrfToken),
    security((), ("session" = [])),
    responses(
        (status = 204, description = "The user is logged out",
            headers(("Set-Cookie" = String, description = "Takes the cookies back"))),
        (status = 303, description = "The same, for a browser that navigates",
            headers(
                ("Location" = String, description = "The login page"),
                ("Set-Cookie" = String, description = "Takes the cookies back"))),
        LogoutRefused))]
pub const fn log_out() {}

/// Ends all sessions of the user, and takes the cookies back.
///
/// The tokens and API keys that the gateway issued to the user are revoked, too.
#[utoipa::path(post, path = "/auth/logout-everywhere", tag = "login", params(CsrfToken),
    security(("session" = [])),
    responses(
        (status = 204, description = "The user is logged out everywhere",
            headers(("Set-Cookie" = String, description = "Takes the cookies back"))),
        (status = 303, description = "The same, for a browser that navigates",
            headers(
                ("Location" = String, description = "The login page"),
                ("Set-Cookie" = String, description = "Takes the cookies back"))),
        ChangeRefused))]
pub const fn log_out_everywhere() {}

/// Shows who is logged in, and until when.
#[utoipa::path(get, path = "/auth/session", tag = "login", security(("session" = [])),
    responses((status = 200, description = "The user", body = LoggedInUser), SessionRefused))]
pub const fn show_session() {}

/// Lists where the user is logged in.
#[utoipa::path(get, path = "/auth/sessions", tag = "login", security(("session" = [])),
    responses(
        (status = 200, description = "The sessions; a page for a browser that navigates",
            content((OwnSessionList = "application/json"), (String = "text/html"))),
        (status = 302, description = "Nobody is logged in, and a browser navigates",
            headers(("Location" = String, description = "The login page"))),
        SessionRefused))]
pub const fn list_own_sessions() {}

/// Ends one session of the user.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "login",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{43}$",
        description = "Id of the session: 43 characters"), CsrfToken),
    security(("session" = [])),
    responses(
        (status = 204, description = "It is ended",
            headers(("Set-Cookie" = String, description = "Takes the cookies back, if it is the one that asks"))),
        (status = 404, description = "The user has no such session (`route_unknown`)",
            content((Problem = "application/problem+json"), (String = "text/html"))),
        ChangeRefused))]
pub const fn end_own_session() {}

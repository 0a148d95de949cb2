//! Path and method → endpoint.

use std::sync::Arc;

use http::Method;

use crate::config::Tokens;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::gate::session::SessionId;
use crate::oauth::metadata::{KEYS_PATH, METADATA_PATH};
use crate::runtime::Running;

/// An endpoint of the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An endpoint for logins, if users can log in.
    Login(LoginEndpoint),
    /// An endpoint for tokens, if the gateway issues them.
    Token(TokenEndpoint),
}

/// An endpoint for logins, below the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginEndpoint {
    /// `GET login`: the page.
    LoginPage,
    /// `POST login`.
    Login,
    /// `POST logout`.
    Logout,
    /// `POST logout-everywhere`.
    LogoutEverywhere,
    /// `GET session`: the caller's session.
    Session,
    /// `GET sessions`: all sessions of the caller.
    Sessions,
    /// `DELETE sessions/{id}`.
    EndSession(SessionId),
}

/// An endpoint for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenEndpoint {
    /// `POST token` (RFC 6749 §3.2).
    Token,
    /// `DELETE token`: the logout of a browser, whose scripts cannot read the refresh token.
    Logout,
    /// `POST revoke` (RFC 7009).
    Revoke,
    /// `POST introspect` (RFC 7662).
    Introspect,
    /// `GET /.well-known/jwks.json` (RFC 7517 §5).
    Keys,
    /// `GET /.well-known/oauth-authorization-server` (RFC 8414 §3).
    Metadata,
}

/// Whether an endpoint requires a user who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerAuthentication {
    /// It does not.
    None,
    /// It is for users who are logged in, and does nothing for others.
    Optional,
    /// It refuses all others.
    Required,
}

/// The methods of endpoints, by kind.
#[derive(Clone, Copy)]
enum MethodKind<'m> {
    Get,
    Post,
    Other(&'m Method),
}

impl Endpoint {
    /// The endpoint for a path and a method.
    ///
    /// # Errors
    ///
    /// [`Slug::RouteUnknown`], and [`Slug::MethodNotAllowed`] with the allowed methods.
    pub fn find(path: &str, method: &Method, configuration: &Running) -> Result<Self, Denial> {
        let method = match *method {
            Method::GET | Method::HEAD => MethodKind::Get,
            Method::POST => MethodKind::Post,
            _ => MethodKind::Other(method),
        };
        let base = configuration.gate.settings.own_base.as_deref();
        let below = base.and_then(|base| path.strip_prefix(base));
        if let Some(tokens) = &configuration.settings.tokens
            && let Some(found) = TokenEndpoint::find(path, below, method, tokens)
        {
            return found.map(Self::Token);
        }
        match (&configuration.settings.login, below) {
            (Some(_), Some(below)) => LoginEndpoint::find(below, method).map(Self::Login),
            (Some(_) | None, _) => Err(Slug::RouteUnknown.into()),
        }
    }

    /// Whether it requires a user who is logged in.
    pub fn authentication(&self) -> CallerAuthentication {
        match self {
            Self::Login(endpoint) => endpoint.authentication(),
            // Clients authenticate themselves here. A session is irrelevant.
            Self::Token(_) => CallerAuthentication::None,
        }
    }

    /// Whether a browser may be looking at it.
    pub fn is_page(&self) -> bool {
        match self {
            Self::Login(LoginEndpoint::LoginPage | LoginEndpoint::Sessions) => true,
            Self::Login(
                LoginEndpoint::Login
                | LoginEndpoint::Logout
                | LoginEndpoint::LogoutEverywhere
                | LoginEndpoint::Session
                | LoginEndpoint::EndSession(_),
            )
            | Self::Token(_) => false,
        }
    }

    /// Whether it reads a body. The bodies of others are discarded.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Login(LoginEndpoint::Login)
            | Self::Token(
                TokenEndpoint::Token | TokenEndpoint::Revoke | TokenEndpoint::Introspect,
            ) => true,
            Self::Login(
                LoginEndpoint::LoginPage
                | LoginEndpoint::Logout
                | LoginEndpoint::LogoutEverywhere
                | LoginEndpoint::Session
                | LoginEndpoint::Sessions
                | LoginEndpoint::EndSession(_),
            )
            | Self::Token(TokenEndpoint::Logout | TokenEndpoint::Keys | TokenEndpoint::Metadata) => {
                false
            }
        }
    }
}

impl LoginEndpoint {
    /// The endpoint for a path below the base (`/login`).
    fn find(below: &str, method: MethodKind<'_>) -> Result<Self, Denial> {
        match (below, method) {
            ("/login", MethodKind::Get) => Ok(Self::LoginPage),
            ("/login", MethodKind::Post) => Ok(Self::Login),
            ("/login", MethodKind::Other(_)) => refuse("GET, HEAD, POST"),
            ("/logout", MethodKind::Post) => Ok(Self::Logout),
            ("/logout-everywhere", MethodKind::Post) => Ok(Self::LogoutEverywhere),
            ("/logout" | "/logout-everywhere", MethodKind::Get | MethodKind::Other(_)) => {
                refuse("POST")
            }
            ("/session", MethodKind::Get) => Ok(Self::Session),
            ("/sessions", MethodKind::Get) => Ok(Self::Sessions),
            ("/session" | "/sessions", MethodKind::Post | MethodKind::Other(_)) => {
                refuse("GET, HEAD")
            }
            (other, method) => match other.strip_prefix("/sessions/").and_then(SessionId::parse) {
                Some(id) => match method {
                    MethodKind::Other(&Method::DELETE) => Ok(Self::EndSession(id)),
                    MethodKind::Get | MethodKind::Post | MethodKind::Other(_) => refuse("DELETE"),
                },
                None => Err(Slug::RouteUnknown.into()),
            },
        }
    }

    fn authentication(&self) -> CallerAuthentication {
        match self {
            Self::LoginPage | Self::Login => CallerAuthentication::None,
            Self::Logout => CallerAuthentication::Optional,
            Self::LogoutEverywhere | Self::Session | Self::Sessions | Self::EndSession(_) => {
                CallerAuthentication::Required
            }
        }
    }
}

impl TokenEndpoint {
    /// The endpoint for a path, given the part below the base; `None` if it is none of these.
    fn find(
        path: &str,
        below: Option<&str>,
        method: MethodKind<'_>,
        tokens: &Tokens,
    ) -> Option<Result<Self, Denial>> {
        let endpoint = match (below, path) {
            (Some("/token"), _) => Self::Token,
            (Some("/revoke"), _) => Self::Revoke,
            (Some("/introspect"), _) => Self::Introspect,
            (_, KEYS_PATH) => Self::Keys,
            (_, path) if is_metadata(path, tokens) => Self::Metadata,
            (_, _) => return None,
        };
        Some(match (endpoint, method) {
            (Self::Token, MethodKind::Other(&Method::DELETE)) => Ok(Self::Logout),
            (Self::Token, MethodKind::Get | MethodKind::Other(_)) => refuse("POST, DELETE"),
            (Self::Token | Self::Revoke | Self::Introspect, MethodKind::Post)
            | (Self::Keys | Self::Metadata, MethodKind::Get) => Ok(endpoint),
            // The path is the same as that of `Token`. The methods differ.
            (Self::Logout, _) => Ok(endpoint),
            (Self::Revoke | Self::Introspect, MethodKind::Get | MethodKind::Other(_)) => {
                refuse("POST")
            }
            (Self::Keys | Self::Metadata, MethodKind::Post | MethodKind::Other(_)) => {
                refuse("GET, HEAD")
            }
        })
    }
}

/// RFC 8414 §3.1: the well-known path precedes the issuer's own.
fn is_metadata(path: &str, tokens: &Tokens) -> bool {
    let of_issuer = tokens.issuer.strip_prefix(&*tokens.origin).unwrap_or_default();
    path.strip_prefix(METADATA_PATH) == Some(of_issuer.trim_end_matches('/'))
}

fn refuse<T>(allowed: &'static str) -> Result<T, Denial> {
    Err(Denial::with(Slug::MethodNotAllowed, Detail::Allow(Arc::from(allowed))))
}

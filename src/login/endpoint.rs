//! Path and method → endpoint.

use std::sync::Arc;

use http::Method;

use crate::gate::denial::{Denial, Detail, Slug};
use crate::gate::session::SessionId;

/// An endpoint of the gateway itself, below `login.base`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `GET login`: the page.
    LoginPage,
    /// `POST login`.
    Login,
    /// `POST logout`.
    Logout,
    /// `POST logout-everywhere`.
    LogoutEverywhere,
    /// `GET session`: who am I.
    Session,
    /// `GET sessions`: where else am I logged in.
    Sessions,
    /// `DELETE sessions/{id}`.
    EndSession(SessionId),
}

/// Who has to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Anybody may.
    Anybody,
    /// It is for those who are logged in, and nothing to do for others.
    CallerIfAny,
    /// Somebody who is logged in.
    Caller,
}

impl Endpoint {
    /// The endpoint for a path below the base (`/login`), and a method.
    ///
    /// # Errors
    ///
    /// [`Slug::RouteUnknown`], and [`Slug::MethodNotAllowed`] with the methods that are.
    pub fn find(below: &str, method: &Method) -> Result<Self, Denial> {
        let get = matches!(*method, Method::GET | Method::HEAD);
        let post = *method == Method::POST;
        let refuse = |allowed: &'static str| {
            Err(Denial::with(Slug::MethodNotAllowed, Detail::Allow(Arc::from(allowed))))
        };
        match below {
            "/login" if get => Ok(Self::LoginPage),
            "/login" if post => Ok(Self::Login),
            "/login" => refuse("GET, HEAD, POST"),
            "/logout" if post => Ok(Self::Logout),
            "/logout-everywhere" if post => Ok(Self::LogoutEverywhere),
            "/logout" | "/logout-everywhere" => refuse("POST"),
            "/session" if get => Ok(Self::Session),
            "/sessions" if get => Ok(Self::Sessions),
            "/session" | "/sessions" => refuse("GET, HEAD"),
            other => match other.strip_prefix("/sessions/").and_then(SessionId::parse) {
                Some(id) if *method == Method::DELETE => Ok(Self::EndSession(id)),
                Some(_) => refuse("DELETE"),
                None => Err(Slug::RouteUnknown.into()),
            },
        }
    }

    /// Who has to ask.
    pub fn wants(&self) -> Wants {
        match self {
            Self::LoginPage | Self::Login => Wants::Anybody,
            Self::Logout => Wants::CallerIfAny,
            Self::LogoutEverywhere | Self::Session | Self::Sessions | Self::EndSession(_) => {
                Wants::Caller
            }
        }
    }

    /// Whether a browser may be looking at it.
    pub fn is_page(&self) -> bool {
        match self {
            Self::LoginPage | Self::Sessions => true,
            Self::Login
            | Self::Logout
            | Self::LogoutEverywhere
            | Self::Session
            | Self::EndSession(_) => false,
        }
    }

    /// Whether it reads a body; that of others is thrown away.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Login => true,
            Self::LoginPage
            | Self::Logout
            | Self::LogoutEverywhere
            | Self::Session
            | Self::Sessions
            | Self::EndSession(_) => false,
        }
    }
}

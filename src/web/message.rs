//! Requests to built-in endpoints, and their responses.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::feed::jwks::KeySearch;
use crate::gate::denial::{Denial, Slug};
use crate::gate::issuer::Issuer;
use crate::gate::request::Request;
use crate::gate::session::{Session, SessionId, SessionSecret};

/// The largest body of a request to the gateway itself, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// A request to the gateway itself. Its body may hold passwords, so it must not be logged.
pub struct EndpointRequest<'a> {
    /// Its head.
    pub head: &'a Request<'a>,
    /// Its whole body; empty for an endpoint that reads none.
    pub body: Bytes,
    /// Its id in the logs.
    pub request_id: &'a str,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Whether a person reads the response: a browser that navigates.
    pub client_kind: ClientKind,
    /// The caller, if the endpoint needs one.
    pub caller: Option<Caller>,
    /// The session of a cookie that may be ours, but that the store does not have.
    pub lost: Option<SessionId>,
    /// Finds out whether an issuer has a key.
    pub keys: &'a dyn KeySeeker,
}

/// Finds out whether an issuer has a key that a token names.
#[async_trait]
pub trait KeySeeker: std::fmt::Debug + Send + Sync {
    /// Looks for the key of this id.
    async fn seek(&self, issuer: &Issuer, key_id: &Option<Box<str>>) -> KeySearch;
}

/// The reader of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// A person, in a browser that navigates.
    Person,
    /// A program, or a page's script.
    Program,
}

/// A user who is logged in: admitted by the gate, and not sent by another site's page.
#[derive(Debug)]
pub struct Caller {
    /// The user's session.
    pub session: Arc<Session>,
    /// The secret of the session.
    pub secret: SessionSecret,
}

/// The reply to a request.
#[derive(Debug)]
pub enum Reply {
    /// A response that the endpoint built itself.
    Answer(Answer),
    /// A denial, answered from the table.
    Denial(Denial),
}

/// A response. Its fields include `Cache-Control: no-store` and the like.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields, without `Content-Length`.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// The slug, if it is a refusal that the endpoint worded itself.
    pub denial: Option<Slug>,
}

impl Caller {
    /// The account whose sessions the caller may see and end: the issuer, and the subject.
    ///
    /// # Errors
    ///
    /// [`Slug::Internal`] if the session is not one of a login.
    pub fn account(&self) -> Result<(&str, &str), Denial> {
        let authentic = self.session.authentic();
        let issuer = authentic.session_issuer().ok_or(Slug::Internal)?;
        Ok((issuer, authentic.subject().as_str()))
    }
}

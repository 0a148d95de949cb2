//! Requests to built-in endpoints, and their answers.

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

/// A request to the gateway itself. Its body holds passwords, so it is not to be shown.
pub struct EndpointRequest<'a> {
    /// Its head.
    pub head: &'a Request<'a>,
    /// Its body, whole; empty for an endpoint that reads none.
    pub body: Bytes,
    /// The id that it goes by in the logs.
    pub request_id: &'a str,
    /// From where.
    pub client: Option<IpAddr>,
    /// Whether a person looks at the answer: a browser that navigates.
    pub client_kind: ClientKind,
    /// Who asks, if the endpoint wants to know.
    pub caller: Option<Caller>,
    /// The session of a cookie that may be ours, and that the store does not have.
    pub lost: Option<SessionId>,
    /// Who can find out whether an issuer has a key.
    pub keys: &'a dyn KeySeeker,
}

/// Finds out whether an issuer has a key that a token names.
#[async_trait]
pub trait KeySeeker: std::fmt::Debug + Send + Sync {
    /// Looks for the key of this id.
    async fn seek(&self, issuer: &Issuer, key_id: &Option<Box<str>>) -> KeySearch;
}

/// Who looks at an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// A person, in a browser that navigates.
    Person,
    /// A program, or a page's script.
    Program,
}

/// Somebody who is logged in: admitted by the gate, and no other site's page has sent them.
#[derive(Debug)]
pub struct Caller {
    /// Their session.
    pub session: Arc<Session>,
    /// Its secret.
    pub secret: SessionSecret,
}

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// An answer that the endpoint made itself.
    Answer(Answer),
    /// The answer of the table.
    Denial(Denial),
}

/// An answer. `Cache-Control: no-store` and the like are among its fields.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields, without `Content-Length`.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// Why it is a refusal, if it is one that is told in words of its own.
    pub denial: Option<Slug>,
}

impl Caller {
    /// Whose sessions they may see and end: the issuer, and the subject.
    ///
    /// # Errors
    ///
    /// [`Slug::Internal`] if the session is none of a login.
    pub fn account(&self) -> Result<(&str, &str), Denial> {
        let authentic = self.session.authentic();
        let issuer = authentic.session_issuer().ok_or(Slug::Internal)?;
        Ok((issuer, authentic.subject().as_str()))
    }
}

//! Denials: a slug, with details for the client and a reason for the log.

use std::borrow::Cow;
use std::sync::Arc;

use super::slug::{Challenge, Slug};

/// The longest reason that is kept, in bytes: it may quote what a client sent.
pub const REASON_BYTES_MAX: usize = 256;

/// When to retry after a request that could not be decided, in seconds.
pub const RETRY_AFTER_S: u32 = 5;

/// What the response to the client must contain in addition to the slug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    None,
    /// The scopes that the route requires, separated by spaces (RFC 6750 §3, `scope`).
    Scopes(Arc<str>),
    /// The methods that the path accepts, for `Allow` (RFC 9110 §10.2.1).
    Allow(Arc<str>),
    /// When to retry, in seconds (`Retry-After`, RFC 9110 §10.2.3).
    RetryAfter(u32),
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    slug: Slug,
    detail: Detail,
    explanation: Option<Cow<'static, str>>,
    reason: Option<Cow<'static, str>>,
}

impl Denial {
    /// A refusal for the reason `slug`.
    pub const fn new(slug: Slug) -> Self {
        let detail = match slug.status() {
            503 => Detail::RetryAfter(RETRY_AFTER_S),
            _ => Detail::None,
        };
        Self { slug, detail, explanation: None, reason: None }
    }

    /// A refusal with a detail for the client.
    pub const fn with(slug: Slug, detail: Detail) -> Self {
        Self { slug, detail, explanation: None, reason: None }
    }

    /// The same refusal with the exact cause for the access log: which claim, which route, which
    /// bound. It never holds a credential. It is cut to [`REASON_BYTES_MAX`], and nothing in it
    /// ends a line.
    #[must_use]
    pub fn because(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.contains(char::is_control) {
            reason = reason.escape_default().to_string().into();
        }
        if reason.len() > REASON_BYTES_MAX {
            let end = reason.floor_char_boundary(REASON_BYTES_MAX);
            reason.to_mut().truncate(end);
        }
        self.reason = Some(reason);
        self
    }

    /// The same refusal with an explanation for the client, in the body (`detail`, RFC 9457
    /// §3.1.4): how to correct the request. It never repeats what the client sent.
    #[must_use]
    pub fn explained(mut self, explanation: impl Into<Cow<'static, str>>) -> Self {
        self.explanation = Some(explanation.into());
        self
    }

    /// The same refusal with a reason that the client may also read.
    #[must_use]
    pub fn explained_because(self, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = reason.into();
        self.explained(reason.clone()).because(reason)
    }

    /// The slug.
    pub const fn slug(&self) -> Slug {
        self.slug
    }

    /// The detail for the client.
    pub const fn detail(&self) -> &Detail {
        &self.detail
    }

    /// The exact cause, for the access log. Empty if the slug says it all.
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    /// The explanation for the client, if there is one.
    pub fn explanation(&self) -> Option<&str> {
        self.explanation.as_deref()
    }

    /// The value of `WWW-Authenticate`, if the slug calls for one.
    pub fn challenge(&self, realm: &str) -> Option<String> {
        let error = match self.slug.challenge() {
            Challenge::None => return None,
            Challenge::Realm => return Some(format!("Bearer realm=\"{realm}\"")),
            Challenge::Error(error) => error,
        };
        let mut value = format!("Bearer realm=\"{realm}\", error=\"{error}\"");
        if let Detail::Scopes(scopes) = &self.detail {
            value.push_str(", scope=\"");
            value.push_str(scopes);
            value.push('"');
        }
        Some(value)
    }
}

impl From<Slug> for Denial {
    fn from(slug: Slug) -> Self {
        Self::new(slug)
    }
}

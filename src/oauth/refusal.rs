//! Refusals in the words of RFC 6749 §5.2, which clients understand: JSON with `error`, and the slug
//! for log and metric.

use http::{HeaderValue, header};
use serde_json::json;

use crate::gate::denial::{Denial, Detail, Outcome, Slug};
use crate::web::answers;
use crate::web::message::Answer;

/// `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The request lacks something, repeats something, or cannot be read.
    InvalidRequest,
    /// The client did not show that it is who it says.
    InvalidClient,
    /// The refresh token is not valid, or not this client's.
    InvalidGrant,
    /// The client may not do this.
    UnauthorizedClient,
    /// There is no such grant here.
    UnsupportedGrantType,
    /// More is requested than may be granted.
    InvalidScope,
    /// RFC 8707 §2: the requested audience is unknown, or the client may not ask for it.
    InvalidTarget,
    /// RFC 6749 §4.1.2.1: it may not be done in this way.
    AccessDenied,
    /// Nothing could be decided; it may help to ask again.
    TemporarilyUnavailable,
    /// A defect.
    Defect,
}

impl Error {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::Defect => "server_error",
        }
    }
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRefusal {
    denial: Denial,
    error: Error,
    description: &'static str,
}

impl TokenRefusal {
    /// A request that cannot be granted as it is, or not to this client.
    pub(crate) fn request(error: Error, description: &'static str) -> Self {
        Self { denial: Slug::TokenRequest.into(), error, description }
    }

    /// A client that is not who it says, for all that is known.
    pub(crate) fn client(description: &'static str) -> Self {
        Self { denial: Slug::ClientInvalid.into(), error: Error::InvalidClient, description }
    }

    /// A refresh token that is not good.
    pub(crate) fn grant(slug: Slug, description: &'static str) -> Self {
        Self { denial: slug.into(), error: Error::InvalidGrant, description }
    }

    /// Its slug.
    pub(crate) fn slug(&self) -> Slug {
        self.denial.slug()
    }

    /// Whether nothing could be decided.
    pub(crate) fn is_outage(&self) -> bool {
        self.slug().outcome() == Outcome::Unavailable
    }

    /// The answer.
    pub(crate) fn answer(&self, realm: &str) -> Answer {
        let Self { denial, error, description } = self;
        let slug = denial.slug();
        let body = json!({
            "error": error.as_str(),
            "error_description": description,
            "slug": slug.as_str(),
        });
        let mut answer = answers::private(slug.status(), &body);
        if *error == Error::InvalidClient {
            // RFC 6749 §5.2, and RFC 9110 §15.5.2 for clients that used another method, too.
            let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
            answer.fields.extend(answers::field(header::WWW_AUTHENTICATE, &challenge));
        }
        match denial.detail() {
            Detail::RetryAfter(seconds) => {
                answer.fields.push((header::RETRY_AFTER, HeaderValue::from(*seconds)));
            }
            Detail::None | Detail::Scopes(_) | Detail::Allow(_) => {}
        }
        Answer { denial: Some(slug), ..answer }
    }
}

/// What the table says, in these words.
impl<T: Into<Denial>> From<T> for TokenRefusal {
    fn from(denial: T) -> Self {
        let denial = denial.into();
        let slug = denial.slug();
        let error = match (slug, slug.outcome()) {
            (Slug::Internal, _) => Error::Defect,
            (_, Outcome::Unavailable) | (Slug::RateLimited | Slug::VerificationBudget, _) => {
                Error::TemporarilyUnavailable
            }
            (Slug::Csrf, _) => Error::AccessDenied,
            (Slug::ClientInvalid, _) => Error::InvalidClient,
            (Slug::GrantInvalid | Slug::RefreshReused, _) => Error::InvalidGrant,
            (_, Outcome::Denied | Outcome::Permitted) => Error::InvalidRequest,
        };
        Self { description: slug.title(), denial, error }
    }
}

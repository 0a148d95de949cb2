//! Problems: what the admin API answers when it cannot do what it was asked (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::gate::denial::RETRY_AFTER_S;
use crate::store::session::API_KEYS_MAX;

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The request makes no sense. Says what would.
    BadRequest(String),
    /// The body did not arrive in time.
    BodyLate,
    /// There is no such session.
    SessionUnknown,
    /// There is no such API key.
    ApiKeyUnknown,
    /// There are as many API keys as there may be.
    ApiKeysFull,
    /// There is no such revocation.
    RevocationUnknown,
    /// The revocation has been lifted.
    AlreadyLifted,
    /// There is no room in the revocation list.
    ListFull,
    /// There are as many signing keys as there may be; what can be done.
    TooManyKeys(String),
    /// The signing keys cannot be read or written, and why.
    KeysUnavailable(String),
    /// The store cannot be reached, or is at fault.
    StoreUnavailable(String),
    /// The change was made, but could not be written to the audit log.
    Unaudited {
        /// Whether the change will survive this process.
        durable: bool,
        /// Why it could not.
        why: String,
    },
}

impl Problem {
    /// The word for it.
    pub(super) fn slug(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::BodyLate => "request_timeout",
            Self::SessionUnknown => "session_unknown",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::ApiKeysFull => "api_keys_full",
            Self::RevocationUnknown => "revocation_unknown",
            Self::AlreadyLifted => "already_lifted",
            Self::ListFull => "revocation_list_full",
            Self::TooManyKeys(_) => "too_many_keys",
            Self::KeysUnavailable(_) => "keys_unavailable",
            Self::StoreUnavailable(_) => "store_unavailable",
            Self::Unaudited { .. } => "audit_log",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::BodyLate => StatusCode::REQUEST_TIMEOUT,
            Self::SessionUnknown | Self::ApiKeyUnknown | Self::RevocationUnknown => {
                StatusCode::NOT_FOUND
            }
            Self::ListFull | Self::ApiKeysFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::TooManyKeys(_) | Self::AlreadyLifted => StatusCode::CONFLICT,
            Self::StoreUnavailable(_) | Self::KeysUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unaudited { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::BadRequest(detail)
            | Self::TooManyKeys(detail)
            | Self::KeysUnavailable(detail) => detail.clone(),
            Self::BodyLate => "the body did not arrive in time".to_owned(),
            Self::SessionUnknown => "there is no session with this id, or not any more; \
                                     the value of a cookie is not the id of its session"
                .to_owned(),
            Self::ApiKeyUnknown => "there is no API key with this id, or not any more; \
                                    the key itself is not its id"
                .to_owned(),
            Self::ApiKeysFull => {
                format!("there are {API_KEYS_MAX} API keys, the most that are allowed; revoke some")
            }
            Self::RevocationUnknown => "there is no such revocation to lift, or not any more; \
                                        one that the store has not taken yet, or has just lost, is \
                                        there in a moment"
                .to_owned(),
            Self::AlreadyLifted => "the revocation has been lifted already".to_owned(),
            Self::ListFull => {
                "there are as many live revocations as revocation.max_entries allows; \
                               revoke the subject instead of single tokens, or raise it"
                    .to_owned()
            }
            Self::StoreUnavailable(why) => format!("the store cannot be reached: {why}"),
            Self::Unaudited { why, .. } => {
                format!("the change was made, but the audit log cannot be written: {why}")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        // `durable` says whether the change survives a restart, so that the client need not guess.
        let body = json!({
            "type": format!("urn:portcullis:problem:{}", self.slug()),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "slug": self.slug(),
            "detail": self.detail(),
            "durable": matches!(self, Self::Unaudited { durable: true, .. }),
        });
        let kind = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (status, [kind], Json(body).into_response().into_body()).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body may still come: it is no request.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

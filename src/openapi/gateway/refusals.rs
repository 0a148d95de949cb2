//! Refusals of the endpoints, in groups. A status has one description in each group.

use std::collections::BTreeMap;

use utoipa::openapi::schema::Type;
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{IntoResponses, ToSchema};

use super::answers::Problem;
use super::oauth_answers::OAuthError;

/// The responses of an operation, by status.
type Responses = BTreeMap<String, RefOr<Response>>;

/// The form of a refusal.
#[derive(Clone, Copy)]
enum Form {
    /// Problem details, or a page for a browser that navigates.
    Problem,
    /// An error of OAuth.
    OAuth,
    /// An error of OAuth; before the endpoint was reached, problem details or a page.
    Either,
}

/// A refusal: its status, what it means, its form.
type Refusal = (&'static str, &'static str, Form);

const REQUEST: Refusal = (
    "400",
    "The request cannot be read (`request_target`, `request_framing`, `host_missing`)",
    Form::Problem,
);
const COOKIE: Refusal = (
    "400",
    "The request (`request_target`, `request_framing`, `host_missing`) or its session cookie \
     (`credential_malformed`) cannot be read",
    Form::Problem,
);
const CSRF: Refusal = ("403", "The request may come from another site (`csrf`)", Form::Problem);
const LATE: Refusal =
    ("408", "The body did not arrive within 10 seconds (`request_timeout`)", Form::Problem);
const BODY: Refusal = ("413", "The body is larger than 16 KiB (`body_too_large`)", Form::Problem);
const BUSY: Refusal = ("503", "Too much is being served already (`overloaded`)", Form::Problem);
const STORE: Refusal = (
    "503",
    "The store cannot be reached (`store_unavailable`), the revocation list is too old \
     (`revocation_stale`), or too much is being served already (`overloaded`)",
    Form::Problem,
);
const ATTEMPTS: Refusal =
    ("429", "Too many attempts (`rate_limited`, `verification_budget`)", Form::Problem);

const OAUTH_CLIENT: Refusal =
    ("401", "The client is not authenticated: `invalid_client` (`client_invalid`)", Form::OAuth);
const OAUTH_CSRF: Refusal =
    ("403", "The request may come from another site: `access_denied` (`csrf`)", Form::OAuth);
const OAUTH_ATTEMPTS: Refusal = (
    "429",
    "Too many attempts: `temporarily_unavailable` (`rate_limited`, `verification_budget`)",
    Form::OAuth,
);
const OAUTH_OUTAGE: Refusal = (
    "503",
    "Nothing could be decided: `temporarily_unavailable` (`store_unavailable`, `keys_unavailable`, \
     `revocation_stale`), or too much is being served already (`overloaded`)",
    Form::Either,
);

/// Of an endpoint that needs no authentication.
pub struct Refused;

/// Of an endpoint for users who are logged in.
pub struct SessionRefused;

/// Of an endpoint that changes something for users who are logged in.
pub struct ChangeRefused;

/// Of a logout.
pub struct LogoutRefused;

/// Of a login.
pub struct LoginRefused;

/// Of the token endpoint.
pub struct GrantRefused;

/// Of a logout with a refresh cookie.
pub struct CookieLogoutRefused;

/// Of an endpoint for clients.
pub struct ClientRefused;

/// Of the key set.
pub struct KeysRefused;

impl IntoResponses for Refused {
    fn responses() -> Responses {
        responses([REQUEST, BUSY])
    }
}

impl IntoResponses for SessionRefused {
    fn responses() -> Responses {
        let absent = (
            "401",
            "Nobody is logged in (`credential_absent`, `session_unknown`, `session_expired`, \
             `session_revoked`)",
            Form::Problem,
        );
        responses([COOKIE, absent, ATTEMPTS, STORE])
    }
}

impl IntoResponses for ChangeRefused {
    fn responses() -> Responses {
        let mut responses = SessionRefused::responses();
        responses.extend([response(CSRF)]);
        responses
    }
}

impl IntoResponses for LogoutRefused {
    fn responses() -> Responses {
        responses([COOKIE, CSRF, ATTEMPTS, STORE])
    }
}

impl IntoResponses for LoginRefused {
    fn responses() -> Responses {
        let problem = |status, description| (status, description, Form::Problem);
        let mut responses = responses([
            problem(
                "400",
                "The body cannot be read or lacks something (`request_body`), the scope cannot be had \
                 (`token_request`), or the request cannot be read (`request_target`, \
                 `request_framing`, `host_missing`)",
            ),
            problem(
                "401",
                "The name or the password is wrong (`login_failed`), or the user is cut off for now \
                 (`session_revoked`)",
            ),
            CSRF,
            LATE,
            BODY,
            problem("429", "Too many attempts, or too many logins (`rate_limited`)"),
            problem("431", "The access token would be too long (`identity_too_large`)"),
            problem("502", "With `login.handoff`: the service fails (`upstream_unavailable`)"),
            problem(
                "503",
                "The store cannot be reached (`store_unavailable`), there is no signing key \
                 (`keys_unavailable`), or too much is being served already (`overloaded`)",
            ),
            problem("504", "With `login.handoff`: the service is too slow (`upstream_timeout`)"),
        ]);
        let of_service = ResponseBuilder::new()
            .description("With `login.handoff.on_failure: pass_through`: what the service answers")
            .content("*/*", Content::default());
        responses.insert("4XX".to_owned(), of_service.build().into());
        responses
    }
}

impl IntoResponses for GrantRefused {
    fn responses() -> Responses {
        let grant = (
            "400",
            "The request cannot be granted (`token_request`): `invalid_request`, `invalid_scope`, \
             `invalid_target`, `unauthorized_client` or `unsupported_grant_type`; the refresh token is \
             not good: `invalid_grant` (`grant_invalid`, `refresh_reused`); or the request cannot be \
             read (`request_target`, `request_framing`, `host_missing`)",
            Form::Either,
        );
        let long =
            ("431", "The access token would be too long (`identity_too_large`)", Form::OAuth);
        let mut responses = ClientRefused::responses();
        responses.extend([grant, OAUTH_CSRF, long].map(response));
        responses
    }
}

impl IntoResponses for CookieLogoutRefused {
    fn responses() -> Responses {
        responses([REQUEST, OAUTH_CSRF, OAUTH_ATTEMPTS, OAUTH_OUTAGE])
    }
}

impl IntoResponses for ClientRefused {
    fn responses() -> Responses {
        let request = (
            "400",
            "The request cannot be granted (`token_request`): `invalid_request` or \
             `unauthorized_client`; or it cannot be read (`request_target`, `request_framing`, \
             `host_missing`)",
            Form::Either,
        );
        responses([request, OAUTH_CLIENT, LATE, BODY, OAUTH_ATTEMPTS, OAUTH_OUTAGE])
    }
}

impl IntoResponses for KeysRefused {
    fn responses() -> Responses {
        let absent = (
            "503",
            "There is no signing key yet: `temporarily_unavailable` (`keys_unavailable`), or too much \
             is being served already (`overloaded`)",
            Form::Either,
        );
        responses([REQUEST, absent])
    }
}

fn responses<const N: usize>(refusals: [Refusal; N]) -> Responses {
    refusals.map(response).into()
}

fn response((status, description, form): Refusal) -> (String, RefOr<Response>) {
    let mut response = ResponseBuilder::new().description(description);
    let of = |name| Content::new(Some(Ref::from_schema_name(name)));
    if let Form::OAuth | Form::Either = form {
        response = response.content("application/json", of(OAuthError::name()));
    }
    if let Form::Problem | Form::Either = form {
        let page = Content::new(Some(ObjectBuilder::new().schema_type(Type::String)));
        response = response
            .content("application/problem+json", of(Problem::name()))
            .content("text/html", page);
    }
    let header = |kind, description| {
        let schema = ObjectBuilder::new().schema_type(kind).build();
        HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
    };
    response = match status {
        "401" => response
            .header("WWW-Authenticate", header(Type::String, "How to authenticate, and the realm")),
        "429" | "503" => {
            response.header("Retry-After", header(Type::Integer, "When to ask again, in seconds"))
        }
        _ => response,
    };
    (status.to_owned(), response.build().into())
}

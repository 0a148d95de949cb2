//! The gateway's own endpoints: logins and sessions, and the tokens that it issues.

pub mod answers;
pub mod logins;
pub mod oauth_answers;
pub mod refusals;
pub mod requests;
pub mod tokens;

use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use answers::Problem;
use oauth_answers::OAuthError;

/// The gateway's own endpoints as an OpenAPI 3.1 document.
pub fn document() -> Document {
    GatewayApi::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Portcullis gateway endpoints",
        description = "What users and clients ask of a gateway itself, on every host. The section \
                       `login` enables the endpoints with the tag `login`, the section `tokens` \
                       those with the tag `tokens`.\n\n\
                       `/auth` is the default of `login.base`: with another base, the paths below \
                       `/auth` are below that base. If `tokens.issuer` has a path, the path of \
                       the metadata ends with it (RFC 8414 §3.1).\n\n\
                       `HEAD` is answered like `GET`. Every other method is answered with 405 \
                       (`method_not_allowed`), and `Allow` names those that the path knows. A \
                       request that is no valid HTTP is refused before its path is looked at, and \
                       a defect of the gateway is answered with 500 (`internal`).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "https://gateway.example", description = "An address of `listeners`")),
    paths(
        logins::login_page,
        logins::log_in,
        logins::log_out,
        logins::log_out_everywhere,
        logins::show_session,
        logins::list_own_sessions,
        logins::end_own_session,
        tokens::issue_token,
        tokens::end_refresh_cookie,
        tokens::revoke_token,
        tokens::introspect_token,
        tokens::key_set,
        tokens::metadata,
    ),
    components(schemas(Problem, OAuthError)),
    modifiers(&Credentials)
)]
struct GatewayApi;

/// What the endpoints authenticate by.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut Document) {
        let cookie = |name, description| {
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(name, description)))
        };
        let client = Http::builder()
            .scheme(HttpAuthScheme::Basic)
            .description(Some(
                "Id and secret of a client, each written as in a form (RFC 6749 §2.3.1). A client \
                 may instead authenticate in the body: `client_secret`, or `client_assertion`.",
            ))
            .build();
        let schemes = [
            (
                "session",
                cookie("__Host-session", "The session of a login (`sessions.cookie.name`)."),
            ),
            (
                "refresh_token",
                cookie("__Host-refresh", "The refresh token of a login in a browser."),
            ),
            ("client", SecurityScheme::Http(client)),
        ];
        let components = document.components.get_or_insert_with(Default::default);
        for (name, scheme) in schemes {
            components.add_security_scheme(name, scheme);
        }
    }
}

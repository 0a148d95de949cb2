//! The admin API: what operators ask and change.

pub mod answers;
pub mod paths;
pub mod requests;

use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The admin API as an OpenAPI 3.1 document.
pub fn document() -> Document {
    AdminApi::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Portcullis admin API",
        description = "What operators ask of a gateway and change on it. The admin listener serves it \
                       (`admin.address`). `/v1/…` requires the admin token.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "http://127.0.0.1:9901", description = "The default of `admin.address`")),
    paths(
        paths::livez,
        paths::readyz,
        paths::metrics,
        paths::list_revocations,
        paths::create_revocation,
        paths::lift_all_of_a_scope,
        paths::lift_revocation,
        paths::list_sessions,
        paths::end_all_sessions,
        paths::end_session,
        paths::list_api_keys,
        paths::create_api_key,
        paths::revoke_api_key,
        paths::list_signing_keys,
        paths::rotate_signing_keys,
        paths::list_gateways,
    ),
    modifiers(&AdminToken)
)]
struct AdminApi;

/// The token in `admin.token` of the data directory, or the one that the configuration gives.
struct AdminToken;

impl Modify for AdminToken {
    fn modify(&self, document: &mut Document) {
        let scheme = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The token of `admin.token` in the data directory, or the one that the \
                 configuration gives (`admin.token_file`, `admin.token`).",
            ))
            .build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("admin_token", SecurityScheme::Http(scheme));
    }
}

//! Answers `POST token` (RFC 6749 §3.2), by the kind of grant.

use bytes::Bytes;

use crate::oauth::parameters::{Parameter, Parameters};
use crate::oauth::refusal::{Error, TokenRefusal};
use crate::oauth::service::TokenContext;
use crate::oauth::{client_credentials, refresh};
use crate::web::message::Answer;

/// Answers `POST token`, by `grant_type`.
///
/// # Errors
///
/// [`TokenRefusal`], in the words of RFC 6749 §5.2.
pub(crate) async fn answer(here: &TokenContext<'_>, body: Bytes) -> Result<Answer, TokenRefusal> {
    let parameters = Parameters::parse(here.request.head.headers, body)?;
    match parameters.required(Parameter::GrantType, "`grant_type` is missing")? {
        "refresh_token" => Ok(refresh::answer(here, &parameters).await),
        "client_credentials" => client_credentials::answer(here, &parameters).await,
        _ => Err(TokenRefusal::request(
            Error::UnsupportedGrantType,
            "`grant_type` is refresh_token or client_credentials",
        )),
    }
}

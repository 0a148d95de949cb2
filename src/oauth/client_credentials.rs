//! Issues a token about the client itself (RFC 6749 §4.4). It gets no refresh token: it can come
//! again.

use serde_json::Value;

use crate::oauth::client::{Unnamed, authenticate};
use crate::oauth::issue::{self, AccessDraft};
use crate::oauth::parameters::Parameters;
use crate::oauth::refusal::{Error, TokenRefusal};
use crate::oauth::revocation_status;
use crate::oauth::service::{GrantKind, TokenContext};
use crate::web::answers;
use crate::web::message::Answer;

/// Answers `grant_type=client_credentials`.
///
/// # Errors
///
/// [`TokenRefusal`], in the words of RFC 6749 §5.2.
pub(super) async fn answer(
    here: &TokenContext<'_>,
    parameters: &Parameters,
) -> Result<Answer, TokenRefusal> {
    let client = authenticate(here, parameters, Unnamed::Refused).await?;
    if client.authentication.is_public() {
        let description = "A public client gets no tokens of its own";
        return Err(TokenRefusal::request(Error::UnauthorizedClient, description));
    }
    let scopes = issue::scopes(&client.scopes, parameters)?;
    let audiences = issue::audiences(client, parameters)?;
    let now = revocation_status::of_client(here, client).await?;
    let now = now.ok_or_else(|| TokenRefusal::client("The client is revoked"))?;
    let draft = AccessDraft { client, audiences: &audiences, scopes: &scopes, login: None };
    let access = issue::access_token(here, draft, GrantKind::ClientCredentials, now)?;
    Ok(answers::private(200, &Value::Object(issue::describe(&access))))
}

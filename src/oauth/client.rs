//! Authenticates the client that asks for tokens: by a secret, by an assertion, or as a public
//! client, which has neither (RFC 6749 §2.3).

mod assertion;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use zeroize::Zeroizing;

use crate::config::tokens::{Client, ClientAuthentication, Clients, FIRST_PARTY_CLIENT};
use crate::gate::denial::Slug;
use crate::oauth::parameters::{Parameter, Parameters};
use crate::oauth::refusal::{Error, TokenRefusal};
use crate::oauth::secrets::Attempts;
use crate::oauth::service::TokenContext;
use crate::secret::Secret;
use crate::web::form;

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The largest `Authorization` field that is read, in bytes.
const AUTHORIZATION_BYTES_MAX: usize = 4 * 1024;

/// What happens to a request that names no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// It counts as a request of [`FIRST_PARTY_CLIENT`].
    FirstParty,
    /// It is refused.
    Refused,
}

/// How a client authenticates, for the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Basic,
    Post,
    PrivateKeyJwt,
    None,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Post => "post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::None => "none",
        }
    }
}

/// What a client presents.
struct PresentedClient<'p> {
    method: Method,
    /// The client id that it claims.
    id: Option<Box<str>>,
    proof: Proof<'p>,
}

/// The proof of the claimed id.
enum Proof<'p> {
    Nothing,
    Secret(Secret),
    Assertion(&'p str),
}

/// Finds out which client sends a request.
///
/// # Errors
///
/// `invalid_client`, also if the client does not use its configured method; `invalid_request` if it
/// uses two; [`Slug::RateLimited`]; and outages.
pub(super) async fn authenticate<'t>(
    here: &TokenContext<'t>,
    parameters: &Parameters,
    unnamed: Unnamed,
) -> Result<&'t Client, TokenRefusal> {
    let count = |method: Method, result: &'static str| {
        let attempts = &here.service.metrics.client_authentications;
        attempts.with_label_values(&[method.as_str(), result]).inc();
    };
    let presented = match PresentedClient::find(here.request.head.headers, parameters) {
        Ok(presented) => presented,
        Err((method, refusal)) => {
            count(method, "malformed");
            return Err(refusal);
        }
    };
    let method = presented.method;
    let found = presented.verify(here, unnamed).await;
    count(method, found.as_ref().map_or_else(|refusal| result_of(refusal), |_| "ok"));
    found
}

fn result_of(refusal: &TokenRefusal) -> &'static str {
    let slug = refusal.slug();
    if slug == Slug::RateLimited {
        "limited"
    } else if slug == Slug::TokenRequest {
        "malformed"
    } else if refusal.is_outage() {
        "unavailable"
    } else {
        "refused"
    }
}

impl<'p> PresentedClient<'p> {
    /// What stands in a request. One way only (RFC 6749 §2.3).
    fn find(
        headers: &HeaderMap,
        parameters: &'p Parameters,
    ) -> Result<Self, (Method, TokenRefusal)> {
        let bad = |method, description| {
            Err((method, TokenRefusal::request(Error::InvalidRequest, description)))
        };
        let named = parameters.value(Parameter::ClientId);
        let secret = parameters.value(Parameter::ClientSecret);
        let assertion = parameters.value(Parameter::ClientAssertion);
        let kind = parameters.value(Parameter::ClientAssertionType);
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        match (fields.next(), secret, assertion.or(kind)) {
            (Some(_), _, _) if fields.next().is_some() => {
                bad(Method::Basic, "The Authorization header is repeated")
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                bad(Method::Basic, "More than one way of authentication is used")
            }
            (Some(field), None, None) => {
                let (id, secret) = basic(field.as_bytes()).map_err(|r| (Method::Basic, r))?;
                if named.is_some_and(|named| *named != *id) {
                    return bad(Method::Basic, "Two clients are named");
                }
                let proof = Proof::Secret(secret);
                Ok(Self { method: Method::Basic, id: Some(id), proof })
            }
            (None, Some(secret), None) => {
                let Some(id) = named else {
                    return bad(Method::Post, "`client_id` is missing");
                };
                let proof = Proof::Secret(Secret::new(secret.as_bytes().to_vec()));
                Ok(Self { method: Method::Post, id: Some(id.into()), proof })
            }
            (None, None, Some(_)) => match (assertion, kind) {
                (Some(assertion), Some(ASSERTION_TYPE)) => {
                    let id = named.map(Into::into);
                    let proof = Proof::Assertion(assertion);
                    Ok(Self { method: Method::PrivateKeyJwt, id, proof })
                }
                (Some(_) | None, Some(_) | None) => bad(
                    Method::PrivateKeyJwt,
                    "`client_assertion` is a JWT, and `client_assertion_type` says so",
                ),
            },
            (None, None, None) => {
                let id = named.map(Into::into);
                Ok(Self { method: Method::None, id, proof: Proof::Nothing })
            }
        }
    }

    async fn verify<'t>(
        self,
        here: &TokenContext<'t>,
        unnamed: Unnamed,
    ) -> Result<&'t Client, TokenRefusal> {
        let Self { id, proof, .. } = self;
        let clients = &here.settings.clients;
        match proof {
            Proof::Nothing => {
                let id = match (&id, unnamed) {
                    (Some(id), _) => id,
                    (None, Unnamed::FirstParty) => FIRST_PARTY_CLIENT,
                    (None, Unnamed::Refused) => {
                        return Err(TokenRefusal::client("The client is not named"));
                    }
                };
                let client = clients.named(id).filter(|client| client.authentication.is_public());
                client.ok_or_else(|| {
                    TokenRefusal::client("The client is unknown, or is not authenticated")
                })
            }
            Proof::Secret(secret) => {
                let id = id.as_deref().unwrap_or_default();
                let client = clients.named(id);
                let hash = client.and_then(|client| match &client.authentication {
                    ClientAuthentication::Secret(hash) => Some(hash),
                    ClientAuthentication::None | ClientAuthentication::PrivateKey(_) => None,
                });
                let known = client.zip(hash);
                // The work is the same for all, so that timing does not reveal whether a client
                // exists.
                let hash = hash.or_else(|| any_hash(clients));
                let attempts = Attempts {
                    ledger: &*here.service.attempts,
                    client: here.request.client,
                    per_address: here.settings.per_address,
                };
                let secrets = &here.service.secrets;
                let is_right =
                    secrets.is_right(attempts, id, hash, known.is_some(), &secret).await?;
                let client = known.filter(|_| is_right).map(|(client, _)| client);
                client.ok_or_else(|| {
                    TokenRefusal::client("The client is unknown, or its secret is wrong")
                })
            }
            Proof::Assertion(assertion) => assertion::verify(here, id.as_deref(), assertion).await,
        }
    }
}

/// The hash of some client's secret, with which the secret of an unknown client is compared.
fn any_hash(clients: &Clients) -> Option<&Secret> {
    clients.0.values().find_map(|client| match &client.authentication {
        ClientAuthentication::Secret(hash) => Some(hash),
        ClientAuthentication::None | ClientAuthentication::PrivateKey(_) => None,
    })
}

/// Reads `Basic` (RFC 7617), in which id and secret are form-encoded (RFC 6749 §2.3.1).
fn basic(field: &[u8]) -> Result<(Box<str>, Secret), TokenRefusal> {
    let malformed = || {
        TokenRefusal::request(
            Error::InvalidRequest,
            "The Authorization header is not well-formed Basic",
        )
    };
    if field.len() > AUTHORIZATION_BYTES_MAX {
        return Err(malformed());
    }
    let end = memchr::memchr(b' ', field).unwrap_or(field.len());
    let (scheme, rest) = field.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(TokenRefusal::client("Clients authenticate with Basic, or in the body"));
    }
    let decoded =
        STANDARD.decode(rest.trim_ascii()).map(Zeroizing::new).map_err(|_| malformed())?;
    let colon = memchr::memchr(b':', &decoded).ok_or_else(malformed)?;
    let text = |bytes: &[u8]| {
        let decoded = match is_form_encoded(bytes) {
            true => form::decode(bytes).map_err(|_| malformed())?,
            false => std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map(Zeroizing::new)
                .map_err(|_| malformed())?,
        };
        let is_plain = !decoded.is_empty() && !decoded.chars().any(char::is_control);
        if is_plain { Ok(decoded) } else { Err(malformed()) }
    };
    let (id, secret) = (text(&decoded[..colon])?, text(&decoded[colon + 1..])?);
    if id.len() > Parameter::ClientId.bytes_max()
        || secret.len() > Parameter::ClientSecret.bytes_max()
    {
        return Err(malformed());
    }
    Ok((id.as_str().into(), Secret::new(secret.as_bytes().to_vec())))
}

/// Whether a text is form-encoded. Many clients send a secret as it is. A secret in base64 shows
/// that by its `/` and `=`, which a form would have escaped.
fn is_form_encoded(bytes: &[u8]) -> bool {
    let is_of_forms = |byte: &u8| byte.is_ascii_alphanumeric() || b"*-._+".contains(byte);
    bytes.contains(&b'%') || bytes.iter().all(is_of_forms)
}

#[cfg(test)]
mod tests;

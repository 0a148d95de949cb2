//! Tokens: the endpoints of RFC 6749 (token), RFC 7009 (revocation), RFC 7662 (introspection), and
//! what clients have to know of them (RFC 7517, RFC 8414).
//!
//! ```text
//! POST token ─parameters→ client ─grant→ access token, and the next refresh token
//! ```
//!
//! An outage is never a word about a client or its token: `invalid_client` and `invalid_grant` make
//! clients throw away what is still good.

mod client;
mod client_credentials;
mod introspect;
mod issue;
mod logout;
mod memory;
mod metadata;
mod parameters;
mod refresh;
mod refusal;
mod reuse;
mod revocation_status;
mod revoke;
mod standstill;
mod verified;

use bytes::Bytes;

use super::Endpoints;
use super::endpoint::TokenEndpoint;
use crate::config::Tokens;
use crate::runtime::Running;
use crate::web::message::{Answer, Asked};
use parameters::{Parameter, Parameters};
use refusal::{Error, Refusal};

pub(super) use client::Secrets;
pub(super) use issue::{Access, AccessDraft, LoginDraft, access_token, among, describe};
pub(super) use memory::Memory;
pub(super) use metadata::{KEYS_PATH, METADATA_PATH};
pub(super) use refresh::{is_by_browser, known_by, tag_key};
pub(super) use reuse::Ending;
pub(super) use standstill::Standstill;

/// What tokens are issued for, as metrics have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantKind {
    /// Somebody logged in.
    Login,
    /// RFC 6749 §6.
    RefreshToken,
    /// RFC 6749 §4.4.
    ClientCredentials,
}

impl GrantKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// A request about tokens, and all that is needed to answer it.
#[derive(Clone, Copy)]
pub(super) struct Issuing<'a> {
    pub(super) endpoints: &'a Endpoints,
    pub(super) configuration: &'a Running,
    pub(super) tokens: &'a Tokens,
    pub(super) asked: &'a Asked<'a>,
}

impl<'a> Issuing<'a> {
    /// A request, if tokens are issued here.
    pub(super) fn of(
        endpoints: &'a Endpoints,
        configuration: &'a Running,
        asked: &'a Asked<'a>,
    ) -> Option<Self> {
        let tokens = configuration.settings.tokens.as_deref()?;
        Some(Self { endpoints, configuration, tokens, asked })
    }

    /// The URL of one of the endpoints below the base.
    fn url(&self, below: &str) -> String {
        let base = self.configuration.gate.settings.own_base.as_deref().unwrap_or_default();
        format!("{}{base}{below}", self.tokens.origin)
    }

    /// By which names an assertion may be meant for us: the issuer, and the URLs where clients show
    /// who they are.
    fn names(&self) -> [String; 4] {
        let issuer = self.tokens.issuer.to_string();
        [issuer, self.url("/token"), self.url("/revoke"), self.url("/introspect")]
    }

    /// How old the revocation list may be, in milliseconds. What is issued lives on; no route's
    /// patience is asked.
    fn list_age_max_ms(&self) -> u64 {
        let age = self.configuration.settings.revocation.max_staleness;
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts a token that was issued.
    pub(super) fn count_issued(&self, kind: &'static str, grant: GrantKind) {
        let issued = &self.endpoints.services.families.tokens_issued;
        issued.with_label_values(&[kind, grant.as_str()]).inc();
    }
}

/// Answers a request to one of them.
pub(super) async fn answer(here: &Issuing<'_>, endpoint: TokenEndpoint, body: Bytes) -> Answer {
    let answered = match endpoint {
        TokenEndpoint::Token => token(here, body).await,
        TokenEndpoint::Leave => logout::answer(here).await,
        TokenEndpoint::Revoke => revoke::answer(here, body).await,
        TokenEndpoint::Introspect => introspect::answer(here, body).await,
        TokenEndpoint::Keys => metadata::keys(here),
        TokenEndpoint::Metadata => Ok(metadata::answer(here)),
    };
    answered.unwrap_or_else(|refusal| refusal.answer(&here.configuration.settings.realm))
}

async fn token(here: &Issuing<'_>, body: Bytes) -> Result<Answer, Refusal> {
    let parameters = Parameters::parse(here.asked.request.headers, body)?;
    match parameters.required(Parameter::GrantType, "`grant_type` is missing")? {
        "refresh_token" => Ok(refresh::answer(here, &parameters).await),
        "client_credentials" => client_credentials::answer(here, &parameters).await,
        _ => Err(Refusal::request(
            Error::UnsupportedGrantType,
            "`grant_type` is refresh_token or client_credentials",
        )),
    }
}

#[cfg(test)]
mod tests;

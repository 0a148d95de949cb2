//! `issuers`: whose tokens are accepted.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Issuer {
    pub(crate) name: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: Vec<String>,
    pub(crate) keys: Option<Keys>,
    pub(crate) clock_skew: Option<String>,
    pub(crate) max_lifetime: Option<String>,
    pub(crate) token_types: Option<Vec<String>>,
    pub(crate) required_claims: Vec<String>,
    pub(crate) roles: Option<String>,
    pub(crate) claims: IssuerClaims,
}

/// Which claim says what.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IssuerClaims {
    pub(crate) client: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    pub(crate) jwks_url: Option<String>,
    pub(crate) refresh: Option<String>,
    pub(crate) max_stale: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) ca_file: Option<String>,
    pub(crate) jwks_file: Option<String>,
    pub(crate) public_key_file: Option<String>,
    pub(crate) secret_file: Option<String>,
    pub(crate) secret: Option<String>,
}

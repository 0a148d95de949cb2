//! The gateway itself as one of the issuers.

use std::sync::Arc;

use super::compiler::Compiler;
use super::identity::IdentityTerms;
use super::issuers::CompiledIssuers;
use super::presence::Presence;
use super::tokens::TokenParts;
use crate::config::problem::FieldPath;
use crate::config::tokens::{Clients, OWN_ISSUER};
use crate::config::{IssuerSettings, KeySource, raw};
use crate::gate::claims::ROLES_POINTER_DEFAULT;
use crate::gate::issuer::{DatedBy, IssuerRules, Untyped};
use crate::gate::keys::Algorithm;
use crate::gate::time::GATEWAYS_APART_S;

const CLOCK_SKEW_S: i64 = 30;

impl Compiler<'_> {
    /// All issuers of tokens: those of `issuers`, and the gateway if it issues tokens.
    pub(super) fn all_issuers(
        &mut self,
        raw: Vec<raw::Issuer>,
        tokens: Presence<&TokenParts>,
        clients: Option<&Clients>,
        identity_terms: IdentityTerms<'_>,
    ) -> CompiledIssuers {
        if let Presence::Present(parts) = tokens {
            self.refuse_own_issuer(&raw, parts);
        }
        let mut issuers = self.issuers(raw, identity_terms);
        if !tokens.is_absent() {
            let rules =
                tokens.present().and_then(|parts| own_rules(parts, clients, identity_terms));
            let keys = KeySource::Own;
            let own = rules.map(|rules| IssuerSettings { rules: Arc::new(rules), keys });
            // Also if it could not be compiled: routes may name it.
            issuers.add(OWN_ISSUER, own);
        }
        issuers
    }

    /// Reports entries of `issuers` that could be mistaken for the gateway.
    pub(super) fn refuse_own_issuer(&mut self, raw: &[raw::Issuer], parts: &TokenParts) {
        let field = FieldPath::default().key("issuers");
        for (index, raw) in raw.iter().enumerate() {
            let field = field.index(index);
            if raw.name.as_deref() == Some(OWN_ISSUER) {
                let fact = format!("`{OWN_ISSUER}` is the issuer of the gateway's own tokens");
                self.error::<()>(&field.key("name"), &fact, "Choose another name");
            }
            if raw.issuer.is_some() && raw.issuer.as_deref() == parts.issuer() {
                let fact = "the gateway itself is this issuer";
                let remedy = "Remove the entry: its own tokens are accepted without";
                self.error::<()>(&field.key("issuer"), fact, remedy);
            }
        }
    }
}

/// The rules for the gateway's own tokens at its own gate. `None` if a problem was reported in a
/// section that they depend on.
fn own_rules(
    parts: &TokenParts,
    clients: Option<&Clients>,
    identity_terms: IdentityTerms<'_>,
) -> Option<IssuerRules> {
    let access = parts.access.as_ref()?;
    let of_clients = clients?.0.values().map(|client| client.lifetime_s);
    Some(IssuerRules {
        name: OWN_ISSUER.into(),
        issuer: parts.issuer()?.into(),
        audiences: access.audiences.clone(),
        algorithms: vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256],
        clock_skew_s: CLOCK_SKEW_S,
        clock_ahead_s: GATEWAYS_APART_S,
        dated_by: DatedBy::Login,
        lifetime_max_s: of_clients.max().unwrap_or(0).max(access.lifetime_s),
        // RFC 9068 §2.1.
        token_types: vec!["at+jwt".into()],
        untyped: Untyped::Refused,
        required_claims: vec!["jti".into(), "client_id".into()],
        roles_pointer: ROLES_POINTER_DEFAULT.into(),
        // RFC 9068 §2.2.
        client_claims: vec!["client_id".into()],
        asked_claims: identity_terms.asked_claims.to_vec(),
        identity: identity_terms.identity?.clone(),
        identity_bytes_max: identity_terms.bytes_max,
    })
}

//! `forward.internal_token`, of a route or of an upstream → the terms of such a token.

use std::time::Duration;

use http::HeaderName;

use super::api_keys::ApiKeyTerms;
use super::compiler::{Compiler, whole_seconds};
use super::identity::IdentityTerms;
use super::presence::Presence;
use crate::config::problem::FieldPath;
use crate::config::raw;
use crate::gate::credential::Carrier;
use crate::gate::forward::{IdentityTemplate, OwnedName, OwnedNames};
use crate::gate::internal::{InternalTokenTerms, TokenHeader};
use crate::gate::policy::ForwardCredential;
use crate::gate::policy::Policy;

const HEADER_EXAMPLE: &str = "X-Internal-Token";
const LIFETIME_DEFAULT: Duration = Duration::from_secs(60);
/// A token is replaced when a quarter of its life is left, and dates are whole seconds.
const LIFETIME_MIN: Duration = Duration::from_secs(4);
const LIFETIME_MAX: Duration = Duration::from_hours(1);

/// The claims that the gateway itself sets, about the token and the caller. A claim of a login must
/// not replace them.
const RESERVED_CLAIMS: [&str; 17] = [
    "act",
    "aud",
    "auth_time",
    "azp",
    "client_id",
    "cnf",
    "exp",
    "iat",
    "idp",
    "iss",
    "jti",
    "nbf",
    "roles",
    "scope",
    "scp",
    "sid",
    "sub",
];

/// The settings that internal tokens must agree with.
#[derive(Clone, Copy)]
pub(super) struct InternalTokenContext<'k> {
    /// The issuer of the tokens.
    pub(super) issuer: Presence<&'k str>,
    pub(super) identity: Option<&'k IdentityTemplate>,
    pub(super) api_keys: Option<&'k ApiKeyTerms>,
    pub(super) bytes_max: usize,
}

impl<'k> InternalTokenContext<'k> {
    pub(super) fn new(
        issuer: Presence<&'k str>,
        api_keys: Presence<&'k ApiKeyTerms>,
        identity_terms: IdentityTerms<'k>,
    ) -> Self {
        Self {
            issuer,
            identity: identity_terms.identity.map(|identity| &**identity),
            api_keys: api_keys.present(),
            bytes_max: identity_terms.bytes_max,
        }
    }
}

impl Compiler<'_> {
    pub(super) fn internal_token(
        &mut self,
        raw: raw::InternalToken,
        field: &FieldPath,
        context: InternalTokenContext<'_>,
    ) -> Option<usize> {
        let raw::InternalToken { audience, header, lifetime, claims } = raw;
        if context.issuer.is_absent() {
            let fact = "the gateway issues no tokens";
            let remedy = "Add `tokens: { issuer: https://gateway.example, … }`, or remove this";
            self.error::<()>(field, fact, remedy);
        }
        let audience_field = field.key("audience");
        let remedy = "Write the `aud` that the upstream expects";
        let audience = self.required(audience, &audience_field, remedy).and_then(|audience| {
            let is_good = !audience.is_empty() && audience.bytes().all(|b| b.is_ascii_graphic());
            if is_good {
                return Some(audience.into());
            }
            let fact = format!("`{}` cannot be an audience", audience.escape_debug());
            self.error(&audience_field, &fact, "Use visible ASCII, without spaces")
        });
        let header = self.token_header(header, &field.key("header"), context);
        let lifetime_field = field.key("lifetime");
        let lifetime = match self.duration(lifetime, &lifetime_field, LIFETIME_DEFAULT) {
            Some(odd) if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&odd) => {
                let fact = "the lifetime is out of range";
                self.error(&lifetime_field, fact, "Write 4s to 1h")
            }
            other => other,
        };
        let claims = self.told_claims(claims, &field.key("claims"));
        let terms = InternalTokenTerms {
            audience: audience?,
            header: header?,
            lifetime_s: whole_seconds(lifetime?),
            claims: claims?,
            bytes_max: context.bytes_max,
        };
        // Routes share identical terms.
        let known = self.internal_tokens.iter().position(|known| *known == terms);
        Some(known.unwrap_or_else(|| {
            self.internal_tokens.push(terms);
            self.internal_tokens.len() - 1
        }))
    }

    fn token_header(
        &mut self,
        header: Option<String>,
        field: &FieldPath,
        context: InternalTokenContext<'_>,
    ) -> Option<TokenHeader> {
        let Some(header) = header else { return Some(TokenHeader::Authorization) };
        if header.eq_ignore_ascii_case(http::header::AUTHORIZATION.as_str()) {
            return Some(TokenHeader::Authorization);
        }
        let name = self.header_beside(&header, field, HEADER_EXAMPLE, context.identity)?;
        let keys = context.api_keys.map(|keys| &keys.header);
        if keys.is_some_and(|keys| is_like(&name, keys)) {
            let fact = format!("`{header}` carries API keys");
            return self.error(field, &fact, "Choose another name");
        }
        Some(TokenHeader::Own(name))
    }

    /// The claims that are copied to a token, by name or JSON pointer.
    fn told_claims(&mut self, paths: Vec<String>, field: &FieldPath) -> Option<Vec<Box<str>>> {
        let name_of = |path: &str| {
            let last = path.rsplit('/').next().unwrap_or(path);
            last.replace("~1", "/").replace("~0", "~")
        };
        let named: Vec<_> = paths.iter().map(|path| name_of(path)).collect();
        self.claim_names(&named, field)?;
        Some(paths.into_iter().map(Into::into).collect())
    }

    /// Reports names that the claims of a login may not have in a token.
    pub(super) fn claim_names(&mut self, names: &[String], field: &FieldPath) -> Option<()> {
        let mut is_good = true;
        for (index, name) in names.iter().enumerate() {
            let field = field.index(index);
            let (fact, remedy) = if name.is_empty() {
                ("the name of the claim is empty".to_owned(), "Write a name such as email")
            } else if RESERVED_CLAIMS.contains(&name.as_str()) {
                (format!("`{name}` is a claim that the gateway sets itself"), "Remove it")
            } else if names[..index].contains(name) {
                (format!("there already is a claim `{name}`"), "Remove one")
            } else {
                continue;
            };
            is_good = false;
            self.error::<()>(&field, &fact, remedy);
        }
        is_good.then_some(())
    }

    /// The internal token that the upstream gets, if any.
    pub(super) fn route_internal_token(
        &mut self,
        raw: Option<raw::InternalToken>,
        policy: Option<&Policy>,
        of_upstream: Option<usize>,
        forward: &FieldPath,
        context: InternalTokenContext<'_>,
    ) -> Presence<usize> {
        let field = forward.key("internal_token");
        match (raw, policy) {
            (Some(_), Some(Policy::Public)) => {
                let fact = "a public route has no caller to tell the upstream about";
                Presence::of(self.error(&field, fact, "Remove it, or `public`"))
            }
            (Some(raw), Some(Policy::Authenticate(_)) | None) => {
                Presence::of(self.internal_token(raw, &field, context))
            }
            (None, Some(Policy::Public)) => Presence::Absent,
            (None, Some(Policy::Authenticate(_)) | None) => {
                of_upstream.map_or(Presence::Absent, Presence::Present)
            }
        }
    }

    /// There is only one `Authorization`: it holds either the client's token or ours.
    pub(super) fn refuse_two_bearers(
        &mut self,
        token: usize,
        policy: Option<&Policy>,
        credential: Option<ForwardCredential>,
        forward: &FieldPath,
    ) {
        let takes_bearers = match policy {
            Some(Policy::Authenticate(rule)) => rule.carriers.contains(&Carrier::Bearer),
            Some(Policy::Public) | None => false,
        };
        let is_kept = credential == Some(ForwardCredential::Keep);
        let header = self.internal_tokens.get(token).map(|terms| &terms.header);
        if header == Some(&TokenHeader::Authorization) && takes_bearers && is_kept {
            let fact = "the internal token would replace the client's token, which `keep` forwards";
            let remedy = "Remove it, or give the internal token a `header` of its own";
            self.error::<()>(&forward.key("credential"), fact, remedy);
        }
    }

    /// The headers of the internal tokens of this configuration, which no client may send.
    pub(super) fn internal_headers(&self) -> impl Iterator<Item = &OwnedName> {
        self.internal_tokens.iter().filter_map(|terms| match &terms.header {
            TokenHeader::Authorization => None,
            TokenHeader::Own(name) => Some(name),
        })
    }
}

/// Whether some server reads both as the same name.
fn is_like(name: &OwnedName, other: &HeaderName) -> bool {
    OwnedNames::new([name]).contains(other.as_str())
}

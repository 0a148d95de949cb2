//! `identity_headers` → which headers the gateway owns.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compiler::Compiler;
use crate::config::problem::FieldPath;
use crate::config::{Limits, raw};
use crate::gate::forward::{IdentityTemplate, OwnedName, OwnedNames};

/// Headers that carry a connection, a frame, a credential or what the gateway itself forwards (RFC
/// 9110 §7.6.1, RFC 9112 §6). An identity in one of them would break them, or be overwritten.
const RESERVED: [&str; 30] = [
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// The headers that tell upstreams who the caller is, and the claims that are kept.
#[derive(Clone, Copy)]
pub(super) struct IdentityTerms<'k> {
    pub(super) identity: Option<&'k Arc<IdentityTemplate>>,
    /// Claims by name or JSON pointer.
    pub(super) asked_claims: &'k [Box<str>],
    pub(super) bytes_max: usize,
}

impl<'k> IdentityTerms<'k> {
    pub(super) fn new(
        identity: Option<&'k Arc<IdentityTemplate>>,
        asked_claims: &'k [Box<str>],
        limits: Option<&Limits>,
    ) -> Self {
        let bytes_max = limits.map_or(0, |limits| limits.identity_bytes_max);
        Self { identity, asked_claims, bytes_max }
    }
}

impl Compiler<'_> {
    pub(super) fn identity(&mut self, raw: raw::IdentityHeaders) -> Option<Arc<IdentityTemplate>> {
        let field = FieldPath::default().key("identity_headers");
        let raw::IdentityHeaders { subject, issuer, scopes, roles, session, claims } = raw;
        let mut taken: Vec<OwnedName> = Vec::new();
        let mut header = |compiler: &mut Self, text: Option<String>, key: &str, default| {
            let field = field.key(key);
            let text = text.unwrap_or_else(|| String::from(default));
            compiler.identity_header(&text, &field, &mut taken)
        };
        let subject = header(self, subject, "subject", "X-Auth-Subject");
        let issuer = header(self, issuer, "issuer", "X-Auth-Issuer");
        let scopes = header(self, scopes, "scopes", "X-Auth-Scopes");
        let roles = header(self, roles, "roles", "X-Auth-Roles");
        let session = header(self, session, "session", "X-Auth-Session");
        let claims = self.claim_headers(claims, &field.key("claims"), &mut taken);
        Some(Arc::new(IdentityTemplate {
            subject: subject?,
            issuer: issuer?,
            scopes: scopes?,
            roles: roles?,
            session: session?,
            claims: claims?,
        }))
    }

    fn claim_headers(
        &mut self,
        claims: BTreeMap<String, String>,
        field: &FieldPath,
        taken: &mut Vec<OwnedName>,
    ) -> Option<Vec<(Box<str>, OwnedName)>> {
        let mut headers = Vec::new();
        for (claim, header) in claims {
            let name = self.identity_header(&header, &field.key(&claim), taken);
            headers.push(name.map(|name| (claim.into(), name)));
        }
        headers.into_iter().collect()
    }

    fn identity_header(
        &mut self,
        text: &str,
        field: &FieldPath,
        taken: &mut Vec<OwnedName>,
    ) -> Option<OwnedName> {
        let name = self.free_header(text, field, "X-Auth-Email")?;
        if is_among(&name, taken.iter()) {
            let fact = format!("`{text}` already carries another part of the identity");
            return self.error(field, &fact, "Choose another name");
        }
        taken.push(name.clone());
        Some(name)
    }

    /// The name of a header that has no other meaning.
    pub(super) fn free_header(
        &mut self,
        text: &str,
        field: &FieldPath,
        example: &str,
    ) -> Option<OwnedName> {
        let Some(name) = OwnedName::new(text) else {
            let fact = format!("`{text}` is not a header name");
            return self.error(field, &fact, &format!("Write a name such as {example}"));
        };
        // Compared as the most lenient server would read it.
        let spelling = OwnedNames::new([&name]);
        if RESERVED.iter().any(|reserved| spelling.contains(reserved)) {
            let fact = format!("`{text}` is a header that HTTP or the gateway uses itself");
            return self.error(field, &fact, &format!("Choose a name such as {example}"));
        }
        Some(name)
    }

    /// The same, for a header that also carries no part of the identity.
    pub(super) fn header_beside(
        &mut self,
        text: &str,
        field: &FieldPath,
        example: &str,
        identity: Option<&IdentityTemplate>,
    ) -> Option<OwnedName> {
        let name = self.free_header(text, field, example)?;
        if identity.is_some_and(|identity| is_among(&name, identity.names())) {
            let fact = format!("`{text}` already carries a part of the identity");
            return self.error(field, &fact, "Choose another name");
        }
        Some(name)
    }
}

fn is_among<'n>(name: &OwnedName, mut taken: impl Iterator<Item = &'n OwnedName>) -> bool {
    let spelling = OwnedNames::new([name]);
    taken.any(|taken| spelling.contains(taken.as_str()))
}

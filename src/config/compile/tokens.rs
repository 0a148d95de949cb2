//! `tokens` → what the gateway itself issues.

use std::sync::Arc;
use std::time::Duration;

use super::compiler::{Compiler, whole_seconds};
use super::origin::is_origin;
use super::presence::Presence;
use crate::config::login::Login;
use crate::config::problem::FieldPath;
use crate::config::tokens::{Access, Clients, Refresh, Signing, Tokens};
use crate::config::values::is_loopback;
use crate::config::{raw, without_password};
use crate::gate::issuer::IssuerRules;
use crate::gate::revocation::SESSION_S;
use crate::store::settings::StoreSettings;

const ACCESS_DEFAULT: Duration = Duration::from_mins(15);
pub(super) const ACCESS_MAX: Duration = Duration::from_hours(24);
const IDLE_DEFAULT: Duration = Duration::from_hours(7 * 24);
const ABSOLUTE_DEFAULT: Duration = Duration::from_hours(30 * 24);
const GRACE_DEFAULT: Duration = Duration::from_secs(10);
const GRACE_MAX: Duration = Duration::from_secs(60);
const ISSUER_BYTES_MAX: usize = 255;

/// The parts of `tokens`, as far as they were valid.
pub(super) struct TokenParts {
    pub(super) issuer: Option<IssuerUrl>,
    pub(super) signing: Option<Signing>,
    pub(super) access: Option<Access>,
    pub(super) refresh: Option<Refresh>,
}

/// The parts of `iss`.
pub(super) struct IssuerUrl {
    pub(super) text: Box<str>,
    origin: Box<str>,
    /// Without a trailing slash, so often empty.
    pub(super) path: Box<str>,
}

impl TokenParts {
    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_ref().map(|issuer| &*issuer.text)
    }
}

impl Compiler<'_> {
    /// Absent if no tokens are issued.
    pub(super) fn token_parts(
        &mut self,
        raw: Option<raw::Tokens>,
        store: Option<&StoreSettings>,
    ) -> Presence<TokenParts> {
        let field = FieldPath::default().key("tokens");
        let Some(raw::Tokens { issuer, signing, access, refresh }) = raw else {
            return if self.is_reported(&field) { Presence::Broken } else { Presence::Absent };
        };
        Presence::Present(TokenParts {
            issuer: self.token_issuer(issuer, &field.key("issuer")),
            signing: self.signing(signing, store, &field.key("signing")),
            access: self.access(access, &field.key("access")),
            refresh: self.refresh(refresh, &field.key("refresh")),
        })
    }

    /// RFC 8414 §2: a URL without query and fragment. It is compared byte for byte, so only one
    /// spelling is accepted.
    fn token_issuer(&mut self, text: Option<String>, field: &FieldPath) -> Option<IssuerUrl> {
        let remedy = "Write https://host or https://host/path, in lower case and without default \
                      port; http:// is for loopback addresses only";
        let text = self.required(text, field, remedy)?;
        let after_scheme = text.find("://").map_or(0, |at| at + "://".len());
        let origin_end = text[after_scheme..].find('/').map_or(text.len(), |at| after_scheme + at);
        let (origin, path) = text.split_at(origin_end);
        if let Some(without) = text.strip_suffix('/')
            && is_origin(origin)
        {
            let fact = "it ends with a slash. Issuers are compared byte for byte";
            return self.error(field, fact, &format!("Write `{without}`"));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_segment =
            |text: &str| !matches!(text, "" | "." | "..") && text.bytes().all(is_plain);
        let is_path = path.is_empty() || path.split('/').skip(1).all(is_segment);
        if !is_origin(origin) || !is_path || text.len() > ISSUER_BYTES_MAX {
            let fact = format!("`{}` cannot be an issuer", without_password(&text));
            return self.error(field, &fact, remedy);
        }
        let host = origin.parse::<http::Uri>().ok();
        let host = host.as_ref().and_then(http::Uri::host).unwrap_or_default();
        if origin.starts_with("http://") && !is_loopback(host) {
            let fact = "others could replace the keys, which are fetched there without TLS";
            return self.error(field, fact, remedy);
        }
        Some(IssuerUrl { origin: origin.into(), path: path.into(), text: text.into() })
    }

    fn access(&mut self, raw: raw::Access, field: &FieldPath) -> Option<Access> {
        let raw::Access { lifetime, audiences, claims } = raw;
        let lifetime = self.access_lifetime(lifetime, &field.key("lifetime"), ACCESS_DEFAULT);
        let audiences = self.own_audiences(audiences, &field.key("audiences"));
        let claims_field = field.key("claims");
        for (index, name) in claims.iter().enumerate().filter(|(_, name)| name.starts_with('/')) {
            let fact = format!("`{name}` is a JSON pointer, not the name of a claim");
            self.error::<()>(&claims_field.index(index), &fact, "Write a name such as email");
        }
        self.claim_names(&claims, &claims_field)?;
        Some(Access {
            lifetime_s: whole_seconds(lifetime?),
            audiences: audiences?,
            claims: claims.into_iter().map(Into::into).collect(),
        })
    }

    pub(super) fn access_lifetime(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
        default: Duration,
    ) -> Option<Duration> {
        match self.seconds(text, field, default) {
            Some(long) if long > ACCESS_MAX => {
                self.error(field, "the time is longer than a day", "Write 24h or less")
            }
            other => other,
        }
    }

    fn own_audiences(
        &mut self,
        audiences: Vec<String>,
        field: &FieldPath,
    ) -> Option<Vec<Box<str>>> {
        if audiences.is_empty() {
            let remedy = "List the services that access tokens are for";
            return self.empty(field, "there is no audience", remedy);
        }
        if let Some(index) = audiences.iter().position(String::is_empty) {
            let fact = "the audience is empty";
            return self.error(&field.index(index), fact, "Write the name of a service");
        }
        Some(audiences.into_iter().map(Into::into).collect())
    }

    fn refresh(&mut self, raw: raw::Refresh, field: &FieldPath) -> Option<Refresh> {
        let raw::Refresh { idle, absolute, rotation_grace } = raw;
        let (idle_field, absolute_field) = (field.key("idle"), field.key("absolute"));
        let idle = self.seconds(idle, &idle_field, IDLE_DEFAULT);
        let absolute = self.seconds(absolute, &absolute_field, ABSOLUTE_DEFAULT);
        // The revocation of a login is remembered for this long.
        if absolute.is_some_and(|absolute| whole_seconds(absolute) > SESSION_S) {
            self.error::<()>(
                &absolute_field,
                "the time is longer than 30 days",
                "Write 30d or less",
            );
        }
        if let (Some(idle), Some(absolute)) = (idle, absolute)
            && idle > absolute
        {
            let fact = "it is longer than `absolute`, which ends the refresh token first";
            self.error::<()>(&idle_field, fact, "Write no more than `absolute`");
        }
        let grace_field = field.key("rotation_grace");
        let grace = match rotation_grace.as_deref() {
            // Everywhere else a duration of zero makes no sense.
            Some("0s") => Some(Duration::ZERO),
            _ => self.duration(rotation_grace, &grace_field, GRACE_DEFAULT),
        };
        if grace.is_some_and(|grace| grace > GRACE_MAX) {
            let fact = "a stolen refresh token works for as long";
            self.error::<()>(&grace_field, fact, "Write 60s or less");
        }
        Some(Refresh {
            idle_s: whole_seconds(idle?),
            absolute_s: whole_seconds(absolute?),
            grace_ms: u64::try_from(grace?.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Puts everything together, once it is known for which clients tokens are made.
    pub(super) fn tokens(
        &mut self,
        parts: TokenParts,
        clients: Clients,
        own_rules: &IssuerRules,
        login: Option<&Login>,
    ) -> Option<Arc<Tokens>> {
        let TokenParts { issuer, signing, access, refresh } = parts;
        let IssuerUrl { text: issuer, origin, path: _ } = issuer?;
        let internal = self.internal_tokens.iter().map(|terms| terms.lifetime_s);
        let longest_s = internal.max().unwrap_or(0).max(own_rules.lifetime_max_s);
        Some(Arc::new(Tokens {
            issuer,
            origin,
            signing: signing?,
            access: access?,
            refresh: refresh?,
            clients,
            per_address: login.map_or(super::login::PER_ADDRESS_DEFAULT, |login| login.per_address),
            signed_lifetime_max_s: longest_s,
        }))
    }
}

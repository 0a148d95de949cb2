//! `sessions` → the settings of sessions and their cookie.

use std::time::Duration;

use super::api_keys::ApiKeyTerms;
use super::compiler::{Compiler, whole_seconds};
use super::identity::IdentityTerms;
use super::origin::is_origin;
use super::tokens::TokenParts;
use crate::config::problem::FieldPath;
use crate::config::{SessionSettings, raw};
use crate::gate::request::host_of;
use crate::gate::revocation::SESSION_S;
use crate::gate::session::{CookieRules, Origins, REFRESH_COOKIE, SameSite, SessionTerms, SetBy};

const HOST_PREFIX: &str = "__Host-";
const SECURE_PREFIX: &str = "__Secure-";

/// The default name of the cookie if only this host can set it, and if other hosts can.
const NAME_DEFAULT: &str = "__Host-session";
const NAME_SHARED_DEFAULT: &str = "session";

const IDLE_DEFAULT: Duration = Duration::from_secs(30 * 60);
const LIFETIME_DEFAULT: Duration = Duration::from_secs(12 * 3600);
const RECHECK_DEFAULT: Duration = Duration::from_secs(5);
const RECHECK_MAX: Duration = Duration::from_secs(3600);
const CACHE_BYTES_DEFAULT: u64 = 256 << 20;

/// The lifetimes of what is revoked together with sessions, in seconds; 0 if there is none.
#[derive(Clone, Copy, Default)]
pub(super) struct RelatedLifetimes {
    /// The refresh tokens of a login.
    pub(super) refresh_s: i64,
    pub(super) api_key_lifetime_max_s: i64,
}

impl RelatedLifetimes {
    pub(super) fn of(tokens: Option<&TokenParts>, api_keys: Option<&ApiKeyTerms>) -> Self {
        let refresh = tokens.and_then(|parts| parts.refresh.as_ref());
        Self {
            refresh_s: refresh.map_or(0, |refresh| refresh.absolute_s),
            api_key_lifetime_max_s: api_keys.map_or(0, |keys| keys.lifetime_max_s),
        }
    }
}

impl Compiler<'_> {
    pub(super) fn sessions(
        &mut self,
        raw: raw::Sessions,
        identity_terms: IdentityTerms<'_>,
        related: RelatedLifetimes,
    ) -> Option<SessionSettings> {
        let field = FieldPath::default().key("sessions");
        let raw::Sessions {
            cookie,
            idle_timeout,
            absolute_timeout,
            recheck,
            allowed_origins,
            cache_size,
        } = raw;
        let cookie = self.cookie(cookie, &field.key("cookie"));
        let idle_field = field.key("idle_timeout");
        let idle = self.seconds(idle_timeout, &idle_field, IDLE_DEFAULT);
        let lifetime_field = field.key("absolute_timeout");
        let lifetime = self.seconds(absolute_timeout, &lifetime_field, LIFETIME_DEFAULT);
        // The revocation of a session is remembered for this long.
        if lifetime.is_some_and(|lifetime| whole_seconds(lifetime) > SESSION_S) {
            self.error::<()>(
                &lifetime_field,
                "the time is longer than 30 days",
                "Write 30d or less",
            );
        }
        if let (Some(idle), Some(lifetime)) = (idle, lifetime)
            && idle > lifetime
        {
            let fact = "it is longer than `absolute_timeout`, which ends the session first";
            self.error::<()>(&idle_field, fact, "Write no more than `absolute_timeout`");
        }
        let recheck_field = field.key("recheck");
        let recheck = match self.seconds(recheck, &recheck_field, RECHECK_DEFAULT) {
            Some(long) if long > RECHECK_MAX => {
                self.error(&recheck_field, "the time is longer than an hour", "Write 1h or less")
            }
            other => other,
        };
        let origins = self.origins(&allowed_origins, &field.key("allowed_origins"));
        let bytes_max = self.size(cache_size, &field.key("cache_size"), CACHE_BYTES_DEFAULT);
        let RelatedLifetimes { refresh_s, api_key_lifetime_max_s } = related;
        let terms = SessionTerms {
            cookie: cookie?,
            idle_max_s: whole_seconds(idle?),
            lifetime_max_s: whole_seconds(lifetime?),
            outlived_s: whole_seconds(lifetime?).max(refresh_s),
            api_key_lifetime_max_s,
            recheck_ms: u64::try_from(recheck?.as_millis()).unwrap_or(u64::MAX),
            origins: Origins(origins),
            asked_claims: identity_terms.asked_claims.to_vec(),
            identity: identity_terms.identity?.clone(),
            identity_bytes_max: identity_terms.bytes_max,
        };
        Some(SessionSettings { terms, cache_bytes_max: bytes_max? })
    }

    fn cookie(&mut self, raw: raw::Cookie, field: &FieldPath) -> Option<CookieRules> {
        let raw::Cookie { name, domain, same_site, dangerous_insecure } = raw;
        let choices =
            [("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)];
        let same_site_field = field.key("same_site");
        let same_site =
            self.choice(same_site.as_deref(), &same_site_field, &choices, SameSite::Lax);
        let set_by = match dangerous_insecure {
            Some(true) => SetBy::Anything,
            Some(false) | None => SetBy::Secure,
        };
        if set_by == SetBy::Anything {
            self.dangerous.push(("sessions.cookie".to_owned(), "dangerous_insecure"));
            if same_site == Some(SameSite::None) {
                let fact = "browsers accept `SameSite=None` over HTTPS only";
                self.error::<()>(&same_site_field, fact, "Write lax, or remove dangerous_insecure");
            }
        }
        let domain_field = field.key("domain");
        let domain = match domain {
            None => Some(None),
            Some(domain) => match host_of(&domain) {
                Some(host) if *host == *domain && is_domain(&domain) => Some(Some(domain.into())),
                Some(_) | None => {
                    let fact = format!("`{domain}` is not a domain");
                    self.error(&domain_field, &fact, "Write a domain such as example.com")
                }
            },
        };
        let is_shared = !matches!(domain, Some(None)) || set_by == SetBy::Anything;
        let name = self.cookie_name(name, &field.key("name"), is_shared, set_by);
        Some(CookieRules { name: name?, domain: domain?, same_site: same_site?, set_by })
    }

    /// `is_shared`: whether other hosts of the domain could set the cookie.
    fn cookie_name(
        &mut self,
        name: Option<String>,
        field: &FieldPath,
        is_shared: bool,
        set_by: SetBy,
    ) -> Option<Box<str>> {
        let default = if is_shared { NAME_SHARED_DEFAULT } else { NAME_DEFAULT };
        let Some(name) = name else { return Some(default.into()) };
        // RFC 6265 §4.1.1: a token (RFC 9110 §5.6.2).
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_token) {
            let fact = format!("`{name}` cannot be the name of a cookie");
            return self.error(field, &fact, "Use letters, digits, `-` and `_`");
        }
        if name.eq_ignore_ascii_case(REFRESH_COOKIE) {
            let fact = format!("`{name}` is the cookie of refresh tokens");
            return self.error(field, &fact, "Choose another name");
        }
        let begins = |prefix: &str| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let is_refused = (begins(HOST_PREFIX) && is_shared)
            || (begins(SECURE_PREFIX) && set_by == SetBy::Anything);
        if is_refused {
            let fact = format!("browsers refuse a cookie named `{name}` with these settings");
            return self.error(
                field,
                &fact,
                "Leave the prefix out, or `domain` and dangerous_insecure",
            );
        }
        if !begins(HOST_PREFIX) && !is_shared {
            let fact = "without `__Host-`, another host of the domain can set this cookie";
            self.warn(field, fact, "Begin the name with `__Host-`");
        }
        Some(name.into())
    }

    fn origins(&mut self, listed: &[String], field: &FieldPath) -> Vec<Box<str>> {
        let mut origins = Vec::new();
        for (index, text) in listed.iter().enumerate() {
            if is_origin(text) {
                origins.push(text.as_str().into());
                continue;
            }
            let fact = format!("`{text}` is not an origin");
            let remedy = "Write https://app.example, in lower case, without path and default port";
            self.error::<()>(&field.index(index), &fact, remedy);
        }
        origins
    }
}

/// Whether a host is a domain that can have subdomains. IP addresses cannot.
fn is_domain(host: &str) -> bool {
    let mut labels = host.split('.');
    let is_label = |label: &str| !label.is_empty() && !label.contains(['[', ']', ':']);
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    labels.clone().nth(1).is_some()
        && labels.clone().all(is_label)
        && !labels.next_back().is_some_and(is_number)
}

//! `issuers` → who may issue tokens, and where their keys come from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::compiler::{Compiler, whole_seconds};
use super::identity::IdentityTerms;
use super::section::Section;
use crate::config::problem::FieldPath;
use crate::config::{IssuerSettings, JwksUrl, KeySource, raw, without_password};
use crate::gate::claims::{CLIENT_CLAIMS_DEFAULT, ROLES_POINTER_DEFAULT};
use crate::gate::issuer::{DatedBy, IssuerRules, Untyped};
use crate::gate::keys::{Algorithm, Key, KeySet};

const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

const KEYS_REMEDY: &str =
    "Name one of jwks_url, jwks_file, public_key_file, secret_file or secret: ${NAME}";

/// The issuers by name; one that could not be compiled is known, so that routes may name it.
pub(super) struct CompiledIssuers {
    places: HashMap<String, Option<usize>>,
    pub(super) list: Vec<IssuerSettings>,
}

impl CompiledIssuers {
    /// The place of the one of this name.
    pub(super) fn named(&self, name: &str) -> Section<usize> {
        self.places.get(name).map_or(Section::Absent, |place| Section::of(*place))
    }

    pub(super) fn all(&self) -> Vec<usize> {
        (0..self.list.len()).collect()
    }

    /// Adds an issuer; `None` for one that is broken.
    pub(super) fn add(&mut self, name: &str, issuer: Option<IssuerSettings>) {
        let place = issuer.map(|issuer| {
            self.list.push(issuer);
            self.list.len() - 1
        });
        self.places.insert(name.to_owned(), place);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<_> = self.places.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter()
    }
}

impl Compiler<'_> {
    pub(super) fn issuers(
        &mut self,
        raw: Vec<raw::Issuer>,
        told: IdentityTerms<'_>,
    ) -> CompiledIssuers {
        let field = FieldPath::default().key("issuers");
        let at = |index: usize, key| field.index(index).key(key);
        let names = raw.iter().enumerate().map(|(i, r)| (at(i, "name"), r.name.as_deref()));
        self.unique(names, "an issuer");
        let urls = raw.iter().enumerate().map(|(i, r)| (at(i, "issuer"), r.issuer.as_deref()));
        self.unique(urls, "an issuer for");
        let mut compiled = CompiledIssuers { places: HashMap::new(), list: Vec::new() };
        for (index, raw) in raw.into_iter().enumerate() {
            let name = raw.name.clone();
            let issuer = self.issuer(raw, &field.index(index), told);
            if let Some(name) = name {
                compiled.add(&name, issuer);
            }
        }
        compiled
    }

    fn issuer(
        &mut self,
        raw: raw::Issuer,
        field: &FieldPath,
        told: IdentityTerms<'_>,
    ) -> Option<IssuerSettings> {
        let raw::Issuer {
            name,
            issuer,
            audiences,
            algorithms,
            keys,
            clock_skew,
            max_lifetime,
            token_types,
            required_claims,
            roles,
            claims,
        } = raw;
        let name = self.name(name, &field.key("name"));
        let issuer = self.required(issuer, &field.key("issuer"), "Write the `iss` of its tokens");
        if audiences.is_empty() {
            let remedy = "List the `aud` values that mean this service";
            let audiences = field.key("audiences");
            self.empty::<()>(&audiences, "no audience is accepted", remedy);
        }
        let algorithms = self.algorithms(&algorithms, "issuer", &field.key("algorithms"));
        let source = self.keys(keys, algorithms.as_deref(), field);
        let skew_field = field.key("clock_skew");
        let clock_skew = self.duration(clock_skew, &skew_field, Duration::from_secs(30));
        let lifetime_field = field.key("max_lifetime");
        let lifetime_max = self.seconds(max_lifetime, &lifetime_field, Duration::from_hours(24));
        let (token_types, untyped) = token_types_of(token_types);
        let roles_pointer = self.roles_pointer(roles, &field.key("roles"));
        let client_claims = self.client_claims(claims.client, &field.key("claims").key("client"));
        let rules = IssuerRules {
            name: name?,
            issuer: issuer?.into(),
            audiences: audiences.into_iter().map(Into::into).collect(),
            algorithms: algorithms?,
            clock_skew_s: whole_seconds(clock_skew?),
            clock_ahead_s: whole_seconds(clock_skew?),
            dated_by: DatedBy::Issue,
            lifetime_max_s: whole_seconds(lifetime_max?),
            token_types,
            untyped,
            required_claims: required_claims.into_iter().map(Into::into).collect(),
            roles_pointer: roles_pointer?,
            client_claims: client_claims?,
            asked_claims: told.asked_claims.to_vec(),
            identity: told.identity?.clone(),
            identity_bytes_max: told.bytes_max,
        };
        Some(IssuerSettings { rules: Arc::new(rules), keys: source? })
    }

    /// The algorithms that `whose` keys may serve.
    pub(super) fn algorithms(
        &mut self,
        names: &[String],
        whose: &str,
        field: &FieldPath,
    ) -> Option<Vec<Algorithm>> {
        if names.is_empty() {
            let remedy =
                format!("List the algorithms that the {whose} signs with, such as [RS256]");
            return self.empty(field, "no algorithm is permitted", &remedy);
        }
        let mut algorithms = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let known = ALGORITHMS.iter().find(|(known, _)| known == name);
            match known {
                Some((_, algorithm)) => algorithms.push(*algorithm),
                None => {
                    let remedy = super::compiler::one_of(ALGORITHMS.iter().map(|(name, _)| *name));
                    let fact = format!("there is no algorithm `{name}`");
                    self.error::<()>(&field.index(index), &fact, &remedy);
                }
            }
        }
        (algorithms.len() == names.len() && !self.is_reported(field)).then_some(algorithms)
    }

    /// Without algorithms, which then were refused, everything is read all the same, for its own
    /// mistakes.
    fn keys(
        &mut self,
        raw: Option<raw::Keys>,
        algorithms: Option<&[Algorithm]>,
        issuer: &FieldPath,
    ) -> Option<KeySource> {
        let field = issuer.key("keys");
        let raw::Keys {
            jwks_url,
            refresh,
            max_stale,
            timeout,
            ca_file,
            jwks_file,
            public_key_file,
            secret_file,
            secret,
        } = self.required(raw, &field, KEYS_REMEDY)?;
        let given = [
            jwks_url.is_some(),
            jwks_file.is_some(),
            public_key_file.is_some(),
            secret_file.is_some() || secret.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() != 1 {
            let wanted = ["jwks_url", "jwks_file", "public_key_file", "secret_file", "secret"];
            let wanted = wanted.map(|key| field.key(key));
            let fact = "there must be exactly one source of keys";
            return self.lacking(&field, &wanted, fact, KEYS_REMEDY);
        }
        let times = [("refresh", &refresh), ("max_stale", &max_stale), ("timeout", &timeout)];
        for (key, value) in times.into_iter().chain([("ca_file", &ca_file)]) {
            if value.is_some() && jwks_url.is_none() {
                let fact = format!("`{key}` only goes with jwks_url");
                self.error::<()>(&field.key(key), &fact, "Remove it");
            }
        }
        if let Some(url) = jwks_url {
            let refresh = self.duration(refresh, &field.key("refresh"), Duration::from_mins(10));
            let stale_max =
                self.seconds(max_stale, &field.key("max_stale"), Duration::from_hours(24));
            let timeout = self.duration(timeout, &field.key("timeout"), Duration::from_secs(3));
            let ca_field = field.key("ca_file");
            let ca_pem = match ca_file {
                None => Some(None),
                Some(file) => self.authorities(&file, &ca_field).map(|(pem, _)| Some(pem)),
            };
            let url = self.jwks_url(url, &field.key("jwks_url"));
            self.refuse_unserved(algorithms.unwrap_or_default(), "issuer", issuer, |a| !is_hmac(a));
            let (refresh, stale_max, timeout) = (refresh?, stale_max?, timeout?);
            if stale_max < refresh {
                let remedy = "Make it several times as long as `refresh`";
                let fact = "keys would be too old before they are fetched again";
                return self.error(&field.key("max_stale"), fact, remedy);
            }
            return Some(KeySource::Fetched(JwksUrl {
                url: url?,
                algorithms: algorithms?.to_vec(),
                refresh,
                stale_max,
                timeout,
                ca_pem: ca_pem?,
            }));
        }
        let set = self.fixed_keys(
            jwks_file.as_deref(),
            public_key_file.as_deref(),
            secret_file.as_deref(),
            secret,
            algorithms,
            &field,
        )?;
        let is_published = jwks_file.is_some();
        self.tell_unserved(algorithms?, "issuer", issuer, &set, is_published);
        Some(KeySource::Given(Arc::new(set)))
    }

    pub(super) fn fixed_keys(
        &mut self,
        jwks_file: Option<&str>,
        public_key_file: Option<&str>,
        secret_file: Option<&str>,
        secret: Option<String>,
        algorithms: Option<&[Algorithm]>,
        field: &FieldPath,
    ) -> Option<KeySet> {
        if let Some(file) = jwks_file {
            let field = field.key("jwks_file");
            let bytes = self.read(file, &field)?;
            return match KeySet::from_jwks(&bytes, algorithms?) {
                Ok((set, unusable)) => {
                    for key in unusable {
                        let fact = format!("a key of the set is left out: {key}");
                        self.warn(&field, &fact, "Remove it, or permit its algorithm");
                    }
                    Some(set)
                }
                Err(error) => self.error(&field, &error.to_string(), "Name a JWKS (RFC 7517)"),
            };
        }
        let (key, field) = match public_key_file {
            Some(file) => {
                let field = field.key("public_key_file");
                (Key::from_pem(&self.read(file, &field)?, algorithms?), field)
            }
            None => {
                let secret = self.secret(secret_file, secret, field, "secret").ok()??;
                (Key::from_secret(secret.expose(), algorithms?), field.clone())
            }
        };
        match key {
            Ok(key) => Some(KeySet::new(vec![key])),
            Err(error) => {
                self.error(&field, &error.to_string(), "Make key and `algorithms` fit each other")
            }
        }
    }

    /// Reports algorithms that no key of `set` can serve. A published set is its issuer's word, which
    /// may withdraw the last key of an algorithm: the gateway goes on, and starts, without it. Any
    /// other key and the algorithms stand side by side in the configuration.
    pub(super) fn tell_unserved(
        &mut self,
        algorithms: &[Algorithm],
        whose: &str,
        field: &FieldPath,
        set: &KeySet,
        is_published: bool,
    ) {
        if !is_published {
            return self.refuse_unserved(algorithms, whose, field, |one| set.serves(one));
        }
        // Secrets are never taken from a set.
        self.refuse_unserved(algorithms, whose, field, |algorithm| !is_hmac(algorithm));
        for (index, algorithm) in algorithms.iter().enumerate() {
            if !is_hmac(*algorithm) && !set.serves(*algorithm) {
                let fact = format!(
                    "no key of the {whose} can serve {algorithm:?}: what is signed with it is refused"
                );
                let field = field.key("algorithms").index(index);
                self.warn(&field, &fact, "Remove it, or add a key for it");
            }
        }
    }

    fn refuse_unserved(
        &mut self,
        algorithms: &[Algorithm],
        whose: &str,
        field: &FieldPath,
        serves: impl Fn(Algorithm) -> bool,
    ) {
        for (index, algorithm) in algorithms.iter().enumerate() {
            if !serves(*algorithm) {
                let fact = format!("no key of the {whose} can serve {algorithm:?}");
                let field = field.key("algorithms").index(index);
                self.error::<()>(&field, &fact, "Remove it, or add a key for it");
            }
        }
    }

    fn jwks_url(&mut self, text: String, field: &FieldPath) -> Option<Box<str>> {
        let remedy = "Write https://host/path; http:// is for loopback addresses only";
        let not_one = format!("`{}` is not a URL", without_password(&text));
        let Ok(url) = text.parse::<http::Uri>() else {
            return self.error(field, &not_one, remedy);
        };
        let host = url.host().unwrap_or_default();
        match url.scheme_str() {
            _ if host.is_empty() => self.error(field, &not_one, remedy),
            Some("https") => Some(text.into()),
            // Whoever sits on the way could put in keys of their own.
            Some("http") if is_loopback(host) => Some(text.into()),
            Some("http") => self.error(field, "keys must not be fetched in the clear", remedy),
            _ => self.error(field, &not_one, remedy),
        }
    }

    /// Which claims name the client, by default those of the usual providers. None at all: tokens name none.
    fn client_claims(
        &mut self,
        names: Option<Vec<String>>,
        field: &FieldPath,
    ) -> Option<Vec<Box<str>>> {
        let Some(names) = names else { return Some(CLIENT_CLAIMS_DEFAULT.map(Into::into).into()) };
        let mut claims: Vec<Box<str>> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let field = field.index(index);
            if name.is_empty() {
                let remedy = "Write a name such as azp, or a JSON pointer such as /act/client_id";
                self.error::<()>(&field, "this names no claim", remedy);
            } else if claims.iter().any(|claim| **claim == **name) {
                self.error::<()>(&field, &format!("`{name}` is listed twice"), "Remove one");
            }
            claims.push(name.as_str().into());
        }
        (!self.is_reported(field)).then_some(claims)
    }

    fn roles_pointer(&mut self, text: Option<String>, field: &FieldPath) -> Option<Box<str>> {
        let text = text.unwrap_or_else(|| ROLES_POINTER_DEFAULT.to_owned());
        if text.starts_with('/') {
            return Some(text.into());
        }
        let fact = format!("`{text}` is not a JSON pointer");
        self.error(field, &fact, &format!("Write `/{text}`, or `/realm_access/roles` and the like"))
    }
}

/// Accepted `typ` values and whether a token may do without; by default JWT, at+jwt or absent.
fn token_types_of(listed: Option<Vec<String>>) -> (Vec<Box<str>>, Untyped) {
    match listed {
        None => (vec!["jwt".into(), "at+jwt".into()], Untyped::Accepted),
        Some(listed) => {
            let types = listed.iter().map(|name| {
                let name = name.to_ascii_lowercase();
                name.strip_prefix("application/").unwrap_or(&name).into()
            });
            (types.collect(), Untyped::Refused)
        }
    }
}

/// Whether nobody sits on the way to a host.
pub(super) fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

pub(super) fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

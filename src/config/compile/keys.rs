//! `keys` and `algorithms`, of an issuer or of a client → where keys come from, and which
//! algorithms they may be used with.

use std::sync::Arc;
use std::time::Duration;

use super::compiler::{Compiler, one_of};
use crate::config::problem::FieldPath;
use crate::config::{JwksUrl, KeySource, key_set_url, raw};
use crate::gate::keys::{Algorithm, Key, KeySet};

const REFRESH_DEFAULT: Duration = Duration::from_mins(10);
const STALE_MAX_DEFAULT: Duration = Duration::from_hours(24);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);

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

const REMEDY: &str =
    "Name one of jwks_url, jwks_file, public_key_file, secret_file or secret: ${NAME}";

impl Compiler<'_> {
    /// The algorithms that `whose` keys may be used with.
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
                    let remedy = one_of(ALGORITHMS.iter().map(|(name, _)| *name));
                    let fact = format!("there is no algorithm `{name}`");
                    self.error::<()>(&field.index(index), &fact, &remedy);
                }
            }
        }
        (algorithms.len() == names.len() && !self.is_reported(field)).then_some(algorithms)
    }

    /// If the algorithms were refused, everything is still read, to report its own mistakes.
    pub(super) fn keys(
        &mut self,
        raw: Option<raw::Keys>,
        algorithms: Option<&[Algorithm]>,
        issuer: &FieldPath,
    ) -> Option<KeySource> {
        let field = issuer.key("keys");
        let mut raw = self.required(raw, &field, REMEDY)?;
        self.refuse_several_sources(&raw, &field)?;
        if let Some(url) = raw.jwks_url.take() {
            return self.fetched_keys(url, raw, algorithms, issuer).map(KeySource::Fetched);
        }
        self.refuse_fetch_options(&raw, &field);
        let is_published = raw.jwks_file.is_some();
        let set = self.fixed_keys(
            raw.jwks_file.as_deref(),
            raw.public_key_file.as_deref(),
            raw.secret_file.as_deref(),
            raw.secret,
            algorithms,
            &field,
        )?;
        self.tell_unserved(algorithms?, "issuer", issuer, &set, is_published);
        Some(KeySource::Given(Arc::new(set)))
    }

    fn refuse_several_sources(&mut self, raw: &raw::Keys, field: &FieldPath) -> Option<()> {
        let given = [
            raw.jwks_url.is_some(),
            raw.jwks_file.is_some(),
            raw.public_key_file.is_some(),
            raw.secret_file.is_some() || raw.secret.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() == 1 {
            return Some(());
        }
        let wanted = ["jwks_url", "jwks_file", "public_key_file", "secret_file", "secret"];
        let wanted = wanted.map(|key| field.key(key));
        self.lacking(field, &wanted, "there must be exactly one source of keys", REMEDY)
    }

    /// Reports options that are only allowed with fetched keys.
    fn refuse_fetch_options(&mut self, raw: &raw::Keys, field: &FieldPath) {
        let options = [
            ("refresh", &raw.refresh),
            ("max_stale", &raw.max_stale),
            ("timeout", &raw.timeout),
            ("ca_file", &raw.ca_file),
        ];
        for (key, _) in options.into_iter().filter(|(_, value)| value.is_some()) {
            let fact = format!("`{key}` only goes with jwks_url");
            self.error::<()>(&field.key(key), &fact, "Remove it");
        }
    }

    fn fetched_keys(
        &mut self,
        url: String,
        raw: raw::Keys,
        algorithms: Option<&[Algorithm]>,
        issuer: &FieldPath,
    ) -> Option<JwksUrl> {
        let field = issuer.key("keys");
        let stale_field = field.key("max_stale");
        let refresh = self.duration(raw.refresh, &field.key("refresh"), REFRESH_DEFAULT);
        let stale_max = self.seconds(raw.max_stale, &stale_field, STALE_MAX_DEFAULT);
        let timeout = self.duration(raw.timeout, &field.key("timeout"), TIMEOUT_DEFAULT);
        let ca_pem = match raw.ca_file {
            None => Some(None),
            Some(file) => self.authorities(&file, &field.key("ca_file")).map(|(pem, _)| Some(pem)),
        };
        let url = self.jwks_url(url, &field.key("jwks_url"));
        self.refuse_unserved(algorithms.unwrap_or_default(), "issuer", issuer, |a| !is_hmac(a));
        let (refresh, stale_max, timeout) = (refresh?, stale_max?, timeout?);
        if stale_max < refresh {
            let remedy = "Make it several times as long as `refresh`";
            let fact = "keys would be too old before they are fetched again";
            return self.error(&stale_field, fact, remedy);
        }
        Some(JwksUrl {
            url: url?,
            algorithms: algorithms?.to_vec(),
            refresh,
            stale_max,
            timeout,
            ca_pem: ca_pem?,
        })
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
                Err(error) => {
                    let remedy = match is_pem(&bytes) {
                        true => "A PEM file goes into `public_key_file`",
                        false => "Name a JWKS (RFC 7517)",
                    };
                    self.error(&field, &format!("{file}: {error}"), remedy)
                }
            };
        }
        let (key, field) = match public_key_file {
            Some(file) => {
                let field = field.key("public_key_file");
                let bytes = self.read(file, &field)?;
                if let Some((fact, remedy)) = no_public_key(&bytes) {
                    return self.error(&field, &format!("{file} {fact}"), remedy);
                }
                (Key::from_pem(&bytes, algorithms?), field)
            }
            None => {
                let secret = self.secret(secret_file, secret, field, "secret").ok()??;
                (Key::from_secret(secret.expose(), algorithms?), field.clone())
            }
        };
        match key {
            Ok(key) => Some(KeySet::new(vec![key])),
            Err(error) => self.error(&field, &error.to_string(), "Correct the key or `algorithms`"),
        }
    }

    /// Reports algorithms that no key of `set` may be used with. A published set is a statement of
    /// its issuer, which may withdraw the last key of an algorithm: the gateway keeps running, and
    /// starts, without it. Any other key is given in the configuration, together with the
    /// algorithms.
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
        // A set never provides secrets.
        self.refuse_unserved(algorithms, whose, field, |algorithm| !is_hmac(algorithm));
        for (index, algorithm) in algorithms.iter().enumerate() {
            if !is_hmac(*algorithm) && !set.serves(*algorithm) {
                let fact = format!(
                    "no key of the {whose} can verify {algorithm:?}: its tokens are refused"
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
                let fact = format!("no key of the {whose} can verify {algorithm:?}");
                let field = field.key("algorithms").index(index);
                self.error::<()>(&field, &fact, "Remove it, or add a key for it");
            }
        }
    }

    fn jwks_url(&mut self, text: String, field: &FieldPath) -> Option<Box<str>> {
        let remedy = "Write https://host/path; http:// is for loopback addresses only";
        match key_set_url(&text) {
            Ok(()) => Some(text.into()),
            Err(fact) => self.error(field, &fact, remedy),
        }
    }
}

pub(super) fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"-----BEGIN ")
}

/// What a file is that is often named in place of a public key, and what to do.
fn no_public_key(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Some(("is JSON, and not PEM", "A JWKS goes into `jwks_file`"));
    }
    let is_private = is_pem(bytes) && memchr::memmem::find(bytes, b"PRIVATE KEY-----").is_some();
    is_private.then_some((
        "holds a private key",
        "Name the public one; `openssl pkey -in FILE -pubout` prints it",
    ))
}

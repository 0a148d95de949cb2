//! The paths that the gateway answers itself, where no route may be.

use super::login::BASE_DEFAULT;
use super::tokens::TokenParts;
use crate::config::Login;

/// RFC 8414 §3.
const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";
const JWKS_PATH: &str = "/.well-known/jwks.json";

/// The paths that the gateway answers itself.
#[derive(Debug, Default)]
pub(super) struct BuiltinPaths {
    /// The path below which it does.
    pub(super) base: Option<Box<str>>,
    /// The other paths.
    pub(super) paths: Vec<Box<str>>,
}

impl BuiltinPaths {
    /// The paths of a gateway where users log in by `login`, if it is set, and that issues
    /// `tokens`, if it is set.
    pub(super) fn new(login: Option<&Login>, tokens: Option<&TokenParts>) -> Self {
        let base = login.map(|login| login.base.clone());
        let issuer = tokens.and_then(|parts| parts.issuer.as_ref());
        let Some(issuer) = issuer else { return Self { base, paths: Vec::new() } };
        let issuer_path = &*issuer.path;
        let mut paths = vec![JWKS_PATH.into(), METADATA_PATH.into()];
        if !issuer_path.is_empty() {
            // RFC 8414 §3.1: between the host and the path of the issuer.
            paths.push(format!("{METADATA_PATH}{issuer_path}").into());
        }
        Self { base: Some(base.unwrap_or_else(|| BASE_DEFAULT.into())), paths }
    }

    /// The remedy for a route at `path`, if the gateway answers that path itself.
    pub(super) fn remedy_for(&self, path: &str) -> Option<&'static str> {
        let is_below = |base: &str| {
            path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.base.as_deref().is_some_and(is_below) {
            return Some("Choose another path, or another `login.base`");
        }
        self.paths.iter().any(|own| **own == *path).then_some("Choose another path")
    }
}

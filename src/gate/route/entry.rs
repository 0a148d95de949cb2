//! One route, and the requests that it matches.

use std::sync::Arc;

use http::Method;

use super::super::path::Ambiguities;
use super::super::policy::{ForwardCredential, Policy};

/// Which requests a route matches, as configured.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// The hosts; none means any.
    pub hosts: Vec<HostPattern>,
    /// The path pattern: literal text, `{name}` for a segment, `{*name}` for the rest.
    pub path: String,
    /// The methods; none means any.
    pub methods: Vec<Method>,
}

/// A host as a route names it, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this host.
    Exact(String),
    /// Any host below this one: `*.example` as `example`.
    Below(String),
}

/// A route: its name, who may use it, and where it leads.
#[derive(Debug)]
pub struct Route {
    /// The name, for metrics and logs.
    pub name: Arc<str>,
    /// Its position in the configuration. Tables outside the gate use it as index.
    pub index: usize,
    /// The upstream's position in the configuration.
    pub upstream: usize,
    /// The policy: who may use it.
    pub policy: Policy,
    /// What happens to the credential.
    pub credential: ForwardCredential,
    /// The position of the token that tells the upstream who the caller is, if one is configured.
    pub internal_token: Option<usize>,
    /// The largest body, in bytes.
    pub body_bytes_max: Option<u64>,
    /// Path ambiguities that the upstream is known to handle safely.
    pub dangerous_path: Ambiguities,
}

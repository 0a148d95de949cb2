//! What routes may refer to.

use super::api_keys::ApiKeyTerms;
use super::builtin_paths::BuiltinPaths;
use super::internal::InternalTokenContext;
use super::issuers::CompiledIssuers;
use super::revocation::StaleRules;
use super::upstreams::CompiledUpstreams;
use crate::config::Login;

/// What routes may refer to.
#[derive(Clone, Copy)]
pub(super) struct References<'k> {
    pub(super) issuers: &'k CompiledIssuers,
    pub(super) upstreams: &'k CompiledUpstreams,
    pub(super) when_stale: StaleRules,
    /// How people log in: `None` if that was reported, `Some(None)` if they cannot.
    pub(super) login: Option<Option<&'k Login>>,
    /// API keys, likewise.
    pub(super) api_keys: Option<Option<&'k ApiKeyTerms>>,
    pub(super) around: InternalTokenContext<'k>,
    pub(super) own: &'k BuiltinPaths,
}

//! The named things that routes may refer to.

use super::api_keys::ApiKeyTerms;
use super::builtin_paths::BuiltinPaths;
use super::internal::InternalTokenContext;
use super::issuers::CompiledIssuers;
use super::presence::Presence;
use super::revocation::StaleRules;
use super::upstreams::CompiledUpstreams;
use crate::config::Login;

/// The named things that routes may refer to.
#[derive(Clone, Copy)]
pub(super) struct References<'k> {
    pub(super) issuers: &'k CompiledIssuers,
    pub(super) upstreams: &'k CompiledUpstreams,
    pub(super) when_stale: StaleRules,
    /// How users log in.
    pub(super) login: Presence<&'k Login>,
    pub(super) api_keys: Presence<&'k ApiKeyTerms>,
    pub(super) token_context: InternalTokenContext<'k>,
    pub(super) builtin_paths: &'k BuiltinPaths,
}

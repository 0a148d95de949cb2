//! Sections → settings, if all sections are valid.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::api_keys::ApiKeyTerms;
use super::builtin_paths::BuiltinPaths;
use super::compiler::Compiler;
use super::issuers::CompiledIssuers;
use super::listeners::CompiledListeners;
use super::login::ISSUER_DEFAULT;
use super::presence::Presence;
use super::revocation::StaleRules;
use super::routes::CompiledRoutes;
use super::server::Standalone;
use super::tokens::TokenParts;
use super::upstreams::CompiledUpstreams;
use crate::config::problem::Problems;
use crate::config::tokens::{ApiKeySettings, Clients, Tokens};
use crate::config::{Admin, Limits, Login, RevocationSettings, SessionSettings, Settings};
use crate::gate::GateSettings;
use crate::gate::credential::Carrier;
use crate::gate::forward::{IdentityTemplate, OwnedNames};
use crate::gate::policy::{Authenticate, Requirement};
use crate::gate::session::{REFRESH_COOKIE, SetBy};
use crate::store::settings::StoreSettings;

/// The result of each section: `None` where a problem was reported.
pub(super) struct Sections {
    pub(super) data_directory: PathBuf,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) listeners: CompiledListeners,
    pub(super) limits: Option<Limits>,
    pub(super) standalone: Standalone,
    pub(super) admin: Option<Admin>,
    pub(super) store: Option<StoreSettings>,
    pub(super) identity: Option<Arc<IdentityTemplate>>,
    pub(super) tokens: Presence<TokenParts>,
    pub(super) api_keys: Presence<ApiKeyTerms>,
    pub(super) upstreams: CompiledUpstreams,
    pub(super) login: Presence<Arc<Login>>,
    pub(super) clients: Option<Clients>,
    pub(super) issuers: CompiledIssuers,
    pub(super) token_cache_bytes_max: Option<u64>,
    pub(super) revocation: Option<RevocationSettings>,
    pub(super) when_stale: StaleRules,
    pub(super) sessions: Option<SessionSettings>,
    pub(super) builtin: BuiltinPaths,
    pub(super) routes: Option<CompiledRoutes>,
}

impl Compiler<'_> {
    /// `None` if a problem was reported.
    pub(super) fn assemble(&mut self, sections: Sections) -> Option<Settings> {
        let CompiledRoutes { table, matches } = sections.routes?;
        let identity = sections.identity?;
        let login = sections.login.whole().ok()?;
        let tokens = match sections.tokens.whole().ok()? {
            None => None,
            Some(parts) => {
                let own_rules = sections.issuers.own_rules()?;
                Some(self.tokens(parts, sections.clients?, own_rules, login.as_deref())?)
            }
        };
        let api_keys = sections.api_keys.whole().ok()?;
        let api_keys = api_keys.map(|terms| named(terms, login.as_deref(), tokens.as_deref()));
        let sessions = sections.sessions?;
        // Over plain HTTP the cookie is sent to the token endpoint only.
        let with_every_request = sessions.terms.cookie.set_by == SetBy::Secure;
        let refresh_cookie = tokens.is_some() && with_every_request;
        let gate = GateSettings {
            routes: table,
            owned: OwnedNames::new(identity.names().chain(self.internal_headers())),
            own_rule: own_rule(sections.when_stale),
            own_base: sections.builtin.base,
            own_paths: sections.builtin.paths,
            refresh_cookie: refresh_cookie.then_some(REFRESH_COOKIE),
            api_key_header: api_keys.as_ref().map(|keys| keys.header.clone()),
        };
        Some(Settings {
            file: self.document.file().to_owned(),
            gate: Arc::new(gate),
            issuers: sections.issuers.list,
            internal_tokens: std::mem::take(&mut self.internal_tokens),
            token_cache_bytes_max: sections.token_cache_bytes_max?,
            sessions,
            matches,
            upstreams: sections.upstreams.list,
            listeners: sections.listeners.list,
            admin: sections.admin?,
            server: sections.standalone.server?,
            limits: sections.limits?,
            access_log: sections.standalone.access_log?,
            trusted_proxies: sections.trusted_proxies,
            realm: sections.standalone.realm,
            data_directory: sections.data_directory,
            store: sections.store?,
            revocation: sections.revocation?,
            login,
            tokens,
            api_keys,
            audit_log: sections.standalone.audit_log.whole().ok()?,
            files: BTreeSet::new(),
            dangerous: Vec::new(),
            warnings: Problems::new(self.document.file(), Vec::new()),
        })
    }
}

/// API keys, with their issuer: that of the gateway's logins or tokens.
fn named(terms: ApiKeyTerms, login: Option<&Login>, tokens: Option<&Tokens>) -> ApiKeySettings {
    let ApiKeyTerms { header, lifetime_max_s } = terms;
    let by_login = login.map(|login| &login.issuer);
    let issuer = by_login.or(tokens.map(|tokens| &tokens.issuer));
    let issuer = issuer.cloned().unwrap_or_else(|| ISSUER_DEFAULT.into());
    ApiKeySettings { header, issuer, lifetime_max_s }
}

/// The rule of the gateway's own endpoints: which credentials they accept.
fn own_rule(when_stale: StaleRules) -> Authenticate {
    Authenticate {
        carriers: vec![Carrier::Session],
        issuers: Vec::new(),
        requirement: Requirement::default(),
        when_stale: when_stale.default,
    }
}

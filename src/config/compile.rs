//! Compiles raw types section by section, in the order of their dependencies. Each section has its
//! own file.

mod admin;
mod aliases;
mod api_keys;
mod assembly;
mod builtin_paths;
mod cleartext;
mod clients;
mod compiler;
mod identity;
mod internal;
mod issuers;
mod keys;
mod limits;
mod listeners;
mod login;
mod logs;
mod origin;
mod own_issuer;
mod policy;
mod presence;
mod references;
mod report;
mod revocation;
mod routes;
mod server;
mod sessions;
mod signing;
mod store;
mod tokens;
mod upstreams;
mod users;

use std::collections::BTreeSet;
use std::path::Path;

use super::document::Document;
use super::problem::{Problems, Severity};
use super::{Settings, raw};
use assembly::Sections;
use builtin_paths::BuiltinPaths;
use compiler::Compiler;
use identity::IdentityTerms;
use internal::InternalTokenContext;
use references::References;
use sessions::RelatedLifetimes;
use tokens::TokenParts;

pub(super) fn compile(
    file: &Path,
    text: String,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Problems> {
    let (mut document, mut problems) = Document::parse(file, text, environment)
        .map_err(|problem| Problems::new(file, vec![problem]))?;
    let (gateway, structural) = document.read();
    problems.extend(structural);
    let Some(gateway) = gateway else { return Err(Problems::new(file, problems)) };
    let mut compiler = Compiler {
        document,
        problems,
        files: BTreeSet::from([file.to_owned()]),
        dangerous: Vec::new(),
        environment,
        included: None,
        internal_tokens: Vec::new(),
    };
    let settings = compiler.gateway(gateway);
    let Compiler { document, problems, files, dangerous, .. } = compiler;
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Error);
    match settings {
        Some(mut settings) if errors.is_empty() => {
            settings.files = files;
            settings.dangerous = dangerous;
            settings.warnings = Problems::new(document.file(), warnings);
            Ok(settings)
        }
        _ => {
            let all = errors.into_iter().chain(warnings).collect();
            Err(Problems { files, ..Problems::new(document.file(), all) })
        }
    }
}

impl Compiler<'_> {
    /// Compiles every section, even after an error in another, so that all errors are found. The
    /// sections come in an order in which each gets what it needs of earlier ones.
    fn gateway(&mut self, raw: raw::Gateway) -> Option<Settings> {
        let data_directory = self.data_directory(raw.data_directory);
        let trusted_proxies = self.trusted_proxies(raw.trusted_proxies);
        let listeners = self.listeners(raw.listeners);
        let limits = self.limits(raw.limits);
        let standalone = self.standalone(raw.server, raw.realm, raw.access_log, raw.audit_log);
        let admin = self.admin(raw.admin, &listeners.taken, &data_directory);
        let store = self.store(raw.store, &data_directory);
        let identity = self.identity(raw.identity_headers);
        let asked_claims = routes::asked_claims(&raw.routes, &raw.upstreams);
        let identity_terms = IdentityTerms::new(identity.as_ref(), &asked_claims, limits.as_ref());
        let tokens = self.token_parts(raw.tokens, store.as_ref());
        let api_keys = self.api_keys(raw.api_keys, identity.as_deref());
        let issuer = tokens.as_ref().and_then(TokenParts::issuer);
        let token_context = InternalTokenContext::new(issuer, api_keys.as_ref(), identity_terms);
        let upstreams = self.upstreams(raw.upstreams, token_context);
        let login = self.login(raw.login, &upstreams, issuer.present());
        let people = login.as_deref().present();
        let clients = self.clients(raw.clients, raw.clients_file, tokens.as_ref(), people);
        self.warn_of_cleartext(&listeners, &trusted_proxies, people, clients.as_ref());
        let issuers =
            self.all_issuers(raw.issuers, tokens.as_ref(), clients.as_ref(), identity_terms);
        let token_cache_bytes_max = self.token_cache(raw.token_cache);
        let (revocation, when_stale) = self.revocation(raw.revocation);
        let related = RelatedLifetimes::of(tokens.as_ref().present(), token_context.api_keys);
        let sessions = self.sessions(raw.sessions, identity_terms, related);
        let builtin = BuiltinPaths::new(people, tokens.as_ref().present());
        let references = References {
            issuers: &issuers,
            upstreams: &upstreams,
            when_stale,
            login: login.as_deref(),
            api_keys: api_keys.as_ref(),
            token_context,
            builtin_paths: &builtin,
        };
        let routes = self.routes(raw.routes, references);
        self.assemble(Sections {
            data_directory,
            trusted_proxies,
            listeners,
            limits,
            standalone,
            admin,
            store,
            identity,
            tokens,
            api_keys,
            upstreams,
            login,
            clients,
            issuers,
            token_cache_bytes_max,
            revocation,
            when_stale,
            sessions,
            builtin,
            routes,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;

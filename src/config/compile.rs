//! raw → compiled, section by section, in the order in which they need each other. Each has a file of
//! its own.

mod aliases;
mod api_keys;
mod builtin_paths;
mod cleartext;
mod clients;
mod compiler;
mod identity;
mod internal;
mod issuers;
mod login;
mod policy;
mod references;
mod report;
mod revocation;
mod routes;
mod section;
mod sessions;
mod settings;
mod signing;
mod store;
mod tokens;
mod upstreams;
mod users;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::document::Document;
use super::problem::{Problems, Severity};
use super::tokens::{ApiKeySettings, OWN_ISSUER};
use super::{Settings, raw};
use crate::gate::GateSettings;
use crate::gate::credential::Carrier;
use crate::gate::forward::OwnedNames;
use crate::gate::policy::{Authenticate, Requirement};
use crate::gate::session::{REFRESH_COOKIE, SetBy};
use api_keys::ApiKeyTerms;
use builtin_paths::BuiltinPaths;
use compiler::Compiler;
use identity::IdentityTerms;
use internal::InternalTokenContext;
use references::References;
use sessions::RelatedLifetimes;

/// Where things are kept unless the file says otherwise, and the variable that can say so for an
/// image.
const DATA_DIRECTORY_DEFAULT: &str = "data";
const DATA_DIRECTORY_VARIABLE: &str = "PORTCULLIS_DATA_DIRECTORY";

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
        data_directory: environment(DATA_DIRECTORY_VARIABLE)
            .unwrap_or_else(|| DATA_DIRECTORY_DEFAULT.to_owned()),
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
    /// Compiles every section, whatever went wrong in another, so that all errors are found.
    fn gateway(&mut self, gateway: raw::Gateway) -> Option<Settings> {
        let raw::Gateway {
            listeners,
            admin,
            server,
            limits,
            access_log,
            trusted_proxies,
            realm,
            data_directory,
            store,
            revocation,
            sessions,
            login,
            tokens,
            clients,
            clients_file,
            api_keys,
            audit_log,
            token_cache,
            issuers,
            upstreams,
            identity_headers,
            routes,
        } = gateway;
        let identity = self.identity(identity_headers);
        let (listeners, taken, clear) = self.listeners(listeners);
        let server = self.server(server);
        let limits = self.limits(limits);
        let access_log = self.access_log(access_log);
        let trusted_proxies = self.trusted_proxies(trusted_proxies);
        let realm = self.realm(realm);
        let data_directory = match data_directory {
            Some(path) => self.path(&path),
            None => self.path(&self.data_directory),
        };
        let admin = self.admin(admin, &taken, &data_directory);
        let store = self.store(store, &data_directory);
        let told = IdentityTerms {
            identity: identity.as_ref(),
            asked_claims: &routes::asked_claims(&routes, &upstreams),
            bytes_max: limits.as_ref().map_or(0, |limits| limits.identity_bytes_max),
        };
        let issues = self.token_parts(tokens, store.as_ref());
        let parts = issues.as_ref().present();
        let token_issuer = parts.and_then(|parts| parts.issuer());
        let api_keys = self.api_keys(api_keys, identity.as_deref());
        let around = InternalTokenContext {
            issuer: issues.as_ref().and_then(|parts| parts.issuer()),
            identity: identity.as_deref(),
            api_keys: api_keys.as_ref().present(),
            bytes_max: told.bytes_max,
        };
        let upstreams = self.upstreams(upstreams, around);
        let login = self.login(login, &upstreams, token_issuer);
        let as_known = login.as_ref().and_then(|login| Some(&**login));
        let clients = self.clients(clients, clients_file, issues.as_ref(), as_known.present());
        if trusted_proxies.is_empty() {
            self.warn_of_cleartext(&clear, as_known.present(), clients.as_ref());
        }
        if let Some(parts) = parts {
            self.refuse_own_issuer(&issuers, parts);
        }
        let mut issuers = self.issuers(issuers, told);
        let own_issuer = self.own_issuer(parts, clients.as_ref(), told);
        let own_rules = own_issuer.as_ref().map(|issuer| issuer.rules.clone());
        if !issues.is_absent() {
            // Also if it could not be read: routes may name it.
            issuers.add(OWN_ISSUER, own_issuer);
        }
        let (revocation, when_stale) = self.revocation(revocation);
        let beside = RelatedLifetimes {
            refresh_s: parts
                .and_then(|parts| parts.refresh.as_ref())
                .map_or(0, |refresh| refresh.absolute_s),
            api_key_lifetime_max_s: around.api_keys.map_or(0, |keys| keys.lifetime_max_s),
        };
        let sessions = self.sessions(sessions, told, beside);
        let own = BuiltinPaths::new(
            as_known.present(),
            parts.and_then(|parts| parts.issuer.as_ref()).map(|issuer| &*issuer.path),
        );
        let references = References {
            issuers: &issuers,
            upstreams: &upstreams,
            when_stale,
            login: as_known,
            api_keys: api_keys.as_ref(),
            around,
            own: &own,
        };
        let (table, matches) = self.routes(routes, references);
        let audit_log = self.audit_log(audit_log);
        let token_cache_bytes_max = self.token_cache(token_cache);
        let owned = identity
            .as_ref()
            .map(|identity| OwnedNames::new(identity.names().chain(self.internal_headers())));
        let login = login.whole().ok()?;
        let tokens = match issues.whole().ok()? {
            None => None,
            Some(parts) => Some(self.tokens(parts, clients?, &*own_rules?, login.as_deref())?),
        };
        let api_keys = api_keys.whole().ok()?.map(|ApiKeyTerms { header, lifetime_max_s }| {
            let by_login = login.as_ref().map(|login| &login.issuer);
            let issuer = by_login.or(tokens.as_ref().map(|tokens| &tokens.issuer));
            let issuer = issuer.cloned().unwrap_or_else(|| login::ISSUER_DEFAULT.into());
            ApiKeySettings { header, issuer, lifetime_max_s }
        });
        let sessions = sessions?;
        // Over plain HTTP it is for the token endpoint alone.
        let refresh_cookie = tokens.is_some() && sessions.terms.cookie.set_by == SetBy::Secure;
        Some(Settings {
            file: self.document.file().to_owned(),
            gate: Arc::new(GateSettings {
                routes: table?,
                owned: owned?,
                own_rule: Authenticate {
                    carriers: vec![Carrier::Session],
                    issuers: Vec::new(),
                    requirement: Requirement::default(),
                    when_stale: when_stale.default,
                },
                own_base: own.base,
                own_paths: own.paths,
                refresh_cookie: refresh_cookie.then_some(REFRESH_COOKIE),
                api_key_header: api_keys.as_ref().map(|keys| keys.header.clone()),
            }),
            issuers: issuers.list,
            internal_tokens: std::mem::take(&mut self.internal_tokens),
            token_cache_bytes_max: token_cache_bytes_max?,
            sessions,
            matches,
            upstreams: upstreams.list,
            listeners,
            admin: admin?,
            server: server?,
            limits: limits?,
            access_log: access_log?,
            trusted_proxies,
            realm,
            data_directory,
            store: store?,
            revocation: revocation?,
            login,
            tokens,
            api_keys,
            audit_log: audit_log.whole().ok()?,
            files: BTreeSet::new(),
            dangerous: Vec::new(),
            warnings: Problems::new(self.document.file(), Vec::new()),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;

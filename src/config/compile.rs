//! raw → compiled. Each section has a file of its own; this one holds what they share.

mod aliases;
mod api_keys;
mod builtin_paths;
mod cleartext;
mod clients;
mod identity;
mod internal;
mod issuers;
mod login;
mod policy;
mod report;
mod revocation;
mod routes;
mod sessions;
mod settings;
mod signing;
mod store;
mod tokens;
mod upstreams;
mod users;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::document::Document;
use super::problem::{FieldPath, Problem, Problems, Severity};
use super::tokens::{ApiKeys, OWN_ISSUER};
use super::{Settings, raw, values};
use crate::gate::GateSettings;
use crate::gate::credential::Carrier;
use crate::gate::forward::OwnedNames;
use crate::gate::internal::InternalTokenTerms;
use crate::gate::policy::{Authenticate, Requirement};
use crate::gate::session::{REFRESH_COOKIE, SetBy};
use crate::secret::Secret;
use api_keys::ApiKeyTerms;
use builtin_paths::BuiltinPaths;
use identity::IdentityTerms;
use internal::InternalTokenContext;
use routes::References;
use sessions::RelatedLifetimes;

/// Where things are kept unless the file says otherwise, and the variable that can say so for an
/// image.
const DATA_DIRECTORY_DEFAULT: &str = "data";
const DATA_DIRECTORY_VARIABLE: &str = "PORTCULLIS_DATA_DIRECTORY";

/// The largest key, secret or certificate file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

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

struct Compiler<'a> {
    document: Document,
    problems: Vec<Problem>,
    files: BTreeSet<PathBuf>,
    dangerous: Vec<(String, &'static str)>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// A file that holds what could stand in this one: as it is named, in which field, and what is
    /// in it.
    included: Option<(String, FieldPath, Document)>,
    /// The internal tokens that were compiled, which routes share.
    internal_tokens: Vec<InternalTokenTerms>,
    /// Where things are kept unless the file says otherwise.
    data_directory: String,
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
        let parts = issues.as_ref().and_then(Option::as_ref);
        let token_issuer = parts.and_then(|parts| parts.issuer());
        let api_keys = self.api_keys(api_keys, identity.as_deref());
        let around = InternalTokenContext {
            issuer: match &issues {
                Some(None) => Some(None),
                Some(Some(_)) | None => token_issuer.map(Some),
            },
            identity: identity.as_deref(),
            api_keys: api_keys.as_ref().and_then(Option::as_ref),
            bytes_max: told.bytes_max,
        };
        let upstreams = self.upstreams(upstreams, around);
        let login = self.login(login, &upstreams, token_issuer);
        let as_known = login.as_ref().map(|login| login.as_deref());
        let clients = self.clients(
            clients,
            clients_file,
            issues.as_ref().map(Option::as_ref),
            as_known.flatten(),
        );
        if trusted_proxies.is_empty() {
            self.warn_of_cleartext(&clear, as_known.flatten(), clients.as_ref());
        }
        if let Some(parts) = parts {
            self.refuse_own_issuer(&issuers, parts);
        }
        let mut issuers = self.issuers(issuers, told);
        let own_issuer =
            self.own_issuer(issues.as_ref().map(Option::as_ref), clients.as_ref(), told);
        let own_rules = own_issuer.as_ref().map(|issuer| issuer.rules.clone());
        if !matches!(issues, Some(None)) {
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
            as_known.flatten(),
            parts.and_then(|parts| parts.issuer.as_ref()).map(|issuer| &*issuer.path),
        );
        let references = References {
            issuers: &issuers,
            upstreams: &upstreams,
            when_stale,
            login: as_known,
            api_keys: api_keys.as_ref().map(Option::as_ref),
            around,
            own: &own,
        };
        let (table, matches) = self.routes(routes, references);
        let audit_log = self.audit_log(audit_log);
        let token_cache_bytes_max = self.token_cache(token_cache);
        let owned = identity
            .as_ref()
            .map(|identity| OwnedNames::new(identity.names().chain(self.internal_headers())));
        let login = login?;
        let tokens = match issues? {
            None => None,
            Some(parts) => Some(self.tokens(parts, clients?, &*own_rules?, login.as_deref())?),
        };
        let api_keys = api_keys?.map(|ApiKeyTerms { header, lifetime_max_s }| {
            let by_login = login.as_ref().map(|login| &login.issuer);
            let issuer = by_login.or(tokens.as_ref().map(|tokens| &tokens.issuer));
            let issuer = issuer.cloned().unwrap_or_else(|| login::ISSUER_DEFAULT.into());
            ApiKeys { header, issuer, lifetime_max_s }
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
            audit_log: audit_log?,
            files: BTreeSet::new(),
            dangerous: Vec::new(),
            warnings: Problems::new(self.document.file(), Vec::new()),
        })
    }

    fn duration(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
        default: Duration,
    ) -> Option<Duration> {
        let Some(text) = text else { return Some(default) };
        match values::duration(&text) {
            Some(duration) => Some(duration),
            None => self.error(
                field,
                &format!("`{text}` is not a duration"),
                "Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d",
            ),
        }
    }

    /// A duration that is counted in seconds, of which it must have one: below, nothing would
    /// ever be young enough.
    fn seconds(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
        default: Duration,
    ) -> Option<Duration> {
        let duration = self.duration(text, field, default)?;
        if duration < Duration::from_secs(1) {
            return self.error(field, "this is less than a second", "Write 1s or more");
        }
        Some(duration)
    }

    fn size(&mut self, text: Option<String>, field: &FieldPath, default: u64) -> Option<u64> {
        let Some(text) = text else { return Some(default) };
        match values::size(&text) {
            Some(size) => Some(size),
            None => self.error(
                field,
                &format!("`{text}` is not a size"),
                "Write a whole number and a unit: 512B, 64KiB, 1MiB, 1GiB",
            ),
        }
    }

    /// One of a few words.
    fn choice<T: Copy>(
        &mut self,
        text: Option<&str>,
        field: &FieldPath,
        choices: &[(&str, T)],
        default: T,
    ) -> Option<T> {
        let Some(text) = text else { return Some(default) };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => Some(*choice),
            None => {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                let remedy = format!("Write one of: {}", names.join(", "));
                self.error(field, &format!("`{text}` is not known"), &remedy)
            }
        }
    }

    /// A path of the file system, relative to the configuration file.
    fn path(&self, path: &str) -> PathBuf {
        self.document.file().parent().unwrap_or(Path::new("")).join(path)
    }

    /// Reads a file that the configuration names.
    fn read(&mut self, path: &str, field: &FieldPath) -> Option<Vec<u8>> {
        let path = self.path(path);
        self.files.insert(path.clone());
        match read_bounded(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let fact = format!("`{}` cannot be read: {error}", path.display());
                self.error(field, &fact, "Name a readable file; paths are relative to this one")
            }
        }
    }

    /// A secret from a file or, usually through `${NAME}`, from the text. White space around it is
    /// not part of it. `Ok(None)` if neither is given, `Err` if it was reported.
    fn secret(
        &mut self,
        file: Option<&str>,
        text: Option<String>,
        at: &FieldPath,
        name: &str,
    ) -> Result<Option<Secret>, ()> {
        let (file_field, text_field) = (at.key(&format!("{name}_file")), at.key(name));
        let (bytes, field) = match (file, text) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let fact = format!("both `{name}` and `{name}_file` are given");
                self.error::<()>(&text_field, &fact, "Keep one of them");
                return Err(());
            }
            (Some(file), None) => (self.read(file, &file_field).ok_or(())?, file_field),
            (None, Some(text)) => {
                let original = self.document.original(&text_field);
                if !self.document.is_from_environment(&original) {
                    let remedy = format!("Use `{name}_file`, or `${{NAME}}` for the environment");
                    self.warn(&text_field, "a secret is written in the file", &remedy);
                }
                (text.into_bytes(), text_field)
            }
        };
        let trimmed = bytes.trim_ascii();
        if trimmed.is_empty() {
            self.error::<()>(&field, "the secret is empty", "Put a long random value there");
            return Err(());
        }
        Ok(Some(Secret::new(trimmed.to_vec())))
    }

    /// Reports names that occur twice, and returns the position of each.
    fn unique<'n>(
        &mut self,
        names: impl Iterator<Item = (FieldPath, Option<&'n str>)>,
        what: &str,
    ) -> HashMap<String, usize> {
        let mut positions = HashMap::new();
        for (position, (field, name)) in names.enumerate() {
            let Some(name) = name else { continue };
            if positions.insert(name.to_owned(), position).is_some() {
                let fact = format!("there already is {what} `{name}`");
                self.error::<()>(&field, &fact, "Give each a name of its own");
            }
        }
        positions
    }

    /// A name for metrics and logs.
    fn name(&mut self, name: Option<String>, field: &FieldPath) -> Option<Box<str>> {
        let name = self.required(name, field, "Give it a name, for metrics and logs")?;
        let good = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if good {
            return Some(name.into());
        }
        self.error(
            field,
            &format!("`{name}` cannot be a name"),
            "Use up to 64 letters, digits, `-`, `_` and `.`",
        )
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// `one of: a, b`, for remedies.
fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        "Define one first".to_owned()
    } else {
        format!("Write one of: {}", names.join(", "))
    }
}

#[cfg(test)]
pub(crate) mod tests;

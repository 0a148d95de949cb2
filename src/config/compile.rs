//! raw → compiled. Each section has a file of its own; this one holds what they share.

mod identity;
mod issuers;
mod login;
mod revocation;
mod routes;
mod sessions;
mod settings;
mod store;
mod upstreams;
mod users;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{self, Document};
use super::problem::{FieldPath, Problem, Problems, Severity};
use super::{Configuration, Sources, raw, values};
use crate::gate::Gate;
use crate::gate::credential::Carrier;
use crate::gate::policy::{Authenticate, Requirement};
use crate::gate::revocation::RevocationList;
use crate::secret::Secret;
use routes::Known;

/// Where things are kept unless the file says otherwise, and the variable that can say so for an
/// image.
const DATA_DIRECTORY_DEFAULT: &str = "data";
const DATA_DIRECTORY_VARIABLE: &str = "PORTCULLIS_DATA_DIRECTORY";

/// The largest key, secret or certificate file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

pub(super) fn compile(
    file: &Path,
    text: String,
    sources: &Sources<'_>,
) -> Result<Configuration, Problems> {
    let (mut document, mut problems) = Document::parse(file, text, sources.environment)
        .map_err(|problem| Problems::new(file, vec![problem]))?;
    let (gateway, structural) = document.read();
    problems.extend(structural);
    let Some(gateway) = gateway else { return Err(Problems::new(file, problems)) };
    let mut compiler = Compiler {
        document,
        problems,
        files: BTreeSet::from([file.to_owned()]),
        dangerous: Vec::new(),
        previous: sources.previous,
        data_directory: (sources.environment)(DATA_DIRECTORY_VARIABLE)
            .unwrap_or_else(|| DATA_DIRECTORY_DEFAULT.to_owned()),
    };
    let configuration = compiler.gateway(gateway);
    let Compiler { document, problems, files, dangerous, .. } = compiler;
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Error);
    match configuration {
        Some(mut configuration) if errors.is_empty() => {
            configuration.files = files;
            configuration.dangerous = dangerous;
            configuration.warnings = Problems::new(document.file(), warnings);
            Ok(configuration)
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
    previous: Option<&'a Configuration>,
    /// Where things are kept unless the file says otherwise.
    data_directory: String,
}

impl Compiler<'_> {
    /// Compiles every section, whatever went wrong in another, so that all errors are found.
    fn gateway(&mut self, gateway: raw::Gateway) -> Option<Configuration> {
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
            audit_log,
            token_cache,
            issuers,
            upstreams,
            identity_headers,
            routes,
        } = gateway;
        let identity = self.identity(identity_headers);
        let (listeners, taken) = self.listeners(listeners);
        let admin = self.admin(admin, &taken);
        let server = self.server(server);
        let limits = self.limits(limits);
        let access_log = self.access_log(access_log);
        let trusted_proxies = self.trusted_proxies(trusted_proxies);
        let realm = self.realm(realm);
        let asked_claims = routes::asked_claims(&routes);
        let (issuers, key_feeds) = self.issuers(issuers, identity.as_ref(), &asked_claims);
        let upstreams = self.upstreams(upstreams);
        let (revocation, when_stale) = self.revocation(revocation);
        let sessions = self.sessions(sessions, identity.as_ref(), &asked_claims);
        let login = self.login(login, &upstreams);
        let known = Known {
            issuers: &issuers,
            upstreams: &upstreams,
            when_stale,
            login: login.as_ref().map(|login| login.as_deref()),
        };
        let (table, matches) = self.routes(routes, known);
        let data_directory = match data_directory {
            Some(path) => self.path(&path),
            None => self.path(&self.data_directory),
        };
        let store = self.store(store, &data_directory);
        let audit_log = self.audit_log(audit_log);
        let verifier = self.verifier(token_cache, limits.as_ref());
        Some(Configuration {
            file: self.document.file().to_owned(),
            gate: Gate {
                routes: table?,
                issuers: issuers.table(),
                owned: identity?.owned(),
                sessions: sessions?,
                own_rule: Authenticate {
                    carriers: vec![Carrier::Session],
                    issuers: Vec::new(),
                    requirement: Requirement::default(),
                    when_stale: when_stale.default,
                },
                own_base: login.as_ref()?.as_ref().map(|login| login.base.clone()),
                verifier: verifier?,
                revocations: match self.previous {
                    // What was revoked stays so, whatever is reloaded.
                    Some(previous) => previous.gate.revocations.clone(),
                    None => RevocationList::new(),
                },
            },
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
            login: login?,
            audit_log: audit_log?,
            key_feeds,
            files: BTreeSet::new(),
            dangerous: Vec::new(),
            warnings: Problems::new(self.document.file(), Vec::new()),
        })
    }

    fn report(&mut self, severity: Severity, field: &FieldPath, fact: &str, remedy: &str) {
        let field = self.document.original(field);
        // What could not even be read was reported then; that it is now missing is no news.
        if self.document.is_pruned(&field) {
            return;
        }
        let line = self.document.line_of(&field);
        let problem = document::problem(line, field, fact, remedy);
        self.problems.push(Problem { severity, ..problem });
    }

    /// Reports an error. Returns `None`, for the `?` of whoever cannot go on without the value.
    fn error<T>(&mut self, field: &FieldPath, fact: &str, remedy: &str) -> Option<T> {
        self.report(Severity::Error, field, fact, remedy);
        None
    }

    fn warn(&mut self, field: &FieldPath, fact: &str, remedy: &str) {
        self.report(Severity::Warning, field, fact, remedy);
    }

    /// Reports that nothing is there, unless something of what is wanted was there and was
    /// reported for what it is.
    fn lacking<T>(
        &mut self,
        field: &FieldPath,
        wanted: &[FieldPath],
        fact: &str,
        remedy: &str,
    ) -> Option<T> {
        if wanted.iter().any(|wanted| self.is_reported(wanted)) {
            return None;
        }
        self.error(field, fact, remedy)
    }

    /// Reports that a list is empty, unless it is so because its items were reported.
    fn empty<T>(&mut self, field: &FieldPath, fact: &str, remedy: &str) -> Option<T> {
        self.lacking(field, std::slice::from_ref(field), fact, remedy)
    }

    /// Whether something of this field could not even be read.
    fn is_reported(&self, field: &FieldPath) -> bool {
        self.document.is_pruned_below(&self.document.original(field))
    }

    fn required<T>(&mut self, value: Option<T>, field: &FieldPath, remedy: &str) -> Option<T> {
        match value {
            Some(value) => Some(value),
            None => self.error(field, "the field is missing", remedy),
        }
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
mod tests;

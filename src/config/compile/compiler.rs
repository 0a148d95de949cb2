//! What the sections share: the document, its problems, and functions to read values.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::document::Document;
use crate::config::problem::{ConfigProblem, FieldPath};
use crate::config::values;
use crate::gate::internal::InternalTokenTerms;
use crate::secret::Secret;

/// The largest key, secret or certificate file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Compiles sections, even after an error in another.
pub(super) struct Compiler<'a> {
    pub(super) document: Document,
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) dangerous: Vec<(String, &'static str)>,
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    /// A file that is included in this one: its name, the field that names it, and its document.
    pub(super) included: Option<(String, FieldPath, Document)>,
    /// The internal tokens that were compiled. Routes share them.
    pub(super) internal_tokens: Vec<InternalTokenTerms>,
}

impl Compiler<'_> {
    pub(super) fn duration(
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

    /// A duration that is counted in seconds. It must be at least one second: otherwise nothing
    /// would ever be young enough.
    pub(super) fn seconds(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
        default: Duration,
    ) -> Option<Duration> {
        let duration = self.duration(text, field, default)?;
        if duration < Duration::from_secs(1) {
            return self.error(field, "the time is shorter than a second", "Write 1s or more");
        }
        Some(duration)
    }

    pub(super) fn size(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
        default: u64,
    ) -> Option<u64> {
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
    pub(super) fn choice<T: Copy>(
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
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.document.file().parent().unwrap_or(Path::new("")).join(path)
    }

    /// Reads a file that the configuration names.
    pub(super) fn read(&mut self, path: &str, field: &FieldPath) -> Option<Vec<u8>> {
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
    /// removed. `Ok(None)` if neither is given, `Err` if a problem was reported.
    pub(super) fn secret(
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
    pub(super) fn unique<'n>(
        &mut self,
        names: impl Iterator<Item = (FieldPath, Option<&'n str>)>,
        what: &str,
    ) -> HashMap<String, usize> {
        let mut positions = HashMap::new();
        for (position, (field, name)) in names.enumerate() {
            let Some(name) = name else { continue };
            if positions.insert(name.to_owned(), position).is_some() {
                let fact = format!("there already is {what} `{name}`");
                self.error::<()>(&field, &fact, "Give each a different name");
            }
        }
        positions
    }

    /// A name for metrics and logs.
    pub(super) fn name(&mut self, name: Option<String>, field: &FieldPath) -> Option<Box<str>> {
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

pub(super) fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// `Write one of: a, b`, for use in remedies.
pub(super) fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.collect();
    format!("Write one of: {}", names.join(", "))
}

/// The same for what a section of the configuration defines; if that is nothing, where to define it.
pub(super) fn one_of_section<'n>(section: &str, names: impl Iterator<Item = &'n str>) -> String {
    let mut names = names.peekable();
    match names.peek() {
        Some(_) => one_of(names),
        None => format!("Define it under `{section}`"),
    }
}

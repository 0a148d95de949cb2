//! A YAML text whose environment variables are filled in. It is read into the raw types. All
//! structural mistakes are found at once, and every field's line is known.

mod environment;
mod lines;
mod mistakes;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_yaml::Value;

use self::lines::Lines;
use self::mistakes::{explain, without_location};
use super::problem::{ConfigProblem, FieldPath, Segment, Severity};

/// The largest configuration that is read, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many structural mistakes are reported before giving up.
const MISTAKES_MAX: usize = 100;

/// Fields whose value is never printed, however wrong it is.
const SECRETS: [&str; 5] = ["password", "secret", "token", "secret_hash", "encryption_key"];

/// A parsed document.
#[derive(Debug)]
pub(super) struct Document {
    file: PathBuf,
    text: String,
    /// Computed when the first problem is reported.
    lines: OnceCell<Lines>,
    value: Value,
    /// Strings that came, at least in part, from the environment.
    from_environment: BTreeSet<FieldPath>,
    /// Nodes that were removed because they could not be read. The rest is compiled, so that other
    /// mistakes are found too.
    pruned: BTreeSet<FieldPath>,
}

impl Document {
    /// Parses `text`. `environment` provides the values of `${NAME}`.
    pub(super) fn parse(
        file: &Path,
        text: String,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<ConfigProblem>), ConfigProblem> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(problem(
                None,
                FieldPath::default(),
                "the file is too large",
                "Split it up",
            ));
        }
        // Some editors write a byte order mark at the beginning of a file.
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        let value = serde_yaml::from_str(&text).map_err(|error| {
            // For a repeated key, the parser reports the mapping.
            let repeated = Lines::of(&text).repeated();
            let line = repeated.or(error.location().map(|location| location.line()));
            let fact = format!("the file is not YAML: {}", without_location(&error.to_string()));
            let at = line.and_then(|line| text.lines().nth(line.saturating_sub(1)));
            let remedy = match at.is_some_and(|line| line.contains("${") || line.contains("{*")) {
                true => "Put quotes around text with braces, such as \"${NAME}\" or \"/{*rest}\"",
                false => "Correct the syntax",
            };
            problem(line, FieldPath::default(), &fact, remedy)
        })?;
        let mut document = Self {
            file: file.to_owned(),
            text,
            lines: OnceCell::new(),
            value: Value::Null,
            from_environment: BTreeSet::new(),
            pruned: BTreeSet::new(),
        };
        let mut problems = Vec::new();
        let expanded = document.expand(value, &FieldPath::default(), environment, &mut problems);
        document.value = expanded.unwrap_or_default();
        Ok((document, problems))
    }

    /// The file it was read from.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the raw types. What cannot be read is reported and removed, and the rest is read
    /// again. `None` if this does not lead to a readable rest: compiling it would invent errors.
    pub(super) fn read<T: DeserializeOwned + Default>(
        &mut self,
    ) -> (Option<T>, Vec<ConfigProblem>) {
        let mut problems = Vec::new();
        if matches!(self.value, Value::Null) {
            return (Some(T::default()), problems);
        }
        while problems.len() < MISTAKES_MAX {
            let error = match serde_path_to_error::deserialize(self.value.clone()) {
                Ok(raw) => return (Some(raw), problems),
                Err(error) => error,
            };
            let found = FieldPath(
                error
                    .path()
                    .iter()
                    .filter_map(|segment| match segment {
                        serde_path_to_error::Segment::Seq { index } => Some(Segment::Index(*index)),
                        serde_path_to_error::Segment::Map { key } => {
                            Some(Segment::Key(key.clone()))
                        }
                        serde_path_to_error::Segment::Enum { .. }
                        | serde_path_to_error::Segment::Unknown => None,
                    })
                    .collect(),
            );
            let field = self.original(&found);
            let (mut fact, remedy) = explain(&without_location(&error.inner().to_string()));
            if self.is_secret(&field) {
                // Only the type of the value.
                let kind = fact.find(['`', '"']).unwrap_or(fact.len());
                fact.truncate(kind);
                fact.truncate(fact.trim_end().len());
            }
            problems.push(problem(self.line_of(&field), field.clone(), &fact, &remedy));
            if !prune(&mut self.value, &found.0) {
                break;
            }
            self.pruned.insert(field);
        }
        (None, problems)
    }

    /// Whether a value must not be printed: it is a secret, or may be a misplaced one.
    fn is_secret(&self, field: &FieldPath) -> bool {
        let named = match field.0.last() {
            Some(Segment::Key(key)) => SECRETS.contains(&key.as_str()),
            Some(Segment::Index(_)) | None => false,
        };
        named || self.is_from_environment(field)
    }

    /// The path in the file for a path in what was read, which lacks removed items.
    pub(super) fn original(&self, read: &FieldPath) -> FieldPath {
        let mut original = FieldPath::default();
        for segment in &read.0 {
            original = match segment {
                Segment::Key(key) => original.key(key),
                Segment::Index(index) => {
                    // Removed items are in order, so each one before it moves it on by one.
                    let mut at = *index;
                    let first = original.index(0);
                    for pruned in self.pruned.range(first..) {
                        match pruned.0.strip_prefix(original.0.as_slice()) {
                            Some([Segment::Index(pruned)]) if *pruned <= at => at += 1,
                            Some([Segment::Index(pruned), ..]) if *pruned <= at => {}
                            Some(_) | None => break,
                        }
                    }
                    original.index(at)
                }
            };
        }
        original
    }

    /// Whether a problem with this field, or one around it, was reported already.
    pub(super) fn is_pruned(&self, original: &FieldPath) -> bool {
        (0..=original.0.len())
            .any(|length| self.pruned.contains(&FieldPath(original.0[..length].to_vec())))
    }

    /// Whether a problem with something in this field was reported already.
    pub(super) fn is_pruned_below(&self, original: &FieldPath) -> bool {
        let next = self.pruned.range(original.clone()..).next();
        next.is_some_and(|pruned| pruned.0.starts_with(&original.0))
    }

    /// Whether the field's text came from the environment.
    pub(super) fn is_from_environment(&self, original: &FieldPath) -> bool {
        self.from_environment.contains(original)
    }

    /// The line of a field, or of the nearest existing one around it.
    pub(super) fn line_of(&self, field: &FieldPath) -> Option<usize> {
        Some(self.lines.get_or_init(|| Lines::of(&self.text)).nearest(field))
    }
}

/// An error at a field.
pub(super) fn problem(
    line: Option<usize>,
    field: FieldPath,
    fact: &str,
    remedy: &str,
) -> ConfigProblem {
    ConfigProblem {
        severity: Severity::Error,
        line,
        field,
        fact: fact.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// Removes a node. `false` if it does not exist.
fn prune(value: &mut Value, path: &[Segment]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut node = value;
    for segment in parents {
        let next = match segment {
            Segment::Key(key) => node.get_mut(key.as_str()),
            Segment::Index(index) => node.get_mut(*index),
        };
        match next {
            Some(next) => node = next,
            None => return false,
        }
    }
    match (node, last) {
        (Value::Mapping(members), Segment::Key(key)) => members.remove(key.as_str()).is_some(),
        (Value::Sequence(items), Segment::Index(index)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;

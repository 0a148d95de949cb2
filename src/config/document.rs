//! A YAML text with its environment filled in, read into the raw types with every structural
//! mistake found at once and every field's line known.

mod lines;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_yaml::Value;

use self::lines::Lines;
use super::problem::{ConfigProblem, FieldPath, Segment, Severity};

/// The largest configuration that is read, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many structural mistakes are reported before giving up.
const MISTAKES_MAX: usize = 100;

/// Fields whose value is not told to anybody, however wrong it is.
const SECRETS: [&str; 5] = ["password", "secret", "token", "secret_hash", "encryption_key"];

/// A parsed document.
#[derive(Debug)]
pub(super) struct Document {
    file: PathBuf,
    text: String,
    /// Found when the first problem is told.
    lines: OnceCell<Lines>,
    value: Value,
    /// Strings that came, in part, from the environment.
    from_environment: BTreeSet<FieldPath>,
    /// Nodes that were taken out because they could not be read; what is left is compiled, so that
    /// other mistakes are found too.
    pruned: BTreeSet<FieldPath>,
}

impl Document {
    /// Parses `text`; `environment` answers `${NAME}`.
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
        // Some editors begin a file with a byte order mark.
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        let value = serde_yaml::from_str(&text).map_err(|error| {
            // The parser blames the mapping for a key that is there twice.
            let repeated = Lines::of(&text).repeated();
            let line = repeated.or(error.location().map(|location| location.line()));
            let fact = format!("this is not YAML: {}", without_location(&error.to_string()));
            problem(line, FieldPath::default(), &fact, "Mend the syntax")
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

    /// Reads the raw types. What cannot be read is reported, taken out, and the rest read again.
    /// `None` if that came to no end: to compile what is left would make mistakes up.
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
                // Only the kind of what was found.
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

    /// Whether a value must not be told: it is a secret, or may be one that lost its way.
    fn is_secret(&self, field: &FieldPath) -> bool {
        let named = match field.0.last() {
            Some(Segment::Key(key)) => SECRETS.contains(&key.as_str()),
            Some(Segment::Index(_)) | None => false,
        };
        named || self.is_from_environment(field)
    }

    /// The path in the file of a path in what was read: items taken out count again.
    pub(super) fn original(&self, read: &FieldPath) -> FieldPath {
        let mut original = FieldPath::default();
        for segment in &read.0 {
            original = match segment {
                Segment::Key(key) => original.key(key),
                Segment::Index(index) => {
                    // Items taken out stand in order, so each one before it moves it on by one.
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

    /// Whether this field, or one around it, was reported already.
    pub(super) fn is_pruned(&self, original: &FieldPath) -> bool {
        (0..=original.0.len())
            .any(|length| self.pruned.contains(&FieldPath(original.0[..length].to_vec())))
    }

    /// Whether something of this field was reported already.
    pub(super) fn is_pruned_below(&self, original: &FieldPath) -> bool {
        let next = self.pruned.range(original.clone()..).next();
        next.is_some_and(|pruned| pruned.0.starts_with(&original.0))
    }

    /// Whether the field's text came from the environment.
    pub(super) fn is_from_environment(&self, original: &FieldPath) -> bool {
        self.from_environment.contains(original)
    }

    /// The line of a field, or of the nearest one around it that is there.
    pub(super) fn line_of(&self, field: &FieldPath) -> Option<usize> {
        Some(self.lines.get_or_init(|| Lines::of(&self.text)).nearest(field))
    }

    /// Fills in the environment. `None` for a value that cannot be filled in: it is taken out, so
    /// that nothing else is told of it.
    fn expand(
        &mut self,
        value: Value,
        at: &FieldPath,
        environment: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<ConfigProblem>,
    ) -> Option<Value> {
        match value {
            Value::String(text) => match substitute(&text, environment) {
                Ok(None) => Some(Value::String(text)),
                Ok(Some(filled)) => {
                    self.from_environment.insert(at.clone());
                    Some(Value::String(filled))
                }
                Err(name) => {
                    let fact = format!("the environment variable `{name}` is not set");
                    let remedy = "Set it, or write `$${…}` for the characters themselves";
                    problems.push(problem(self.line_of(at), at.clone(), &fact, remedy));
                    self.pruned.insert(at.clone());
                    None
                }
            },
            Value::Sequence(items) => {
                let items = items.into_iter().enumerate();
                let expanded = items.filter_map(|(index, item)| {
                    self.expand(item, &at.index(index), environment, problems)
                });
                Some(Value::Sequence(expanded.collect()))
            }
            Value::Mapping(members) => {
                let mut expanded = serde_yaml::Mapping::new();
                for (key, value) in members {
                    let Value::String(name) = key else {
                        let fact = "the name of a field here is not text";
                        problems.push(problem(self.line_of(at), at.clone(), fact, "Quote it"));
                        continue;
                    };
                    let value = self.expand(value, &at.key(&name), environment, problems);
                    expanded.extend(value.map(|value| (Value::String(name), value)));
                }
                Some(Value::Mapping(expanded))
            }
            Value::Tagged(tagged) => {
                let fact = format!("the tag `{}` means nothing here", tagged.tag);
                problems.push(problem(self.line_of(at), at.clone(), &fact, "Remove it"));
                self.expand(tagged.value, at, environment, problems)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(value),
        }
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

/// Replaces each `${NAME}`; `$${` stands for `${` itself. `Ok(None)` if there was none,
/// `Err` with the name that is not set.
fn substitute(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            filled.push_str(&rest[..at]);
            filled.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else { break };
        let name = &rest[at + 2..at + end];
        filled.push_str(&environment(name).ok_or_else(|| name.to_owned())?);
        rest = &rest[at + end + 1..];
    }
    filled.push_str(rest);
    Ok(Some(filled))
}

/// serde's words, turned into a fact and a remedy.
fn explain(message: &str) -> (String, String) {
    // `unknown field `x`, expected one of `a`, `b`` or `…, expected `a``
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (field, expected) = rest.split_once(", expected ").unwrap_or((rest, "another"));
        let expected = expected.strip_prefix("one of ").unwrap_or(expected);
        return (format!("there is no field {field} here"), format!("Known are: {expected}"));
    }
    let invalid =
        message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    if let Some(rest) = invalid {
        let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another"));
        let found = match found {
            "unit value" => "nothing",
            "map" => "a mapping",
            "sequence" => "a list",
            other => other,
        };
        let expected = match expected {
            "usize" => "a whole number",
            "a sequence" => "a list",
            "a map" => "a mapping",
            other if other.starts_with("struct ") => "a mapping with named fields",
            other => other,
        };
        return (format!("found {found}"), format!("Write {expected}"));
    }
    (message.to_owned(), "Correct the value".to_owned())
}

/// serde_yaml appends ` at line … column …`; the line is told in its own place.
fn without_location(message: &str) -> String {
    let message = message.rsplit_once(": ").map_or(message, |(path, rest)| {
        // The path that serde_yaml puts in front is told by us, in full.
        if path.contains(' ') { message } else { rest }
    });
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

/// Takes a node out. `false` if there is nothing there.
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
mod tests {
    use super::*;
    use crate::config::raw;

    fn read(text: &str) -> Vec<(Option<usize>, String, String)> {
        let environment = |name: &str| (name == "SET").then(|| "value".to_owned());
        let (mut document, mut problems) =
            Document::parse(Path::new("g.yaml"), text.to_owned(), &environment).expect("YAML");
        problems.extend(document.read::<raw::Gateway>().1);
        problems
            .into_iter()
            .map(|problem| (problem.line, problem.field.to_string(), problem.fact))
            .collect()
    }

    #[test]
    fn every_structural_mistake_is_found_with_its_line() {
        let found = read(
            "listeners:\n  - address: 5\n    colour: red\nrotes: []\nroutes:\n  - oops\n  - name: a\n    \
             match: {path: /a, hosts: 7}\n    upstream: [x]\nadmin: nothing\n",
        );
        let expected = [
            (Some(2), "listeners[0].address"),
            (Some(3), "listeners[0].colour"),
            (Some(4), "rotes"),
            (Some(6), "routes[0]"),
            (Some(8), "routes[1].match.hosts"),
            (Some(9), "routes[1].upstream"),
            (Some(10), "admin"),
        ];
        let mut places: Vec<_> =
            found.iter().map(|(line, field, _)| (*line, field.as_str())).collect();
        places.sort_unstable();
        assert_eq!(places, expected, "{found:#?}");
    }

    #[test]
    fn environment_is_filled_in_and_missing_names_are_errors() {
        let environment = |name: &str| (name == "SET").then(|| "value".to_owned());
        assert_eq!(substitute("a", &environment), Ok(None));
        assert_eq!(substitute("a${SET}b${SET}", &environment), Ok(Some("avaluebvalue".into())));
        assert_eq!(substitute("$${SET}", &environment), Ok(Some("${SET}".into())));
        assert_eq!(substitute("${UNSET}", &environment), Err("UNSET".into()));
        assert_eq!(substitute("${SET", &environment), Ok(Some("${SET".into())));
        let found = read("realm: x\nadmin:\n  token: ${UNSET}\n");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1.as_str()), (Some(3), "admin.token"));
    }

    #[test]
    fn syntax_errors_name_their_line() {
        let error = Document::parse(Path::new("g.yaml"), "a: [\nb: }".into(), &|_| None)
            .expect_err("not YAML");
        assert_eq!(error.line, Some(2), "{error:?}");
    }

    #[test]
    fn an_empty_document_reads_as_an_empty_configuration() {
        assert!(read("").is_empty());
        assert!(read("# nothing\n").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[-a-z:{}\\[\\]\n \"'&*$!|>#0-9]{0,80}") {
            if let Ok((mut document, _)) = Document::parse(Path::new("g"), text, &|_| None) {
                let _ = document.read::<raw::Gateway>();
            }
        }
    }
}

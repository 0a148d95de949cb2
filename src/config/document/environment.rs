//! Fills environment variables in: `${NAME}` in any text of a document.

use serde_yaml::Value;

use super::{Document, problem};
use crate::config::problem::{ConfigProblem, FieldPath};

impl Document {
    /// Fills in the environment. `None` for a value that cannot be filled in: it is removed, so
    /// that no other problem of it is reported.
    pub(super) fn expand(
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
                let fact = format!("the tag `{}` is not supported", tagged.tag);
                problems.push(problem(self.line_of(at), at.clone(), &fact, "Remove it"));
                self.expand(tagged.value, at, environment, problems)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(value),
        }
    }
}

/// Replaces each `${NAME}`. `$${` stands for a literal `${`. `Ok(None)` if there was none, `Err`
/// with the name that is not set.
pub(super) fn substitute(
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

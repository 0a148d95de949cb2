//! Explains serde's errors in terms of the configuration.

/// Turns serde's message into a fact and a remedy.
pub(super) fn explain(message: &str) -> (String, String) {
    // `unknown field `x`, expected one of `a`, `b`` or `…, expected `a``
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (field, expected) = rest.split_once(", expected ").unwrap_or((rest, "another"));
        let expected = expected.strip_prefix("one of ").unwrap_or(expected);
        let meant = nearest(field, expected).map(|name| format!("Did you mean `{name}`? "));
        let remedy = format!("{}Known are: {expected}", meant.unwrap_or_default());
        return (format!("there is no field {field} here"), remedy);
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
            "a sequence" => "a list, such as [a, b]",
            "a map" => "a mapping",
            other if other.starts_with("struct ") => "a mapping with named fields",
            other => other,
        };
        return (format!("found {found}"), format!("Write {expected}"));
    }
    (message.to_owned(), "Correct the value".to_owned())
}

/// The known name that a misspelt one most probably stands for. Both are in serde's words, with names
/// between backticks.
fn nearest<'k>(field: &str, known: &'k str) -> Option<&'k str> {
    let field = field.trim_matches('`');
    let names = known.split('`').skip(1).step_by(2);
    let distance = |name: &str| strsim::damerau_levenshtein(field, name);
    let (distance, name) = names.map(|name| (distance(name), name)).min()?;
    // Two slips at most, and fewer in short names: `path` is no misspelt `file`.
    (distance <= 2 && distance * 3 <= field.chars().count()).then_some(name)
}

/// serde_yaml appends ` at line … column …`. The line is reported separately.
pub(super) fn without_location(message: &str) -> String {
    let message = message.rsplit_once(": ").map_or(message, |(path, rest)| {
        // serde_yaml puts a path in front. The problem already has the full path.
        if path.contains(' ') { message } else { rest }
    });
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

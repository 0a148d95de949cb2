//! The reference of `gateway.yaml`, made from its schema.

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::expect_file;
use portcullis::config::schema;
use serde_json::Value;

use super::{head, page, row};

const ABOUT: &str = "\
What may stand in `gateway.yaml`. [`every-field.yaml`](every-field.yaml) shows every field in one file.

- `portcullis check` reads a configuration and names every mistake with its line. Unknown fields are
  mistakes.
- `portcullis schema` prints the JSON Schema of this page, which is also in
  [`gateway.schema.json`](gateway.schema.json). Editors complete and mark fields with it: begin the
  file with `# yaml-language-server: $schema=` and its path. `portcullis check` finds more than they
  can: what other fields and files have to say, and bounds of durations.
- `${NAME}` in a text is filled in from the environment. `$${` writes `${` itself. Inside `[ ]` and
  `{ }`, YAML wants quotes around a text with braces: `{ secret: \"${NAME}\" }`.
- A field that ends in `_file` names a file. Relative paths are relative to the configuration file.
- The gateway reads the configuration again on `SIGHUP`, and when it or a file that it names changes.
- **Required** stands in place of a default where a field must be written.";

#[test]
fn schema_is_the_one_that_editors_are_pointed_to() {
    let text = format!("{:#}\n", schema());
    expect_file!["../../docs/reference/gateway.schema.json"].assert_eq(&text);
}

#[test]
fn page_says_what_the_schema_does() {
    let schema = schema();
    let mut page = Page::new(&schema);
    page.kinds();
    page.section("", &schema);
    let users = &schema["$defs"]["PasswordFile"];
    page.text.push_str("\n## Password file\n\n");
    let _ = writeln!(page.text, "{}\n", described(users));
    let _ = writeln!(page.text, "{}", described(&schema["$defs"]["User"]));
    page.table(&schema["$defs"]["User"]);
    expect_file!["../../docs/reference/configuration.md"].assert_eq(&page.text);
}

/// The page as far as it is written.
struct Page<'s> {
    root: &'s Value,
    text: String,
    /// Where each section may stand, by the name of its definition. It is described once, at the
    /// first of these places.
    places: BTreeMap<&'s str, Vec<String>>,
}

impl<'s> Page<'s> {
    fn new(root: &'s Value) -> Self {
        let mut page = Self { root, text: page("Configuration", ABOUT), places: BTreeMap::new() };
        page.find("", root);
        page
    }

    fn find(&mut self, path: &str, section: &'s Value) {
        for (name, property) in members(section) {
            if let Some(Below { suffix, name: definition, section }) = self.below(property) {
                let path = join(path, name) + suffix;
                self.places.entry(definition).or_default().push(path.clone());
                self.find(&path, section);
            }
        }
    }

    /// How the kinds of text are written.
    fn kinds(&mut self) {
        self.text.push_str("\n## Kinds of values\n");
        self.text.push_str(&head(["kind", "how it is written"]));
        let kinds = self.root["$defs"].as_object().into_iter().flatten();
        let mut rows: Vec<_> = kinds
            .filter(|(_, kind)| kind.get("pattern").is_some())
            .map(|(_, kind)| row([title(kind), described(kind)]))
            .collect();
        rows.sort();
        self.text.extend(rows);
    }

    /// A section, and those below it.
    fn section(&mut self, path: &str, section: &'s Value) {
        let heading = if path.is_empty() { "Sections".to_owned() } else { format!("`{path}`") };
        let depth = 2 + path.replace(".NAME", "").matches('.').count().min(2);
        let _ = writeln!(self.text, "\n{} {heading}\n\n{}", "#".repeat(depth), described(section));
        self.table(section);
        for (name, property) in members(section) {
            let Some(Below { suffix, name: definition, section }) = self.below(property) else {
                continue;
            };
            let path = join(path, name) + suffix;
            let places = &self.places[definition];
            if places[0] == path {
                let others: Vec<_> = places[1..].iter().map(|place| format!("`{place}`")).collect();
                self.section(&path, section);
                if !others.is_empty() {
                    let _ = writeln!(self.text, "\nThe same may stand at {}.", others.join(", "));
                }
            }
        }
    }

    fn table(&mut self, schema: &Value) {
        let columns = ["field", "meaning", "type", "default", "example", "since"];
        self.text.push_str(&head(columns));
        for (name, property) in members(schema) {
            let is_required =
                schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
            let since = property.get("x-since").or(schema.get("x-since"));
            self.text.push_str(&row([
                format!("`{name}`"),
                described(property),
                self.kind(property),
                if is_required { "**required**".to_owned() } else { default(property) },
                property["examples"].get(0).map(code).unwrap_or_default(),
                since.and_then(Value::as_str).unwrap_or_default().to_owned(),
            ]));
        }
    }

    /// The section below a field.
    fn below(&self, property: &Value) -> Option<Below<'s>> {
        let section = |suffix, schema: &Value| {
            let (name, section) = self.definition(schema)?;
            section.get("properties").is_some().then_some(Below { suffix, name, section })
        };
        section("", property)
            .or_else(|| section("[]", &property["items"]))
            .or_else(|| section(".NAME", &property["additionalProperties"]))
    }

    /// What a schema refers to.
    fn definition(&self, schema: &Value) -> Option<(&'s str, &'s Value)> {
        let name = schema["$ref"].as_str()?.strip_prefix("#/$defs/")?;
        let definitions = self.root["$defs"].as_object()?;
        definitions.get_key_value(name).map(|(name, section)| (name.as_str(), section))
    }

    /// What a field holds, and in which unit.
    fn kind(&self, property: &Value) -> String {
        if let Some(Below { suffix, name: definition, section: _ }) = self.below(property) {
            let of = match suffix {
                "" => "section",
                "[]" => "list of sections",
                _ => "sections by name",
            };
            return format!("[{of}](#{})", anchor(&self.places[definition][0]));
        }
        let text = match property["type"].as_str() {
            Some("array") => format!("list of {}", self.value(&property["items"])),
            Some("object") => {
                format!(
                    "mapping of names, each to a {}",
                    self.value(&property["additionalProperties"])
                )
            }
            _ => self.value(property),
        };
        match property.get("x-unit").and_then(Value::as_str) {
            Some(unit) => format!("{text}, {unit}{}", bounds(property)),
            None => text,
        }
    }

    fn value(&self, schema: &Value) -> String {
        let kind = self.definition(schema).map_or(schema, |(_, kind)| kind);
        let choices = || kind["anyOf"].as_array().into_iter().flatten();
        let words = choices().filter_map(|one| one["enum"].as_array()).flatten().map(code);
        // A choice with a value of its own.
        let sections = choices()
            .flat_map(members)
            .map(|(name, property)| format!("`{{ {name}: … }}` with a {}", self.value(property)));
        let choices: Vec<_> = words.chain(sections).collect();
        if !choices.is_empty() {
            return choices.join(", ");
        }
        match kind["type"].as_str() {
            Some("integer") => "whole number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("string") | None if kind.get("title").is_some() => title(kind),
            Some("string") => "text".to_owned(),
            _ => "value".to_owned(),
        }
    }
}

/// The section below a field.
struct Below<'s> {
    /// What leads to it from the field.
    suffix: &'static str,
    /// The name of its definition.
    name: &'s str,
    section: &'s Value,
}

fn members(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The anchor that a heading has in Markdown.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    heading.to_lowercase().chars().filter(kept).collect()
}

fn title(schema: &Value) -> String {
    schema["title"].as_str().unwrap_or_default().to_owned()
}

fn described(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().to_owned()
}

fn bounds(property: &Value) -> String {
    match (property["minimum"].as_u64(), property["maximum"].as_u64()) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", up to {most}"),
        (None, None) => String::new(),
    }
}

fn default(property: &Value) -> String {
    let in_words = property.get("x-default").and_then(Value::as_str).map(str::to_owned);
    in_words.or_else(|| property.get("default").map(code)).unwrap_or_default()
}

/// A value as it is written in YAML.
fn code(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| format!("{key}: {}", plain(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    format!("`{text}`")
}

/// A value within another. A text that YAML would read otherwise is quoted.
fn plain(value: &Value) -> String {
    let text = code(value).trim_matches('`').to_owned();
    let is_special = value.is_string() && text.starts_with(['*', '[', '{']);
    if is_special { format!("'{text}'") } else { text }
}

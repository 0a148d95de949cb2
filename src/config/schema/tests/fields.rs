//! The fields of a schema, and their places in a configuration.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// A field of a section.
pub(super) struct Field {
    /// The definition of its section, and its name there.
    section: String,
    pub(super) name: String,
    pub(super) schema: Value,
    /// The schema, or what it refers to.
    kind: Value,
    /// The paths of the section: there may be several.
    paths: Vec<Vec<Step>>,
    pub(super) is_required: bool,
    /// Whether it has fields itself.
    pub(super) is_section: bool,
    /// The version in which it was added.
    pub(super) since: Option<String>,
}

/// A step from a section to one below it.
#[derive(Clone)]
enum Step {
    Key(String),
    EachItem,
    EachMember,
}

/// The place of a section in a configuration.
#[derive(Clone, Default)]
pub(super) struct Place(Vec<serde_yaml::Value>);

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.name)
    }
}

impl Field {
    pub(super) fn example(&self) -> Option<&Value> {
        self.schema.get("examples")?.get(0)
    }

    /// The words that it accepts, or that its list accepts.
    pub(super) fn words(&self) -> Vec<Value> {
        let (kind, is_list) = match self.kind.get("items") {
            Some(items) => (resolved(&schema_root(), items), true),
            None => (self.kind.clone(), false),
        };
        let words = kind["anyOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("enum").and_then(Value::as_array).cloned());
        words.flatten().map(|word| if is_list { Value::from(vec![word]) } else { word }).collect()
    }

    pub(super) fn has_one_value(&self) -> bool {
        self.words().len() == 1
    }
}

impl Place {
    /// The path of a field of the section, as problems name it.
    pub(super) fn field(&self, name: &str) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match (step.as_u64(), step.as_str().unwrap_or_default()) {
                (Some(index), _) => text.push_str(&format!("[{index}]")),
                (None, key) if text.is_empty() => text.push_str(key),
                (None, key) => text.push_str(&format!(".{key}")),
            }
        }
        if text.is_empty() { name.to_owned() } else { format!("{text}.{name}") }
    }
}

fn schema_root() -> Value {
    super::schema()
}

/// A schema, or the schema that it refers to.
fn resolved(root: &Value, schema: &Value) -> Value {
    match schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        Some(pointer) => root.pointer(pointer).cloned().unwrap_or_default(),
        None => schema.clone(),
    }
}

/// Every field that may stand in a configuration.
pub(super) fn fields(root: &Value) -> Vec<Field> {
    let mut found = BTreeMap::new();
    walk(root, root, "Gateway", &[], &mut found);
    found.into_values().collect()
}

fn walk(
    root: &Value,
    section: &Value,
    name: &str,
    path: &[Step],
    found: &mut BTreeMap<(String, String), Field>,
) {
    let is_required = |field: &str| {
        section["required"].as_array().is_some_and(|all| all.iter().any(|one| one == field))
    };
    for (field, schema) in section["properties"].as_object().into_iter().flatten() {
        let mut below = path.to_vec();
        below.push(Step::Key(field.clone()));
        let is_section = descend(root, schema, &below, found);
        let since = schema.get("x-since").or(section.get("x-since"));
        let entry = found.entry((name.to_owned(), field.clone())).or_insert_with(|| Field {
            section: name.to_owned(),
            name: field.clone(),
            schema: schema.clone(),
            kind: resolved(root, schema),
            paths: Vec::new(),
            is_required: is_required(field),
            is_section,
            since: since.and_then(Value::as_str).map(str::to_owned),
        });
        entry.paths.push(path.to_vec());
    }
}

/// Walks the sections that a field holds. Returns whether there are any.
fn descend(
    root: &Value,
    schema: &Value,
    path: &[Step],
    found: &mut BTreeMap<(String, String), Field>,
) -> bool {
    let target = resolved(root, schema);
    let then = |step| path.iter().cloned().chain([step]).collect::<Vec<_>>();
    if target.get("properties").is_some() {
        let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
        walk(root, &target, name.unwrap_or_default(), path, found);
        return true;
    }
    if let Some(items) = target.get("items") {
        return descend(root, items, &then(Step::EachItem), found);
    }
    match target.get("additionalProperties") {
        Some(members) if members.is_object() => {
            descend(root, members, &then(Step::EachMember), found)
        }
        _ => false,
    }
}

/// The places of a field's section in a configuration.
pub(super) fn places(configuration: &serde_yaml::Value, field: &Field) -> Vec<Place> {
    let mut places = Vec::new();
    for path in &field.paths {
        find(configuration, path, Place::default(), &mut places);
    }
    places
}

fn find(value: &serde_yaml::Value, path: &[Step], place: Place, found: &mut Vec<Place>) {
    let then = |step: serde_yaml::Value| Place([place.0.clone(), vec![step]].concat());
    match path.split_first() {
        None if value.is_mapping() => found.push(place),
        None => {}
        Some((Step::Key(key), rest)) => {
            if let Some(below) = value.get(key) {
                find(below, rest, then(key.as_str().into()), found);
            }
        }
        Some((Step::EachItem, rest)) => {
            let items = value.as_sequence().into_iter().flatten().enumerate();
            items.for_each(|(index, item)| find(item, rest, then(index.into()), found));
        }
        Some((Step::EachMember, rest)) => {
            let members = value.as_mapping().into_iter().flatten();
            members.for_each(|(key, member)| find(member, rest, then(key.clone()), found));
        }
    }
}

/// A configuration with another value of a field, or without the field.
pub(super) fn with(
    configuration: &serde_yaml::Value,
    place: &Place,
    name: &str,
    value: Option<&Value>,
) -> serde_yaml::Value {
    let mut changed = configuration.clone();
    let mut section = &mut changed;
    for step in &place.0 {
        let below = match step.as_u64().and_then(|index| usize::try_from(index).ok()) {
            Some(index) => section.get_mut(index),
            None => section.get_mut(step.clone()),
        };
        section = below.expect("the place is there");
    }
    let section = section.as_mapping_mut().expect("a section");
    match value {
        Some(value) => {
            let value = serde_yaml::to_value(value).expect("YAML");
            section.insert(name.into(), value);
        }
        None => drop(section.remove(name)),
    }
    changed
}

//! The JSON Schema of `gateway.yaml`, generated from the raw types: for editors, and for the
//! reference.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::raw;

/// The id of the schema. It is not an address: nothing is fetched from it.
const ID: &str = "urn:portcullis:gateway.schema.json";
const TITLE: &str = "Portcullis gateway.yaml";
const PASSWORD_FILE: &str =
    "The file that `login.password_file` names: names, of up to 256 bytes, each with a user.";

/// The schema (JSON Schema 2020-12). Its definitions include the contents of the password file, as
/// `PasswordFile`.
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.transforms.push(Box::new(RecursiveTransform(as_written)));
    let mut generator = SchemaGenerator::new(settings);
    let mut users = generator.subschema_for::<BTreeMap<String, raw::User>>();
    users.insert("description".to_owned(), json!(PASSWORD_FILE));
    let mut schema = generator.into_root_schema_for::<raw::Gateway>();
    schema.insert("$id".to_owned(), json!(ID));
    schema.insert("title".to_owned(), json!(TITLE));
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        definitions.insert("PasswordFile".to_owned(), users.to_value());
    }
    schema.to_value()
}

/// Describes what is written, not the Rust type: `null` is a forgotten value, a number has no
/// width, and a required field has no default.
fn as_written(schema: &mut Schema) {
    let Some(members) = schema.as_object_mut() else { return };
    members.remove("format");
    if let Some(Value::String(description)) = members.get_mut("description") {
        *description = in_paragraphs(description);
    }
    if members.get("default").is_some_and(Value::is_null) {
        members.remove("default");
    }
    let kinds = members.get("type").and_then(Value::as_array);
    let kind = kinds.and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).cloned();
    if let (Some(2), Some(kind)) = (kinds.map(Vec::len), kind) {
        members.insert("type".to_owned(), kind);
    }
    if let Some(inner) = members.get_mut("anyOf").and_then(beside_null) {
        members.remove("anyOf");
        members.extend(inner);
    }
    let required = members.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = members.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(property) = property.as_object_mut()
            && required.iter().any(|required| required == name)
        {
            property.remove("default");
        }
    }
}

/// A text whose lines end where paragraphs do, not where the source wraps.
fn in_paragraphs(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The schema of a value other than `null`.
fn beside_null(choices: &mut Value) -> Option<Map<String, Value>> {
    match choices.as_array_mut()?.as_mut_slice() {
        [inner, null] if *null == json!({ "type": "null" }) => inner.as_object().cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

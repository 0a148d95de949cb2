//! Blocks `yaml fragment` are parts of a `gateway.yaml`: all that is in them follows the schema.

use serde_json::Value;

use super::pages::pages;

/// The keywords by which the schema says which members must be there, and which go together.
const ABOUT_PRESENCE: [&str; 3] = ["required", "oneOf", "not"];

/// The schema without what a fragment may lack.
fn schema_of_fragments() -> Value {
    let mut schema = portcullis::config::schema();
    allow_absent(&mut schema);
    schema
}

fn allow_absent(schema: &mut Value) {
    if let Some(members) = schema.as_object_mut() {
        members.retain(|name, _| !ABOUT_PRESENCE.contains(&&**name));
        members.values_mut().for_each(allow_absent);
    } else if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(allow_absent);
    }
}

#[test]
fn fragments_of_configurations_follow_the_schema() {
    let validator = jsonschema::draft202012::new(&schema_of_fragments()).expect("a schema");
    let mut found = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.info == "yaml fragment") {
            found += 1;
            let path = page.path.display();
            let value: Value =
                serde_yaml::from_str(&block.text).unwrap_or_else(|error| panic!("{path}: {error}"));
            let errors = validator.iter_errors(&value);
            wrong.extend(errors.map(|error| format!("{path}{}: {error}", error.instance_path())));
        }
    }
    assert!(found >= 8, "the fragments were found: {found}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

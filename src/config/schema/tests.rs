//! The schema's statements about fields are true.

mod fields;

use std::fmt::Write;

use serde_json::Value;
use tempfile::TempDir;

use super::schema;
use crate::config::compile::tests::compile_in;
use crate::config::compile::tests::whole::{
    CLIENTS, GIVEN_KEYS, HAND_OFF, KEPT_KEYS, PASSWORD_FILE, whole,
};
use fields::{Place, fields, places, with};

/// Defaults that no configuration shows, and why.
const NOT_SHOWN: [(&str, &str); 5] = [
    ("Client.algorithms", "it is required with keys, and an error without"),
    ("Client.public", "another way to authenticate takes its place, or it must be true"),
    ("Route.public", "`authenticate` takes its place, or it must be true"),
    ("Signing.key_files", "the files of its example are not there"),
    ("Upstream.balance", "there is one way"),
];

/// How many fields were added together with their section.
const FIRST_FIELDS: usize = 199;

/// Configurations that together have every field, and the files that they name.
fn configurations() -> (TempDir, Vec<serde_yaml::Value>) {
    let (directory, whole) = whole();
    let (fewer, clients) = ("clients: [{ id: mobile, public: true }]", CLIENTS);
    let listed = clients.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let with_clients = whole.replace("clients_file: clients.yaml\n", "");
    let with_clients = with_clients.replace(fewer, &format!("clients:\n{listed}"));
    let texts = [
        whole.replace(PASSWORD_FILE, HAND_OFF),
        whole.replace(KEPT_KEYS, GIVEN_KEYS),
        with_clients,
        whole,
    ];
    let parsed = texts.map(|text| serde_yaml::from_str(&text).expect("YAML"));
    (directory, parsed.into())
}

/// The compiled configuration, line by line, in sorted order; `None` if it does not compile.
fn compiled(directory: &TempDir, configuration: &serde_yaml::Value) -> Option<Vec<String>> {
    let text = serde_yaml::to_string(configuration).expect("YAML");
    let settings = compile_in(directory.path(), &text).ok()?;
    let mut lines: Vec<_> = format!("{settings:#?}").lines().map(str::to_owned).collect();
    lines.sort_unstable();
    Some(lines)
}

/// The problems of one field of a configuration.
fn problems_of(
    directory: &TempDir,
    configuration: &serde_yaml::Value,
    place: &Place,
    name: &str,
) -> String {
    let text = serde_yaml::to_string(configuration).expect("YAML");
    let Err(problems) = compile_in(directory.path(), &text) else { return String::new() };
    let field = place.field(name);
    let own = problems.list.iter().filter(|problem| problem.field.to_string().starts_with(&field));
    own.fold(String::new(), |mut told, problem| {
        let _ = writeln!(told, "{field}: {}", problem.fact);
        told
    })
}

#[test]
fn every_field_is_described_and_says_its_default() {
    let fields = fields(&schema());
    assert!(fields.len() > 150, "the fields are found: {}", fields.len());
    let mut wrong = Vec::new();
    for field in &fields {
        let description = field.schema["description"].as_str().unwrap_or_default();
        if !description.ends_with('.') {
            wrong.push(format!("{field} is not described"));
        }
        let says_default =
            ["default", "x-default"].iter().any(|key| field.schema.get(key).is_some());
        if !field.is_required && !field.is_section && !says_default {
            wrong.push(format!("{field} says no default"));
        }
        if field.is_required && says_default {
            wrong.push(format!("{field} is required and has a default"));
        }
        if !field.is_section && field.schema.get("examples").is_none() && !field.has_one_value() {
            wrong.push(format!("{field} has no example"));
        }
        if field.example().is_some_and(|example| field.schema.get("default") == Some(example)) {
            wrong.push(format!("{field} has its default for an example"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_field_says_since_when_it_is_there() {
    let fields = fields(&schema());
    assert!(fields.iter().all(|field| field.since.is_some()), "each section says it");
    let inherited = fields.iter().filter(|field| field.schema.get("x-since").is_none());
    let remedy = "write `\"x-since\" = \"…\"` beside a field that came later than its section";
    assert_eq!(inherited.count(), FIRST_FIELDS, "{remedy}");
}

#[test]
fn documented_default_is_the_real_one() {
    let (directory, configurations) = configurations();
    let bare: Vec<_> = configurations.iter().map(|all| (all, compiled(&directory, all))).collect();
    for (_, compiled) in &bare {
        assert!(compiled.is_some(), "a configuration does not compile");
    }
    let (mut wrong, mut not_shown) = (Vec::new(), Vec::new());
    for field in fields(&schema()) {
        let Some(default) = field.schema.get("default") else { continue };
        let mut is_shown = false;
        for configuration in &configurations {
            for place in places(configuration, &field) {
                let set = |value| with(configuration, &place, &field.name, value);
                let absent = compiled(&directory, &set(None));
                let written = compiled(&directory, &set(Some(default)));
                if absent.is_none() || written.is_none() {
                    continue;
                }
                if absent != written {
                    wrong.push(format!("{field}: {default} is not its default"));
                }
                // A difference would be noticed: another value makes one.
                let another = compiled(&directory, &set(field.example()));
                is_shown |= another.is_some() && another != absent;
            }
        }
        if !is_shown {
            not_shown.push(field.to_string());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(not_shown, NOT_SHOWN.map(|(field, _)| field));
}

#[test]
fn documented_bounds_of_numbers_are_the_real_ones() {
    let (directory, configurations) = configurations();
    let mut found = 0;
    for field in fields(&schema()) {
        let bound = |key| field.schema.get(key).and_then(Value::as_u64);
        let least = bound("minimum").map(|least| (least, least.checked_sub(1)));
        let most = bound("maximum").map(|most| (most, Some(most + 1)));
        for (last_accepted, first_refused) in least.into_iter().chain(most) {
            let places = configurations
                .iter()
                .flat_map(|all| places(all, &field).into_iter().map(move |place| (all, place)));
            for (configuration, place) in places {
                found += 1;
                let said = |value: u64| {
                    let value = Value::from(value);
                    let set = with(configuration, &place, &field.name, Some(&value));
                    problems_of(&directory, &set, &place, &field.name)
                };
                assert_eq!(said(last_accepted), "", "{field}: {last_accepted}");
                if let Some(refused) = first_refused {
                    assert_ne!(said(refused), "", "{field}: {refused}");
                }
            }
        }
    }
    assert!(found > 30, "bounds are found: {found}");
}

#[test]
fn every_word_that_a_field_may_be_is_known() {
    let (directory, configurations) = configurations();
    let mut found = 0;
    for field in fields(&schema()) {
        for word in field.words() {
            for configuration in &configurations {
                for place in places(configuration, &field) {
                    found += 1;
                    let set = with(configuration, &place, &field.name, Some(&word));
                    let said = problems_of(&directory, &set, &place, &field.name);
                    let is_unknown = said.contains("is not known") || said.contains("there is no");
                    assert!(!is_unknown, "{word}: {said}");
                }
            }
        }
    }
    assert!(found > 100, "words are found: {found}");
}

#[test]
fn configurations_that_use_every_field_follow_the_schema() {
    let validator = jsonschema::draft202012::new(&schema()).expect("a schema");
    let (_directory, configurations) = configurations();
    for configuration in configurations {
        let value = serde_json::to_value(configuration).expect("JSON");
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

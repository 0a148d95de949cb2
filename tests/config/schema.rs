//! The schema and `portcullis check` agree: on every configuration of these tests.

use std::sync::LazyLock;

use jsonschema::Validator;

use super::*;

/// What the schema can know: how `check` tells such a mistake. Of URLs, networks and budgets it knows
/// the form only.
const KNOWN: [&str; 35] = [
    "there is no field ",
    "found ",
    " is not a duration",
    " is not a size",
    " is not a rate",
    " is not known",
    "there is no algorithm ",
    " is out of range. Write a number",
    " is not an IP address with a port",
    " is not a host with a port",
    " is not a JSON pointer",
    " is not a header name",
    " is not a scope",
    " cannot be a name",
    "the field is missing",
    "the route has no policy",
    "a route cannot have both `public` and `authenticate`",
    "`issuers` has no effect on a public route",
    "`when_stale` has no effect on a public route",
    "`require` has no effect on a public route",
    "the list is empty, so no credential would be accepted",
    "both `embedded` and `redis` are given",
    "there must be exactly one of url, sentinel and cluster",
    "only one of certificate_file and key_file is given",
    "there must be exactly one source of keys",
    " only goes with jwks_url",
    " are given. Keep one of them",
    "no login method is given",
    "both `password_file` and `handoff` are given",
    "there must be exactly one way to authenticate",
    " has no effect with `key_files`",
    "hashed subjects need a key",
    "more than one certificate",
    "there is no listener",
    "there is no route.",
];

/// A number may have the form of a duration or a size, and be too large for one.
const DIGITS_MAX: usize = 4;

/// Holds the schema against what `check` said of a text: what compiles follows the schema, and
/// what the schema can know of a mistake it says, too.
#[track_caller]
pub(super) fn agrees(text: &[u8], ran: &Ran) {
    let Some(value) = parsed(text) else { return };
    let places: Vec<_> = errors(&value);
    if ran.code == 0 {
        // A field without a value is as good as none; the schema marks it, as somebody forgot it.
        let is_given = |(place, _): &&(String, String)| {
            value.pointer(place).is_some_and(|value| !value.is_null())
        };
        let refused: Vec<_> = places.iter().filter(is_given).collect();
        assert!(refused.is_empty(), "it compiles: {refused:#?}\n{}", String::from_utf8_lossy(text));
    }
    for line in ran.stderr.lines().filter(|line| is_known(line)) {
        let Some((_, problem)) = line.split_once(" error: ") else { continue };
        let Some((field, _)) = problem.split_once(": ") else { continue };
        let pointer = pointer_of(field);
        let told = value.pointer(&pointer).map(ToString::to_string).unwrap_or_default();
        let digits = told.chars().filter(char::is_ascii_digit).count();
        // What the environment fills in the schema does not see.
        if told.contains("${") || digits > DIGITS_MAX {
            continue;
        }
        // What is missing is told of the section that lacks it, which may be missing itself.
        let around =
            |place: &str| place.rsplit_once('/').map_or("", |(around, _)| around).to_owned();
        let [section, outer] = [around(&pointer), around(&around(&pointer))];
        // Of `public` and `authenticate`, which contradict each other, editors mark the second.
        let other = line.contains("both `public` and").then(|| format!("{section}/authenticate"));
        let is_told = |(place, _): &(String, String)| {
            [&pointer, &section, &outer].contains(&place) || other.as_ref() == Some(place)
        };
        assert!(
            places.iter().any(is_told),
            "{line}\n{places:#?}\n{}",
            String::from_utf8_lossy(text)
        );
    }
}

/// What a file holds beside its mistakes in YAML, which are no business of a schema.
fn parsed(text: &[u8]) -> Option<serde_json::Value> {
    let value: serde_yaml::Value = serde_yaml::from_slice(text).ok()?;
    serde_json::to_value(value).ok().filter(serde_json::Value::is_object)
}

/// Where a configuration does not follow the schema, and why.
fn errors(value: &serde_json::Value) -> Vec<(String, String)> {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        jsonschema::draft202012::new(&portcullis::config::schema()).expect("a schema")
    });
    let errors = VALIDATOR.iter_errors(value);
    errors.map(|error| (error.instance_path().to_string(), error.to_string())).collect()
}

fn is_known(line: &str) -> bool {
    // What is wrong with another file is told at the field that names it.
    let is_elsewhere = line.contains("_file: `");
    !is_elsewhere && KNOWN.iter().any(|known| line.contains(known))
}

/// `routes[0].match` as a JSON pointer.
fn pointer_of(field: &str) -> String {
    format!("/{}", field.replace('[', ".").replace(']', "").replace('.', "/"))
}

#[test]
fn schema_is_one() {
    jsonschema::meta::validate(&portcullis::config::schema()).expect("JSON Schema 2020-12");
}

#[test]
fn schema_is_printed_as_it_is() {
    let ran = run_with(directory().path(), &["schema"], &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let printed: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(printed, portcullis::config::schema());
}

#[test]
fn shipped_configuration_names_a_schema_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("gateway.yaml")).expect("gateway.yaml");
    let first = text.lines().next().unwrap_or_default();
    let named = first.strip_prefix("# yaml-language-server: $schema=").expect("it names one");
    let bytes = std::fs::read(root.join(named)).expect("the schema");
    let kept: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(kept, portcullis::config::schema());
}

/// Templates of benchmarks, and what `make run-fleet` adds to the shipped configuration.
#[test]
fn configurations_of_scripts_and_benchmarks_follow_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("a file");
    let filled = |name: &str| {
        let text = read(&format!("benches/peers/templates/{name}"));
        let text = text.replace("@MORE_ROUTES@", "").replace("@LOG@", "true");
        let parts = text.split('@').enumerate();
        let one = |(place, part)| if place % 2 == 0 { part } else { "1" };
        parts
            .map(one)
            .collect::<String>()
            .replace("issuer: 1", "issuer: one")
            .replace("[1]", "[one]")
    };
    let fleet =
        "server: { name: gateway-1 }\nstore: { redis: { url: \"redis://127.0.0.1:6399\" } }\n";
    let fleet = read("gateway.yaml") + fleet;
    for text in [filled("portcullis.yaml"), filled("portcullis_idle.yaml"), fleet] {
        let value = parsed(text.as_bytes()).expect("YAML");
        assert_eq!(errors(&value), [], "{text}");
    }
}

/// Most tests of configurations ask both; this one says that an answer would be noticed.
#[test]
fn slips_are_found_by_the_schema_alone() {
    for (from, to) in [
        ("address: '127.0.0.1:0'", "adress: '127.0.0.1:0'"),
        ("peers: ['127.0.0.1:9001']", "peers: '127.0.0.1:9001'"),
        ("public: true", "public: 'true'"),
        ("public: true", "authenticate: [cookie]"),
        ("upstream: behind, ", ""),
        ("algorithms: [ES256]", "algorithms: [ES256], clock_skew: 30"),
        ("algorithms: [ES256]", "algorithms: [ES256], clock_skew: 30 s"),
        ("public_key_file: idp.pem", "public_key_file: idp.pem, jwks_file: set.json"),
        ("{ public_key_file: idp.pem }", "{}"),
    ] {
        let slipped = BASE.replacen(from, to, 1);
        assert_ne!(slipped, BASE, "{from}");
        let value = parsed(slipped.as_bytes()).expect("YAML");
        assert!(!errors(&value).is_empty(), "{to}");
    }
    let value = parsed(BASE.as_bytes()).expect("YAML");
    assert_eq!(errors(&value), []);
}

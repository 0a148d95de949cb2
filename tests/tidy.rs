//! Style as a test: what the sources may not hold, and why.

mod circles;
mod documents;
mod names;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use self::source::{Source, code_of, holds, sources};

/// How many lines a file of the program may have; past that it is two files.
const LINES_MAX: usize = 500;

/// Who may use what of the crate. Imports run one way; whoever is not named is free.
const IMPORTS: [(&str, &[&str]); 23] = [
    ("gate", &["gate"]),
    ("secret", &[]),
    ("network", &[]),
    ("private_files", &[]),
    ("rate_budget", &[]),
    ("fetch", &[]),
    ("clock", &["gate"]),
    ("telemetry", &["telemetry", "gate", "network", "private_files"]),
    ("store", &["store", "gate", "secret", "clock", "private_files"]),
    ("config", &["config", "gate", "store", "secret"]),
    ("issuer", &["issuer", "gate"]),
    ("upstream", &["upstream", "gate", "config", "telemetry", "clock", "fetch"]),
    ("runtime", &["runtime", "config", "gate", "upstream"]),
    (
        "feed",
        &[
            "feed",
            "gate",
            "config",
            "runtime",
            "store",
            "telemetry",
            "issuer",
            "clock",
            "secret",
            "fetch",
            "network",
            "private_files",
            "rate_budget",
        ],
    ),
    ("openapi", &["openapi"]),
    ("password", &["password", "gate", "config", "store", "clock", "secret", "network"]),
    ("web", &["web", "gate", "config", "runtime", "feed", "issuer", "clock"]),
    (
        "session",
        &[
            "session",
            "web",
            "gate",
            "config",
            "runtime",
            "feed",
            "store",
            "telemetry",
            "clock",
            "network",
            "rate_budget",
        ],
    ),
    (
        "oauth",
        &[
            "oauth",
            "session",
            "password",
            "web",
            "gate",
            "config",
            "runtime",
            "feed",
            "store",
            "telemetry",
            "issuer",
            "clock",
            "secret",
            "rate_budget",
        ],
    ),
    (
        "login",
        &[
            "login",
            "oauth",
            "session",
            "password",
            "web",
            "gate",
            "config",
            "runtime",
            "feed",
            "upstream",
            "store",
            "telemetry",
            "issuer",
            "clock",
            "secret",
            "fetch",
            "network",
            "rate_budget",
        ],
    ),
    (
        "endpoints",
        &[
            "endpoints",
            "login",
            "oauth",
            "session",
            "password",
            "web",
            "gate",
            "config",
            "runtime",
            "feed",
            "store",
            "telemetry",
            "issuer",
            "clock",
        ],
    ),
    (
        "edge",
        &[
            "edge",
            "endpoints",
            "login",
            "web",
            "gate",
            "config",
            "runtime",
            "upstream",
            "feed",
            "store",
            "telemetry",
            "issuer",
            "clock",
            "secret",
            "network",
            "rate_budget",
        ],
    ),
    (
        "admin",
        &[
            "admin",
            "web",
            "gate",
            "config",
            "runtime",
            "feed",
            "store",
            "telemetry",
            "issuer",
            "clock",
            "secret",
            "network",
            "private_files",
        ],
    ),
];

/// The folders that may use anything.
const FREE: [&str; 3] = ["cli", "lib", "main"];

/// Words of the code, and the only places where they may stand.
const HOMES: [(&str, &[&str]); 10] = [
    ("pingora", &["edge.rs", "edge/", "upstream.rs", "upstream/"]),
    ("serde_yaml", &["config.rs", "config/"]),
    ("reqwest", &["fetch.rs"]),
    // In `store.rs` this is the module that it declares.
    ("redis::", &["store.rs", "store/redis.rs", "store/redis/"]),
    ("redb::", &["store/embedded.rs", "store/embedded/"]),
    (
        "aws_lc_rs",
        &[
            "gate/keys.rs",
            "gate/keys/",
            "gate/revocation/id.rs",
            "gate/revocation/credential_scopes.rs",
            "gate/session/",
            "issuer.rs",
            "issuer/",
            "login/",
            "oauth/",
            "password/",
            // Issuers and subjects are texts of any length, and keys are not.
            "store/digest.rs",
            "telemetry/pseudonym.rs",
            "web/page.rs",
        ],
    ),
    // Passwords: their hashes are read, compared and made.
    ("argon2", &["config/compile/users.rs", "password/", "cli/password.rs", "endpoints/tests/"]),
    ("jsonwebtoken", &["gate/keys.rs", "gate/keys/", "issuer.rs", "issuer/"]),
    ("SystemTime::now", &["clock.rs"]),
    ("unsafe", &[]),
];

/// The core is pure: it neither waits, nor tells, nor counts, nor asks.
const NOT_IN_THE_GATE: [&str; 9] = [
    "async",
    "await",
    "tokio",
    "tracing",
    "prometheus",
    "println",
    "eprintln",
    "std::fs",
    "std::net",
];

/// Words that say nothing, and what to say instead.
const BANNED_VERBS: [(&str, &str); 5] = [
    ("validate", "parse, verify, admit or compile"),
    ("check", "verify, admit, or a question: is_…, has_…"),
    ("process", "say what is done"),
    ("handle", "say what is done"),
    ("manage", "say what is done"),
];

const BANNED_NOUNS: [(&str, &str); 7] = [
    ("manager", "what it holds: a table, a set, a feed"),
    ("helper", "what it is"),
    ("impl", "what it is"),
    ("validate", "parse, verify, admit or compile"),
    ("validator", "verifier, or the type that it makes"),
    ("processor", "what it makes"),
    ("manage", "say what is done"),
];

/// Names that Pingora's traits give to what we must define.
const IMPOSED: [&str; 5] = [
    "get_ssl_digest",
    "get_timing_digest",
    "get_proxy_digest",
    "get_socket_digest",
    "process_new_http",
];

const BANNED_FILES: [&str; 5] = ["utils.rs", "util.rs", "common.rs", "types.rs", "helpers.rs"];

#[test]
fn word_is_found_on_its_own_and_path_at_its_beginning() {
    assert!(holds("let unsafe = 1;", "unsafe") && !holds("let unsafely = 1;", "unsafe"));
    for code in ["use redis::Value;", "redis::cmd()", "use ::redis::aio;", "<redis::Client>"] {
        assert!(holds(code, "redis::"), "{code}");
    }
    for code in ["redis: Redis", "use crate::store::redis::Redis;", "my_redis::a", "RedisLogin::b"]
    {
        assert!(!holds(code, "redis::"), "{code}");
    }
}

/// Fails with everything that was found wrong.
#[track_caller]
fn assert_none(wrong: impl IntoIterator<Item = String>, why: &str) {
    let list = wrong.into_iter().fold(String::new(), |mut list, one| {
        let _ = write!(list, "\n  {one}");
        list
    });
    assert!(list.is_empty(), "{why}:{list}");
}

// ---- imports

/// The modules of the crate that `code` names: `crate::a::…` and `crate::{a::…, b}`.
fn imports(code: &str) -> BTreeSet<&str> {
    let word = |text: &str| {
        text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
    };
    let mut found = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(&rest[..word(rest)]);
            continue;
        };
        let mut depth = 0;
        let mut begin = 0;
        for (at, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    let item = list[begin..at].trim_start();
                    found.insert(&item[..word(item)]);
                    begin = at + 1;
                    if character == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

/// But for the mirror of what is written, what the command line reads and what clients of the API see:
/// their names are those of sections, commands and answers.
#[test]
fn each_name_of_a_type_stands_for_one_thing() {
    let sources = sources();
    let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Source { path, code, .. } in &sources {
        let is_mirror =
            ["config/raw", "cli/", "openapi/"].iter().any(|room| path.starts_with(room));
        if is_mirror || path.contains("/tests/") {
            continue;
        }
        for line in code.lines() {
            // `pub`, `pub(super)` and the like; what is indented belongs to a trait or a function.
            let line = line.trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ");
            let line = line.trim_start_matches("pub ");
            let is_type = |kind: &&str| line.starts_with(*kind);
            if let Some(kind) = ["struct ", "enum ", "trait ", "type "].into_iter().find(is_type) {
                let name = line[kind.len()..].split(|c: char| !c.is_alphanumeric()).next();
                places.entry(name.unwrap_or_default()).or_default().insert(path);
            }
        }
    }
    let several = places.into_iter().filter(|(_, places)| places.len() > 1);
    let told =
        several.map(|(name, places)| format!("{name}: {}", Vec::from_iter(places).join(", ")));
    assert_none(told, "these names stand for several types");
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = IMPORTS.iter().find(|(top, _)| *top == source.top()) else {
            let is_free = FREE.contains(&source.top());
            assert!(is_free, "{}: say in the table what it may import", source.path);
            continue;
        };
        for import in imports(&source.code).into_iter().filter(|name| !allowed.contains(name)) {
            wrong.push(format!("{} imports {import}", source.path));
        }
    }
    assert_none(wrong, "these imports are not in the table");
}

/// ARCHITECTURE.md has the same table: `a, b → c, d` for each, and what a part has of itself left out.
#[test]
fn import_table_of_the_architecture_is_this_one() {
    let text = source::read(&source::root().join("ARCHITECTURE.md"));
    let table = text.split("Imports run one way").nth(1).expect("a table");
    let rows = table.split("```").nth(1).expect("a block").lines();
    let entries = rows.flat_map(|row| row.split("   ")).filter_map(|entry| entry.split_once(" → "));
    let list = |names: &str| names.split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
    let told: BTreeMap<String, BTreeSet<String>> = entries
        .filter(|(_, allowed)| *allowed != "everything")
        .flat_map(|(parts, allowed)| list(parts).into_iter().map(move |part| (part, list(allowed))))
        .collect();
    let held = IMPORTS.iter().map(|(part, allowed)| {
        let others = allowed.iter().filter(|name| *name != part);
        let others: BTreeSet<_> = others.map(|name| (*name).to_owned()).collect();
        let nothing = || BTreeSet::from(["nothing".to_owned()]);
        ((*part).to_owned(), if others.is_empty() { nothing() } else { others })
    });
    assert_eq!(told, held.collect());
}

/// `super::` beyond the top of a part would be an import that the table does not see.
#[test]
fn no_part_reaches_beyond_itself_with_super() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !FREE.contains(&source.top())) {
        let depth = source.path.matches('/').count() + 1;
        if source.code.contains(&"super::".repeat(depth)) {
            wrong.push(source.path.clone());
        }
    }
    assert_none(wrong, "`super::` leads out of the part");
}

#[test]
fn import_is_found_in_every_form() {
    let code = "use crate::a::{b, c}; use crate::{d::e, f, g::{h, i}}; fn j() { crate::k::l() }";
    assert_eq!(imports(code), BTreeSet::from(["a", "d", "f", "g", "k"]));
    let code = code_of(
        "// crate::a\nlet b = \"crate::c\"; let d = r#\"crate::\"e\"#; 'f: 'x' /* crate::g */",
    );
    assert_eq!(imports(&code), BTreeSet::new(), "{code}");
}

// ---- what may stand where

#[test]
fn libraries_are_used_in_their_places_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (word, homes) in HOMES {
            if holds(&source.code, word) && !source.is_in(homes) {
                wrong.push(format!("{} uses {word}; only {homes:?} may", source.path));
            }
        }
    }
    assert_none(wrong, "out of place");
}

#[test]
fn places_of_libraries_are_in_use() {
    let sources = sources();
    for (word, homes) in HOMES.iter().filter(|(_, homes)| !homes.is_empty()) {
        let is_used = |source: &Source| source.is_in(homes) && holds(&source.code, word);
        assert!(sources.iter().any(is_used), "{word} is used nowhere: the table is out of date");
    }
}

#[test]
fn gate_is_pure() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.top() == "gate") {
        for word in NOT_IN_THE_GATE.iter().filter(|word| holds(&source.code, word)) {
            wrong.push(format!("{} holds {word}", source.path));
        }
    }
    assert_none(wrong, "the gate neither waits nor tells");
}

/// One table turns a refusal into HTTP.
#[test]
fn statuses_of_denials_stand_in_one_place() {
    let mut wrong = Vec::new();
    // What the HTTP APIs answer is told there once more, and held against it.
    let is_elsewhere = |source: &&Source| {
        source.path != "gate/denial/slug.rs" && !source.path.starts_with("openapi/")
    };
    for source in sources().iter().filter(is_elsewhere) {
        for status in ["401", "403"].iter().filter(|status| holds(&source.code, status)) {
            wrong.push(format!("{} holds {status}", source.path));
        }
    }
    assert_none(wrong, "statuses of denials belong in src/gate/denial/slug.rs");
}

// ---- size

#[test]
fn no_file_is_too_long() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{} has {lines} lines", source.path))
    });
    assert_none(long.collect::<Vec<_>>(), "past this, a file is two files");
}

#[test]
fn every_file_says_what_it_is_in_its_first_line() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.is_test() && !source.text.trim_start().starts_with("//!"));
    assert_none(silent.map(|source| source.path), "a module begins with a sentence");
}

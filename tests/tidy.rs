//! Style as a test: what the sources may not hold, and why.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use portcullis::gate::denial::Slug;

/// How many lines a file of the program may have; past that it is two files.
const LINES_MAX: usize = 500;

/// Who may use what of the crate. Imports run one way; whoever is not named is free.
const IMPORTS: [(&str, &[&str]); 21] = [
    ("gate", &["gate"]),
    ("secret", &[]),
    ("network", &[]),
    ("private_files", &[]),
    ("fetch", &[]),
    ("clock", &["gate"]),
    ("telemetry", &["telemetry", "gate", "network", "private_files"]),
    ("store", &["store", "gate", "secret", "clock", "private_files"]),
    ("config", &["config", "gate", "store", "secret"]),
    ("issuer", &["issuer", "gate"]),
    ("upstream", &["upstream", "config"]),
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
        ],
    ),
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
            "upstream",
            "store",
            "telemetry",
            "issuer",
            "clock",
            "secret",
            "fetch",
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

/// A source file of the program.
struct Source {
    /// Below `src`, with `/`.
    path: String,
    /// As it is.
    text: String,
    /// Without comments and the contents of literals, and without its unit tests.
    code: String,
}

impl Source {
    /// The module of the crate that it belongs to.
    fn top(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs")
    }

    fn is_in(&self, homes: &[&str]) -> bool {
        homes.iter().any(|home| match home.strip_suffix('/') {
            Some(_) => self.path.starts_with(home),
            None => self.path == *home,
        })
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of the program.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    files_below(&src, &mut files);
    files.sort();
    assert!(files.len() > 40, "the sources are where they were: {files:?}");
    let source = |path: &PathBuf| {
        let text = read(path);
        let path = path.strip_prefix(&src).expect("it is below src");
        let path = path.to_str().expect("a name").replace('\\', "/");
        // Unit tests stand at the end.
        let own = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let own = if path.ends_with("tests.rs") { "" } else { own };
        Source { path, code: code_of(own), text }
    };
    files.iter().map(source).collect()
}

/// The text without comments, and with nothing between quotes.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(end) = raw_text_end(rest, code.chars().last()) {
            code.push_str("\"\"");
            end
        } else if first == '"' {
            code.push_str("\"\"");
            quoted_end(rest, '"')
        } else if first == '\'' && is_character(rest) {
            code.push_str("' '");
            quoted_end(rest, '\'')
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// The length of `r"…"` or `r#"…"#` at the beginning of `rest`.
fn raw_text_end(rest: &str, before: Option<char>) -> Option<usize> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after =
        rest.strip_prefix('r').filter(|_| !before.is_some_and(|c| is_word(c) && c != 'b'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let begin = 1 + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(begin + rest[begin..].find(&end)? + end.len())
}

/// The length of what stands between two `quote`s, both included.
fn quoted_end(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            found if found == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Tells `'a'` from the lifetime `'a`.
fn is_character(rest: &str) -> bool {
    let mut characters = rest.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

/// Whether `word` stands in `code` on its own: `redis::` as the beginning of a path, and not as a
/// module within one.
fn holds(code: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_path = word.ends_with("::");
    code.match_indices(word).any(|(at, _)| {
        let before = &code[..at];
        // `::redis::` is the crate again, whatever else goes by its name.
        let outer = before.strip_suffix("::").filter(|_| is_path).unwrap_or(before);
        let goes_on = code[at + word.len()..].chars().next().is_some_and(is_word);
        !outer.chars().next_back().is_some_and(is_word) && (is_path || !goes_on)
    })
}

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

/// But for the mirror of what is written, and what the command line reads: their names are those of
/// sections and commands.
#[test]
fn each_name_of_a_type_stands_for_one_thing() {
    let sources = sources();
    let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Source { path, code, .. } in &sources {
        if path == "config/raw.rs" || path.starts_with("cli/") || path.contains("/tests/") {
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
    for source in sources().iter().filter(|source| source.path != "gate/denial/slug.rs") {
        for status in ["401", "403"].iter().filter(|status| holds(&source.code, status)) {
            wrong.push(format!("{} holds {status}", source.path));
        }
    }
    assert_none(wrong, "statuses of denials belong in src/gate/denial/slug.rs");
}

// ---- names

/// A name in words: `fooBar`, `FooBar` and `foo_bar` are `foo` and `bar`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        if character == '_' || character.is_ascii_uppercase() {
            words.push(String::new());
        }
        if character != '_'
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The names that `code` gives after `keyword`.
fn defined<'c>(code: &'c str, keyword: &str) -> Vec<&'c str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.match_indices(keyword)
        .filter(|(at, _)| !code[..*at].chars().next_back().is_some_and(is_word))
        .filter_map(|(at, _)| code[at + keyword.len()..].strip_prefix(' '))
        .map(|rest| &rest[..rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())])
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn functions_are_named_by_what_they_do() {
    let mut wrong = Vec::new();
    for source in sources() {
        let names = defined(&source.code, "fn").into_iter();
        for name in names.filter(|name| !IMPOSED.contains(name)) {
            let words = words(name);
            for (banned, instead) in BANNED_VERBS {
                // `portcullis check` is what users call it.
                let is_command = banned == "check" && source.path.starts_with("cli/check");
                if words.iter().any(|word| word == banned) && !is_command {
                    wrong.push(format!(
                        "{}: fn {name}; instead of {banned}: {instead}",
                        source.path
                    ));
                }
            }
            if words.first().is_some_and(|word| word == "get") {
                wrong.push(format!("{}: fn {name}; name what it returns", source.path));
            }
        }
    }
    assert_none(wrong, "names that say nothing");
}

#[test]
fn types_are_nouns_of_the_field() {
    let mut wrong = Vec::new();
    for source in sources() {
        for keyword in ["struct", "enum", "trait", "type"] {
            for name in defined(&source.code, keyword) {
                for (banned, instead) in BANNED_NOUNS {
                    if words(name).iter().any(|word| word == banned) {
                        wrong.push(format!("{}: {name}; instead: {instead}", source.path));
                    }
                }
            }
        }
    }
    assert_none(wrong, "names that say nothing");
}

#[test]
fn files_are_named_by_what_is_in_them() {
    let sources = sources();
    let name = |source: &Source| source.path.rsplit('/').next().unwrap_or_default().to_owned();
    let wrong = sources.iter().filter(|source| {
        let name = name(source);
        BANNED_FILES.contains(&name.as_str()) || name == "mod.rs"
    });
    assert_none(wrong.map(|source| source.path.clone()), "names that say nothing");
}

#[test]
fn names_are_taken_apart_into_words() {
    assert_eq!(words("get_token"), ["get", "token"]);
    assert_eq!(words("TokenManager"), ["token", "manager"]);
    let code = "pub fn a_b<T>() {} async fn c() {} fn\n d() {} struct E; enum F {} often fnord";
    assert_eq!(defined(code, "fn"), ["a_b", "c"]);
    assert_eq!(defined(code, "struct"), ["E"]);
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

// ---- slugs

#[test]
fn every_slug_is_documented() {
    let readme = read(&root().join("README.md"));
    let missing = Slug::ALL.iter().map(|slug| slug.as_str());
    let missing = missing.filter(|slug| !readme.contains(&format!("`{slug}`")));
    assert_none(missing.map(str::to_owned), "README.md does not say what these mean");
}

/// What cannot be provoked from outside is a defect, and tested as such or not at all.
#[test]
fn every_slug_is_tested() {
    let mut files = vec![root().join("tests/gate/denial.rs")];
    files_below(&root().join("tests/gate/denial"), &mut files);
    let tests: String = files.iter().map(|file| read(file)).collect();
    let missing = Slug::ALL.iter().map(|slug| slug.as_str());
    let missing = missing.filter(|slug| !tests.contains(&format!("\"{slug}\"")));
    assert_none(missing.map(str::to_owned), "tests/gate/denial/ does not provoke these");
}

/// The README's table of slugs tells the status that is in fact sent.
#[test]
fn every_slug_is_documented_with_its_status() {
    let readme = read(&root().join("README.md"));
    let rows: Vec<_> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let wrong = Slug::ALL.iter().filter(|slug| {
        let (name, status) = (format!("`{}`", slug.as_str()), slug.status().to_string());
        !rows.iter().any(|row| row.contains(&name) && holds(row, &status))
    });
    assert_none(wrong.map(|slug| slug.as_str().to_owned()), "another status than is sent");
}

// ---- tests

/// The tests of the integration binary.
fn tests() -> Vec<(String, String)> {
    let mut files = Vec::new();
    files_below(&root().join("tests"), &mut files);
    let named = files.iter().map(|path| {
        let name = path.strip_prefix(root()).expect("it is below").display().to_string();
        (name, code_of(&read(path)))
    });
    named.collect()
}

#[test]
fn names_of_tests_are_claims() {
    let mut wrong = Vec::new();
    let sources = sources().into_iter().map(|source| (source.path, code_of(&source.text)));
    for (path, code) in sources.chain(tests()) {
        let names = defined(&code, "fn").into_iter().filter(|name| name.starts_with("test_"));
        wrong.extend(names.map(|name| format!("{path}: {name}")));
    }
    assert_none(wrong, "a claim needs no prefix");
}

/// SECURITY.md says which test holds what it promises: a file or folder, or the name of a test.
#[test]
fn whatever_security_names_exists() {
    let text = read(&root().join("SECURITY.md"));
    let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let named: BTreeSet<_> = spans.collect();
    let is_path = |name: &&&str| name.starts_with("tests/") || name.starts_with("src/");
    let missing = named.iter().filter(is_path).filter(|path| !root().join(path).exists());
    assert_none(missing.map(|path| (*path).to_owned()), "SECURITY.md names what is not there");
    // Names of fields, slugs and metrics are shorter, or begin with ours.
    let is_claim = |name: &&&str| {
        let is_word = name.chars().all(|one| one.is_ascii_lowercase() || "_*…".contains(one));
        is_word && name.matches('_').count() > 3 && !name.starts_with("portcullis_")
    };
    let claims: Vec<_> = named.iter().filter(is_claim).collect();
    assert!(claims.len() > 20, "the names of tests are found: {claims:?}");
    let unit = sources().into_iter().map(|source| code_of(&source.text));
    let codes: Vec<_> = unit.chain(tests().into_iter().map(|(_, code)| code)).collect();
    let is_there = |claim: &str| match claim.trim_end_matches(['*', '…']) {
        whole if whole == claim => codes.iter().any(|code| holds(code, whole)),
        beginning => codes.iter().any(|code| code.contains(beginning)),
    };
    let missing = claims.into_iter().filter(|claim| !is_there(claim));
    assert_none(
        missing.map(|claim| (*claim).to_owned()),
        "SECURITY.md names tests that are not there",
    );
}

//! Names: words of the field, and none that say nothing.

use super::source::{Source, sources};
use super::{BANNED_FILES, BANNED_NOUNS, BANNED_VERBS, IMPOSED, assert_none};

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
pub(super) fn defined<'c>(code: &'c str, keyword: &str) -> Vec<&'c str> {
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

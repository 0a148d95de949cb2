//! Typical slips in a configuration that compiles.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::config::Severity;

/// A slip that a user makes in a file.
#[derive(Clone, Debug)]
enum Slip {
    DeleteLine(usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
    IndentLine(usize),
    CutAfter(usize),
    ReplaceWord(usize, &'static str),
    RepeatWord(usize),
    InsertText(usize, &'static str),
}

/// What replaces a word.
const WORDS: [&str; 24] = [
    "",
    "~",
    "-1",
    "0",
    "1.5e9",
    "true",
    "[]",
    "{}",
    "[[",
    "'",
    "\"",
    "&a",
    "*a",
    "!tag x",
    "|",
    ">",
    "- x",
    "? y",
    "0s",
    "99999999999999999999d",
    "${UNSET}",
    "${SET}",
    "Zo\u{eb}",
    "\u{0}",
];

fn slip() -> impl Strategy<Value = Slip> {
    let at = || 0..10_000_usize;
    prop_oneof![
        at().prop_map(Slip::DeleteLine),
        at().prop_map(Slip::RepeatLine),
        (at(), at()).prop_map(|(a, b)| Slip::SwapLines(a, b)),
        at().prop_map(Slip::IndentLine),
        at().prop_map(Slip::CutAfter),
        (at(), prop::sample::select(&WORDS[..])).prop_map(|(at, word)| Slip::ReplaceWord(at, word)),
        at().prop_map(Slip::RepeatWord),
        (at(), prop::sample::select(&WORDS[..])).prop_map(|(at, text)| Slip::InsertText(at, text)),
    ]
}

impl Slip {
    /// Positions wrap around.
    fn apply(&self, text: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.is_empty() {
            return String::new();
        }
        let count = lines.len();
        match *self {
            Self::DeleteLine(at) => drop(lines.remove(at % count)),
            Self::RepeatLine(at) => lines.insert(at % count, lines[at % count].clone()),
            Self::SwapLines(a, b) => lines.swap(a % count, b % count),
            Self::IndentLine(at) => lines[at % count].insert_str(0, "  "),
            Self::CutAfter(at) => lines.truncate(at % count),
            Self::ReplaceWord(at, word) => return with_word(text, at, |_| word.to_owned()),
            Self::RepeatWord(at) => return with_word(text, at, |word| format!("{word}, {word}")),
            Self::InsertText(at, insert) => {
                return with_word(text, at, |word| format!("{word}{insert}"));
            }
        }
        lines.join("\n")
    }
}

/// The text with one of its words changed.
fn with_word(text: &str, at: usize, change: impl FnOnce(&str) -> String) -> String {
    let is_word = |c: char| c.is_alphanumeric() || "_-./:${}*".contains(c);
    let mut words = Vec::new();
    let mut start = None;
    for (position, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_word(c)) {
            (None, true) => start = Some(position),
            (Some(begun), false) => {
                words.push(begun..position);
                start = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    let Some(word) = words.get(at % words.len().max(1)) else { return text.to_owned() };
    format!("{}{}{}", &text[..word.start], change(&text[word.clone()]), &text[word.end..])
}

#[test]
fn mistakes_of_any_kind_are_told_and_never_panic() {
    let (directory, whole) = whole();
    let slips = prop::collection::vec(slip(), 1..4);
    let [compiled, read, unreadable] = [const { Cell::new(0) }; 3];
    let count = |counter: &Cell<u32>| counter.set(counter.get() + 1);
    let tried = TestRunner::new(ProptestConfig::with_cases(1000)).run(&slips, |slips| {
        let text = slips.iter().fold(whole.clone(), |text, slip| slip.apply(&text));
        let Err(problems) = compile_in(directory.path(), &text) else {
            count(&compiled);
            return Ok(());
        };
        let told = problems.to_string();
        count(if told.contains("the file is not YAML") { &unreadable } else { &read });
        let errors = problems.list.iter().filter(|problem| problem.severity == Severity::Error);
        prop_assert!(errors.count() > 0, "refused without a reason:\n{text}");
        for problem in &problems.list {
            let line = problem.line.unwrap_or(1);
            prop_assert!((1..=text.lines().count() + 1).contains(&line), "{told}");
            prop_assert!(!problem.fact.is_empty() && !problem.remedy.is_empty(), "{told}");
        }
        Ok(())
    });
    tried.expect("told, without a panic");
    // Slips that all fail in the parser would prove little.
    let counted = [compiled.get(), read.get(), unreadable.get()];
    assert!(counted.iter().all(|count| *count > 5), "{counted:?}");
}

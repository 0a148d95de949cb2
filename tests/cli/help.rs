//! What `--help` says: of everything, in plain words, with examples that work.

use clap::{Arg, Command};
use portcullis::cli::Arguments;

use crate::harness::commands::{commands, name, words};
use crate::harness::program::{done, run};

/// What people type at night has examples.
const WITH_EXAMPLES: [&str; 11] = [
    "portcullis init",
    "portcullis check",
    "portcullis keys rotate",
    "portcullis token",
    "portcullis revoke",
    "portcullis revocations lift",
    "portcullis sessions end",
    "portcullis api-keys create",
    "portcullis completions",
    "portcullis man",
    "portcullis password hash",
];

/// Words that say nothing to whoever has not written the program.
const NOT_PLAIN: [&str; 10] = [
    "cut off",
    "cut-off",
    "cuts off",
    "somebody",
    "whoever",
    "anybody else",
    "vouches",
    "good for",
    " his ",
    "little",
];

/// What is said of an argument.
fn help_of(argument: &Arg) -> String {
    argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default()
}

/// What is said of a command.
fn about(command: &Command) -> String {
    command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default()
}

/// Every sentence of the help, with the place where it stands.
fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for command in commands() {
        texts.push((name(&command).to_owned(), about(&command)));
        let own = |argument: &&Arg| !["help", "version"].contains(&argument.get_id().as_str());
        for argument in command.get_arguments().filter(own) {
            let place = format!("{} {}", name(&command), argument.get_id());
            texts.push((place, help_of(argument)));
        }
    }
    texts
}

#[test]
fn every_command_and_every_option_says_what_it_is() {
    let texts = texts();
    assert!(texts.len() > 120, "{}", texts.len());
    for (place, text) in texts {
        assert!(text.starts_with(|first: char| first.is_ascii_uppercase()), "{place}: `{text}`");
        assert!(text.len() > 10, "{place}: `{text}`");
    }
}

#[test]
fn help_is_in_plain_words() {
    for (place, text) in texts() {
        let found = NOT_PLAIN.iter().find(|word| text.to_lowercase().contains(**word));
        assert_eq!(found, None, "{place}: `{text}`");
        let is_question = ["Why", "Who", "How", "What", "Where", "Whose"];
        let first = text.split([' ', ';']).next().unwrap_or_default();
        assert!(!is_question.contains(&first), "{place}: `{text}`");
    }
}

/// The commands in the examples of a command.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some(examples) = help.strip_prefix("Examples:\n") else { return Vec::new() };
    examples.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
}

#[test]
fn what_people_type_at_night_has_examples() {
    let with_examples: Vec<_> = commands()
        .iter()
        .filter(|command| examples(command).iter().any(|line| line.contains(name(command))))
        .map(|command| name(command).to_owned())
        .collect();
    let missing = WITH_EXAMPLES.iter().filter(|name| !with_examples.contains(&name.to_string()));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn examples_are_commands_that_parse() {
    let mut parsed = 0;
    for command in commands() {
        for line in examples(&command) {
            // What the shell does with it is not ours.
            let Some(at) = line.find("portcullis ") else { continue };
            let ours = line[at..].split([')', '|', '>', '<']).next().unwrap_or_default();
            let outcome = <Arguments as clap::Parser>::try_parse_from(words(ours));
            let refused = outcome.err().map(|error| error.to_string());
            assert_eq!(refused, None, "{}: {line}", name(&command));
            parsed += 1;
        }
    }
    assert!(parsed > 20, "{parsed}");
}

#[test]
fn help_shows_examples_defaults_and_variables() {
    let directory = tempfile::tempdir().expect("a directory");
    let help = done(run(directory.path(), &["revoke", "--help"]));
    for text in [
        "Revoke a token, session, user, client, key, issuer, or everything",
        "portcullis revoke --subject user-42 --reason 'lost laptop' --wait",
        "[env: PORTCULLIS_CONFIG=]",
        "[default: gateway.yaml]",
        "What to revoke (one of these):",
        "Which gateway:",
        "for 5s or DURATION",
    ] {
        assert!(help.contains(text), "`{text}` is not in {help}");
    }
}

#[test]
fn options_that_lead_to_a_gateway_stand_alone_under_their_heading() {
    let mut found = 0;
    for command in commands() {
        let arguments = command.get_arguments();
        let shared = arguments.filter(|one| one.get_help_heading() == Some("Which gateway"));
        let shared: Vec<_> = shared.map(|argument| argument.get_id().as_str()).collect();
        if !shared.is_empty() {
            assert_eq!(shared, ["config", "admin", "admin_token_file"], "{}", name(&command));
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn help_is_wrapped_at_a_hundred_columns() {
    let directory = tempfile::tempdir().expect("a directory");
    for command in commands() {
        let words: Vec<_> = name(&command).split(' ').skip(1).collect();
        let help = done(run(directory.path(), &[words.as_slice(), &["--help"]].concat()));
        let is_long = |line: &&str| line.chars().count() > 100 && !line.starts_with("Usage: ");
        assert_eq!(help.lines().find(is_long), None, "{words:?}");
    }
}

//! `docs/reference/command-line.md`: every command with its options, from the program's own help.

use std::fmt::Write;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command};
use expect_test::expect_file;
use portcullis::cli::conventions::{ENVIRONMENT, EXIT_CODES, SIGNALS};

use super::{head, page, row};
use crate::harness::commands::{commands, name};

/// The heading of the options that many commands share.
const SHARED: &str = "Which gateway";

const ABOUT: &str = "\
`portcullis` is one program with a command for each task. `portcullis COMMAND --help` shows what
this page says, and `portcullis man` prints it as a manual.

The gateway writes its log to standard error and the access log to standard output. All other
commands write results to standard output, and errors and warnings to standard error.";

const GATEWAY: &str = "\
## Commands that talk to a gateway

Some commands ask a running gateway through its admin listener. They take its address and its token
from the gateway's configuration: on the gateway's machine, run as its user, they need no options.
These options say otherwise:";

const UNANSWERED: &str = "\
A command that gets no answer in time fails and says so. The gateway may carry it out nevertheless:
look before you repeat it.";

#[test]
fn command_line_page_lists_every_command_with_its_options() {
    expect_file!["../../docs/reference/command-line.md"].assert_eq(&command_line());
}

fn command_line() -> String {
    let commands = commands();
    let mut text = page("Command line", ABOUT);
    text += &section("Exit codes", ["Code", "Meaning"], &EXIT_CODES);
    text += &section("Environment variables", ["Variable", "Meaning"], &ENVIRONMENT);
    text += &section("Signals", ["Signal", "What `portcullis serve` does"], &SIGNALS);
    let asks_a_gateway = |command: &&Command| shared_options(command).next().is_some();
    let example = commands.iter().find(asks_a_gateway).expect("one asks a gateway");
    let shared = options(shared_options(example));
    write!(text, "\n{GATEWAY}\n{shared}\n{UNANSWERED}\n\n## Commands\n").expect("written");
    text += &head(["Command", "What it does"]);
    let leaves = || commands.iter().filter(|command| !command.has_subcommands());
    leaves().for_each(|command| text += &line(command));
    leaves().for_each(|command| text += &description(command));
    text
}

/// A line of the list of commands.
fn line(command: &Command) -> String {
    let name = name(command);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    row([format!("[`{name}`](#{})", name.replace(' ', "-")), format!("{about}.")])
}

fn section(title: &str, columns: [&str; 2], rows: &[(&str, &str)]) -> String {
    let mut text = format!("\n## {title}\n{}", head(columns));
    for (term, meaning) in rows {
        let terms: Vec<_> = term.split(", ").map(|term| format!("`{term}`")).collect();
        text += &row([terms.join(", "), marked(meaning)]);
    }
    text
}

/// A table of options; nothing if there are none.
fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let rows: Vec<_> = arguments.map(|one| row([spelling(one), meaning(one)])).collect();
    match rows.is_empty() {
        true => String::new(),
        false => head(["Option", "Meaning"]) + &rows.concat(),
    }
}

/// Options stand in code, unless they do already.
fn marked(text: &str) -> String {
    let mut is_code = false;
    let pieces = text.split('`').map(|piece| {
        let words = piece.split(' ').map(|word| {
            let end = word.trim_end_matches([',', '.', ';', ':', ')']).len();
            let (option, rest) = word.split_at(end);
            match option.starts_with("--") && !is_code {
                true => format!("`{option}`{rest}"),
                false => word.to_owned(),
            }
        });
        let piece = words.collect::<Vec<_>>().join(" ");
        is_code = !is_code;
        piece
    });
    pieces.collect::<Vec<_>>().join("`")
}

fn shared_options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| argument.get_help_heading() == Some(SHARED))
}

/// One command: what it does, how it is called, its options, examples.
fn description(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let about = if about.ends_with('.') { about } else { about + "." };
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").expect("a usage");
    let mut text = format!(
        "\n### {}\n\n{}\n\n```text\n{}\n```\n",
        name(command),
        wrapped(&marked(&about)),
        broken_at_bars(usage)
    );
    text += &options(command.get_arguments().filter(|argument| {
        argument.get_help_heading() != Some(SHARED) && argument.get_id() != "help"
    }));
    if shared_options(command).next().is_some() {
        text += "\nIt also takes the [options that lead to a gateway](#commands-that-talk-to-a-gateway).\n";
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if let Some(examples) = after.strip_prefix("Examples:\n") {
        text += &marked_examples(examples);
    }
    text
}

/// What is indented twice is a command; the rest says what for.
fn marked_examples(examples: &str) -> String {
    let mut text = String::new();
    for example in examples.split("\n\n") {
        let (commands, words): (Vec<_>, Vec<_>) =
            example.lines().partition(|line| line.starts_with("    "));
        text += &format!("\n{}\n", words.join(" ").trim());
        if !commands.is_empty() {
            let commands: Vec<_> = commands.iter().map(|line| line.trim()).collect();
            text += &format!("\n```sh\n{}\n```\n", commands.join("\n"));
        }
    }
    text
}

/// A usage with a long choice in lines of up to a hundred characters.
fn broken_at_bars(usage: &str) -> String {
    let mut lines = vec![String::new()];
    for piece in usage.split_inclusive('|') {
        let line = lines.last_mut().expect("a line");
        match line.len() + piece.len() > 100 {
            true => lines.push(format!("    {piece}")),
            false => line.push_str(piece),
        }
    }
    lines.join("\n")
}

/// Paragraphs in lines of up to a hundred characters.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    for (number, paragraph) in text.split("\n\n").enumerate() {
        out += if number == 0 { "" } else { "\n\n" };
        let mut column = 0;
        for word in paragraph.split_whitespace() {
            let length = word.chars().count();
            let (separator, begin) = match column {
                0 => ("", 0),
                _ if column + 1 + length > 100 => ("\n", 0),
                _ => (" ", column + 1),
            };
            out += separator;
            out += word;
            column = begin + length;
        }
    }
    out
}

/// `--wait [DURATION]`, `ID`.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is clap's")]
fn spelling(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first());
    let value = value.map(ToString::to_string).unwrap_or_default();
    let Some(long) = argument.get_long() else { return format!("`{value}`") };
    match argument.get_action() {
        ArgAction::Set | ArgAction::Append => match argument.get_num_args() {
            Some(range) if range.min_values() == 0 => format!("`--{long} [{value}]`"),
            Some(_) | None => format!("`--{long} {value}`"),
        },
        _ => format!("`--{long}`"),
    }
}

/// What an option means, what it may be, what it is unless it is given, and which variable gives it.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let help = marked(&help.map(ToString::to_string).unwrap_or_default());
    // A default that is no fixed value is in the text.
    let mut text = match help.split_once(" [default: ") {
        Some((text, rest)) => {
            let (default, rest) = rest.split_once(']').expect("its end");
            let rest = rest.trim_start_matches('.');
            format!("{text}.{rest}{}Default: {default}.", if rest.is_empty() { " " } else { ". " })
        }
        None => help,
    };
    if !text.ends_with('.') {
        text.push('.');
    }
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let values = argument.get_possible_values();
    if takes_value && !values.is_empty() {
        let values: Vec<_> = values.iter().map(possible).collect();
        text += &format!(" One of {}.", values.join(", "));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|one| one.to_string_lossy()).collect();
    if takes_value && !defaults.is_empty() {
        text += &format!(" Default: `{}`.", defaults.join(", "));
    }
    if let Some(variable) = argument.get_env() {
        text += &format!(" Environment: `{}`.", variable.to_string_lossy());
    }
    if argument.is_required_set() {
        text.push_str(" Required.");
    }
    text
}

fn possible(value: &PossibleValue) -> String {
    match value.get_help() {
        Some(help) => format!("`{}` ({help})", value.get_name()),
        None => format!("`{}`", value.get_name()),
    }
}

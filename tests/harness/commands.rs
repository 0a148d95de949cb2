//! The commands as the program declares them.

use clap::{Command, CommandFactory};
use portcullis::cli::Arguments;

/// All commands, the program itself first, each before its subcommands. Its `bin_name` is what people
/// type: `portcullis keys rotate`.
pub(crate) fn commands() -> Vec<Command> {
    let mut main = Arguments::command().disable_help_subcommand(true);
    main.build();
    let mut all = Vec::new();
    collect(&main, &mut all);
    all
}

fn collect(command: &Command, all: &mut Vec<Command>) {
    all.push(command.clone());
    command.get_subcommands().for_each(|subcommand| collect(subcommand, all));
}

/// What people type.
pub(crate) fn name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or(command.get_name())
}

/// The words of a command line, as a shell takes them apart: quotes, and no variables.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in line.chars() {
        match (character, quote) {
            (' ', None) => words.push(String::new()),
            ('\'' | '"', None) => quote = Some(character),
            (end, Some(begin)) if end == begin => quote = None,
            (_, _) => words.last_mut().expect("a word").push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

//! `portcullis man`: the manual, a page for each command.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::conventions::{ENVIRONMENT, EXIT_CODES, SIGNALS};
use super::{Arguments, Failure, table};

const EXAMPLES: &str = "\
Examples:
  Read the main page:
    portcullis man | man -l -

  Install all pages, and read one:
    portcullis man --directory /usr/local/share/man/man1
    man portcullis-revoke";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Manual {
    /// Directory to write a page for each command to; pages that are there are replaced [default:
    /// the main page goes to standard output].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Manual {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut main = Arguments::command().disable_help_subcommand(true);
        main.build();
        match self.directory {
            None => table::print(&String::from_utf8_lossy(&page(&main).map_err(Failure::failed)?)),
            Some(directory) => {
                let failed = |error: io::Error| {
                    Failure::Failed(format!("cannot write to {}: {error}", directory.display()))
                };
                std::fs::create_dir_all(&directory).map_err(failed)?;
                let pages = write_pages(&main, &directory).map_err(failed)?;
                table::print(&format!("wrote {pages} pages to {}\n", directory.display()))
            }
        }
    }
}

/// Writes the page of a command and those of its subcommands, and counts them.
fn write_pages(command: &Command, directory: &Path) -> io::Result<usize> {
    let name = Man::new(command.clone()).get_filename();
    std::fs::write(directory.join(name), page(command)?)?;
    command.get_subcommands().try_fold(1, |pages, subcommand| {
        write_pages(subcommand, directory).map(|written| pages + written)
    })
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let is_main = command.get_name() == "portcullis";
    let title = command.get_display_name().unwrap_or(command.get_name()).to_uppercase();
    let source = concat!("portcullis ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(title).source(source).manual("Portcullis");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut out)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    if is_main {
        render_table("EXIT STATUS", &EXIT_CODES, &mut out)?;
        render_table("ENVIRONMENT", &ENVIRONMENT, &mut out)?;
        render_table("SIGNALS", &SIGNALS, &mut out)?;
    } else if let Some(examples) = command.get_after_help() {
        render_examples(&examples.to_string(), &mut out)?;
    }
    Ok(out)
}

fn render_table(heading: &str, rows: &[(&str, &str)], out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (term, meaning) in rows {
        roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
    roff.to_writer(out)
}

/// Lines are kept as they are: commands are meant to be copied.
fn render_examples(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let lines = text.strip_prefix("Examples:\n").unwrap_or(text);
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.to_writer(out)
}

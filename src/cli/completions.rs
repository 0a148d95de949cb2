//! `portcullis completions`: what a shell needs to complete our commands and options.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use super::{Arguments, Failure, table};

const EXAMPLES: &str = "\
Examples:
  Install them for bash; a new shell completes:
    mkdir -p ~/.local/share/bash-completion/completions
    portcullis completions bash > ~/.local/share/bash-completion/completions/portcullis

  For zsh, where ~/.zshrc has `fpath+=~/.zfunc` before `compinit`:
    mkdir -p ~/.zfunc
    portcullis completions zsh > ~/.zfunc/_portcullis

  For fish:
    mkdir -p ~/.config/fish/completions
    portcullis completions fish > ~/.config/fish/completions/portcullis.fish";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// Shell to write the completions for.
    #[arg(value_enum)]
    shell: CompletedShell,
}

/// The shells with which the completions are tested.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CompletedShell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let shell = match self.shell {
            CompletedShell::Bash => Shell::Bash,
            CompletedShell::Zsh => Shell::Zsh,
            CompletedShell::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut Arguments::command(), "portcullis", &mut script);
        table::print(&String::from_utf8_lossy(&script))
    }
}

//! The commands, as people and scripts use them.

mod check;
mod echo;
mod health;
mod keys;
mod program;
mod token;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::gateway::PROGRAM;

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program in a directory.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Ran {
    run_with(directory, arguments, &[])
}

/// The same, with these variables in its environment.
pub(crate) fn run_with(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let output = program(directory, arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        // A signal has no code.
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// The program, about to be run, without what this machine's environment would tell it.
fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(directory).args(arguments).stdin(Stdio::null());
    command.env_remove("PORTCULLIS_CONFIG").env_remove("PORTCULLIS_LOG");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command
}

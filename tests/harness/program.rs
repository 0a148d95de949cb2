//! Runs the program to its end, as people and scripts do.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::gateway::{Gateway, PROGRAM};

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
    ran(&output)
}

/// Runs the program in a directory against a gateway, with these variables in its environment.
pub(crate) fn operate(
    gateway: &Gateway,
    directory: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Ran {
    let admin = gateway.admin_arguments();
    let admin: Vec<_> = admin.iter().map(String::as_str).collect();
    run_with(directory, &[arguments, &admin].concat(), environment)
}

pub(crate) fn ran(output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        // A signal has no code.
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// The same, with this on standard input.
pub(crate) fn run_fed(directory: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut command = program(directory, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A program that does not want it is noticed by what it does.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    ran(&child.wait_with_output().expect("the end"))
}

/// The program, about to be run, without what this machine's environment would tell it.
pub(crate) fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(directory).args(arguments).stdin(Stdio::null());
    command.env_remove("PORTCULLIS_CONFIG").env_remove("PORTCULLIS_LOG");
    command.env_remove("PORTCULLIS_ADMIN_TOKEN_FILE").env_remove("USER");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command
}

/// What a command printed that did what it was told.
#[track_caller]
pub(crate) fn done(ran: Ran) -> String {
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    ran.stdout
}

/// What is told of arguments that make no sense.
#[track_caller]
pub(crate) fn bad_input(ran: Ran) -> String {
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    ran.stderr
}

/// What is told of what could not be done.
#[track_caller]
pub(crate) fn failed(ran: Ran) -> String {
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    ran.stderr
}

/// The cells of a line of a table.
pub(crate) fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

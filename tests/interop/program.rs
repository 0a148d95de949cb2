//! Scripts that answer each line of JSON with another.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use serde_json::Value;

use super::scripts;
use crate::harness::{PATIENCE, eventually};

/// A running script; it is killed when dropped.
pub(super) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

impl Program {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().expect("a pipe");
        let mut stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let read = BufReader::new(stdout).lines().map_while(Result::ok);
            read.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, errors: Some(errors) }
    }

    /// Sends it a line, and returns what it answers.
    #[track_caller]
    pub(super) fn ask(&mut self, question: &Value) -> Value {
        let stdin = self.stdin.as_mut().expect("it was not told to end");
        // One that ended is noticed by its silence.
        let _ = writeln!(stdin, "{question}");
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}")),
            Err(_) => panic!("no answer to {question}: {}", self.last_words()),
        }
    }

    /// Tells it that nothing more will come, and waits for its end, which must be a good one.
    #[track_caller]
    pub(super) fn end(mut self) {
        drop(self.stdin.take());
        let status = eventually("the end of a script", || self.child.try_wait().expect("a status"));
        assert!(status.success(), "{status}: {}", self.last_words());
    }

    /// Everything that it wrote on standard error. It does not write more.
    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A script in Python, about to be run.
pub(super) fn python(name: &str) -> Command {
    let mut command = Command::new(installed("venv/bin/python"));
    command.arg(scripts().join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    locally(command)
}

/// A script in JavaScript, about to be run.
pub(super) fn javascript(name: &str) -> Command {
    let text = std::fs::read_to_string(scripts().join(name)).expect("a script");
    let mut command = Command::new("node");
    // What is not in a file finds libraries from the directory in which it is run.
    command.current_dir(installed("")).args(["--input-type=module", "--eval", &text, "--"]);
    locally(command)
}

/// Something of what `scripts/interop.sh` installs.
pub(super) fn installed(path: &str) -> PathBuf {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop");
    let path = PathBuf::from(directory).join(path);
    assert!(path.exists(), "{} is missing: run scripts/install.sh test", path.display());
    path
}

/// This machine's own ports are reached without a detour, and Authlib speaks HTTP without TLS.
pub(super) fn locally(mut command: Command) -> Command {
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        command.env_remove(name);
    }
    command.env("AUTHLIB_INSECURE_TRANSPORT", "1");
    command
}

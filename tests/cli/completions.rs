//! `portcullis completions`, as shells load them.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::commands::{commands, name};
use crate::harness::program::{bad_input, done, run};

fn script(shell: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    done(run(directory.path(), &["completions", shell]))
}

/// Writes a script into a directory of its own.
fn written(shell: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(format!("portcullis.{shell}"));
    std::fs::write(&file, script(shell)).expect("a file");
    let file = file.display().to_string();
    (directory, file)
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// What bash proposes for the last of these words.
fn bash_proposes(file: &str, words: &[&str]) -> Vec<String> {
    let line = "source \"$1\"; shift
        complete -p portcullis >/dev/null || exit 9
        COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        \"$(complete -p portcullis | sed 's/.*-F \\([^ ]*\\).*/\\1/')\" \\
            portcullis \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", line, "bash", file]).args(words);
    let output = bash.output().expect("bash runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let proposed = String::from_utf8_lossy(&output.stdout).into_owned();
    proposed.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let (_directory, file) = written("bash");
    for (words, expected) in [
        (&["portcullis", "rev"][..], &["revoke", "revocations"][..]),
        (&["portcullis", "api-keys", "cr"], &["create"]),
        (&["portcullis", "revoke", "--sub"], &["--subject"]),
        (&["portcullis", "keys", "generate", "--algorithm", "E"], &["ES256", "ES384", "EdDSA"]),
        (&["portcullis", "init", "--for", "j"], &["jwt"]),
        (&["portcullis", "nothing-like-it-x"], &[]),
    ] {
        assert_eq!(bash_proposes(&file, words), expected, "{words:?}");
    }
}

#[test]
fn bash_completes_every_command() {
    let (_directory, file) = written("bash");
    for command in commands().iter().filter(|command| name(command) != "portcullis") {
        let words: Vec<_> = name(command).split(' ').collect();
        let proposed = bash_proposes(&file, &words);
        let last = *words.last().expect("a word");
        assert!(proposed.iter().any(|one| one == last), "{words:?}: {proposed:?}");
    }
}

#[test]
fn zsh_loads_its_completions() {
    let text = script("zsh");
    assert!(text.starts_with("#compdef portcullis"), "{text}");
    assert!(text.contains("revocations"), "{text}");
    if is_installed("zsh") {
        let (_directory, file) = written("zsh");
        let line = "autoload -U compinit; compinit -D -u; source \"$1\"; print $_comps[portcullis]";
        let output = Command::new("zsh").args(["-f", "-c", line, "zsh", &file]).output();
        let output = output.expect("zsh runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "_portcullis", "{output:?}");
    }
}

#[test]
fn fish_completes_commands() {
    let text = script("fish");
    assert!(text.contains("complete -c portcullis"), "{text}");
    if is_installed("fish") {
        let (directory, file) = written("fish");
        let line = format!("source {file}; complete -C 'portcullis rev'");
        let mut fish = Command::new("fish");
        fish.env("HOME", directory.path()).args(["--no-config", "-c", &line]);
        let output = fish.output().expect("fish runs");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let names: Vec<_> = told.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(names, ["revocations", "revoke"], "{output:?}");
    }
}

#[test]
fn shell_that_is_not_known_is_bad_input() {
    let told = bad_input(run(Path::new("."), &["completions", "tcsh"]));
    assert!(told.contains("'tcsh'") && told.contains("bash, zsh, fish"), "{told}");
}

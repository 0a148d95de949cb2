//! `portcullis man`, as `man` reads it.

use std::io::Write;
use std::process::{Command, Stdio};

use portcullis::cli::conventions::{ENVIRONMENT, EXIT_CODES, SIGNALS};

use crate::harness::commands::{commands, name};
use crate::harness::program::{done, failed, run};

fn main_page() -> String {
    let directory = tempfile::tempdir().expect("a directory");
    done(run(directory.path(), &["man"]))
}

/// The headings of a page, in order.
fn headings(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix(".SH "));
    headings.map(|heading| heading.trim_matches('"').to_owned()).collect()
}

#[test]
fn main_page_has_its_sections() {
    let page = main_page();
    assert!(page.contains(".TH PORTCULLIS 1 "), "{page}");
    let expected = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "SUBCOMMANDS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "SIGNALS",
    ];
    assert_eq!(headings(&page), expected);
    for (term, _) in EXIT_CODES.iter().chain(&ENVIRONMENT).chain(&SIGNALS) {
        assert!(page.contains(&format!("\\fB{term}\\fR")), "{term} is not in {page}");
    }
}

#[test]
fn every_command_has_a_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let told = done(run(directory.path(), &["man", "--directory", "share/man/man1"]));
    let commands = commands();
    assert_eq!(told, format!("wrote {} pages to share/man/man1\n", commands.len()));
    let pages = directory.path().join("share/man/man1");
    for command in &commands {
        let file = pages.join(format!("{}.1", name(command).replace(' ', "-")));
        let page = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{file:?}"));
        let title = name(command).replace(' ', "-").to_uppercase();
        assert!(page.contains(&format!(".TH {title} 1 ")), "{page}");
        assert_eq!(headings(&page)[..3], ["NAME", "SYNOPSIS", "DESCRIPTION"], "{page}");
    }
    assert_eq!(std::fs::read_dir(&pages).expect("a list").count(), commands.len());
    let main = std::fs::read_to_string(pages.join("portcullis.1")).expect("the main page");
    assert_eq!(main, main_page());
}

#[test]
fn examples_stand_in_a_page_as_they_are_typed() {
    let directory = tempfile::tempdir().expect("a directory");
    done(run(directory.path(), &["man", "--directory", "."]));
    let page = std::fs::read_to_string(directory.path().join("portcullis-revoke.1"));
    let page = page.expect("a page");
    let headings = headings(&page);
    assert_eq!(headings[headings.len() - 2..], ["WHICH GATEWAY", "EXAMPLES"], "{page}");
    let examples = page.split_once("\n.nf\n").and_then(|(_, rest)| rest.split_once("\n.fi"));
    let (examples, _) = examples.expect("lines as they are");
    let expected = "    portcullis revoke \\-\\-token \\- < leaked.jwt";
    assert!(examples.lines().any(|line| line == expected), "{examples}");
}

/// Where `man` is installed it has nothing to complain of.
#[test]
fn man_reads_every_page() {
    if Command::new("groff").arg("--version").output().is_err() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    done(run(directory.path(), &["man", "--directory", "."]));
    for command in commands() {
        let page = format!("{}.1", name(&command).replace(' ', "-"));
        let page = std::fs::read(directory.path().join(page)).expect("a page");
        let mut groff = Command::new("groff")
            .args(["-man", "-Tascii", "-ww", "-P-cbou"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("groff runs");
        groff.stdin.take().expect("a pipe").write_all(&page).expect("it reads");
        let output = groff.wait_with_output().expect("the end");
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!((output.status.code(), errors.trim()), (Some(0), ""), "{}", name(&command));
        assert!(text.contains("SYNOPSIS"), "{text}");
    }
}

#[test]
fn directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("file"), "").expect("a file");
    let told = failed(run(directory.path(), &["man", "--directory", "file"]));
    assert!(told.starts_with("portcullis: cannot write to file: "), "{told}");
}

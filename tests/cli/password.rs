//! `portcullis password hash`.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use argon2::password_hash::{PasswordHash, PasswordVerifier};
use argon2::{Argon2, Params};

use crate::harness::eventually;
use crate::harness::gateway::{directory, standard};
use crate::harness::program::{Ran, program, ran, run};
use crate::harness::upstream::Upstream;

/// The cheapest that is accepted, so that tests are fast.
const CHEAP: [&str; 4] = ["--memory", "7MiB", "--passes", "1"];

fn hash(options: &[&str], input: &[u8]) -> Ran {
    let arguments = [&["password", "hash"], options].concat();
    let mut command = program(&std::env::temp_dir(), &arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    ran(&child.wait_with_output().expect("the end"))
}

/// The hash that was printed, and nothing else was.
#[track_caller]
fn printed(ran: &Ran) -> &str {
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let hash = ran.stdout.strip_suffix('\n').expect("a line");
    assert!(!hash.contains(char::is_whitespace), "{ran:?}");
    hash
}

fn is_of(hash: &str, password: &[u8]) -> bool {
    let hash = PasswordHash::new(hash).expect("a PHC string");
    Argon2::default().verify_password(password, &hash).is_ok()
}

#[track_caller]
fn bad_input(ran: &Ran) -> &str {
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    &ran.stderr
}

#[test]
fn hash_is_of_the_line_and_costs_what_owasp_says() {
    let ran = hash(&[], b"correct horse\n");
    let text = printed(&ran);
    assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    assert!(is_of(text, b"correct horse") && !is_of(text, b"correct horsf"));
}

#[test]
fn cost_is_what_the_options_say() {
    let ran = hash(&["--memory", "8MiB", "--passes", "3", "--lanes", "2"], b"x\n");
    let parsed = PasswordHash::new(printed(&ran)).expect("a PHC string");
    let params = Params::try_from(&parsed).expect("parameters");
    assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (8 * 1024, 3, 2));
}

#[test]
fn same_password_has_another_hash_each_time() {
    let [one, two] = [(); 2].map(|()| hash(&CHEAP, b"same\n"));
    assert_ne!(printed(&one), printed(&two));
}

#[test]
fn only_the_newline_at_the_end_is_cut() {
    for (input, password) in [
        ("x", "x"),
        ("x\n", "x"),
        ("x\r\n", "x\r"),
        ("  x y \t\n", "  x y \t"),
        ("x\ny\n", "x"),
        ("x\0y\n", "x\0y"),
        ("Zo\u{eb}\n", "Zo\u{eb}"),
    ] {
        let ran = hash(&CHEAP, input.as_bytes());
        assert!(is_of(printed(&ran), password.as_bytes()), "{input:?}");
    }
}

#[test]
fn password_has_from_1_to_1024_bytes() {
    let longest = "x".repeat(1024);
    for ending in ["", "\n"] {
        let ran = hash(&CHEAP, format!("{longest}{ending}").as_bytes());
        assert!(is_of(printed(&ran), longest.as_bytes()));
        let ran = hash(&CHEAP, format!("{longest}x{ending}").as_bytes());
        assert_eq!(bad_input(&ran), "portcullis: the password is longer than 1024 bytes\n");
        let ran = hash(&CHEAP, ending.as_bytes());
        assert_eq!(bad_input(&ran), "portcullis: the password is empty\n");
    }
    let ran = hash(&CHEAP, b"\nx\n");
    assert_eq!(bad_input(&ran), "portcullis: the password is empty\n");
}

#[test]
fn what_is_not_utf_8_is_no_password() {
    let ran = hash(&CHEAP, b"\xff\xfe\n");
    assert_eq!(bad_input(&ran), "portcullis: the password is not UTF-8\n");
}

#[test]
fn costs_that_a_password_file_may_not_have_are_bad_input() {
    for (options, told) in [
        (["--memory", "7167KiB"], "portcullis: --memory is from 7168 to 1048576 KiB\n"),
        (["--memory", "1048577KiB"], "portcullis: --memory is from 7168 to 1048576 KiB\n"),
        (["--memory", "9999999GiB"], "portcullis: --memory is from 7168 to 1048576 KiB\n"),
        (["--memory", "19"], "portcullis: `19` is not a size: write 19MiB, 64MiB …\n"),
        (["--passes", "0"], "portcullis: --passes is from 1 to 100\n"),
        (["--passes", "101"], "portcullis: --passes is from 1 to 100\n"),
        (["--lanes", "0"], "portcullis: --lanes is from 1 to 16\n"),
        (["--lanes", "17"], "portcullis: --lanes is from 1 to 16\n"),
    ] {
        assert_eq!(bad_input(&hash(&options, b"x\n")), told, "{options:?}");
    }
    for options in [["--passes", "many"], ["--lanes", "1.5"], ["--passes", "4294967296"]] {
        assert!(bad_input(&hash(&options, b"x\n")).contains("invalid value"), "{options:?}");
    }
}

/// What is made by the one is taken by the other, at both ends.
#[test]
fn hashes_at_the_bounds_are_accepted_in_a_password_file() {
    let directory = directory();
    let people: Vec<_> = [
        ["--memory", "7MiB", "--passes", "1", "--lanes", "1"],
        ["--memory", "7168KiB", "--passes", "100", "--lanes", "16"],
    ]
    .iter()
    .enumerate()
    .map(|(number, options)| {
        let ran = hash(options, b"x\n");
        format!("user-{number}: {{ password: '{}' }}\n", printed(&ran))
    })
    .collect();
    fs::write(directory.path().join("users.yaml"), people.concat()).expect("a file");
    let text = format!("login: {{ password_file: users.yaml }}{}", standard(&Upstream::start()));
    fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let ran = run(directory.path(), &["check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

// ---- on a terminal

/// What came of typing.
struct Typed {
    code: i32,
    /// What the terminal showed.
    shown: String,
    /// What was written on standard output.
    out: String,
    /// Whether the terminal shows afterwards what is typed.
    echoes: bool,
}

/// Types these on a terminal, one at each prompt.
fn typed(keys: &[&str]) -> Typed {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    let text = |name: &str| fs::read_to_string(file(name)).unwrap_or_default();
    let command = format!(
        "tty > tty; {} password hash {} > out; code=$?; stty -a > after; exit $code",
        crate::harness::gateway::PROGRAM,
        CHEAP.join(" "),
    );
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", &command, "/dev/null"])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` of util-linux");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut shown = String::new();
    for (keys, prompt) in keys.iter().zip(["Password: ", "Again: "]) {
        while !shown.ends_with(prompt) {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("a prompt");
            shown.push(char::from(byte[0]));
        }
        // The prompt comes a moment before the terminal hides what is typed.
        eventually("a terminal that hides", || {
            let stty = Command::new("stty").args(["-a", "-F", text("tty").trim()]).output();
            (!is_echoing(&stty.expect("`stty`").stdout)).then_some(())
        });
        stdin.write_all(keys.as_bytes()).expect("the terminal");
    }
    stdout.read_to_string(&mut shown).expect("text");
    drop(stdin);
    let code = child.wait().expect("the end").code().unwrap_or(-1);
    Typed { code, shown, out: text("out"), echoes: is_echoing(text("after").as_bytes()) }
}

/// Whether a terminal shows what is typed, as `stty -a` tells.
fn is_echoing(told: &[u8]) -> bool {
    let told = String::from_utf8_lossy(told);
    told.split_whitespace().any(|word| word == "echo")
}

#[test]
fn password_is_typed_twice_and_not_shown() {
    let Typed { code, shown, out, echoes } = typed(&["my secret\n", "my secret\n"]);
    assert_eq!((code, echoes), (0, true), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(is_of(out.strip_suffix('\n').expect("a line"), b"my secret"), "{out}");
}

#[test]
fn two_passwords_are_bad_input() {
    let Typed { code, shown, out, echoes } = typed(&["my secret\n", "another secret\n"]);
    assert_eq!((code, &*out, echoes), (2, "", true), "{shown}");
    assert!(shown.contains("portcullis: the two passwords differ"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn empty_password_is_asked_for_once() {
    let Typed { code, shown, out, .. } = typed(&["\n"]);
    assert_eq!((code, &*out), (2, ""), "{shown}");
    assert!(shown.contains("portcullis: the password is empty"), "{shown}");
}

#[test]
fn terminal_that_was_interrupted_shows_again_what_is_typed() {
    let Typed { code, shown, out, echoes } = typed(&["my sec\u{3}"]);
    assert_eq!((code, &*out, echoes), (1, "", true), "{shown}");
    assert!(shown.contains("portcullis: interrupted"), "{shown}");
}

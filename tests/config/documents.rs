//! Texts that are not a configuration, or only just one.

use std::fs::File;

use super::*;

#[test]
fn file_that_is_not_there_is_told_with_a_remedy() {
    let ran = run_with(directory().path(), &["check", "--config", "nowhere.yaml"], &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "nowhere.yaml: error: the file cannot be read: No such file or directory (os error 2). \
         Name the file with --config, or write one with `portcullis init`.\n"
    );
}

#[test]
fn directory_instead_of_a_file_is_refused() {
    let ran = run_with(directory().path(), &["check", "--config", "."], &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with(".: error: the file cannot be read: "), "{ran:?}");
}

#[test]
fn empty_file_is_told_what_it_lacks() {
    let lacking = [
        "1: error: listeners: there is no listener. Add `- address: 127.0.0.1:8080`.",
        "1: error: routes: there is no route. Add one; see docs/reference/configuration.md.",
    ];
    for text in ["", "\n\n", "# nothing but a remark\n", "---\n", "~", "{}"] {
        let problems = problems(text);
        assert_eq!(problems.len(), 2, "{text:?}: {problems:#?}");
        for (problem, lacking) in problems.iter().zip(lacking) {
            let (_, told) = lacking.split_once(": ").expect("a line");
            assert!(problem.ends_with(told), "{text:?}: {problem}");
        }
    }
}

#[test]
fn binary_file_is_refused() {
    let ran = examine([0xff_u8, 0xfe, 0x00, 0x80, b'\n'].repeat(100));
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.starts_with("gateway.yaml: error: the file cannot be read: "), "{ran:?}");
}

#[test]
fn zeros_are_refused() {
    assert_eq!(examine(vec![0; 4096]).code, 2);
}

#[test]
fn file_over_64_mib_is_refused_as_too_large() {
    let directory = directory();
    let file = File::create(directory.path().join("gateway.yaml")).expect("a file");
    file.set_len((64 << 20) + 1).expect("a sparse file");
    let ran = run_with(directory.path(), &["check", "--config", "gateway.yaml"], &[]);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.stderr, "gateway.yaml: error: the file is too large. Split it up.\n");
}

#[test]
fn text_or_list_instead_of_sections_is_refused() {
    for (text, fact) in [
        ("listeners", "found string \"listeners\". Write a mapping with named fields."),
        ("- listeners", "found a list. Write a mapping with named fields."),
        ("7", "found integer `7`. Write a mapping with named fields."),
    ] {
        let problems = problems(text);
        assert!(problems[0].ends_with(fact), "{text:?}: {problems:#?}");
    }
}

#[test]
fn syntax_errors_name_their_line() {
    for (more, line) in [
        ("realm: \"never closed", 7),
        ("admin: { address: 127.0.0.1:9901", 7),
        ("admin:\n\taddress: 127.0.0.1:9901", 7),
        ("admin: *unheard-of", 6),
        ("}", 6),
    ] {
        let problems = problems(with(more));
        assert_eq!(problems.len(), 1, "{more:?}: {problems:#?}");
        let start = format!("{line}: error: the file is not YAML: ");
        assert!(problems[0].starts_with(&start), "{more:?}: {problems:#?}");
        assert!(problems[0].ends_with(". Correct the syntax."), "{more:?}: {problems:#?}");
    }
}

#[test]
fn braces_without_quotes_are_refused_with_the_remedy() {
    for more in ["realm: { a: ${NAME} }", "identity_headers: { names: [/{*rest}] }"] {
        let problems = problems(with(more));
        assert_eq!(problems.len(), 1, "{more:?}: {problems:#?}");
        let remedy = ". Put quotes around text with braces, such as \"${NAME}\" or \"/{*rest}\".";
        assert!(problems[0].ends_with(remedy), "{more:?}: {problems:#?}");
    }
}

#[test]
fn second_document_in_the_file_is_refused() {
    let problems = problems(with("---\nrealm: another"));
    assert!(problems[0].contains("more than one document"), "{problems:#?}");
}

#[test]
fn repeated_key_is_refused_at_the_line_of_the_second() {
    for (more, key) in [
        ("realm: a\nrealm: b", "realm"),
        ("admin: { address: '127.0.0.1:1' }\nadmin: {}", "admin"),
        ("server:\n  threads: 1\n  threads: 2", "threads"),
    ] {
        let text = with(more);
        let problems = problems(&text);
        let second = text.lines().count();
        let expected = format!(
            "{second}: error: the file is not YAML: duplicate entry with key \"{key}\". Correct the syntax."
        );
        assert_eq!(problems, [expected], "{text}");
    }
}

#[test]
fn repeated_upstream_is_refused() {
    let text = replace_line(
        2,
        "upstreams: { behind: { peers: ['127.0.0.1:1'] }, behind: { peers: ['127.0.0.1:2'] } }",
    );
    let problems = problems(text);
    assert_eq!(
        problems,
        [
            "2: error: the file is not YAML: duplicate entry with key \"behind\". Correct the syntax."
        ]
    );
}

#[test]
fn key_that_is_no_text_is_refused_and_nothing_else_is_made_up() {
    for key in ["7", "~", "true", "? [a]\n"] {
        let problems = problems(with(&format!("{key}: x")));
        assert_eq!(problems.len(), 1, "{key:?}: {problems:#?}");
    }
}

#[test]
fn anchors_and_aliases_are_followed() {
    let text = with(
        "  - { name: a, match: &place { path: /a, methods: [GET] }, upstream: behind, public: true }\n  \
         - { name: b, match: { path: /b }, upstream: behind, authenticate: &bearer [bearer] }\n  \
         - { name: c, match: { path: /c }, upstream: behind, authenticate: *bearer }",
    );
    all_compile([text.clone()]);
    let copied = text.replace("match: { path: /c }", "match: *place");
    let problem = "8: error: routes[3].match: route `a` matches the same requests. \
                   Give them different hosts, paths or methods.";
    each_is_refused([(copied, problem)]);
}

#[test]
fn mistake_behind_an_alias_is_named() {
    let text = with("admin: &shared { address: '127.0.0.1:9901' }\nserver: *shared");
    let problems = problems(text);
    let told = "server.address: there is no field `address` here. \
                Known are: `name`, `threads`, `shutdown_grace`, `lane`.";
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].ends_with(told), "{problems:#?}");
}

#[test]
fn aliases_that_multiply_without_bound_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert_eq!(examine(with(&text)).code, 2);
}

#[test]
fn nesting_without_bound_is_refused() {
    let text = format!("realm: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(examine(with(&text)).code, 2);
}

#[test]
fn line_endings_of_windows_are_read() {
    all_compile([BASE.replace('\n', "\r\n")]);
}

#[test]
fn byte_order_mark_is_read_over() {
    all_compile([format!("\u{feff}{BASE}")]);
}

#[test]
fn tag_does_not_keep_a_variable_from_being_filled_in() {
    // A tag means nothing here; either it is refused, or the value is what it would be without.
    let text = with("admin: { token: !secret '${PORTCULLIS_TEST_UNSET}' }");
    assert_eq!(examine(text).code, 2);
}

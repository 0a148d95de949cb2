//! What a page shows of the output of a command.
//!
//! Each line that is printed is shown, in order. `…` in a line stands for any text; `…` alone in a line
//! stands for any number of lines.

/// Stands for what differs from run to run, or is left out.
const ANYTHING: &str = "…";

/// Whether `shown` describes all of `printed`.
pub(super) fn describes(shown: &str, printed: &str) -> bool {
    let lines = |text: &str| -> Vec<String> { text.trim().lines().map(plain).collect() };
    lines_match(&lines(shown), &lines(printed))
}

/// A line as it is compared: HTTP ends its lines in CR LF.
fn plain(line: &str) -> String {
    line.trim_end().to_owned()
}

fn lines_match(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == ANYTHING => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others)),
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let Some((before, after)) = shown.split_once(ANYTHING) else { return shown == printed };
    let Some(rest) = printed.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(index, _)| index).chain([rest.len()]);
    ends.into_iter().any(|end| line_matches(after, &rest[end..]))
}

#[test]
fn every_line_is_shown_and_an_ellipsis_stands_for_what_differs() {
    for (shown, printed) in [
        ("status 200", "status 200\n"),
        ("a\nb", "a\r\nb\r\n"),
        ("revoked subject alice (position …)", "revoked subject alice (position 7)"),
        ("…\"slug\":\"csrf\"…", "{\"slug\":\"csrf\",\"status\":403}"),
        ("HTTP/1.1 200 OK\n…\nbody", "HTTP/1.1 200 OK\na: b\nc: d\n\nbody"),
        ("a\n…", "a"),
    ] {
        assert!(describes(shown, printed), "{shown:?} describes {printed:?}");
    }
    for (shown, printed) in [
        ("status 200", "status 401"),
        ("status 200", "status 200\nstatus 200"),
        ("a\nb", "b\na"),
        ("a …", "a"),
        ("position …)", "revoked (position 7)"),
        ("…\"slug\":\"csrf\"…", "{\"slug\":\"token_revoked\"}\n\"slug\":\"csrf\""),
        ("a\n…\nb", "a"),
        ("", "a"),
    ] {
        assert!(!describes(shown, printed), "{shown:?} does not describe {printed:?}");
    }
}

//! The sources of the program, as they are read here.

use std::path::{Path, PathBuf};

/// A source file of the program.
pub(super) struct Source {
    /// Below `src`, with `/`.
    pub(super) path: String,
    /// As it is.
    pub(super) text: String,
    /// Without comments and the contents of literals, and without its unit tests.
    pub(super) code: String,
}

impl Source {
    /// The module of the crate that it belongs to.
    pub(super) fn top(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs")
    }

    pub(super) fn is_in(&self, homes: &[&str]) -> bool {
        homes.iter().any(|home| match home.strip_suffix('/') {
            Some(_) => self.path.starts_with(home),
            None => self.path == *home,
        })
    }
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of the program.
pub(super) fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    files_below(&src, &mut files);
    files.sort();
    assert!(files.len() > 40, "the sources are where they were: {files:?}");
    let source = |path: &PathBuf| {
        let text = read(path);
        let path = path.strip_prefix(&src).expect("it is below src");
        let path = path.to_str().expect("a name").replace('\\', "/");
        // Unit tests stand at the end.
        let own = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let own = if path.ends_with("tests.rs") { "" } else { own };
        Source { path, code: code_of(own), text }
    };
    files.iter().map(source).collect()
}

/// The text without comments, and with nothing between quotes.
pub(super) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(end) = raw_text_end(rest, code.chars().last()) {
            code.push_str("\"\"");
            end
        } else if first == '"' {
            code.push_str("\"\"");
            quoted_end(rest, '"')
        } else if first == '\'' && is_character(rest) {
            code.push_str("' '");
            quoted_end(rest, '\'')
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// The length of `r"…"` or `r#"…"#` at the beginning of `rest`.
pub(super) fn raw_text_end(rest: &str, before: Option<char>) -> Option<usize> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after =
        rest.strip_prefix('r').filter(|_| !before.is_some_and(|c| is_word(c) && c != 'b'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let begin = 1 + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(begin + rest[begin..].find(&end)? + end.len())
}

/// The length of what stands between two `quote`s, both included.
pub(super) fn quoted_end(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            found if found == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Tells `'a'` from the lifetime `'a`.
pub(super) fn is_character(rest: &str) -> bool {
    let mut characters = rest.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

/// Whether `word` stands in `code` on its own: `redis::` as the beginning of a path, and not as a
/// module within one.
pub(super) fn holds(code: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_path = word.ends_with("::");
    code.match_indices(word).any(|(at, _)| {
        let before = &code[..at];
        // `::redis::` is the crate again, whatever else goes by its name.
        let outer = before.strip_suffix("::").filter(|_| is_path).unwrap_or(before);
        let goes_on = code[at + word.len()..].chars().next().is_some_and(is_word);
        !outer.chars().next_back().is_some_and(is_word) && (is_path || !goes_on)
    })
}

//! Describes faults of credentials for the access log: on one line, bounded, and without anything
//! that could be a credential itself.

use std::fmt;

use serde_json::Value;

/// How much of a text is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 64;

/// How many items of a list are shown.
const SHOWN_ITEMS_MAX: usize = 3;

/// The beginning of every token's header (`{"` in base64url). Then the beginnings of our own
/// secrets.
const TOKEN_MARK: &str = "eyJ";
const SECRET_PREFIXES: [&str; 2] = ["pk_", "rt_"];

/// A text from outside, between backquotes. It is cut, and nothing in it ends a line or controls a
/// terminal.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let is_secret = |prefix: &&str| text.starts_with(*prefix);
        if text.contains(TOKEN_MARK) || SECRET_PREFIXES.iter().any(is_secret) {
            return write!(f, "a string of {} bytes that may be a credential", text.len());
        }
        let shown = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
        f.write_str("`")?;
        for character in shown.chars() {
            match character {
                '`' | '"' | '\'' | '\\' => f.write_str("'")?,
                other => write!(f, "{}", other.escape_debug())?,
            }
        }
        f.write_str(if shown.len() < text.len() { "…`" } else { "`" })
    }
}

/// Several texts from outside, the first few of them shown.
pub fn listed<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut texts = texts.into_iter();
    let shown: Vec<_> =
        texts.by_ref().take(SHOWN_ITEMS_MAX).map(|text| Quoted(text).to_string()).collect();
    let mut list = if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") };
    match texts.count() {
        0 => {}
        more => list.push_str(&format!(" and {more} more")),
    }
    list
}

/// The type of a claim.
pub const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A span of time in hours, minutes and seconds: `26h`, `24h1s`.
pub fn span(seconds: i64) -> String {
    let whole = seconds.max(0);
    let parts = [(whole / 3600, 'h'), (whole / 60 % 60, 'm'), (whole % 60, 's')];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let text: String = parts.map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_in_hours_minutes_and_seconds() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (93_600, "26h"), (86_401, "24h1s"), (-1, "0s")]
        {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn text_is_shown_up_to_its_longest_length_and_cut_beyond() {
        let shown = |bytes: usize| Quoted(&"a".repeat(bytes)).to_string();
        assert_eq!(shown(SHOWN_BYTES_MAX), format!("`{}`", "a".repeat(SHOWN_BYTES_MAX)));
        assert_eq!(shown(SHOWN_BYTES_MAX + 1), format!("`{}…`", "a".repeat(SHOWN_BYTES_MAX)));
    }

    #[test]
    fn text_ends_neither_its_quotes_nor_its_line() {
        let nasty = "a`b\"\\\n\u{1b}[2J\u{202e}\u{2028}é";
        assert_eq!(Quoted(nasty).to_string(), "`a'b''\\n\\u{1b}[2J\\u{202e}\\u{2028}é`");
    }

    #[test]
    fn what_may_be_a_credential_is_not_shown() {
        for text in ["eyJhbGciOiJub25lIn0.e30.", "Bearer eyJh", "pk_abc", "rt_abc"] {
            assert!(!Quoted(text).to_string().contains(&text[1..]), "{text}");
        }
        assert_eq!(Quoted("shop_pk_").to_string(), "`shop_pk_`");
    }

    #[test]
    fn lists_are_shown_in_part() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b`, `c`");
        assert_eq!(listed(["a", "b", "c", "d"]), "`a`, `b`, `c` and 1 more");
    }
}

//! Texts as YAML scalars.

use std::net::SocketAddrV4;

/// Words that YAML reads as something other than a text.
const KEYWORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// A text of the configuration, where `${` begins a variable and has to be escaped.
pub(super) fn scalar(text: &str) -> String {
    literal(&text.replace("${", "$${"))
}

/// A text: plain if it can be, else in quotes.
pub(super) fn literal(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:".contains(&byte);
    let begins_plain = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        || text.parse::<SocketAddrV4>().is_ok();
    let is_word = KEYWORDS.iter().any(|keyword| text.eq_ignore_ascii_case(keyword));
    match begins_plain && text.bytes().all(is_plain) && !text.ends_with(':') && !is_word {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// A text in double quotes. What is neither a letter nor visible ASCII is escaped, since YAML may
/// read it as the end of a line.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ if character.is_alphanumeric() => out.push(character),
            _ => out.push_str(&format!("\\U{:08x}", u32::from(character))),
        }
    }
    out.push('"');
    out
}

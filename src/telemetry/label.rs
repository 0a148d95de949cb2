//! Labels of metrics, and the values that each can have.

use crate::gate::credential::Carrier;

/// A label of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// The values that it can have.
    pub values: LabelValues,
}

/// The values that a label can have: never text from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelValues {
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Names from the configuration or the program. This describes them in a few words, for the
    /// reference.
    Named(&'static str),
}

impl LabelValues {
    /// Whether the reference lists `value`.
    pub fn has(self, value: &str) -> bool {
        match self {
            Self::OneOf(words) => words.contains(&value),
            Self::Named(_) => true,
        }
    }
}

/// A label whose values are a fixed set of words.
pub const fn one_of(name: &'static str, words: &'static [&'static str]) -> Label {
    Label { name, values: LabelValues::OneOf(words) }
}

/// A label whose values are named by the configuration or the program.
pub const fn named(name: &'static str, what: &'static str) -> Label {
    Label { name, values: LabelValues::Named(what) }
}

/// The words of these variants, and optionally more, as the values of a label.
macro_rules! words {
    ($variants:expr $(, $more:expr)*) => {{
        const VARIANTS: usize = $variants.len();
        const MORE: &[&str] = &[$($more),*];
        const WORDS: [&str; VARIANTS + MORE.len()] = {
            let mut words = [""; VARIANTS + MORE.len()];
            let mut at = 0;
            while at < words.len() {
                words[at] = match at < VARIANTS {
                    true => $variants[at].as_str(),
                    false => MORE[at - VARIANTS],
                };
                at += 1;
            }
            words
        };
        &WORDS
    }};
}
pub(crate) use words;

/// The name of a route.
pub const ROUTE: Label =
    named("route", "name of the route; `gateway:own` for the gateway's endpoints; empty: none");

/// The name of an issuer.
pub const ISSUER: Label = named("issuer", "name of the issuer");

/// The carrier of the credential.
pub const CARRIER: Label = one_of("carrier", words!(Carrier::ALL, "none"));

/// Whether something succeeded.
pub const RESULT: Label = one_of("result", &["ok", "failed"]);

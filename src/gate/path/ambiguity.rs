//! Ambiguities of a path, in which servers disagree, and sets of them.

use std::fmt;

/// Something in a path that servers are known to read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ambiguity {
    /// `%2f`: a slash to some servers, a literal character to others.
    EncodedSlash,
    /// `;` or `%3b`: some servers cut off path parameters, some do not.
    Semicolon,
    /// `%25`: the result of one decoding can be decoded again.
    EncodedPercent,
    /// `//`: some servers merge slashes.
    EmptySegment,
    /// `/Admin`: some servers ignore case.
    Case,
    /// `/admin/`: some servers ignore a trailing slash.
    TrailingSlash,
    /// `/admin.`, `/admin%20`, `/admin::$DATA`: Windows ignores trailing dots and spaces in a name,
    /// and the name of the default stream.
    TrailingDot,
}

impl Ambiguity {
    /// Every ambiguity that a route can opt into.
    pub const ALL: [Self; 7] = [
        Self::EncodedSlash,
        Self::Semicolon,
        Self::EncodedPercent,
        Self::EmptySegment,
        Self::Case,
        Self::TrailingSlash,
        Self::TrailingDot,
    ];

    /// The name used in `gateway.yaml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EncodedSlash => "encoded_slash",
            Self::Semicolon => "semicolon",
            Self::EncodedPercent => "encoded_percent",
            Self::EmptySegment => "empty_segment",
            Self::Case => "case",
            Self::TrailingSlash => "trailing_slash",
            Self::TrailingDot => "trailing_dot",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::EncodedSlash => 1,
            Self::Semicolon => 2,
            Self::EncodedPercent => 4,
            Self::EmptySegment => 8,
            Self::Case => 16,
            Self::TrailingSlash => 32,
            Self::TrailingDot => 64,
        }
    }
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of [`Ambiguity`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ambiguities(u8);

impl Ambiguities {
    /// The ambiguities that matter only if another spelling of the path has another route: see
    /// [`super::fold()`].
    pub const FOLDINGS: Self =
        Self(0).with(Ambiguity::Case).with(Ambiguity::TrailingSlash).with(Ambiguity::TrailingDot);

    /// This set with `ambiguity` in it.
    #[must_use]
    pub const fn with(self, ambiguity: Ambiguity) -> Self {
        Self(self.0 | ambiguity.bit())
    }

    /// The ambiguities in this set, in the other, or in both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The ambiguities in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The ambiguities in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `ambiguity` is in this set.
    pub const fn contains(self, ambiguity: Ambiguity) -> bool {
        self.0 & ambiguity.bit() != 0
    }

    /// Whether everything in this set is also in `allowed`.
    pub const fn within(self, allowed: Self) -> bool {
        self.without(allowed).is_empty()
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The ambiguities in the set.
    pub fn iter(self) -> impl Iterator<Item = Ambiguity> {
        Ambiguity::ALL.into_iter().filter(move |ambiguity| self.contains(*ambiguity))
    }

    /// What upstreams do that read paths as one if these differ only in this set, of
    /// [`Ambiguities::FOLDINGS`].
    pub fn in_words(self) -> String {
        let words: Vec<_> = self
            .iter()
            .filter_map(|one| match one {
                Ambiguity::Case => Some("case"),
                Ambiguity::TrailingSlash => Some("a slash at the end"),
                Ambiguity::TrailingDot => Some("dots and spaces at the end of a name"),
                Ambiguity::EncodedSlash
                | Ambiguity::Semicolon
                | Ambiguity::EncodedPercent
                | Ambiguity::EmptySegment => None,
            })
            .collect();
        format!("ignore {}", words.join(" and "))
    }

    /// Every non-empty subset of this set. A subset comes before the sets that contain it.
    pub fn subsets(self) -> impl Iterator<Item = Self> {
        (1..=self.0).map(Self).filter(move |set| set.within(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_all_sets_within_but_the_empty_one() {
        let names =
            |set: Ambiguities| set.iter().map(Ambiguity::name).collect::<Vec<_>>().join("+");
        let subsets: Vec<_> = Ambiguities::FOLDINGS.subsets().map(names).collect();
        assert_eq!(
            subsets,
            [
                "case",
                "trailing_slash",
                "case+trailing_slash",
                "trailing_dot",
                "case+trailing_dot",
                "trailing_slash+trailing_dot",
                "case+trailing_slash+trailing_dot",
            ]
        );
        assert_eq!(Ambiguities::default().subsets().count(), 0);
    }
}

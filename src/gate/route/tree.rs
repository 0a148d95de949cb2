//! Path patterns → the routes of each, by method.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use super::super::denial::{Denial, Detail, Slug};
use super::super::path::{Ambiguities, fold};
use super::conflict::{AddError, Conflict};
use super::folded::Folded;

/// The path patterns of one host.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    /// The patterns as they are written, each with its leaf.
    written: Patterns,
    leaves: Vec<Leaf>,
    positions: HashMap<String, usize, ahash::RandomState>,
    /// The foldings that change some pattern.
    foldings: Ambiguities,
    /// The same patterns folded, for each set of those foldings.
    folded: Vec<Folded>,
}

/// Patterns, each with its position.
#[derive(Debug, Default)]
struct Patterns {
    /// Those that end where the path does.
    whole: matchit::Router<usize>,
    /// The patterns that end in `{*name}`. One router could not hold them together with `{name}`.
    rest: matchit::Router<usize>,
    precisions: Vec<Box<[Precision]>>,
}

/// The routes of one path pattern, by method.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    by_method: Vec<(Method, usize)>,
    any_method: Option<usize>,
    allow: Arc<str>,
}

/// How precisely a segment of a pattern says what it matches, the most precise first. Of two
/// patterns for a path, the one that is more precise where they first differ wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Literal,
    Segment,
    Rest,
}

impl PathTree {
    pub(super) fn add(
        &mut self,
        path: &str,
        methods: &[Method],
        index: usize,
    ) -> Result<(), AddError> {
        let pattern = anonymous(path)?;
        let at = match self.positions.get(&pattern) {
            Some(at) => *at,
            None => {
                let at = self.written.insert(&pattern)?;
                self.leaves.push(Leaf::default());
                self.positions.insert(pattern, at);
                at
            }
        };
        self.leaves[at].add(methods, index).map_err(AddError::Conflict)
    }

    /// Called once all patterns are added: adds the patterns that they imply, and folds them.
    pub(super) fn finish(&mut self) {
        let Self { written, leaves: _, positions, foldings, folded } = self;
        let changes = |pattern: &str, by| fold(pattern, by) != *pattern;
        *foldings = Ambiguities::FOLDINGS
            .iter()
            .map(|one| Ambiguities::default().with(one))
            .filter(|by| positions.keys().any(|pattern| changes(pattern, *by)))
            .fold(Ambiguities::default(), Ambiguities::union);
        written.add_roots(positions);
        let mut patterns: Vec<_> =
            positions.iter().map(|(text, at)| (text.as_str(), *at)).collect();
        patterns.sort_unstable_by_key(|(_, at)| *at);
        *folded = foldings.subsets().map(|by| Folded::new(&patterns, by)).collect();
    }

    /// The routes of those paths for which some route names methods.
    pub(super) fn routes_beside_methods(&self) -> impl Iterator<Item = usize> {
        let leaves = self.leaves.iter().filter(|leaf| leaf.names_methods());
        leaves
            .flat_map(|leaf| leaf.by_method.iter().map(|(_, index)| *index).chain(leaf.any_method))
    }

    /// The foldings that change some pattern.
    pub(super) fn foldings(&self) -> Ambiguities {
        self.foldings
    }

    /// The leaf of the most precise pattern that matches a path.
    pub(super) fn find(&self, path: &str) -> Option<&Leaf> {
        self.leaves.get(*self.written.find(path)?)
    }

    /// Where a path, folded by `by`, leads at an upstream that ignores these differences: the
    /// leaves of the most precise pattern. There are several if they differ in nothing else.
    pub(super) fn find_folded(&self, path: &str, by: Ambiguities) -> Option<Vec<&Leaf>> {
        // The other foldings change no pattern.
        let by = by.intersection(self.foldings);
        let positions = match self.folded.iter().find(|folded| folded.by() == by) {
            None => std::slice::from_ref(self.written.find(path)?),
            Some(folded) => folded.find(path)?,
        };
        Some(positions.iter().filter_map(|at| self.leaves.get(*at)).collect())
    }
}

impl Patterns {
    /// Adds a pattern, and returns its position.
    fn insert(&mut self, pattern: &str) -> Result<usize, AddError> {
        let at = self.precisions.len();
        let precision = precision_of(pattern);
        let router = match precision.last() {
            Some(Precision::Rest) => &mut self.rest,
            Some(Precision::Literal | Precision::Segment) | None => &mut self.whole,
        };
        router.insert(pattern, at).map_err(|error| AddError::Pattern(error.to_string()))?;
        self.precisions.push(precision);
        Ok(at)
    }

    /// `/a/{*rest}` also matches `/a/` and `/a`, unless a route names them: an operator who
    /// protects a tree does not mean to leave its root to another rule.
    fn add_roots(&mut self, positions: &HashMap<String, usize, ahash::RandomState>) {
        for (pattern, at) in positions {
            let Some(bare) = pattern.strip_suffix("/{*0}") else { continue };
            for root in [bare, &format!("{bare}/")] {
                // This cannot conflict: the only other pattern that matches exactly this text is
                // the one that was looked up first.
                if !root.is_empty() && !positions.contains_key(root) {
                    let _ = self.whole.insert(root, *at);
                }
            }
        }
    }

    fn find(&self, path: &str) -> Option<&usize> {
        let (whole, rest) = (self.whole.at(path).ok(), self.rest.at(path).ok());
        match (whole.map(|found| found.value), rest.map(|found| found.value)) {
            (Some(whole), Some(rest)) if self.precisions[*rest] < self.precisions[*whole] => {
                Some(rest)
            }
            (whole, rest) => whole.or(rest),
        }
    }
}

impl Leaf {
    fn add(&mut self, methods: &[Method], index: usize) -> Result<(), Conflict> {
        let conflict = |earlier| Conflict { earlier, later: index };
        if methods.is_empty()
            && let Some(earlier) = self.any_method.replace(index)
        {
            return Err(conflict(earlier));
        }
        for method in methods {
            if let Some((_, earlier)) = self.by_method.iter().find(|(known, _)| known == method) {
                return Err(conflict(*earlier));
            }
            self.by_method.push((method.clone(), index));
        }
        self.allow = self.allowed().join(", ").into();
        Ok(())
    }

    /// Whether the routes of the path differ by method.
    pub(super) fn names_methods(&self) -> bool {
        !self.by_method.is_empty()
    }

    /// `GET` answers `HEAD` too unless another route names it (RFC 9110 §9.3.2).
    pub(super) fn find(&self, method: &Method) -> Result<usize, Denial> {
        let named = |method: &Method| {
            self.by_method.iter().find(|(known, _)| known == method).map(|(_, index)| *index)
        };
        named(method)
            .or_else(|| (method == Method::HEAD).then(|| named(&Method::GET)).flatten())
            .or(self.any_method.filter(|_| is_forwarded(method)))
            .ok_or_else(|| Denial::with(Slug::MethodNotAllowed, Detail::Allow(self.allow.clone())))
    }

    /// A route of this pattern, for any method.
    pub(super) fn any(&self) -> Option<usize> {
        self.any_method.or_else(|| self.by_method.first().map(|(_, index)| *index))
    }

    fn allowed(&self) -> Vec<&str> {
        let mut allowed: Vec<_> =
            self.by_method.iter().map(|(method, _)| method.as_str()).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        if self.any_method.is_some() {
            allowed.extend(COMMON_METHODS);
        }
        allowed.sort_unstable();
        allowed.dedup();
        allowed
    }
}

/// The methods that `Allow` names for a path that accepts any method.
const COMMON_METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// Whether a request with this method is forwarded by a route for any method. The response to
/// `TRACE` repeats the request with all that the gateway added (RFC 9110 §9.3.8), `TRACK` is
/// Microsoft's name for it, and `CONNECT` asks for a tunnel. Methods are case-sensitive (§9.1), but
/// some frameworks read `delete` as `DELETE`, for which there may be another route.
pub fn is_forwarded(method: &Method) -> bool {
    let is_upper_case = !method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
    is_upper_case && !is_never_forwarded(method)
}

/// Whether no route can accept this method, in upper or lower case.
pub fn is_never_forwarded(method: &Method) -> bool {
    ["TRACE", "TRACK", "CONNECT"].iter().any(|never| never.eq_ignore_ascii_case(method.as_str()))
}

/// The pattern with its parameters numbered, so that `/a/{x}` and `/a/{y}` are the same.
fn anonymous(path: &str) -> Result<String, AddError> {
    let refuse = |why: &str| Err(AddError::Pattern(why.to_owned()));
    if !path.starts_with('/') {
        return refuse("it must start with a slash");
    }
    let mut pattern = String::from("/");
    let segments: Vec<&str> = path[1..].split('/').collect();
    let last = segments.len() - 1;
    let mut parameters = 0;
    for (position, segment) in segments.into_iter().enumerate() {
        if position > 0 {
            pattern.push('/');
        }
        let parameter = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match parameter {
            Some(name) => {
                let (star, name) = match name.strip_prefix('*') {
                    Some(name) => ("*", name),
                    None => ("", name),
                };
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                {
                    return refuse("a parameter is `{name}` or `{*name}`");
                }
                if star == "*" && position != last {
                    return refuse("`{*name}` must be the last segment");
                }
                let number = if star == "*" { 0 } else { parameters + 1 };
                parameters += 1;
                pattern.push_str(&format!("{{{star}{number}}}"));
            }
            None if segment.contains(['{', '}']) => {
                return refuse("a parameter must be a whole segment");
            }
            None if matches!(segment, "." | "..") => {
                return refuse("a dot segment never matches");
            }
            None if segment.is_empty() && position != last => {
                return refuse("it holds an empty segment");
            }
            None if !segment.bytes().all(is_literal) => {
                return refuse("it holds a character that a path must encode");
            }
            None => pattern.push_str(segment),
        }
    }
    Ok(pattern)
}

/// The precision of each segment of an anonymous pattern.
fn precision_of(pattern: &str) -> Box<[Precision]> {
    let segments = pattern.split('/').skip(1).map(|segment| match segment.as_bytes() {
        [b'{', b'*', ..] => Precision::Rest,
        [b'{', ..] => Precision::Segment,
        _ => Precision::Literal,
    });
    segments.collect()
}

/// RFC 3986 §3.3 `pchar`, without escapes and without `;`, which are ambiguous.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}

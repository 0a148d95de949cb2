//! Path patterns as read by upstreams that ignore some differences.

use std::collections::HashMap;
use std::str::Split;

use super::super::path::{Ambiguities, fold};

/// Folded patterns. The router of the written patterns cannot hold all that folding can produce,
/// such as `/a/{*rest}` next to `/a/{id}/{*rest}`.
#[derive(Debug)]
pub(super) struct Folded {
    by: Ambiguities,
    root: FoldedNode,
}

/// What may follow a segment, and the leaves of the patterns that end there. There are several if
/// the patterns differ only in what is folded.
#[derive(Debug, Default)]
struct FoldedNode {
    literals: HashMap<Box<str>, FoldedNode, ahash::RandomState>,
    parameter: Option<Box<FoldedNode>>,
    /// The leaves of patterns that end here.
    whole: Vec<usize>,
    /// The leaves of patterns that end in `{*name}` here.
    rest: Vec<usize>,
}

impl Folded {
    /// Folds patterns, each with its leaf.
    pub(super) fn new(patterns: &[(&str, usize)], by: Ambiguities) -> Self {
        let mut root = FoldedNode::default();
        for (pattern, leaf) in patterns {
            let pattern = fold(pattern, by);
            root.insert(pattern.split('/'), *leaf);
        }
        Self { by, root }
    }

    /// The set by which they are folded.
    pub(super) fn by(&self) -> Ambiguities {
        self.by
    }

    /// The leaves of the most precise pattern for a path that is folded in the same way. The search
    /// takes no more steps than there are patterns and segments in them.
    pub(super) fn find(&self, path: &str) -> Option<&[usize]> {
        self.root.find(path.split('/'))
    }
}

impl FoldedNode {
    fn insert(&mut self, mut segments: Split<'_, char>, leaf: usize) {
        let next = match segments.next() {
            None => return self.whole.push(leaf),
            Some(rest) if rest.starts_with("{*") => return self.rest.push(leaf),
            Some(parameter) if parameter.starts_with('{') => self.parameter.get_or_insert_default(),
            Some(literal) => self.literals.entry(literal.into()).or_default(),
        };
        next.insert(segments, leaf);
    }

    /// `{*rest}` also matches nothing and a single slash, unless a pattern names that.
    fn find(&self, segments: Split<'_, char>) -> Option<&[usize]> {
        let mut following = segments;
        let found = match following.next() {
            None => some(&self.whole),
            Some(segment) => {
                let literal = self.literals.get(segment);
                let parameter = self.parameter.as_deref().filter(|_| !segment.is_empty());
                literal
                    .and_then(|node| node.find(following.clone()))
                    .or_else(|| parameter.and_then(|node| node.find(following)))
            }
        };
        found.or_else(|| some(&self.rest))
    }
}

fn some(leaves: &[usize]) -> Option<&[usize]> {
    (!leaves.is_empty()).then_some(leaves)
}

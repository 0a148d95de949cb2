//! Aliases: spellings that some upstreams read as a path of another, stricter route.
//!
//! `/Admin` is `/admin` to Express and IIS. Next to a public `/{*rest}` it would be served without
//! the checks of `/admin`, so it is refused. An upstream is modelled as a table of the same
//! patterns, folded by the differences that it ignores, in which the most specific also wins.
//! Nothing is known about the actual upstream, so every set of differences is tried that changes
//! the path or a pattern.

use std::collections::HashSet;

use http::Method;

use super::super::path::{Ambiguities, CanonicalPath, fold};
use super::super::policy::Policy;
use super::RouteTable;
use super::entry::{HostPattern, Route, RouteMatch};
use super::tree::Leaf;

/// How much of a path is shown in a reason, in bytes.
const SHOWN_BYTES_MAX: usize = 64;

/// How many requests are tried to find the aliases of a table: hosts times routes.
const PLACES_MAX: usize = 20_000;

/// A spelling of a path that is refused, because it would match a less strict route than the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The position of the route whose path some upstreams read it as.
    pub of: usize,
    /// The position of the route that would serve it.
    pub served_by: usize,
    /// The differences that these upstreams ignore.
    pub by: Ambiguities,
    /// The spelling, as a path or as a pattern of one.
    pub spelling: String,
}

impl RouteTable {
    /// A stricter route, if some upstream may read a path that `route` would serve as a path of
    /// that route.
    pub(super) fn alias(
        &self,
        host: &str,
        path: &CanonicalPath<'_>,
        method: &Method,
        route: &Route,
    ) -> Option<Alias> {
        self.among_readings(host, path, route, |leaves, by, spelling| {
            let of = self.stricter(leaves, method, route)?;
            Some(Alias { of, served_by: route.index, by, spelling: spelling.to_owned() })
        })
    }

    /// Whether some upstream may read a path that `route` serves as one whose routes differ by
    /// method.
    pub(super) fn may_name_methods(
        &self,
        host: &str,
        path: &CanonicalPath<'_>,
        route: &Route,
    ) -> bool {
        let named = self.among_readings(host, path, route, |leaves, _, _| {
            leaves.iter().any(|leaf| leaf.names_methods()).then_some(())
        });
        named.is_some()
    }

    /// The first result of `find` over the ways in which upstreams may read a path that `route`
    /// serves. `find` gets the routes of the path that is read, the differences that are ignored,
    /// and the text that is read.
    fn among_readings<T>(
        &self,
        host: &str,
        path: &CanonicalPath<'_>,
        route: &Route,
        find: impl Fn(&[&Leaf], Ambiguities, &str) -> Option<T>,
    ) -> Option<T> {
        let foldings = path.foldings().union(self.foldings).without(route.dangerous_path);
        if foldings.is_empty() {
            return None;
        }
        for by in foldings.subsets() {
            for text in [Some(path.as_str()), path.decoded()].into_iter().flatten() {
                let folded = fold(text, by);
                let read = self.first(host, |tree| {
                    let leaves = tree.find_folded(&folded, by)?;
                    Some(find(&leaves, by, text))
                });
                if let Some(found) = read.flatten() {
                    return Some(found);
                }
            }
        }
        None
    }

    /// A route among those of one path that requires more than `route` does. A method that none of
    /// them accepts is refused there, and nothing is stricter than that.
    fn stricter(&self, leaves: &[&Leaf], method: &Method, route: &Route) -> Option<usize> {
        let mut is_taken = false;
        for index in leaves.iter().filter_map(|leaf| leaf.find(method).ok()) {
            is_taken = true;
            if index != route.index && !route.policy.implies(&self.routes[index].policy) {
                return Some(index);
            }
        }
        if is_taken { None } else { leaves.iter().find_map(|leaf| leaf.any()) }
    }

    /// Why an alias is refused, for the access log.
    pub(super) fn explain(&self, alias: &Alias, path: &CanonicalPath<'_>) -> String {
        let sent = path.as_str();
        let shown = &sent[..sent.len().min(SHOWN_BYTES_MAX)];
        let name = &self.routes[alias.of].name;
        format!("`{shown}` is a path of route `{name}` to upstreams that {}", alias.by.in_words())
    }

    /// The aliases for the routes of the table, which have these matches. For each two routes it
    /// returns one for each difference that upstreams ignore.
    pub fn aliases(&self, matches: &[RouteMatch]) -> Vec<Alias> {
        let named: Vec<String> = self.named_hosts().collect();
        let methods = self.methods(matches);
        let mut found = Vec::new();
        for (of, matching) in matches.iter().enumerate() {
            if matches!(self.routes[of].policy, Policy::Public) {
                continue;
            }
            let hosts: Vec<String> = match &matching.hosts[..] {
                [] if named.len().saturating_mul(matches.len()) > PLACES_MAX => vec![String::new()],
                [] => [String::new()].into_iter().chain(named.iter().cloned()).collect(),
                hosts => hosts.iter().map(example_host).collect(),
            };
            let methods = if matching.methods.is_empty() { &methods } else { &matching.methods };
            for spelling in spellings(&matching.path) {
                for host in &hosts {
                    found.extend(methods.iter().filter_map(|method| {
                        let alias = self.alias_at(host, &spelling, method)?;
                        (alias.of == of).then_some(alias)
                    }));
                }
            }
        }
        let mut seen = HashSet::new();
        found.retain(|Alias { of, served_by, spelling, by: _ }| {
            seen.insert((*of, *served_by, spelling.clone()))
        });
        found.sort_by_key(|alias| (alias.of, alias.served_by));
        found
    }

    /// The alias that a path of this pattern is, if any.
    fn alias_at(&self, host: &str, pattern: &str, method: &Method) -> Option<Alias> {
        let example = example_path(pattern);
        let path = CanonicalPath::parse(&example).ok()?;
        let route = &self.routes[self.leaf(host, path.as_str())?.find(method).ok()?];
        let alias = self.alias(host, &path, method, route)?;
        Some(Alias { spelling: pattern.to_owned(), ..alias })
    }

    fn named_hosts(&self) -> impl Iterator<Item = String> {
        let exact = self.exact.keys().cloned();
        exact.chain(
            self.below.keys().map(|parent| example_host(&HostPattern::Below(parent.clone()))),
        )
    }

    /// `GET`, and the methods that routes name.
    fn methods(&self, matches: &[RouteMatch]) -> Vec<Method> {
        let mut methods = vec![Method::GET];
        for method in matches.iter().flat_map(|matching| &matching.methods) {
            if !methods.contains(method) {
                methods.push(method.clone());
            }
        }
        methods
    }
}

fn example_host(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Below(parent) => format!("x.{parent}"),
    }
}

/// A path that matches the pattern.
fn example_path(pattern: &str) -> String {
    let segments =
        pattern.split('/').map(|segment| if is_literal(segment) { segment } else { "0" });
    segments.collect::<Vec<_>>().join("/")
}

fn is_literal(segment: &str) -> bool {
    !segment.starts_with('{')
}

/// The spellings of a pattern that differ from it in one way that some upstreams ignore.
fn spellings(pattern: &str) -> Vec<String> {
    let segments: Vec<&str> = pattern.split('/').collect();
    let mut found = Vec::new();
    let mut put = |at: usize, segment: String| {
        let mut changed = segments.clone();
        changed[at] = &segment;
        found.push(changed.join("/"));
    };
    let with_letter = segments.iter().enumerate().filter(|(_, segment)| is_literal(segment));
    let letter = with_letter.filter_map(|(at, segment)| Some((at, first_letter(segment)?))).next();
    if let Some((at, letter)) = letter {
        let (before, rest) = segments[at].split_at(letter);
        let (letter, after) = rest.split_at(1);
        let other_case = match letter.to_ascii_uppercase() {
            upper if upper == letter => letter.to_ascii_lowercase(),
            upper => upper,
        };
        put(at, format!("{before}{other_case}{after}"));
    }
    if let Some(at) = segments.iter().rposition(|one| is_literal(one) && !one.is_empty()) {
        put(at, format!("{}.", segments[at]));
    }
    match segments.last() {
        Some(&"") if pattern.len() > 1 => found.push(pattern[..pattern.len() - 1].to_owned()),
        Some(last) if !last.is_empty() && !last.starts_with("{*") => {
            found.push(format!("{pattern}/"))
        }
        Some(_) | None => {}
    }
    found
}

fn first_letter(segment: &str) -> Option<usize> {
    segment.find(|letter: char| letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests;

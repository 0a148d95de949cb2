//! Host, path and method → route. The most specific wins, whatever the order in the file.

pub mod alias;
mod conflict;
mod entry;
mod folded;
mod tree;

use std::collections::HashMap;

use http::Method;

use super::denial::{Denial, Slug};
use super::fields::MethodOverride;
use super::path::{Ambiguities, CanonicalPath};
pub use conflict::{AddError, Conflict};
pub use entry::{HostPattern, Route, RouteMatch};
use tree::{Leaf, PathTree};
pub use tree::{is_forwarded, is_never_forwarded};

/// The compiled table.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, PathTree, ahash::RandomState>,
    below: HashMap<String, PathTree, ahash::RandomState>,
    any: PathTree,
    routes: Vec<Route>,
    /// For each route: whether it, or another route of one of its paths, names methods.
    names_methods: Vec<bool>,
    /// The foldings that change some pattern. A path that they do not change may still be an alias.
    foldings: Ambiguities,
}

impl RouteTable {
    /// Compiles a table. A route's index must be its position.
    ///
    /// # Errors
    ///
    /// For each route that cannot be added, its position and the reason.
    pub fn compile(
        routes: impl IntoIterator<Item = (RouteMatch, Route)>,
    ) -> Result<Self, Vec<(usize, AddError)>> {
        let mut table = Self::default();
        let mut errors = Vec::new();
        for (index, (matching, route)) in routes.into_iter().enumerate() {
            debug_assert_eq!(index, route.index);
            table.routes.push(route);
            let refused = table.add(&matching, index).into_iter();
            errors.extend(refused.map(|error| (index, error)));
        }
        let trees = table.exact.values_mut().chain(table.below.values_mut());
        table.names_methods = vec![false; table.routes.len()];
        for tree in trees.chain([&mut table.any]) {
            tree.finish();
            for index in tree.routes_beside_methods() {
                table.names_methods[index] = true;
            }
            table.foldings = table.foldings.union(tree.foldings());
        }
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }

    /// Why routes with these matches, each with its position, could not be added.
    pub fn refusals<'m>(
        matches: impl IntoIterator<Item = (usize, &'m RouteMatch)>,
    ) -> Vec<(usize, AddError)> {
        let mut table = Self::default();
        let mut errors = Vec::new();
        for (index, matching) in matches {
            let refused = table.add(matching, index).into_iter();
            errors.extend(refused.map(|error| (index, error)));
        }
        errors
    }

    fn add(&mut self, matching: &RouteMatch, index: usize) -> Vec<AddError> {
        let RouteMatch { hosts, path, methods } = matching;
        let mut errors = Vec::new();
        let mut add = |tree: &mut PathTree| {
            if let Err(error) = tree.add(path, methods, index)
                && !errors.contains(&error)
            {
                errors.push(error);
            }
        };
        if hosts.is_empty() {
            add(&mut self.any);
        }
        for host in hosts {
            match host {
                HostPattern::Exact(host) => add(self.exact.entry(host.clone()).or_default()),
                HostPattern::Below(host) => add(self.below.entry(host.clone()).or_default()),
            }
        }
        errors
    }

    /// The routes, in the order of the configuration.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Finds the route for a request. `host` is in lower case and without port. It is empty if the
    /// request names none: then only routes for any host match.
    ///
    /// # Errors
    ///
    /// [`Slug::RouteUnknown`], [`Slug::MethodNotAllowed`] with the methods that are allowed, or
    /// [`Slug::RequestTarget`] if the path is ambiguous in a way that the route does not allow,
    /// would lead to another route once an upstream has decoded it, or is an
    /// [`Alias`](alias::Alias).
    pub fn find(
        &self,
        host: &str,
        path: &CanonicalPath<'_>,
        method: &Method,
    ) -> Result<&Route, Denial> {
        let refuse = |reason: String| Denial::new(Slug::RequestTarget).because(reason);
        let leaf = self.leaf(host, path.as_str());
        if let Some(decoded) = path.decoded() {
            let same = match (leaf, self.leaf(host, decoded)) {
                (None, None) => true,
                (Some(sent), Some(decoded)) => std::ptr::eq(sent, decoded),
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !same {
                return Err(refuse(
                    "the path matches another route once its escapes are decoded".into(),
                ));
            }
        }
        let route = match leaf {
            None if path.ambiguities().is_empty() => return Err(Slug::RouteUnknown.into()),
            None => return Err(Slug::RequestTarget.into()),
            Some(leaf) => leaf.find(method).map(|index| &self.routes[index]),
        };
        let allowed = route.as_ref().map_or(Ambiguities::default(), |route| route.dangerous_path);
        if let Some(ambiguity) = path.ambiguities().without(allowed).iter().next() {
            return Err(refuse(format!("the route does not allow {ambiguity}")));
        }
        let route = route?;
        match self.alias(host, path, method, route) {
            None => Ok(route),
            Some(alias) => Err(refuse(self.explain(&alias, path))),
        }
    }

    /// Decides what happens to fields that ask for another method, on the way to `route`. They are
    /// stripped if the decision depended on the method. That is so where routes differ by method,
    /// at this path or at one that an upstream may read it as. It is also so for safe methods: only
    /// unsafe ones are checked for their origin (CSRF) and need a recent list (`deny_writes`).
    pub fn method_override(
        &self,
        host: &str,
        path: &CanonicalPath<'_>,
        method: &Method,
        route: &Route,
    ) -> MethodOverride {
        let is_told_apart = self.names_methods.get(route.index).copied().unwrap_or(true);
        if method.is_safe() || is_told_apart || self.may_name_methods(host, path, route) {
            MethodOverride::Stripped
        } else {
            MethodOverride::Kept
        }
    }

    fn leaf(&self, host: &str, path: &str) -> Option<&Leaf> {
        self.first(host, |tree| tree.find(path))
    }

    /// An exact host precedes a suffix, a longer suffix a shorter one, and any host comes last. If
    /// a host has no pattern for the path, the next one is tried.
    fn first<'t, T>(&'t self, host: &str, find: impl Fn(&'t PathTree) -> Option<T>) -> Option<T> {
        if !self.exact.is_empty()
            && let Some(found) = self.exact.get(host).and_then(&find)
        {
            return Some(found);
        }
        if !self.below.is_empty() {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(found) = self.below.get(parent).and_then(&find) {
                    return Some(found);
                }
                rest = parent;
            }
        }
        find(&self.any)
    }
}

#[cfg(test)]
mod tests;

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
    /// By route: whether it or another of one of its paths names methods.
    names_methods: Vec<bool>,
    /// By which foldings some pattern changes: then a path that does not may still be an alias.
    foldings: Ambiguities,
}

impl RouteTable {
    /// Compiles a table. A route's index must be its position.
    ///
    /// # Errors
    ///
    /// For each route that cannot be added its position, and why.
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

    /// Why routes that match this, each with its position, could not be added.
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

    /// Finds the route for a request. `host` is in lower case and without port; empty if the
    /// request names none, which is then for routes on any host.
    ///
    /// # Errors
    ///
    /// [`Slug::RouteUnknown`], [`Slug::MethodNotAllowed`] with the methods that are, or
    /// [`Slug::RequestTarget`] if the path is ambiguous in a way that the route does not allow,
    /// would lead to another route once an upstream has decoded it, or is an [`Alias`](alias::Alias).
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

    /// What becomes of fields that ask for another method, on the way to `route`. What they ask for was
    /// decided upon where routes are told apart by method, of this path or of one as which an upstream
    /// may read it, and where a read is: only a write is asked for its origin (CSRF) and for a list
    /// that is not too old (`deny_writes`).
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

    /// An exact host goes before a suffix, a longer suffix before a shorter one, any host last;
    /// a host that knows nothing of the path leaves it to the next.
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

//! Host, path and method → route. The most specific wins, whatever the order in the file.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use super::denial::{Denial, Detail, Slug};
use super::fields::MethodOverride;
use super::internal::InternalToken;
use super::path::{Ambiguities, CanonicalPath};
use super::policy::Policy;

/// Which requests a route is for, as configured.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// The hosts; none means any.
    pub hosts: Vec<HostPattern>,
    /// The path pattern: literal text, `{name}` for a segment, `{*name}` for the rest.
    pub path: String,
    /// The methods; none means any.
    pub methods: Vec<Method>,
}

/// A host as a route names it, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this host.
    Exact(String),
    /// Any host below this one: `*.example` as `example`.
    Below(String),
}

/// What happens to the credential on its way to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardCredential {
    /// It stays at the gateway.
    Strip,
    /// The upstream gets it.
    Keep,
}

/// A route: what it is called, who may use it, where it leads.
#[derive(Debug)]
pub struct Route {
    /// The name, for metrics and logs.
    pub name: Arc<str>,
    /// Its place in the configuration; tables beside the gate use it as index.
    pub index: usize,
    /// The upstream's place in the configuration.
    pub upstream: usize,
    /// Who may use it.
    pub policy: Policy,
    /// What happens to the credential.
    pub credential: ForwardCredential,
    /// The token that tells the upstream who the caller is, if it wants one.
    pub internal_token: Option<Arc<InternalToken>>,
    /// The largest body, in bytes.
    pub body_bytes_max: Option<u64>,
    /// Path ambiguities that the upstream is known to handle.
    pub dangerous_path: Ambiguities,
}

/// Two routes claim the same requests.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The earlier route.
    pub earlier: usize,
    /// The later one.
    pub later: usize,
}

/// Why a route cannot be added.
#[derive(Debug, PartialEq, Eq)]
pub enum AddError {
    /// Another route claims the same requests.
    Conflict(Conflict),
    /// The path pattern is not one.
    Pattern(String),
}

/// The compiled table.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, PathTree, ahash::RandomState>,
    below: HashMap<String, PathTree, ahash::RandomState>,
    any: PathTree,
    routes: Vec<Route>,
    /// By route: whether it or another of one of its paths names methods.
    names_methods: Vec<bool>,
}

#[derive(Debug, Default)]
struct PathTree {
    /// The patterns that end where the path does.
    whole: matchit::Router<usize>,
    /// Those that end in `{*name}`: in one router they could not stand beside `{name}`.
    rest: matchit::Router<usize>,
    leaves: Vec<Leaf>,
    patterns: HashMap<String, usize, ahash::RandomState>,
}

/// The routes of one path pattern, told apart by method.
#[derive(Debug, Default)]
struct Leaf {
    precision: Box<[Precision]>,
    by_method: Vec<(Method, usize)>,
    any_method: Option<usize>,
    allow: Arc<str>,
}

/// How precisely a segment of a pattern says what it matches, the most precise first. Of two
/// patterns for a path the one goes first that is more precise where they first differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Literal,
    Segment,
    Rest,
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
            tree.add_roots();
            for index in tree.routes_beside_methods() {
                table.names_methods[index] = true;
            }
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

    /// Finds the route for a request. `host` is in lower case and without port.
    ///
    /// # Errors
    ///
    /// [`Slug::RouteUnknown`], [`Slug::MethodNotAllowed`] with the methods that are, or
    /// [`Slug::RequestTarget`] if the path is ambiguous in a way that the route does not allow, or
    /// would lead to another route once an upstream has decoded it.
    pub fn find(
        &self,
        host: &str,
        path: &CanonicalPath<'_>,
        method: &Method,
    ) -> Result<&Route, Denial> {
        let leaf = self.leaf(host, path.as_str());
        if let Some(decoded) = path.decoded() {
            let same = match (leaf, self.leaf(host, decoded)) {
                (None, None) => true,
                (Some(sent), Some(decoded)) => std::ptr::eq(sent, decoded),
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !same {
                return Err(Slug::RequestTarget.into());
            }
        }
        let route = match leaf {
            None if path.ambiguities().is_empty() => return Err(Slug::RouteUnknown.into()),
            None => return Err(Slug::RequestTarget.into()),
            Some(leaf) => leaf.find(method).map(|index| &self.routes[index]),
        };
        let allowed = route.as_ref().map_or(Ambiguities::default(), |route| route.dangerous_path);
        if !path.ambiguities().within(allowed) {
            return Err(Slug::RequestTarget.into());
        }
        route
    }

    /// What becomes of fields that ask for another method, on the way to the route of this index. What
    /// they ask for was decided upon where routes are told apart by method, and where a read is: only
    /// a write is asked for its origin (CSRF) and for a list that is not too old (`deny_writes`).
    pub fn method_override(&self, route: Option<usize>, method: &Method) -> MethodOverride {
        let names_methods = route.and_then(|index| self.names_methods.get(index));
        match names_methods {
            Some(false) if !method.is_safe() => MethodOverride::Kept,
            Some(_) | None => MethodOverride::Stripped,
        }
    }

    /// An exact host goes before a suffix, a longer suffix before a shorter one, any host last;
    /// a host that knows nothing of the path leaves it to the next.
    fn leaf(&self, host: &str, path: &str) -> Option<&Leaf> {
        if !self.exact.is_empty()
            && let Some(leaf) = self.exact.get(host).and_then(|tree| tree.find(path))
        {
            return Some(leaf);
        }
        if !self.below.is_empty() {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(leaf) = self.below.get(parent).and_then(|tree| tree.find(path)) {
                    return Some(leaf);
                }
                rest = parent;
            }
        }
        self.any.find(path)
    }
}

impl PathTree {
    fn add(&mut self, path: &str, methods: &[Method], index: usize) -> Result<(), AddError> {
        let pattern = anonymous(path)?;
        let at = match self.patterns.get(&pattern) {
            Some(at) => *at,
            None => {
                let at = self.leaves.len();
                let insert = |router: &mut matchit::Router<usize>, pattern: &str| {
                    router.insert(pattern, at).map_err(|error| AddError::Pattern(error.to_string()))
                };
                let precision = precision_of(&pattern);
                let router = match precision.last() {
                    Some(Precision::Rest) => &mut self.rest,
                    Some(Precision::Literal | Precision::Segment) | None => &mut self.whole,
                };
                insert(router, &pattern)?;
                self.leaves.push(Leaf { precision, ..Leaf::default() });
                self.patterns.insert(pattern, at);
                at
            }
        };
        self.leaves[at].add(methods, index).map_err(AddError::Conflict)
    }

    /// `/a/{*rest}` is also for `/a/` and `/a`, unless a route names that: nobody who protects a tree means
    /// to leave its root to another rule.
    fn add_roots(&mut self) {
        for (pattern, at) in &self.patterns {
            let Some(bare) = pattern.strip_suffix("/{*0}") else { continue };
            for root in [bare, &format!("{bare}/")] {
                // Cannot conflict: the only other text that matches exactly this is the pattern
                // that is looked for first.
                if !root.is_empty() && !self.patterns.contains_key(root) {
                    let _ = self.whole.insert(root, *at);
                }
            }
        }
    }

    /// The routes of the paths of which some route names methods.
    fn routes_beside_methods(&self) -> impl Iterator<Item = usize> {
        let leaves = self.leaves.iter().filter(|leaf| !leaf.by_method.is_empty());
        leaves
            .flat_map(|leaf| leaf.by_method.iter().map(|(_, index)| *index).chain(leaf.any_method))
    }

    fn find(&self, path: &str) -> Option<&Leaf> {
        let leaf = |router: &matchit::Router<usize>| {
            router.at(path).ok().and_then(|found| self.leaves.get(*found.value))
        };
        match (leaf(&self.whole), leaf(&self.rest)) {
            (Some(whole), Some(rest)) if rest.precision < whole.precision => Some(rest),
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

    /// `GET` answers `HEAD` too unless another route names it (RFC 9110 §9.3.2).
    fn find(&self, method: &Method) -> Result<usize, Denial> {
        let named = |method: &Method| {
            self.by_method.iter().find(|(known, _)| known == method).map(|(_, index)| *index)
        };
        named(method)
            .or_else(|| (method == Method::HEAD).then(|| named(&Method::GET)).flatten())
            .or(self.any_method.filter(|_| is_forwarded(method)))
            .ok_or_else(|| Denial::with(Slug::MethodNotAllowed, Detail::Allow(self.allow.clone())))
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

/// What is told of a path that takes any method: those that everybody knows.
const COMMON_METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// Whether a request with this method is forwarded where a route takes any. The answer to `TRACE`
/// repeats the request with all that the gateway wrote into it (RFC 9110 §9.3.8), `TRACK` is
/// Microsoft's word for it, and `CONNECT` asks for a tunnel. Methods are case-sensitive (§9.1), and
/// there are frameworks that read `delete` as `DELETE`, for which there may be another route.
pub fn is_forwarded(method: &Method) -> bool {
    let is_upper_case = !method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
    is_upper_case && !is_never_forwarded(method)
}

/// Whether no route can take this method, in upper or lower case.
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
                return refuse("a dot segment is never matched");
            }
            None if segment.is_empty() && position != last => {
                return refuse("it holds an empty segment");
            }
            None if !segment.bytes().all(is_literal) => {
                return refuse("it holds a character that never stands in a path unencoded");
            }
            None => pattern.push_str(segment),
        }
    }
    Ok(pattern)
}

/// For each segment of an anonymous pattern.
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

#[cfg(test)]
mod tests;

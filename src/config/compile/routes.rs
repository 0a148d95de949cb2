//! `routes` → the table that decides which rule applies to a request.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;

use super::compiler::{Compiler, one_of, one_of_section};
use super::policy::RawPolicy;
use super::presence::Presence;
use super::references::References;
use super::upstreams::CompiledUpstreams;
use crate::config::problem::FieldPath;
use crate::config::raw;
use crate::gate::path::{Ambiguities, Ambiguity};
use crate::gate::policy::ForwardCredential;
use crate::gate::request::host_of;
use crate::gate::route::{
    AddError, Conflict, HostPattern, Route, RouteMatch, RouteTable, is_forwarded,
    is_never_forwarded,
};

/// The table of routes, and what each route matches, for display.
pub(super) struct CompiledRoutes {
    pub(super) table: RouteTable,
    pub(super) matches: Vec<RouteMatch>,
}

/// The claims that some route requires, or some internal token carries. Only these are kept of a
/// token's claims.
pub(super) fn asked_claims(
    routes: &[raw::Route],
    upstreams: &BTreeMap<String, raw::Upstream>,
) -> Vec<Box<str>> {
    let required = routes.iter().flat_map(|route| route.require.claims.keys());
    let by_route = routes.iter().filter_map(|route| route.forward.internal_token.as_ref());
    let by_upstream = upstreams.values().filter_map(|one| one.forward.internal_token.as_ref());
    let internal = by_route.chain(by_upstream).flat_map(|token| &token.claims);
    let asked: BTreeSet<_> = required.chain(internal).collect();
    asked.into_iter().map(|path| path.as_str().into()).collect()
}

impl Compiler<'_> {
    pub(super) fn routes(
        &mut self,
        raw: Vec<raw::Route>,
        references: References<'_>,
    ) -> Option<CompiledRoutes> {
        let field = FieldPath::default().key("routes");
        if raw.is_empty() {
            let remedy = "Add one; see docs/reference/configuration.md";
            self.empty::<()>(&field, "there is no route", remedy);
        }
        let at = |index: usize| field.index(index).key("name");
        let names = raw.iter().enumerate().map(|(i, raw)| (at(i), raw.name.as_deref()));
        self.unique(names, "a route");
        let names: Vec<_> = raw.iter().map(|raw| raw.name.clone().unwrap_or_default()).collect();
        let (mut matches, mut rules) = (Vec::new(), Vec::new());
        for (index, raw) in raw.into_iter().enumerate() {
            let (matching, route) = self.route(raw, index, &field.index(index), references);
            matches.push(matching);
            rules.push(route);
        }
        // Also when a route is incomplete: the problems of the others are reported as well.
        let complete =
            matches.iter().enumerate().filter_map(|(at, found)| Some((at, found.as_ref()?)));
        for (index, error) in RouteTable::refusals(complete) {
            let field = field.index(index).key("match");
            match error {
                AddError::Pattern(fact) => {
                    let fact = format!("the path is not a pattern: {fact}");
                    let remedy = "Write literal segments, `{name}` and, last, `{*name}`";
                    self.error::<()>(&field.key("path"), &fact, remedy);
                }
                AddError::Conflict(Conflict { earlier, later: _ }) => {
                    let fact = format!("route `{}` matches the same requests", names[earlier]);
                    let remedy = "Give them different hosts, paths or methods";
                    self.error::<()>(&field, &fact, remedy);
                }
            }
        }
        let (Some(matches), Some(rules)) = (
            matches.into_iter().collect::<Option<Vec<_>>>(),
            rules.into_iter().collect::<Option<Vec<_>>>(),
        ) else {
            return None;
        };
        let table = RouteTable::compile(matches.iter().cloned().zip(rules)).ok()?;
        self.warn_of_aliases(&table, &matches, &field);
        Some(CompiledRoutes { table, matches })
    }

    fn route(
        &mut self,
        raw: raw::Route,
        index: usize,
        field: &FieldPath,
        references: References<'_>,
    ) -> (Option<RouteMatch>, Option<Route>) {
        let matching = self.matching(&raw.matching, &field.key("match"));
        let remedy = matching
            .as_ref()
            .and_then(|matching| references.builtin_paths.remedy_for(&matching.path));
        if let Some(remedy) = remedy {
            let fact = "the gateway answers this path itself, so no request would reach the route";
            self.error::<()>(&field.key("match").key("path"), fact, remedy);
        }
        (matching, self.rule(raw, index, field, references))
    }

    fn rule(
        &mut self,
        raw: raw::Route,
        index: usize,
        field: &FieldPath,
        references: References<'_>,
    ) -> Option<Route> {
        let raw::Route {
            name,
            matching,
            upstream,
            public,
            authenticate,
            issuers: accepted,
            require,
            when_stale,
            forward,
            limits,
        } = raw;
        let name = self.name(name, &field.key("name"));
        let label = name.as_deref().unwrap_or_default().to_owned();
        let dangerous_path = self.dangerous_path(&matching.dangerous_path, field, &label);
        let upstream = self.route_upstream(upstream, &field.key("upstream"), references.upstreams);
        let policy = RawPolicy { public, authenticate, issuers: accepted, require, when_stale };
        let policy = self.policy(policy, field, references);
        let credentials = [("strip", ForwardCredential::Strip), ("keep", ForwardCredential::Keep)];
        let credential = self.choice(
            forward.credential.as_deref(),
            &field.key("forward").key("credential"),
            &credentials,
            ForwardCredential::Strip,
        );
        let forward_field = field.key("forward");
        let internal_token = self.route_internal_token(
            forward.internal_token,
            policy.as_ref(),
            upstream.and_then(|position| references.upstreams.internal_token(position)),
            &forward_field,
            references.token_context,
        );
        if let Presence::Present(token) = internal_token {
            self.refuse_two_bearers(token, policy.as_ref(), credential, &forward_field);
        }
        let body_field = field.key("limits").key("body");
        let body_bytes_max = match limits.body {
            None => Some(None),
            some => self.size(some, &body_field, 0).map(Some),
        };
        Some(Route {
            name: name?.into(),
            index,
            upstream: upstream?,
            policy: policy?,
            credential: credential?,
            internal_token: internal_token.whole().ok()?,
            body_bytes_max: body_bytes_max?,
            dangerous_path,
        })
    }

    fn route_upstream(
        &mut self,
        name: Option<String>,
        field: &FieldPath,
        upstreams: &CompiledUpstreams,
    ) -> Option<usize> {
        let remedy = one_of_section("upstreams", upstreams.names());
        let name = self.required(name, field, &remedy)?;
        match upstreams.named(&name) {
            Presence::Present(position) => Some(position),
            Presence::Broken => None,
            Presence::Absent => {
                self.error(field, &format!("there is no upstream `{name}`"), &remedy)
            }
        }
    }

    /// `None` if a part of it was refused: the rest would match other requests.
    fn matching(&mut self, raw: &raw::Match, field: &FieldPath) -> Option<RouteMatch> {
        let raw::Match { hosts, path, methods, dangerous_path: _ } = raw;
        let path = self.required(
            path.clone(),
            &field.key("path"),
            "Write a path, such as /orders/{*rest}",
        );
        if path.as_deref().is_some_and(has_literal_star) {
            let fact = "`*` stands for itself here, so other paths do not match";
            let remedy = "Write `{*rest}` for all that follows, or `{name}` for one segment";
            self.warn(&field.key("path"), fact, remedy);
        }
        let mut patterns = Vec::new();
        for (index, host) in hosts.iter().enumerate() {
            let field = field.key("hosts").index(index);
            match host_pattern(host) {
                Some(pattern) if patterns.contains(&pattern) => {
                    self.error::<()>(&field, &format!("`{host}` is listed twice"), "Remove one");
                }
                Some(pattern) => patterns.push(pattern),
                None => {
                    let fact = format!("`{host}` is not a host");
                    let remedy = "Write api.example or *.example, without port";
                    self.error::<()>(&field, &fact, remedy);
                }
            }
        }
        let mut parsed = Vec::new();
        for (index, method) in methods.iter().enumerate() {
            let field = field.key("methods").index(index);
            let known = Method::from_bytes(method.as_bytes());
            match known {
                Ok(method) if parsed.contains(&method) => {
                    self.error::<()>(&field, &format!("`{method}` is listed twice"), "Remove one");
                }
                Ok(known) if is_forwarded(&known) => parsed.push(known),
                Ok(known) if is_never_forwarded(&known) => {
                    let fact = format!("`{known}` is never forwarded, whatever a route says");
                    self.error::<()>(&field, &fact, "Remove it");
                }
                Ok(_) | Err(_) => {
                    // Methods are case-sensitive (RFC 9110 §9.1): `get` would never match.
                    let fact = format!("`{method}` is not a method");
                    let remedy = match known {
                        Ok(_) => format!("Write {}", method.to_ascii_uppercase()),
                        Err(_) => "Write a method such as GET".to_owned(),
                    };
                    self.error::<()>(&field, &fact, &remedy);
                }
            }
        }
        if (patterns.len(), parsed.len()) != (hosts.len(), methods.len()) || self.is_reported(field)
        {
            return None;
        }
        Some(RouteMatch { hosts: patterns, path: path?, methods: parsed })
    }

    fn dangerous_path(&mut self, names: &[String], field: &FieldPath, route: &str) -> Ambiguities {
        let field = field.key("match").key("dangerous_path");
        let choices = Ambiguity::ALL.map(|ambiguity| (ambiguity.name(), ambiguity));
        let mut allowed = Ambiguities::default();
        for (index, name) in names.iter().enumerate() {
            let known = choices.iter().find(|(known, _)| known == name);
            match known {
                Some((_, ambiguity)) => allowed = allowed.with(*ambiguity),
                None => {
                    let remedy = one_of(choices.iter().map(|(name, _)| *name));
                    let fact = format!("`{name}` is not known");
                    self.error::<()>(&field.index(index), &fact, &remedy);
                }
            }
        }
        if !allowed.is_empty() {
            self.dangerous.push((format!("route {route}"), "dangerous_path"));
        }
        allowed
    }
}

fn host_pattern(text: &str) -> Option<HostPattern> {
    let host = text.strip_prefix("*.").unwrap_or(text);
    // The host as requests are compared with it: lower case, no port, no final dot.
    let canonical = host_of(host).filter(|_| !host.contains(':') || host.starts_with('['))?;
    let canonical = canonical.into_owned();
    Some(if host.len() == text.len() {
        HostPattern::Exact(canonical)
    } else {
        HostPattern::Below(canonical)
    })
}

/// Whether a segment of a pattern is `*` or `**`: other gateways have wildcards that look so.
fn has_literal_star(path: &str) -> bool {
    let is_star = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte == b'*');
    path.starts_with('/') && path.split('/').any(is_star)
}

//! `routes` → the table that decides which rule a request meets.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::Value;

use super::issuers::CompiledIssuers;
use super::revocation::StaleRules;
use super::upstreams::CompiledUpstreams;
use super::{Compiler, one_of};
use crate::config::problem::FieldPath;
use crate::config::{Login, raw};
use crate::gate::credential::Carrier;
use crate::gate::issuer::IssuerId;
use crate::gate::path::{Ambiguities, Ambiguity};
use crate::gate::policy::{Authenticate, ClaimRule, Policy, Requirement};
use crate::gate::request::host_of;
use crate::gate::route::{
    AddError, Conflict, ForwardCredential, HostPattern, Route, RouteMatch, RouteTable,
};

/// The claims that some route asks for, which is what is kept of a token's.
pub(super) fn asked_claims(routes: &[raw::Route]) -> Vec<Box<str>> {
    let asked: BTreeSet<_> = routes.iter().flat_map(|route| route.require.claims.keys()).collect();
    asked.into_iter().map(|path| path.as_str().into()).collect()
}

/// What routes may refer to.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) issuers: &'k CompiledIssuers,
    pub(super) upstreams: &'k CompiledUpstreams,
    pub(super) when_stale: StaleRules,
    /// How people log in: `None` if that was reported, `Some(None)` if they cannot.
    pub(super) login: Option<Option<&'k Login>>,
}

impl Compiler<'_> {
    pub(super) fn routes(
        &mut self,
        raw: Vec<raw::Route>,
        known: Known<'_>,
    ) -> (Option<RouteTable>, Vec<RouteMatch>) {
        let field = FieldPath::default().key("routes");
        if raw.is_empty() {
            let remedy = "Add one; see the reference in README.md";
            self.empty::<()>(&field, "there is no route", remedy);
        }
        let at = |index: usize| field.index(index).key("name");
        let names = raw.iter().enumerate().map(|(i, raw)| (at(i), raw.name.as_deref()));
        self.unique(names, "a route");
        let names: Vec<_> = raw.iter().map(|raw| raw.name.clone().unwrap_or_default()).collect();
        let (mut matches, mut rules) = (Vec::new(), Vec::new());
        for (index, raw) in raw.into_iter().enumerate() {
            let (matching, route) = self.route(raw, index, &field.index(index), known);
            matches.push(matching);
            rules.push(route);
        }
        // Also when a route is incomplete: what is wrong with the others is told as well.
        let complete =
            matches.iter().enumerate().filter_map(|(at, found)| Some((at, found.as_ref()?)));
        for (index, error) in RouteTable::refusals(complete) {
            let field = field.index(index).key("match");
            match error {
                AddError::Pattern(fact) => {
                    let fact = format!("this is not a path pattern: {fact}");
                    let remedy = "Write literal segments, `{name}` and, last, `{*name}`";
                    self.error::<()>(&field.key("path"), &fact, remedy);
                }
                AddError::Conflict(Conflict { earlier, later: _ }) => {
                    let fact = format!("route `{}` claims the same requests", names[earlier]);
                    let remedy = "Tell them apart by host, path or method";
                    self.error::<()>(&field, &fact, remedy);
                }
            }
        }
        let (Some(matches), Some(rules)) = (
            matches.into_iter().collect::<Option<Vec<_>>>(),
            rules.into_iter().collect::<Option<Vec<_>>>(),
        ) else {
            return (None, Vec::new());
        };
        (RouteTable::compile(matches.iter().cloned().zip(rules)).ok(), matches)
    }

    fn route(
        &mut self,
        raw: raw::Route,
        index: usize,
        field: &FieldPath,
        known: Known<'_>,
    ) -> (Option<RouteMatch>, Option<Route>) {
        let matching = self.matching(&raw.matching, &field.key("match"));
        if let (Some(RouteMatch { path, .. }), Some(Some(login))) = (&matching, known.login)
            && login.is_own(path)
        {
            let fact = "the gateway answers here itself, so no request would come this way";
            let remedy = "Choose another path, or another `login.base`";
            self.error::<()>(&field.key("match").key("path"), fact, remedy);
        }
        (matching, self.rule(raw, index, field, known))
    }

    fn rule(
        &mut self,
        raw: raw::Route,
        index: usize,
        field: &FieldPath,
        known: Known<'_>,
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
        let upstream = self.route_upstream(upstream, &field.key("upstream"), known.upstreams);
        let policy = match (public.unwrap_or(false), authenticate) {
            (true, None) => {
                let unused = [
                    ("issuers", accepted.is_some()),
                    ("require", !require.is_empty()),
                    ("when_stale", when_stale.is_some()),
                ];
                for (key, given) in unused {
                    if given {
                        let fact = format!("`{key}` means nothing on a public route");
                        self.error::<()>(&field.key(key), &fact, "Remove it, or `public`");
                    }
                }
                Some(Policy::Public)
            }
            (true, Some(_)) => self.error(
                &field.key("public"),
                "a route cannot be public and authenticate",
                "Keep one of the two",
            ),
            (false, None) => self.lacking(
                field,
                &[field.key("public"), field.key("authenticate")],
                "the route has no policy",
                "Add `authenticate: [bearer]`, or `public: true` if anybody may use it",
            ),
            (false, Some(carriers)) => {
                let when_stale =
                    self.when_stale(when_stale, &field.key("when_stale"), known.when_stale);
                self.authenticate(&carriers, accepted, require, field, known).and_then(
                    |(carriers, issuers, requirement)| {
                        let when_stale = when_stale?;
                        let rule = Authenticate { carriers, issuers, requirement, when_stale };
                        Some(Policy::Authenticate(rule))
                    },
                )
            }
        };
        let credentials = [("strip", ForwardCredential::Strip), ("keep", ForwardCredential::Keep)];
        let credential = self.choice(
            forward.credential.as_deref(),
            &field.key("forward").key("credential"),
            &credentials,
            ForwardCredential::Strip,
        );
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
        let remedy = one_of(upstreams.names());
        let name = self.required(name, field, &remedy)?;
        match upstreams.named(&name) {
            Some(position) => position,
            None => self.error(field, &format!("there is no upstream `{name}`"), &remedy),
        }
    }

    /// `None` if something of it was refused: what is left would claim other requests.
    fn matching(&mut self, raw: &raw::Match, field: &FieldPath) -> Option<RouteMatch> {
        let raw::Match { hosts, path, methods, dangerous_path: _ } = raw;
        let path = self.required(
            path.clone(),
            &field.key("path"),
            "Write a path, such as /orders/{*rest}",
        );
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
                Ok(known) if !method.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                    parsed.push(known);
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

    fn authenticate(
        &mut self,
        carriers: &[String],
        accepted: Option<Vec<String>>,
        require: raw::Require,
        field: &FieldPath,
        known: Known<'_>,
    ) -> Option<(Vec<Carrier>, Vec<IssuerId>, Requirement)> {
        let carriers_field = field.key("authenticate");
        let mut parsed = Vec::new();
        for (index, name) in carriers.iter().enumerate() {
            let field = carriers_field.index(index);
            let choices = [Carrier::Bearer, Carrier::Session].map(|c| (c.as_str(), c));
            match self.choice(Some(name), &field, &choices, Carrier::Bearer) {
                Some(carrier) if parsed.contains(&carrier) => {
                    self.error::<()>(&field, &format!("`{name}` is listed twice"), "Remove one");
                }
                Some(Carrier::Session) if matches!(known.login, Some(None)) => {
                    let fact = "nobody can log in, so there are no sessions";
                    self.error::<()>(&field, fact, "Add `login`, or remove this");
                }
                Some(carrier) => parsed.push(carrier),
                None => {}
            }
        }
        if carriers.is_empty() {
            let remedy = "Write [bearer] or [session]";
            let fact = "no credential could ever be accepted";
            self.empty::<()>(&carriers_field, fact, remedy);
        }
        let issuers_field = field.key("issuers");
        let takes_bearers =
            carriers.is_empty() || carriers.iter().any(|name| name != Carrier::Session.as_str());
        let issuers = known.issuers;
        let issuers = match accepted {
            Some(_) if !takes_bearers => {
                let fact = "`issuers` means nothing where no bearer token is accepted";
                self.error(&issuers_field, fact, "Remove it, or accept `bearer`")
            }
            None if !takes_bearers => Some(Vec::new()),
            None if issuers.is_empty() => {
                let wanted = [FieldPath::default().key("issuers"), issuers_field];
                let fact = "bearer tokens need an issuer, and there is none";
                self.lacking(&carriers_field, &wanted, fact, "Add one under `issuers`")
            }
            None => Some(issuers.ids()),
            Some(names) => self.route_issuers(&names, &issuers_field, issuers),
        };
        let requirement = self.requirement(require, &field.key("require"));
        Some((parsed, issuers?, requirement?))
    }

    fn route_issuers(
        &mut self,
        names: &[String],
        field: &FieldPath,
        issuers: &CompiledIssuers,
    ) -> Option<Vec<IssuerId>> {
        let remedy = one_of(issuers.names());
        if names.is_empty() {
            return self.empty(field, "no issuer is accepted", &remedy);
        }
        let mut ids = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match issuers.named(name) {
                Some(id) => ids.extend(id),
                None => {
                    let fact = format!("there is no issuer `{name}`");
                    self.error::<()>(&field.index(index), &fact, &remedy);
                }
            }
        }
        Some(ids)
    }

    fn requirement(&mut self, raw: raw::Require, field: &FieldPath) -> Option<Requirement> {
        let raw::Require { scopes, any_role, claims } = raw;
        for (index, scope) in scopes.iter().enumerate() {
            // RFC 6749 §3.3: what may stand in a scope, and so in a challenge.
            let good = !scope.is_empty()
                && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
            if !good {
                let fact = format!("`{scope}` is not a scope");
                let remedy = "Use visible ASCII without space, `\"` and `\\`";
                self.error::<()>(&field.key("scopes").index(index), &fact, remedy);
            }
        }
        let claims = self.claim_rules(claims, &field.key("claims"));
        Some(Requirement {
            scopes_text: scopes.join(" ").into(),
            scopes: scopes.into_iter().map(Into::into).collect(),
            any_role: any_role.into_iter().map(Into::into).collect(),
            claims: claims?,
        })
    }

    fn claim_rules(
        &mut self,
        raw: BTreeMap<String, serde_yaml::Value>,
        field: &FieldPath,
    ) -> Option<Vec<ClaimRule>> {
        let mut rules = Vec::new();
        for (path, accepted) in raw {
            let field = field.key(&path);
            let listed = match accepted {
                serde_yaml::Value::Sequence(items) => items,
                single => vec![single],
            };
            let accepted: Option<Vec<Value>> = listed.iter().map(scalar).collect();
            match accepted {
                Some(accepted) if !accepted.is_empty() => {
                    rules.push(ClaimRule { path: path.into(), accepted });
                }
                _ => {
                    let remedy = "List strings, numbers or truth values";
                    let fact = "the accepted values cannot be compared with a claim";
                    self.error::<()>(&field, fact, remedy);
                    return None;
                }
            }
        }
        Some(rules)
    }
}

impl raw::Require {
    fn is_empty(&self) -> bool {
        let Self { scopes, any_role, claims } = self;
        scopes.is_empty() && any_role.is_empty() && claims.is_empty()
    }
}

fn host_pattern(text: &str) -> Option<HostPattern> {
    let host = text.strip_prefix("*.").unwrap_or(text);
    // What a request's host is compared with: lower case, no port, no final dot.
    let canonical = host_of(host).filter(|_| !host.contains(':') || host.starts_with('['))?;
    let canonical = canonical.into_owned();
    Some(if host.len() == text.len() {
        HostPattern::Exact(canonical)
    } else {
        HostPattern::Below(canonical)
    })
}

fn scalar(value: &serde_yaml::Value) -> Option<Value> {
    match value {
        serde_yaml::Value::String(text) => Some(Value::String(text.clone())),
        serde_yaml::Value::Bool(truth) => Some(Value::Bool(*truth)),
        serde_yaml::Value::Number(number) => serde_json::to_value(number).ok(),
        serde_yaml::Value::Null
        | serde_yaml::Value::Sequence(_)
        | serde_yaml::Value::Mapping(_)
        | serde_yaml::Value::Tagged(_) => None,
    }
}

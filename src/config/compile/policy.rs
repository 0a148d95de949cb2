//! A route's policy: `public`, or the requirements for callers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compiler::{Compiler, one_of_section};
use super::issuers::CompiledIssuers;
use super::presence::Presence;
use super::references::References;
use crate::config::problem::FieldPath;
use crate::config::raw;
use crate::gate::credential::{Carrier, Voucher};
use crate::gate::policy::{Authenticate, ClaimRule, Policy, Requirement};

/// The policy of a route, as written.
pub(super) struct RawPolicy {
    pub(super) public: Option<bool>,
    pub(super) authenticate: Option<Vec<String>>,
    pub(super) issuers: Option<Vec<String>>,
    pub(super) require: raw::Require,
    pub(super) when_stale: Option<serde_yaml::Value>,
}

impl Compiler<'_> {
    pub(super) fn policy(
        &mut self,
        raw: RawPolicy,
        field: &FieldPath,
        references: References<'_>,
    ) -> Option<Policy> {
        let RawPolicy { public, authenticate, issuers: accepted, require, when_stale } = raw;
        match (public.unwrap_or(false), authenticate) {
            (true, None) => {
                let unused = [
                    ("issuers", accepted.is_some()),
                    ("require", !require.is_empty()),
                    ("when_stale", when_stale.is_some()),
                ];
                for (key, given) in unused {
                    if given {
                        let fact = format!("`{key}` has no effect on a public route");
                        self.error::<()>(&field.key(key), &fact, "Remove it, or `public`");
                    }
                }
                Some(Policy::Public)
            }
            (true, Some(_)) => self.error(
                &field.key("public"),
                "a route cannot have both `public` and `authenticate`",
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
                    self.when_stale(when_stale, &field.key("when_stale"), references.when_stale);
                self.authenticate(&carriers, accepted, require, field, references).and_then(
                    |(carriers, issuers, requirement)| {
                        let when_stale = when_stale?;
                        let rule = Authenticate { carriers, issuers, requirement, when_stale };
                        Some(Policy::Authenticate(rule))
                    },
                )
            }
        }
    }

    fn authenticate(
        &mut self,
        carriers: &[String],
        accepted: Option<Vec<String>>,
        require: raw::Require,
        field: &FieldPath,
        references: References<'_>,
    ) -> Option<(Vec<Carrier>, Vec<usize>, Requirement)> {
        let carriers_field = field.key("authenticate");
        let parsed = self.carriers(carriers, &carriers_field, references);
        let issuers_field = field.key("issuers");
        // An unknown carrier may be a misspelt one that needs issuers.
        let names_issuers = |name: &String| {
            let mut all = Carrier::ALL.into_iter();
            all.find(|carrier| carrier.as_str() == name).is_none_or(|carrier| {
                match carrier.vouched_by() {
                    Voucher::Issuer => true,
                    Voucher::Store => false,
                }
            })
        };
        let takes_bearers = carriers.is_empty() || carriers.iter().any(names_issuers);
        let issuers = references.issuers;
        let issuers = match accepted {
            Some(_) if !takes_bearers => {
                let fact = "`issuers` has no effect where no bearer token is accepted";
                self.error(&issuers_field, fact, "Remove it, or accept `bearer`")
            }
            None if !takes_bearers => Some(Vec::new()),
            None if issuers.is_empty() => {
                let wanted = [FieldPath::default().key("issuers"), issuers_field];
                let fact = "bearer tokens need an issuer, and there is none";
                self.lacking(&carriers_field, &wanted, fact, "Add one under `issuers`, or `tokens`")
            }
            None => Some(issuers.all()),
            Some(names) => self.route_issuers(&names, &issuers_field, issuers),
        };
        let requirement = self.requirement(require, &field.key("require"));
        Some((parsed, issuers?, requirement?))
    }

    /// The carriers of a route, in the order in which they are written.
    fn carriers(
        &mut self,
        carriers: &[String],
        field: &FieldPath,
        references: References<'_>,
    ) -> Vec<Carrier> {
        let mut parsed = Vec::new();
        for (index, name) in carriers.iter().enumerate() {
            let field = field.index(index);
            let choices = Carrier::ALL.map(|carrier| (carrier.as_str(), carrier));
            match self.choice(Some(name), &field, &choices, Carrier::Bearer) {
                Some(carrier) if parsed.contains(&carrier) => {
                    self.error::<()>(&field, &format!("`{name}` is listed twice"), "Remove one");
                }
                Some(Carrier::Session) if references.login.is_absent() => {
                    let fact = "nobody can log in, so there are no sessions";
                    self.error::<()>(&field, fact, "Add `login`, or remove this");
                }
                Some(Carrier::ApiKey) if references.api_keys.is_absent() => {
                    let fact = "there are no API keys";
                    self.error::<()>(&field, fact, "Add `api_keys: {}`, or remove this");
                }
                Some(carrier) => parsed.push(carrier),
                None => {}
            }
        }
        if carriers.is_empty() {
            let remedy = "Write [bearer], [session] or [api_key]";
            let fact = "the list is empty, so no credential would be accepted";
            self.empty::<()>(field, fact, remedy);
        }
        parsed
    }

    fn route_issuers(
        &mut self,
        names: &[String],
        field: &FieldPath,
        issuers: &CompiledIssuers,
    ) -> Option<Vec<usize>> {
        let remedy = one_of_section("issuers", issuers.names());
        if names.is_empty() {
            return self.empty(field, "no issuer is accepted", &remedy);
        }
        let mut ids = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match issuers.named(name) {
                Presence::Present(place) => ids.push(place),
                Presence::Broken => {}
                Presence::Absent => {
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
            self.scope(scope, &field.key("scopes").index(index));
        }
        let claims = self.claim_rules(claims, &field.key("claims"));
        Some(Requirement {
            scopes_text: scopes.join(" ").into(),
            scopes: scopes.into_iter().map(Into::into).collect(),
            any_role: any_role.into_iter().map(Into::into).collect(),
            claims: claims?,
        })
    }

    /// RFC 6749 §3.3: the characters that are allowed in a scope, and so in a challenge.
    pub(super) fn scope(&mut self, scope: &str, field: &FieldPath) {
        let good = !scope.is_empty()
            && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if !good {
            let fact = format!("`{scope}` is not a scope");
            let remedy = "Use visible ASCII without space, `\"` and `\\`";
            self.error::<()>(field, &fact, remedy);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is serde_yaml's")]
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
                    let remedy = "List strings, numbers or booleans";
                    let fact = "claims can only be compared with strings, numbers and booleans";
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

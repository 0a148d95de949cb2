//! `issuers` → who may issue tokens, and where their keys come from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::compiler::{Compiler, whole_seconds};
use super::identity::IdentityTerms;
use super::presence::Presence;
use crate::config::problem::FieldPath;
use crate::config::{IssuerSettings, KeySource, raw};
use crate::gate::claims::{CLIENT_CLAIMS_DEFAULT, ROLES_POINTER_DEFAULT};
use crate::gate::issuer::{DatedBy, IssuerRules, Untyped};

/// The issuers by name. One that could not be compiled is included, so that routes may name it.
pub(super) struct CompiledIssuers {
    places: HashMap<String, Option<usize>>,
    pub(super) list: Vec<IssuerSettings>,
}

impl CompiledIssuers {
    /// The position of the issuer with this name.
    pub(super) fn named(&self, name: &str) -> Presence<usize> {
        self.places.get(name).map_or(Presence::Absent, |place| Presence::of(*place))
    }

    pub(super) fn all(&self) -> Vec<usize> {
        (0..self.list.len()).collect()
    }

    /// Adds an issuer; `None` for one that could not be compiled.
    pub(super) fn add(&mut self, name: &str, issuer: Option<IssuerSettings>) {
        let place = issuer.map(|issuer| {
            self.list.push(issuer);
            self.list.len() - 1
        });
        self.places.insert(name.to_owned(), place);
    }

    /// The gateway itself, if it is one.
    pub(super) fn own_rules(&self) -> Option<&Arc<IssuerRules>> {
        let mut own = self.list.iter().filter(|issuer| matches!(issuer.keys, KeySource::Own));
        own.next().map(|issuer| &issuer.rules)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<_> = self.places.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter()
    }
}

impl Compiler<'_> {
    pub(super) fn issuers(
        &mut self,
        raw: Vec<raw::Issuer>,
        identity_terms: IdentityTerms<'_>,
    ) -> CompiledIssuers {
        let field = FieldPath::default().key("issuers");
        let at = |index: usize, key| field.index(index).key(key);
        let names = raw.iter().enumerate().map(|(i, r)| (at(i, "name"), r.name.as_deref()));
        self.unique(names, "an issuer");
        let urls = raw.iter().enumerate().map(|(i, r)| (at(i, "issuer"), r.issuer.as_deref()));
        self.unique(urls, "an issuer for");
        let mut compiled = CompiledIssuers { places: HashMap::new(), list: Vec::new() };
        for (index, raw) in raw.into_iter().enumerate() {
            let name = raw.name.clone();
            let issuer = self.issuer(raw, &field.index(index), identity_terms);
            if let Some(name) = name {
                compiled.add(&name, issuer);
            }
        }
        compiled
    }

    fn issuer(
        &mut self,
        raw: raw::Issuer,
        field: &FieldPath,
        identity_terms: IdentityTerms<'_>,
    ) -> Option<IssuerSettings> {
        let raw::Issuer {
            name,
            issuer,
            audiences,
            algorithms,
            keys,
            clock_skew,
            max_lifetime,
            token_types,
            required_claims,
            roles,
            claims,
        } = raw;
        let name = self.name(name, &field.key("name"));
        let issuer = self.required(issuer, &field.key("issuer"), "Write the `iss` of its tokens");
        if audiences.is_empty() {
            let remedy = "List the `aud` values that mean this service";
            let audiences = field.key("audiences");
            self.empty::<()>(&audiences, "no audience is accepted", remedy);
        }
        let algorithms = self.algorithms(&algorithms, "issuer", &field.key("algorithms"));
        let source = self.keys(keys, algorithms.as_deref(), field);
        let skew_field = field.key("clock_skew");
        let clock_skew = self.duration(clock_skew, &skew_field, Duration::from_secs(30));
        let lifetime_field = field.key("max_lifetime");
        let lifetime_max = self.seconds(max_lifetime, &lifetime_field, Duration::from_hours(24));
        let (token_types, untyped) = token_types_of(token_types);
        let roles_pointer = self.roles_pointer(roles, &field.key("roles"));
        let client_claims = self.client_claims(claims.client, &field.key("claims").key("client"));
        let rules = IssuerRules {
            name: name?,
            issuer: issuer?.into(),
            audiences: audiences.into_iter().map(Into::into).collect(),
            algorithms: algorithms?,
            clock_skew_s: whole_seconds(clock_skew?),
            clock_ahead_s: whole_seconds(clock_skew?),
            dated_by: DatedBy::Issue,
            lifetime_max_s: whole_seconds(lifetime_max?),
            token_types,
            untyped,
            required_claims: required_claims.into_iter().map(Into::into).collect(),
            roles_pointer: roles_pointer?,
            client_claims: client_claims?,
            asked_claims: identity_terms.asked_claims.to_vec(),
            identity: identity_terms.identity?.clone(),
            identity_bytes_max: identity_terms.bytes_max,
        };
        Some(IssuerSettings { rules: Arc::new(rules), keys: source? })
    }

    /// Which claims name the client, by default those of the usual providers. If the list is empty,
    /// tokens name no client.
    fn client_claims(
        &mut self,
        names: Option<Vec<String>>,
        field: &FieldPath,
    ) -> Option<Vec<Box<str>>> {
        let Some(names) = names else { return Some(CLIENT_CLAIMS_DEFAULT.map(Into::into).into()) };
        let mut claims: Vec<Box<str>> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let field = field.index(index);
            if name.is_empty() {
                let remedy = "Write a name such as azp, or a JSON pointer such as /act/client_id";
                self.error::<()>(&field, "this names no claim", remedy);
            } else if claims.iter().any(|claim| **claim == **name) {
                self.error::<()>(&field, &format!("`{name}` is listed twice"), "Remove one");
            }
            claims.push(name.as_str().into());
        }
        (!self.is_reported(field)).then_some(claims)
    }

    fn roles_pointer(&mut self, text: Option<String>, field: &FieldPath) -> Option<Box<str>> {
        let text = text.unwrap_or_else(|| ROLES_POINTER_DEFAULT.to_owned());
        if text.starts_with('/') {
            return Some(text.into());
        }
        let fact = format!("`{text}` is not a JSON pointer");
        self.error(field, &fact, &format!("Write `/{text}`, or `/realm_access/roles` and the like"))
    }
}

/// The accepted `typ` values, and whether a token may lack it. The default is JWT, at+jwt or
/// absent.
fn token_types_of(listed: Option<Vec<String>>) -> (Vec<Box<str>>, Untyped) {
    match listed {
        None => (vec!["jwt".into(), "at+jwt".into()], Untyped::Accepted),
        Some(listed) => {
            let types = listed.iter().map(|name| {
                let name = name.to_ascii_lowercase();
                name.strip_prefix("application/").unwrap_or(&name).into()
            });
            (types.collect(), Untyped::Refused)
        }
    }
}

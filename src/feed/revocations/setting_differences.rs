//! Compares the settings that must be the same at all gateways of a store. They decide how long
//! records that one gateway writes live at the others.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::gate::issuer::DatedBy;
use crate::gate::reason::span;
use crate::runtime::Running;
use crate::store::KnownGateway;

/// How many reported differences are remembered. Gateways come and go.
const REPORTED_MAX: usize = 1_000;

/// The values of settings, by the name of the field.
pub(super) type SharedSettings = BTreeMap<String, String>;

/// The differences that were already reported.
#[derive(Debug, Default)]
pub(super) struct ReportedDifferences(Mutex<HashSet<Difference>>);

/// A field that has another value at another gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Difference {
    pub(super) gateway: String,
    pub(super) field: String,
    pub(super) here: String,
    pub(super) there: String,
}

impl ReportedDifferences {
    /// The differences that were not reported before.
    pub(super) fn not_reported(&self, found: Vec<Difference>) -> Vec<Difference> {
        let mut reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.len() > REPORTED_MAX {
            reported.clear();
        }
        found.into_iter().filter(|difference| reported.insert(difference.clone())).collect()
    }
}

/// A gateway without a field, or one too old to announce it, does not differ in it.
pub(super) fn differences<'a>(
    ours: &'a SharedSettings,
    known: &'a KnownGateway,
) -> impl Iterator<Item = Difference> + 'a {
    let state = &known.state;
    ours.iter().filter_map(move |(field, here)| {
        let there = state.settings.get(field).filter(|there| *there != here)?;
        Some(Difference {
            gateway: state.name.clone(),
            field: field.clone(),
            here: here.clone(),
            there: there.clone(),
        })
    })
}

/// The settings of a configuration on which all gateways of a store must agree.
pub(super) fn settings(configuration: &Running) -> SharedSettings {
    let terms = configuration.gate.sessions.rules.terms();
    let mut settings = SharedSettings::new();
    let mut add = |field: &str, value: String| drop(settings.insert(field.to_owned(), value));
    if let Some(login) = &configuration.settings.login {
        add("login.issuer", login.issuer.to_string());
        add("sessions.idle_timeout", span(terms.idle_max_s));
        add("sessions.absolute_timeout", span(terms.lifetime_max_s));
    }
    if let Some(tokens) = &configuration.settings.tokens {
        add("tokens.issuer", tokens.issuer.to_string());
        add("tokens.access.lifetime", span(tokens.access.lifetime_s));
        add("tokens.refresh.idle", span(tokens.refresh.idle_s));
        add("tokens.refresh.absolute", span(tokens.refresh.absolute_s));
        add("tokens.refresh.rotation_grace", format!("{} ms", tokens.refresh.grace_ms));
    }
    if let Some(keys) = &configuration.settings.api_keys {
        add("api_keys.issuer", keys.issuer.to_string());
        add("api_keys.max_lifetime", span(keys.lifetime_max_s));
    }
    add("revocation.max_entries", configuration.settings.revocation.entries_max.to_string());
    // For what we issue ourselves, the value follows from the settings above.
    let others = configuration.issuers().map(|issuer| issuer.rules());
    for rules in others.filter(|rules| rules.dated_by == DatedBy::Issue) {
        let field = format!("issuers[{}].max_lifetime", rules.issuer);
        add(&field, span(rules.lifetime_max_s));
    }
    settings
}

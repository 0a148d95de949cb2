//! The issuers with their keys.

use std::sync::Arc;

use super::{Configuration, KeyFeed};
use crate::config::{IssuerSettings, JwksUrl, KeySource, Settings};
use crate::gate::issuer::{Issuer, IssuerRules, Issuers};
use crate::gate::keys::{KeyCell, KeySet};

/// An issuer whose rules and keys are the same is the same issuer, so that the tokens that it
/// verified stay verified.
pub(super) fn issuers(
    settings: &Settings,
    previous: Option<&Configuration>,
) -> (Issuers, Vec<KeyFeed>) {
    let mut feeds = Vec::new();
    let issuers = settings.issuers.iter().map(|IssuerSettings { rules, keys }| {
        let known = previous
            .and_then(|previous| previous.issuers().find(|issuer| issuer.rules() == &**rules));
        match keys {
            KeySource::Given(set) => with_given_keys(rules, set, known),
            KeySource::Fetched(source) => {
                let feed = feed(rules, source, previous);
                let issuer = with_cell(rules, feed.cell.clone(), known);
                feeds.push(feed);
                issuer
            }
            KeySource::Own => {
                // Whatever else changes, its keys are the same.
                let before = previous.and_then(Configuration::own_issuer);
                let cell = before.map(|issuer| issuer.keys().clone());
                with_cell(rules, cell.unwrap_or_else(|| Arc::new(KeyCell::empty())), known)
            }
        }
    });
    (Issuers::new(issuers.collect()), feeds)
}

fn with_given_keys(
    rules: &Arc<IssuerRules>,
    set: &Arc<KeySet>,
    known: Option<&Arc<Issuer>>,
) -> Arc<Issuer> {
    let kept = known.filter(|known| {
        known.keys().is_fixed()
            && known.keys().current().is_some_and(|current| current.same_keys(set))
    });
    kept.cloned().unwrap_or_else(|| {
        Arc::new(Issuer::new(rules.clone(), Arc::new(KeyCell::fixed(set.clone()))))
    })
}

fn with_cell(
    rules: &Arc<IssuerRules>,
    cell: Arc<KeyCell>,
    known: Option<&Arc<Issuer>>,
) -> Arc<Issuer> {
    let kept = known.filter(|known| Arc::ptr_eq(known.keys(), &cell));
    kept.cloned().unwrap_or_else(|| Arc::new(Issuer::new(rules.clone(), cell)))
}

/// Fetched keys outlive a reload even if the issuer's other rules changed.
fn feed(rules: &IssuerRules, source: &JwksUrl, previous: Option<&Configuration>) -> KeyFeed {
    let mut feeds = previous.into_iter().flat_map(|previous| &previous.key_feeds);
    let kept = feeds.find(|feed| feed.issuer == rules.name && feed.source == *source);
    kept.cloned().unwrap_or_else(|| KeyFeed {
        issuer: rules.name.clone(),
        source: source.clone(),
        cell: Arc::new(KeyCell::empty()),
    })
}

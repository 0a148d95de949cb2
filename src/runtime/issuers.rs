//! The issuers with their keys.

use std::sync::Arc;

use crate::config::{IssuerSettings, JwksUrl, KeySource, Settings};
use crate::gate::issuer::{Issuer, IssuerRules, Issuers};
use crate::gate::keys::{KeyCell, KeySet};

/// An issuer whose keys are fetched from a URL and kept current.
#[derive(Clone, Debug)]
pub struct KeyFeed {
    /// The issuer's name in the configuration.
    pub issuer: Box<str>,
    /// Where and how often they are fetched.
    pub source: JwksUrl,
    /// The cell that the keys are published to.
    pub cell: Arc<KeyCell>,
}

/// The issuers that already run.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) issuers: &'a Issuers,
    /// The gateway itself, if it is one.
    pub(super) own: Option<&'a Arc<Issuer>>,
    pub(super) feeds: &'a [KeyFeed],
}

/// An issuer with the same rules and keys stays the same issuer, so that tokens that were verified
/// with it stay verified.
pub(super) fn issuers(settings: &Settings, before: Option<Before<'_>>) -> (Issuers, Vec<KeyFeed>) {
    let mut feeds = Vec::new();
    let issuers = settings.issuers.iter().map(|IssuerSettings { rules, keys }| {
        let known = before
            .and_then(|before| before.issuers.iter().find(|issuer| issuer.rules() == &**rules));
        match keys {
            KeySource::Given(set) => with_given_keys(rules, set, known),
            KeySource::Fetched(source) => {
                let feed = feed(rules, source, before);
                let issuer = with_cell(rules, feed.cell.clone(), known);
                feeds.push(feed);
                issuer
            }
            KeySource::Own => {
                // Its keys stay the same, whatever else changes.
                let own = before.and_then(|before| before.own);
                let cell = own.map(|issuer| issuer.keys().clone());
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
fn feed(rules: &IssuerRules, source: &JwksUrl, before: Option<Before<'_>>) -> KeyFeed {
    let mut feeds = before.into_iter().flat_map(|before| before.feeds);
    let kept = feeds.find(|feed| feed.issuer == rules.name && feed.source == *source);
    kept.cloned().unwrap_or_else(|| KeyFeed {
        issuer: rules.name.clone(),
        source: source.clone(),
        cell: Arc::new(KeyCell::empty()),
    })
}

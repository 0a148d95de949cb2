//! Settings, and what was built from them. A reload keeps what did not change, by handle.

use std::path::Path;
use std::sync::Arc;

use super::issuers::{self, Before, KeyFeed};
use super::{freed_memory, tls};
use crate::config::{KeySource, Listener, Problems, SessionSettings, Settings};
use crate::gate::Gate;
use crate::gate::internal::{InternalToken, InternalTokenTerms};
use crate::gate::issuer::Issuer;
use crate::gate::revocation::{RevocationList, Scope};
use crate::gate::session::{SessionRules, SessionTable, Sessions};
use crate::gate::verifier::Verifier;
use crate::upstream::Upstream;

/// Settings, and what was built from them.
#[derive(Debug)]
pub struct Running {
    /// The settings in the file.
    pub settings: Settings,
    /// The gate.
    pub gate: Gate,
    /// Where routes lead, in the order that routes refer to.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Issuers whose keys are fetched.
    pub key_feeds: Vec<KeyFeed>,
    /// What each listener uses for handshakes, in the order of the settings; `None` for a listener
    /// without TLS.
    pub listener_tls: Vec<Option<Arc<rustls::ServerConfig>>>,
}

impl Running {
    /// Reads `file`, and builds what runs from it. `previous` is what already runs.
    ///
    /// A thread of its own does that: what it leaves free among what is kept goes back to the allocator
    /// when it ends, instead of staying with a thread that reads nothing more.
    ///
    /// # Errors
    ///
    /// All errors in the file.
    pub fn load(file: &Path, previous: Option<&Self>) -> Result<Self, Problems> {
        let loaded = std::thread::scope(|scope| {
            let loading = scope.spawn(|| Self::new(Settings::load(file)?, previous));
            loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        freed_memory::give_back_soon();
        loaded
    }

    /// Builds what runs from `settings`. What did not change is taken from `previous`.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up with these settings, although they compiled.
    pub fn new(settings: Settings, previous: Option<&Self>) -> Result<Self, Problems> {
        let listener_tls = listener_tls(&settings, previous)?;
        let (issuers, key_feeds) = issuers::issuers(
            &settings,
            previous.map(|previous| Before {
                issuers: &previous.gate.issuers,
                own: previous.own_issuer(),
                feeds: &previous.key_feeds,
            }),
        );
        let gate = Gate {
            settings: settings.gate.clone(),
            issuers,
            internal_tokens: internal_tokens(&settings, previous),
            verifier: verifier(&settings, previous),
            // Revoked credentials stay revoked across reloads.
            revocations: match previous {
                Some(previous) => previous.gate.revocations.clone(),
                None => RevocationList::new(),
            },
            sessions: sessions(&settings, previous),
        };
        let upstreams = upstreams(&settings, previous);
        Ok(Self { settings, gate, upstreams, key_feeds, listener_tls })
    }

    /// The issuers of the gate.
    pub fn issuers(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.gate.issuers.iter()
    }

    /// The gateway itself as an issuer, if it is one.
    pub fn own_issuer(&self) -> Option<&Arc<Issuer>> {
        let issuers = self.settings.issuers.iter().zip(self.gate.issuers.iter());
        let mut own = issuers.filter(|(settings, _)| matches!(settings.keys, KeySource::Own));
        own.next().map(|(_, issuer)| issuer)
    }

    /// For how long after a moment anything that `scope` matches can still be accepted, if it was
    /// issued before that moment. In seconds, one value for each issuer and one for the sessions.
    pub fn reaches_s(&self, scope: &Scope) -> Vec<i64> {
        let only = match scope {
            Scope::Token { issuer, .. } | Scope::Issuer(issuer) => Some(issuer),
            Scope::Subject { issuer, .. } | Scope::Key { issuer, .. } => issuer.as_ref(),
            Scope::Grants { issuer, .. } => Some(issuer),
            Scope::Session(_) | Scope::Client(_) | Scope::Everything => None,
        };
        let is_hit = |issuer: &str| only.is_none_or(|only| **only == *issuer);
        let rules = self.issuers().map(|issuer| issuer.rules());
        let tokens = rules.filter(|rules| is_hit(&rules.issuer)).map(|rules| rules.reach_s());
        // A login outlives what was issued for it: its refresh tokens bring new tokens.
        let begun = self.settings.vouched_for_by().any(is_hit);
        let begun = begun.then(|| self.settings.sessions.terms.reach_s());
        tokens.chain(begun).collect()
    }
}

/// A listener whose handshakes do not change keeps its TLS configuration, so that clients may
/// resume the TLS sessions that it knows.
fn listener_tls(
    settings: &Settings,
    previous: Option<&Running>,
) -> Result<Vec<Option<Arc<rustls::ServerConfig>>>, Problems> {
    let known = |place: usize, listener: &Listener| {
        let Running { settings, listener_tls, .. } = previous?;
        let before = settings.listeners.get(place)?;
        listener_tls.get(place)?.clone().filter(|_| before.has_tls_of(listener))
    };
    let listeners = settings.listeners.iter().enumerate();
    let made = listeners.map(|(place, listener)| {
        let Listener { address, tls } = listener;
        let Some(certificate) = tls else { return Ok(None) };
        match known(place, listener) {
            Some(kept) => Ok(Some(kept)),
            None => tls::server_config(certificate).map(Some).map_err(|error| {
                let fact = format!("TLS cannot be set up for the listener on {address}: {error}");
                settings.problem(&fact, "Give it another certificate and key")
            }),
        }
    });
    made.collect()
}

/// The verifier outlives configurations: verified tokens stay verified.
fn verifier(settings: &Settings, previous: Option<&Running>) -> Arc<Verifier> {
    let bounds = (settings.limits.token_bytes_max, settings.token_cache_bytes_max);
    let kept = previous.map(|previous| &previous.gate.verifier);
    match kept.filter(|kept| kept.has_bounds(bounds.0, bounds.1)) {
        Some(kept) => kept.clone(),
        None => {
            let counters = kept.map(|kept| kept.counters().clone()).unwrap_or_default();
            Arc::new(Verifier::new(bounds.0, bounds.1, counters))
        }
    }
}

/// Sessions that were built by the same terms stay in memory.
fn sessions(settings: &Settings, previous: Option<&Running>) -> Sessions {
    let SessionSettings { terms, cache_bytes_max: bytes_max } = &settings.sessions;
    let bytes_max = *bytes_max;
    match previous.map(|previous| &previous.gate.sessions) {
        None => Sessions {
            rules: Arc::new(SessionRules::new(terms.clone(), None)),
            table: SessionTable::new(bytes_max),
            tags: Arc::default(),
        },
        Some(Sessions { rules, table, tags }) => Sessions {
            rules: match rules.terms() == terms {
                true => rules.clone(),
                false => Arc::new(SessionRules::new(terms.clone(), Some(rules))),
            },
            // The supervisor refuses another size, because the feed fills the old table.
            table: match previous.map(|previous| previous.settings.sessions.cache_bytes_max) {
                Some(before) if before == bytes_max => table.clone(),
                Some(_) | None => SessionTable::new(bytes_max),
            },
            tags: tags.clone(),
        },
    }
}

/// An upstream that did not change keeps its addresses.
fn upstreams(settings: &Settings, previous: Option<&Running>) -> Vec<Arc<Upstream>> {
    let known = previous.into_iter().flat_map(|previous| &previous.upstreams);
    let kept = settings.upstreams.iter().map(|settings| {
        let alike = known.clone().find(|upstream| upstream.settings() == settings);
        alike.cloned().unwrap_or_else(|| Arc::new(Upstream::new(settings.clone())))
    });
    kept.collect()
}

/// An internal token with the same terms stays the same: tokens that were made for it remain in
/// use.
fn internal_tokens(settings: &Settings, previous: Option<&Running>) -> Vec<Arc<InternalToken>> {
    let issuer = |settings: &Settings| settings.tokens.as_ref().map(|tokens| tokens.issuer.clone());
    let previous = previous.filter(|previous| issuer(&previous.settings) == issuer(settings));
    let known = |terms: &InternalTokenTerms| {
        let mut known = previous.into_iter().flat_map(|previous| &previous.gate.internal_tokens);
        known.find(|token| token.terms() == terms).cloned()
    };
    let terms = settings.internal_tokens.iter();
    terms
        .map(|terms| known(terms).unwrap_or_else(|| Arc::new(InternalToken::new(terms.clone()))))
        .collect()
}

//! What requests are served with: a configuration and everything resolved from it. One load of one
//! pointer a request.

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption, Cache};
use async_trait::async_trait;

use super::limits::bounds::Bounds;
use super::limits::descriptors::Descriptors;
use super::limits::in_flight::InFlight;
use super::metrics::EdgeMetrics;
use crate::config::{LogFormat, SubjectInLog};
use crate::endpoints::Endpoints;
use crate::feed::jwks::{JwksFeed, KeySearch};
use crate::feed::sessions::SessionFeed;
use crate::feed::signing::SigningFeed;
use crate::gate::issuer::Issuer;
use crate::issuer::internal::InternalTokens;
use crate::runtime::{InForce, Running, Source};
use crate::telemetry::access_log::{AccessLog, Line};
use crate::telemetry::pseudonym::Pseudonyms;
use crate::telemetry::routes::Handles;
use crate::telemetry::routes::metrics::RouteMetrics;
use crate::web::message::KeySeeker;

/// A configuration, ready to serve.
#[derive(Debug)]
pub struct Published {
    pub(super) configuration: Arc<Running>,
    pub(super) metrics: EdgeMetrics,
    pub(super) handles: Handles,
    pub(super) log: AccessLog,
    pub(super) subjects: Subjects,
    key_feeds: Vec<Arc<JwksFeed>>,
    pub(super) sessions: Arc<SessionFeed>,
    pub(super) signing: Arc<SigningFeed>,
    pub(super) internal_tokens: Arc<InternalTokens>,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) in_flight: InFlight,
    pub(super) bounds: Bounds,
}

/// What requests need that outlives configurations.
#[derive(Clone, Debug)]
pub struct Services {
    /// What is counted.
    pub metrics: EdgeMetrics,
    /// What is counted by route.
    pub route_metrics: RouteMetrics,
    /// The access log.
    pub log: AccessLog,
    /// Who is logged in.
    pub sessions: Arc<SessionFeed>,
    /// With which keys the gateway signs.
    pub signing: Arc<SigningFeed>,
    /// The tokens that upstreams are sent.
    pub internal_tokens: Arc<InternalTokens>,
    /// What the gateway answers itself.
    pub endpoints: Arc<Endpoints>,
    /// How much is being served.
    pub in_flight: InFlight,
    /// How much could be.
    pub descriptors: Descriptors,
}

/// How subjects appear in the access log.
#[derive(Debug)]
pub(super) enum Subjects {
    Plain,
    Hashed(Box<Pseudonyms>),
    Omitted,
}

impl Published {
    /// Resolves what requests need from `configuration`.
    pub fn new(
        configuration: Arc<Running>,
        services: &Services,
        key_feeds: Vec<Arc<JwksFeed>>,
    ) -> Self {
        let Services {
            metrics,
            route_metrics,
            log,
            sessions,
            signing,
            internal_tokens,
            endpoints,
            in_flight,
            descriptors,
        } = services.clone();
        let upstreams = configuration.upstreams.len();
        let bounds = Bounds::of(&configuration.settings.limits, upstreams, descriptors);
        bounds.announce(&configuration.settings.limits, descriptors, &metrics);
        let line = match configuration.settings.access_log.format {
            LogFormat::Off => None,
            LogFormat::Json => Some(Line::Json),
            LogFormat::Text => Some(Line::Text),
            LogFormat::Auto if std::io::stdout().is_terminal() => Some(Line::Text),
            LogFormat::Auto => Some(Line::Json),
        };
        let subjects = match &configuration.settings.access_log.subject {
            SubjectInLog::Plain => Subjects::Plain,
            SubjectInLog::Hashed(key) => Subjects::Hashed(Box::new(Pseudonyms::new(key.expose()))),
            SubjectInLog::Omitted => Subjects::Omitted,
        };
        Self {
            handles: Handles::new(&route_metrics, configuration.gate.settings.routes.routes()),
            log: log.with_line(line),
            subjects,
            configuration,
            metrics,
            key_feeds,
            sessions,
            signing,
            internal_tokens,
            endpoints,
            in_flight,
            bounds,
        }
    }

    /// Who can find out whether an issuer has a key, unless all are in the configuration.
    pub(super) fn key_source(&self, issuer: &Issuer) -> Option<KeyLookup<'_>> {
        let own = self.configuration.own_issuer();
        if own.is_some_and(|own| own.id() == issuer.id()) {
            return Some(KeyLookup::Own(&self.signing));
        }
        let mut feeds = self.key_feeds.iter();
        let feed = feeds.find(|feed| Arc::ptr_eq(&feed.spec().cell, issuer.keys()));
        feed.map(KeyLookup::Fetched)
    }
}

#[async_trait]
impl KeySeeker for Published {
    async fn seek(&self, issuer: &Issuer, key_id: &Option<Box<str>>) -> KeySearch {
        match self.key_source(issuer) {
            None => KeySearch::Absent,
            Some(KeyLookup::Fetched(feed)) => feed.seek(key_id).await,
            Some(KeyLookup::Own(feed)) => feed.seek(key_id).await,
        }
    }
}

/// Who can find out whether an issuer has a key.
pub(super) enum KeyLookup<'p> {
    /// They are fetched.
    Fetched(&'p Arc<JwksFeed>),
    /// They are the gateways' own.
    Own(&'p Arc<SigningFeed>),
}

/// What is published before there is anything to serve requests with: feeds have to run first.
#[derive(Debug)]
pub struct Opening(Arc<Publication>);

/// The one place where the configuration in force is found.
#[derive(Debug)]
struct Publication {
    /// The first configuration, until it is served.
    first: ArcSwapOption<Running>,
    published: OnceLock<Arc<ArcSwap<Published>>>,
}

impl Source for Publication {
    fn load(&self) -> Arc<Running> {
        loop {
            if let Some(published) = self.published.get() {
                return published.load().configuration.clone();
            }
            if let Some(first) = self.first.load_full() {
                return first;
            }
            // It was published in between.
        }
    }
}

impl Opening {
    /// `first` is in force.
    pub fn new(first: Running) -> Self {
        let first = ArcSwapOption::from_pointee(first);
        Self(Arc::new(Publication { first, published: OnceLock::new() }))
    }

    /// For feeds and endpoints.
    pub fn in_force(&self) -> InForce {
        InForce::new(self.0.clone())
    }

    /// Requests can be served; with the same configuration.
    pub fn open(self, published: Published) -> Current {
        let cell = self.0.published.get_or_init(|| Arc::new(ArcSwap::from_pointee(published)));
        let current = Current(cell.clone());
        self.0.first.store(None);
        current
    }
}

/// The cell that holds what is published: one writer (the supervisor), any number of readers.
#[derive(Clone, Debug)]
pub struct Current(Arc<ArcSwap<Published>>);

impl Current {
    /// Replaces the content. Requests that began keep what they began with.
    pub fn publish(&self, published: Published) {
        self.0.store(Arc::new(published));
    }

    pub(super) fn load(&self) -> Arc<Published> {
        self.0.load_full()
    }

    /// A reader that costs next to nothing while nothing is published.
    pub(super) fn reader(&self) -> PublishedReader {
        PublishedReader(Cache::new(self.0.clone()))
    }
}

/// Follows what is published, for one connection.
pub(super) struct PublishedReader(Cache<Arc<ArcSwap<Published>>, Arc<Published>>);

impl PublishedReader {
    pub(super) fn load(&mut self) -> &Arc<Published> {
        self.0.load()
    }
}

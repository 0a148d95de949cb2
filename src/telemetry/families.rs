//! Every metric family, in one table. Label values come from enums or from the configuration,
//! never from a request.

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::gate::keys::KeyCell;
use crate::gate::time::UnixTime;
use crate::gate::verifier::Verifier;

/// Decisions take microseconds.
const DECISION_BUCKETS: [f64; 14] =
    [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.25, 2.5];

/// Requests take milliseconds.
const REQUEST_BUCKETS: [f64; 13] =
    [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// All families, registered.
#[derive(Debug)]
pub struct Families {
    registry: Registry,
    /// `portcullis_decisions_total`.
    pub decisions: IntCounterVec,
    /// `portcullis_decision_seconds`.
    pub decision_seconds: HistogramVec,
    /// `portcullis_tokens_verified_total`.
    pub tokens_verified: IntCounterVec,
    /// `portcullis_key_set_fetches_total`.
    pub key_set_fetches: IntCounterVec,
    /// `portcullis_requests_total`.
    pub requests: IntCounterVec,
    /// `portcullis_request_seconds`.
    pub request_seconds: HistogramVec,
    /// `portcullis_upstream_seconds`.
    pub upstream_seconds: HistogramVec,
    /// `portcullis_connections_open`.
    pub connections_open: IntGauge,
    /// `portcullis_connections_refused_total`.
    pub connections_refused: IntCounter,
    /// `portcullis_config_reloads_total`.
    pub reloads: IntCounterVec,
    /// `portcullis_config_generation`.
    pub generation: IntGauge,
    /// `portcullis_access_log_dropped_total`.
    pub log_dropped: IntCounter,
    key_set_age: GaugeVec,
    dangerous: IntGaugeVec,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    cache_evictions: IntCounter,
    cache_entries: Gauge,
}

impl Families {
    /// Registers every family.
    ///
    /// # Errors
    ///
    /// If the table contradicts itself, which a test would have shown.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let table = Table { registry: &registry };
        let build_info =
            table.gauges("portcullis_build_info", "Which build this is.", &["version"])?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            decisions: table.counters(
                "portcullis_decisions_total",
                "Decisions by route, carrier of the credential, outcome and slug.",
                &["route", "carrier", "outcome", "slug"],
            )?,
            decision_seconds: table.histograms(
                "portcullis_decision_seconds",
                "Time to decide, without waiting for the upstream.",
                &DECISION_BUCKETS,
                &["carrier", "cache"],
            )?,
            tokens_verified: table.counters(
                "portcullis_tokens_verified_total",
                "Tokens verified anew, that is not found in the cache.",
                &["issuer", "result"],
            )?,
            key_set_fetches: table.counters(
                "portcullis_key_set_fetches_total",
                "Attempts to fetch an issuer's keys.",
                &["issuer", "result"],
            )?,
            requests: table.counters(
                "portcullis_requests_total",
                "Requests answered.",
                &["route", "status_class"],
            )?,
            request_seconds: table.histograms(
                "portcullis_request_seconds",
                "Time from the request's head to the end of its answer.",
                &REQUEST_BUCKETS,
                &["route"],
            )?,
            upstream_seconds: table.histograms(
                "portcullis_upstream_seconds",
                "Time from choosing a peer to the upstream's response head.",
                &REQUEST_BUCKETS,
                &["route"],
            )?,
            connections_open: table
                .gauge("portcullis_connections_open", "Client connections open now.")?,
            connections_refused: table.counter(
                "portcullis_connections_refused_total",
                "Client connections closed because there were too many.",
            )?,
            reloads: table.counters(
                "portcullis_config_reloads_total",
                "Attempts to load the configuration anew.",
                &["result"],
            )?,
            generation: table.gauge(
                "portcullis_config_generation",
                "Counts the configurations that have been in force.",
            )?,
            log_dropped: table.counter(
                "portcullis_access_log_dropped_total",
                "Access log lines dropped because nobody read them fast enough.",
            )?,
            key_set_age: table.float_gauges(
                "portcullis_key_set_age_seconds",
                "Seconds since an issuer's keys were last fetched with success.",
                &["issuer"],
            )?,
            dangerous: table.gauges(
                "portcullis_dangerous_options",
                "Options in use whose name starts with `dangerous_`.",
                &["option"],
            )?,
            cache_hits: table
                .counter("portcullis_token_cache_hits_total", "Tokens found in the cache.")?,
            cache_misses: table
                .counter("portcullis_token_cache_misses_total", "Tokens not found in the cache.")?,
            cache_evictions: table.counter(
                "portcullis_token_cache_evictions_total",
                "Tokens dropped from the cache to make room.",
            )?,
            cache_entries: table
                .float_gauge("portcullis_token_cache_entries", "Tokens in the cache, about.")?,
            registry,
        })
    }

    /// What a new configuration changes for good: the dangerous options that it uses, and the
    /// issuers whose keys are fetched.
    pub fn publish<'a>(
        &self,
        dangerous: impl IntoIterator<Item = &'a str>,
        fetched_issuers: impl IntoIterator<Item = &'a str>,
    ) {
        self.generation.inc();
        self.dangerous.reset();
        for option in dangerous {
            self.dangerous.with_label_values(&[option]).inc();
        }
        for issuer in fetched_issuers {
            for result in ["ok", "failed"] {
                self.key_set_fetches.with_label_values(&[issuer, result]);
            }
        }
    }

    /// The exposition (text format 0.0.4), with what is measured only when somebody asks.
    ///
    /// # Errors
    ///
    /// If a family cannot be encoded.
    pub fn expose<'a>(
        &self,
        verifier: &Verifier,
        fetched_keys: impl IntoIterator<Item = (&'a str, &'a KeyCell)>,
        now: UnixTime,
    ) -> prometheus::Result<Vec<u8>> {
        let counters = verifier.counters();
        let advance = |counter: &IntCounter, total: u64| {
            counter.inc_by(total.saturating_sub(counter.get()));
        };
        advance(&self.cache_hits, counters.hits());
        advance(&self.cache_misses, counters.misses());
        advance(&self.cache_evictions, counters.evictions());
        self.cache_entries.set(verifier.entries() as f64);
        // The age of keys that nobody fetches any more would stand still, and look young for ever.
        self.key_set_age.reset();
        for (issuer, cell) in fetched_keys {
            if let Some(published_at) = cell.published_at() {
                let age = now.since(published_at).max(0);
                self.key_set_age.with_label_values(&[issuer]).set(age as f64);
            }
        }
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Makes and registers families.
struct Table<'r> {
    registry: &'r Registry,
}

impl Table<'_> {
    fn register<C: Collector + Clone + 'static>(&self, family: C) -> prometheus::Result<C> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register(Gauge::new(name, help)?)
    }

    fn float_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, labels)?)
    }
}

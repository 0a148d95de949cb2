//! Every metric family, in one table. Label values come from enums or from the configuration,
//! never from a request.

mod table;

use std::future::Future;
use std::time::Instant;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry, TextEncoder,
};

use super::count::Count;
use super::session_end::SessionEnd;
use crate::gate::keys::KeyCell;
use crate::gate::principal::Lapse;
use crate::gate::revocation::{LIFT, RevocationList, ScopeKind};
use crate::gate::session::SessionTable;
use crate::gate::time::Moment;
use crate::gate::verifier::Verifier;
use table::Table;

/// Decisions take microseconds.
const DECISION_BUCKETS: [f64; 14] =
    [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.25, 2.5];

/// Requests take milliseconds.
const REQUEST_BUCKETS: [f64; 13] =
    [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// A revocation takes from a fraction of a millisecond to as long as a gateway was cut off.
const PROPAGATION_BUCKETS: [f64; 14] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.0, 10.0, 60.0];

/// A store takes as long as a network or a disk.
const STORE_BUCKETS: [f64; 12] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1.0, 5.0];

/// From which share of the bound on a list counts as nearly full, in percent.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Makes the table: a field for each family, its documentation, and how it is registered, from one row.
macro_rules! families {
    ($($visible:vis $field:ident: $kind:ty = $make:ident($name:literal, $help:literal $(, $more:expr)*);)*) => {
        /// All families, registered.
        #[derive(Debug)]
        pub struct Families {
            registry: Registry,
            $(
                #[doc = concat!("`", $name, "`: ", $help)]
                $visible $field: $kind,
            )*
        }

        impl Families {
            fn register(registry: Registry) -> prometheus::Result<Self> {
                let table = Table { registry: &registry };
                Ok(Self { $($field: table.$make($name, $help $(, $more)*)?,)* registry })
            }
        }
    };
}

families! {
    pub decisions: IntCounterVec = counters(
        "portcullis_decisions_total",
        "Decisions by route, carrier of the credential, outcome and slug.",
        &["route", "carrier", "outcome", "slug"]);
    pub decision_seconds: HistogramVec = histograms(
        "portcullis_decision_seconds",
        "Time to decide, without waiting for the upstream.",
        &DECISION_BUCKETS, &["carrier", "cache"]);
    pub tokens_verified: IntCounterVec = counters(
        "portcullis_tokens_verified_total",
        "Tokens verified anew, that is not found in the cache.",
        &["issuer", "result"]);
    pub key_set_fetches: IntCounterVec = counters(
        "portcullis_key_set_fetches_total",
        "Attempts to fetch an issuer's keys.",
        &["issuer", "result"]);
    pub signing_keys: IntGaugeVec = gauges(
        "portcullis_signing_keys",
        "The gateway's own signing keys that are published, by what they do.",
        &["state"]);
    pub signing_key_rotations: IntCounterVec = counters(
        "portcullis_signing_key_rotations_total",
        "Signing keys made by this gateway, and why.",
        &["cause"]);
    pub requests: IntCounterVec = counters(
        "portcullis_requests_total",
        "Requests answered.",
        &["route", "status_class"]);
    pub request_seconds: HistogramVec = histograms(
        "portcullis_request_seconds",
        "Time from the request's head to the end of its answer.",
        &REQUEST_BUCKETS, &["route"]);
    pub upstream_seconds: HistogramVec = histograms(
        "portcullis_upstream_seconds",
        "Time from choosing a peer to the upstream's response head.",
        &REQUEST_BUCKETS, &["route"]);
    pub connections_open: IntGauge = gauge(
        "portcullis_connections_open",
        "Client connections open now.");
    pub connections_max: IntGauge = gauge(
        "portcullis_connections_max",
        "Client connections that may be open at once.");
    pub in_flight: Count = count(
        "portcullis_requests_in_flight",
        "Requests to upstreams that are being served now.");
    pub in_flight_max: IntGauge = gauge(
        "portcullis_requests_in_flight_max",
        "Requests to upstreams that may be served at once.");
    pub in_flight_own: Count = count(
        "portcullis_requests_in_flight_own",
        "Requests to the gateway itself that are being answered now.");
    pub connections_refused: IntCounter = counter(
        "portcullis_connections_refused_total",
        "Client connections closed because there were too many.");
    pub reloads: IntCounterVec = counters(
        "portcullis_config_reloads_total",
        "Attempts to load the configuration anew.",
        &["result"]);
    pub generation: IntGauge = gauge(
        "portcullis_config_generation",
        "Counts the configurations that have been in force.");
    pub revocations_applied: IntCounterVec = counters(
        "portcullis_revocations_applied_total",
        "Revocations taken into the list, from the log or from a snapshot.",
        &["scope"]);
    pub revocation_propagation: Histogram = histogram(
        "portcullis_revocation_propagation_seconds",
        "Time from writing a revocation to applying it here, by the clocks of both.",
        &PROPAGATION_BUCKETS);
    pub clock_ahead: Gauge = float_gauge(
        "portcullis_clock_ahead_seconds",
        "How far this machine's clock is ahead of the store's; 0 without such a store.");
    pub revocation_records: IntGauge = gauge(
        "portcullis_revocation_records",
        "Records in the store, by which max_entries is counted; spent ones stay for an hour.");
    pub revocations_pending: IntGauge = gauge(
        "portcullis_revocations_pending",
        "Revocations applied here that the store has not taken yet.");
    pub revocation_snapshots: IntCounterVec = counters(
        "portcullis_revocation_snapshots_total",
        "Times that the whole list was loaded, and why.",
        &["cause"]);
    pub store_operations: HistogramVec = histograms(
        "portcullis_store_operations_seconds",
        "Time that the store took.",
        &STORE_BUCKETS, &["operation", "result"]);
    pub store_up: IntGauge = gauge(
        "portcullis_store_up",
        "Whether the store answered when last asked.");
    pub store_server_changes: IntCounter = counter(
        "portcullis_store_server_changes_total",
        "How often the store was found to be another server, or the same started again.");
    pub session_hits: IntCounter = counter(
        "portcullis_session_cache_hits_total",
        "Sessions found in memory.");
    pub session_misses: IntCounter = counter(
        "portcullis_session_cache_misses_total",
        "Sessions that had to be read from the store.");
    session_entries: IntGauge = gauge(
        "portcullis_session_cache_entries",
        "Sessions in memory, about.");
    pub sessions_created: IntCounterVec = counters(
        "portcullis_sessions_created_total",
        "Sessions begun here, by the way to log in.",
        &["method"]);
    pub sessions_ended: IntCounterVec = counters(
        "portcullis_sessions_ended_total",
        "Sessions ended here before their time.",
        &["cause"]);
    pub logins: IntCounterVec = counters(
        "portcullis_logins_total",
        "Attempts to log in.",
        &["method", "result"]);
    pub refreshes: IntCounterVec = counters(
        "portcullis_refreshes_total",
        "Attempts to exchange a refresh token, by what carried it.",
        &["method", "result"]);
    pub tokens_issued: IntCounterVec = counters(
        "portcullis_tokens_issued_total",
        "Tokens that the gateway issued itself, by what they are and for what.",
        &["kind", "grant"]);
    pub client_authentications: IntCounterVec = counters(
        "portcullis_client_authentications_total",
        "Attempts of clients to show that they are who they say.",
        &["method", "result"]);
    revocation_entries: IntGauge = gauge(
        "portcullis_revocation_entries",
        "Live revocations in memory, about.");
    revocation_entries_max: IntGauge = gauge(
        "portcullis_revocation_entries_max",
        "How many live revocations there may be.");
    revocation_nearly_full: IntGauge = gauge(
        "portcullis_revocation_nearly_full",
        "Whether four fifths of the live revocations that there may be are there.");
    revocation_staleness: Gauge = float_gauge(
        "portcullis_revocation_staleness_seconds",
        "Seconds since the log was last read to its end; -1 if it never was.");
    pub streams_ended: IntCounterVec = counters(
        "portcullis_streams_ended_total",
        "Permitted requests given up because their principal lapsed meanwhile.",
        &["cause"]);
    pub log_dropped: IntCounter = counter(
        "portcullis_access_log_dropped_total",
        "Access log lines dropped because nobody read them fast enough.");
    key_set_age: GaugeVec = float_gauges(
        "portcullis_key_set_age_seconds",
        "Seconds since an issuer's keys were last fetched with success.",
        &["issuer"]);
    dangerous: IntGaugeVec = gauges(
        "portcullis_dangerous_options",
        "Options in use whose name starts with `dangerous_`.",
        &["option"]);
    cache_hits: IntCounter = counter(
        "portcullis_token_cache_hits_total",
        "Tokens found in the cache.");
    cache_misses: IntCounter = counter(
        "portcullis_token_cache_misses_total",
        "Tokens not found in the cache.");
    cache_evictions: IntCounter = counter(
        "portcullis_token_cache_evictions_total",
        "Tokens dropped from the cache to make room.");
    cache_entries: Gauge = float_gauge(
        "portcullis_token_cache_entries",
        "Tokens in the cache, about.");
}

impl Families {
    /// Asks the store, and counts its answer, or the lack of one.
    ///
    /// # Errors
    ///
    /// What it says.
    pub async fn timed<T, E>(
        &self,
        operation: &'static str,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let answer = question.await;
        let result = if answer.is_ok() { "ok" } else { "failed" };
        let seconds = self.store_operations.with_label_values(&[operation, result]);
        seconds.observe(begun.elapsed().as_secs_f64());
        answer
    }

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
        let families = Self::register(registry)?;
        // What may never happen is told as 0.
        for word in ScopeKind::ALL.map(ScopeKind::as_str).into_iter().chain([LIFT]) {
            families.revocations_applied.with_label_values(&[word]);
        }
        for cause in SessionEnd::ALL {
            families.sessions_ended.with_label_values(&[cause.as_str()]);
        }
        for lapse in [Lapse::Revoked, Lapse::Expired] {
            families.streams_ended.with_label_values(&[lapse.as_str()]);
        }
        Ok(families)
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
        revocations: &RevocationList,
        sessions: &SessionTable,
        entries_max: u64,
        fetched_keys: impl IntoIterator<Item = (&'a str, &'a KeyCell)>,
        now: Moment,
    ) -> prometheus::Result<Vec<u8>> {
        self.session_entries.set(i64::try_from(sessions.entries()).unwrap_or(i64::MAX));
        let counters = verifier.counters();
        let advance = |counter: &IntCounter, total: u64| {
            counter.inc_by(total.saturating_sub(counter.get()));
        };
        advance(&self.cache_hits, counters.hits());
        advance(&self.cache_misses, counters.misses());
        advance(&self.cache_evictions, counters.evictions());
        self.cache_entries.set(verifier.entries() as f64);
        let entries = revocations.entries();
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.revocation_entries.set(gauge(entries));
        self.revocation_entries_max.set(gauge(entries_max));
        let fullest = entries.max(u64::try_from(self.revocation_records.get()).unwrap_or(0));
        self.revocation_nearly_full.set(is_nearly_full(fullest, entries_max).into());
        let age_ms = revocations.age_ms(now.steady);
        self.revocation_staleness.set(age_ms.map_or(-1.0, |age| age as f64 / 1000.0));
        // The age of keys that nobody fetches any more would stand still, and look young for ever.
        self.key_set_age.reset();
        for (issuer, cell) in fetched_keys {
            if let Some(published_at) = cell.published_at() {
                let age = now.wall.since(published_at).max(0);
                self.key_set_age.with_label_values(&[issuer]).set(age as f64);
            }
        }
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Whether it is time to make room, or to allow more.
pub fn is_nearly_full(entries: u64, entries_max: u64) -> bool {
    entries.saturating_mul(100) >= entries_max.saturating_mul(NEARLY_FULL_PERCENT)
}

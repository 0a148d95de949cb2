//! Puts configurations in force: the first one, and the one of each reload.
//!
//! It is the only writer of what is published. If a configuration does not compile, or changes what
//! cannot change while running, the one in force stays.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::metrics::ProgramMetrics;
use super::registration::AllMetrics;
use crate::admin::token;
use crate::cli::check::RouteRow;
use crate::clock;
use crate::config::Problems;
use crate::config::tokens::OWN_ISSUER;
use crate::edge::listener::TlsCell;
use crate::edge::publication::{Current, Opening, Published, Services};
use crate::feed::jwks::JwksFeed;
use crate::feed::jwks::metrics::KeySetMetrics;
use crate::feed::last_good::LastGoodFiles;
use crate::feed::revocations::RevocationFeed;
use crate::feed::watch::{self, Fingerprint};
use crate::gate::time::UnixTime;
use crate::runtime::{InForce, Running};
use crate::secret::Secret;
use crate::session::revocation;
use crate::store::record::Record;
use crate::store::session_end::SessionEnd;
use crate::upstream::resolver;

/// The pause between attempts to write a revocation that the gateway itself made.
const APPEND_AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Supervisor {
    in_force: InForce,
    admin_token: Arc<ArcSwap<Secret>>,
    current: Current,
    certificates: Vec<TlsCell>,
    services: Services,
    revocations: Arc<RevocationFeed>,
    metrics: SupervisorMetrics,
    runtime: Handle,
    feeds: Vec<RunningFeed>,
    resolver: JoinHandle<()>,
}

/// Metrics of configurations, and of the feeds that are started for them.
pub(super) struct SupervisorMetrics {
    pub(super) program: ProgramMetrics,
    pub(super) key_sets: KeySetMetrics,
}

impl SupervisorMetrics {
    pub(super) fn of(metrics: &AllMetrics) -> Self {
        Self { program: metrics.program.clone(), key_sets: metrics.key_sets.clone() }
    }
}

/// Why the configuration in force stays, and the files that would have to change.
struct NotReloaded {
    why: String,
    files: BTreeSet<PathBuf>,
}

struct RunningFeed {
    feed: Arc<JwksFeed>,
    task: JoinHandle<()>,
}

/// No feed continues for a configuration that is no longer in force.
impl Drop for RunningFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Supervisor {
    /// Puts the first configuration in force.
    pub(super) async fn new(
        opening: Opening,
        admin_token: Arc<ArcSwap<Secret>>,
        certificates: Vec<TlsCell>,
        services: Services,
        revocations: Arc<RevocationFeed>,
        metrics: SupervisorMetrics,
        runtime: &Handle,
    ) -> Self {
        let in_force = opening.in_force();
        let configuration = in_force.load();
        let feeds = start_feeds(&configuration, Vec::new(), &metrics.key_sets, runtime).await;
        let resolver = start_resolver(&configuration, runtime).await;
        announce(&configuration, &metrics.program);
        let published = Published::new(
            configuration,
            &services,
            feeds.iter().map(|running| running.feed.clone()).collect(),
        );
        Self {
            in_force,
            admin_token,
            current: opening.open(published),
            certificates,
            services,
            revocations,
            metrics,
            runtime: runtime.clone(),
            feeds,
            resolver,
        }
    }

    /// What requests are served with.
    pub(super) fn current(&self) -> Current {
        self.current.clone()
    }

    /// Reloads on SIGHUP and when a file changes, for ever.
    pub(super) async fn run(mut self, mut hangup: Signal) {
        let mut files = self.in_force.load().settings.files.clone();
        let mut known = Fingerprint::of(&files);
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                _ = watch::changed(&files, &known) => {}
            }
            // Fingerprinted before the files are read: a change in between is noticed next time.
            known = Fingerprint::of(&files);
            let current: BTreeSet<PathBuf> = match self.reload().await {
                Ok(()) => {
                    self.metrics.program.reloaded("ok");
                    tracing::info!(generation = self.metrics.program.generation.get(), "reloaded");
                    self.in_force.load().settings.files.clone()
                }
                Err(NotReloaded { why, files }) => {
                    self.metrics.program.reloaded("failed");
                    tracing::error!("not reloaded, the old configuration stays in force:\n{why}");
                    // A missing file may appear, and a file of the configuration in force may be
                    // corrected.
                    files.union(&self.in_force.load().settings.files).cloned().collect()
                }
            };
            if current != files {
                files = current;
                known = Fingerprint::of(&files);
            }
        }
    }

    async fn reload(&mut self) -> Result<(), NotReloaded> {
        let previous = self.in_force.load();
        let loaded = {
            let previous = previous.clone();
            tokio::task::spawn_blocking(move || {
                let configuration = Running::load(&previous.settings.file, Some(&previous))?;
                let admin_token = token::prepare(&configuration.settings.admin.token);
                Ok::<_, Problems>((configuration, admin_token))
            })
        };
        let (configuration, admin_token) = loaded
            .await
            .map_err(|error| NotReloaded { why: error.to_string(), files: BTreeSet::new() })?
            .map_err(|problems| NotReloaded { why: problems.to_string(), files: problems.files })?;
        refuse_what_needs_a_restart(&previous, &configuration)
            .map_err(|why| NotReloaded { why, files: configuration.settings.files.clone() })?;
        warn_of_longer_lifetimes(&previous, &configuration);
        let configuration = Arc::new(configuration);
        self.services.signing.prepare(&configuration).await;
        let running = std::mem::take(&mut self.feeds);
        self.feeds =
            start_feeds(&configuration, running, &self.metrics.key_sets, &self.runtime).await;
        self.resolver.abort();
        self.resolver = start_resolver(&configuration, &self.runtime).await;
        for (cell, tls) in self.certificates.iter().zip(&configuration.listener_tls) {
            cell.publish(tls.clone());
        }
        announce(&configuration, &self.metrics.program);
        self.current.publish(Published::new(
            configuration.clone(),
            &self.services,
            self.feeds.iter().map(|running| running.feed.clone()).collect(),
        ));
        match admin_token {
            Ok(token) => self.admin_token.store(Arc::new(token)),
            Err(why) => tracing::error!("{why}. The old token stays in force"),
        }
        self.end_sessions_of_changed_users(&previous, &configuration);
        Ok(())
    }
}

impl Supervisor {
    /// Ends the sessions of users whose entries changed: their identity may differ, so they have to
    /// log in again.
    fn end_sessions_of_changed_users(&self, old: &Running, new: &Running) {
        let records = revocation::of_changed_users(old, new);
        let ended = self.services.sessions.metrics().ended(SessionEnd::UserChanged);
        let revocations = self.revocations.clone();
        let begun = clock::shared();
        // The store may be unavailable, and the change is only known now. The records are written
        // one after the other, since a whole file may have changed.
        self.runtime.spawn(async move {
            for record in records {
                let target = record.entry.scope.to_string();
                append_some_day(&revocations, record, begun).await;
                ended.inc();
                tracing::info!(target, "the password file changed: sessions are ended");
            }
        });
    }
}

/// Appends a record that was made at `begun`, and retries until it succeeds. However late it is
/// written, it only revokes what began until then: later logins already follow the configuration in
/// force.
async fn append_some_day(revocations: &RevocationFeed, first: Record, begun: UnixTime) {
    loop {
        let late_s = clock::shared().since(begun).max(0);
        let mut record = first.clone();
        record.entry.expires = first.entry.expires.plus(late_s);
        match revocations.append(record).await {
            Ok(_) => return,
            Err(error) => {
                let target = first.entry.scope.to_string();
                tracing::error!(%error, target, "sessions of a changed user are not ended yet");
                tokio::time::sleep(APPEND_AGAIN_AFTER).await;
            }
        }
    }
}

fn refuse_what_needs_a_restart(old: &Running, new: &Running) -> Result<(), String> {
    let listeners = |configuration: &Running| -> Vec<_> {
        let listeners = configuration.settings.listeners.iter();
        listeners.map(|listener| (listener.address, listener.tls.is_some())).collect()
    };
    let changed = [
        ("listeners", listeners(old) != listeners(new)),
        ("admin.address", old.settings.admin.address != new.settings.admin.address),
        ("store", !old.settings.store.is_same_as(&new.settings.store)),
        ("sessions.cache_size", !Arc::ptr_eq(&old.gate.sessions.table, &new.gate.sessions.table)),
        ("server.threads", old.settings.server.threads != new.settings.server.threads),
    ];
    let changed: Vec<_> =
        changed.iter().filter(|(_, changed)| *changed).map(|(field, _)| *field).collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: {} cannot change while running. Restart the gateway, or undo the change.",
        new.settings.file.display(),
        changed.join(" and ")
    ))
}

/// A revocation lives as long as anything that its issuers could have issued when it was made. If
/// lifetimes grow, a newer token could outlive it.
fn warn_of_longer_lifetimes(old: &Running, new: &Running) {
    for issuer in new.issuers().map(|issuer| issuer.rules()) {
        let before = old.issuers().map(|issuer| issuer.rules());
        let before = before.filter(|rules| rules.issuer == issuer.issuer);
        if before.map(|rules| rules.lifetime_max_s).any(|before| before < issuer.lifetime_max_s) {
            let field = match *issuer.name == *OWN_ISSUER && new.settings.tokens.is_some() {
                true => "the lifetime of access tokens",
                false => "max_lifetime",
            };
            tracing::warn!(
                issuer = &*issuer.name,
                "{field} was raised: revocations made before still end by the old value"
            );
        }
    }
    let reach_s = |of: &Running| of.gate.sessions.rules.terms().reach_s();
    if reach_s(old) < reach_s(new) {
        tracing::warn!(
            "sessions.absolute_timeout, tokens.refresh.absolute or api_keys.max_lifetime was \
             raised: revocations made before still end by the old value"
        );
    }
}

/// Feeds for the configuration: those that continue, and new ones. On return, the new ones have
/// fetched once or failed to, so no request gets a 503 for keys that can be fetched.
async fn start_feeds(
    configuration: &Running,
    running: Vec<RunningFeed>,
    key_sets: &KeySetMetrics,
    runtime: &Handle,
) -> Vec<RunningFeed> {
    let mut running = running;
    let mut feeds = Vec::new();
    let mut fresh = Vec::new();
    for spec in &configuration.key_feeds {
        let same = |running: &RunningFeed| Arc::ptr_eq(&running.feed.spec().cell, &spec.cell);
        if let Some(position) = running.iter().position(same) {
            feeds.push(running.swap_remove(position));
            continue;
        }
        let shelf = LastGoodFiles::below(&configuration.settings.data_directory);
        let feed = JwksFeed::new(spec.clone(), shelf, key_sets.clone(), runtime.clone());
        feed.start_from_last_good();
        let (landed, first) = oneshot::channel();
        let runs = feed.clone();
        let task = runtime.spawn(async move {
            // The wait for the next fetch begins when the first one is over.
            runs.prime().await;
            let _ = landed.send(());
            runs.run().await;
        });
        fresh.push(first);
        feeds.push(RunningFeed { task, feed });
    }
    for primed in fresh {
        // Bounded by the fetch's own timeout.
        let _ = primed.await;
    }
    feeds
}

async fn start_resolver(configuration: &Running, runtime: &Handle) -> JoinHandle<()> {
    let named: Vec<_> =
        configuration.upstreams.iter().filter(|upstream| upstream.has_names()).cloned().collect();
    for upstream in &named {
        if upstream.addresses().is_empty() {
            resolver::resolve(upstream).await;
        }
    }
    if named.is_empty() {
        return runtime.spawn(std::future::ready(()));
    }
    runtime.spawn(resolver::run(named))
}

/// Logs what an operator should not discover by accident: warnings, public routes, dangerous
/// options.
fn announce(configuration: &Running, metrics: &ProgramMetrics) {
    if !configuration.settings.warnings.list.is_empty() {
        tracing::warn!("{}", configuration.settings.warnings);
    }
    let routes =
        configuration.gate.settings.routes.routes().iter().zip(&configuration.settings.matches);
    for row in
        routes.map(|(route, matching)| RouteRow::new(&configuration.settings, route, matching))
    {
        if row.public {
            tracing::info!(
                route = row.name,
                hosts = row.hosts,
                methods = row.methods,
                path = row.path,
                "a public route: anybody may use it"
            );
        }
    }
    for (place, option) in &configuration.settings.dangerous {
        tracing::warn!(place, option, "a dangerous option is in use");
    }
    let dangerous = configuration.settings.dangerous.iter().map(|(_, option)| *option);
    metrics.publish(dangerous);
}

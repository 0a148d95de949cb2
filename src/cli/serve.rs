//! `portcullis serve`: start, reload and stop the gateway.
//!
//! There are two runtimes: one for requests, and one for everything else (admin, feeds, reload). So
//! probes are answered and keys refreshed however busy the gate is.

mod feeds;
mod file_mode_warnings;
mod listeners;
mod metrics;
mod registration;
mod services;
mod stopping;
mod supervisor;

use std::io::IsTerminal;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{ConfigFile, Failure};
use crate::admin::{self, AdminContext, Readiness, token};
use crate::config::AdminToken;
use crate::edge::limits::descriptors::Descriptors;
use crate::edge::listener;
use crate::edge::publication::Opening;
use crate::endpoints::Endpoints;
use crate::gate::revocation::ListWriter;
use crate::runtime::Running;
use crate::secret::Secret;
use crate::store::{self, Store};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::registry::RegisteredFamily;
use feeds::Feeds;
use listeners::Listeners;
use registration::AllMetrics;
use stopping::Stopping;
use supervisor::{Supervisor, SupervisorMetrics};

/// How long the last lines of the access log may take to be written.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn run(file: ConfigFile) -> Result<(), Failure> {
    install_logging();
    install_crypto_provider();
    let descriptors = Descriptors::raise();
    let control = runtime("control", 1)?;
    let hangup = hangup(&control)?;
    let configuration = Running::load(&file.config, None)
        .map_err(|problems| Failure::BadInput(problems.to_string()))?;
    let threads = configuration.settings.server.threads;
    let metrics = AllMetrics::register().map_err(Failure::failed)?;
    let log = AccessLog::start(metrics.access_log.clone()).map_err(Failure::failed)?;
    let admin_token = Arc::new(ArcSwap::from_pointee(admin_token(&configuration)?));
    let listeners = Listeners::bind(&configuration)?;
    let certificates = listeners.certificates();
    let edge = runtime("edge", threads)?;
    let store = open_store(&configuration, &control)?;
    file_mode_warnings::warn(&configuration.settings);
    let writer = writer_of(&configuration)?;
    let opening = Opening::new(configuration);
    let in_force = opening.in_force();
    let feeds = Feeds::new(&store, writer, &in_force, &metrics);
    let endpoints = Endpoints::new(feeds.for_endpoints(store, &in_force, &metrics, descriptors));
    edge.spawn(endpoints.clone().watch());
    let services = feeds.for_requests(&metrics, log.clone(), endpoints, descriptors);
    let supervisor = control.block_on(Supervisor::new(
        opening,
        admin_token.clone(),
        certificates,
        services,
        feeds.revocations.clone(),
        SupervisorMetrics::of(&metrics),
        control.handle(),
    ));

    let stopping = Stopping::new(&in_force);
    let readiness = stopping.readiness();
    feeds.start(&control);
    let context = feeds.for_admin(admin_token, &in_force, metrics, readiness.clone());
    control.spawn(serve_admin(listeners.admin, context, descriptors));
    {
        let _guard = edge.enter();
        listener::serve(listeners.requests, &supervisor.current(), stopping.drain(), threads)
            .map_err(Failure::failed)?;
    }
    control.spawn(supervisor.run(hangup));
    control.spawn(become_ready(feeds.clone(), readiness));
    control.block_on(stopping.run(&feeds))?;
    log.flush(LOG_FLUSH_TIMEOUT);
    edge.shutdown_background();
    control.shutdown_background();
    Ok(())
}

pub(super) fn metric_families() -> prometheus::Result<Vec<RegisteredFamily>> {
    Ok(AllMetrics::register()?.registry.families().to_vec())
}

/// Called before anything that takes time: without a handler, a SIGHUP kills the process.
fn hangup(control: &Runtime) -> Result<Signal, Failure> {
    let _guard = control.enter();
    signal(SignalKind::hangup()).map_err(Failure::failed)
}

/// The token that the admin API requires.
fn admin_token(configuration: &Running) -> Result<Secret, Failure> {
    let settings = &configuration.settings.admin.token;
    let token = token::prepare(settings).map_err(Failure::Failed)?;
    if let AdminToken::Kept(file) = settings {
        tracing::info!("the admin API asks for the token in {}", file.display());
    }
    Ok(token)
}

/// The writer of the revocation list. It was not taken before: this is the process's first
/// configuration.
fn writer_of(configuration: &Running) -> Result<ListWriter, Failure> {
    let writer = configuration.gate.revocations.writer();
    writer.ok_or_else(|| Failure::failed("the revocation list has a writer"))
}

fn open_store(configuration: &Running, control: &Runtime) -> Result<Store, Failure> {
    let settings = &configuration.settings.store;
    tracing::info!("the store is {settings}");
    control.block_on(store::open(settings)).map_err(Failure::Failed)
}

async fn serve_admin(listener: TcpListener, context: AdminContext, descriptors: Descriptors) {
    let Err(error) = admin::serve(listener, context, descriptors.admin_connections()).await;
    tracing::error!(%error, "the admin listener failed");
}

async fn become_ready(feeds: Feeds, readiness: Arc<Readiness>) {
    feeds.loaded().await;
    readiness.ready();
    tracing::info!("ready");
}

/// Both TLS users, Pingora and the HTTP client, take the process's default provider.
pub(super) fn install_crypto_provider() {
    // It fails only if a provider is already installed, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn install_logging() {
    // Pingora logs at `error` what the access log reports better.
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,pingora_core=off,pingora_proxy=off,h2=off"));
    // https://no-color.org: it counts if it is set and not empty.
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && !is_plain)
        .with_writer(std::io::stderr)
        .init();
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(Failure::failed)
}

//! `portcullis serve`: start, keep current, stop.
//!
//! Two runtimes: requests have one to themselves, and everything else (admin, feeds, reload)
//! another, so that probes are answered and keys refreshed however busy the gate is.

mod exposure;
mod feeds;
mod metrics;
mod registration;
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
use crate::admin::{self, Readiness, View, token};
use crate::config::{AdminToken, Listener};
use crate::edge::descriptors::Descriptors;
use crate::edge::in_flight::InFlight;
use crate::edge::listener::{self, Bound};
use crate::edge::published::{Opening, Services};
use crate::endpoints::Endpoints;
use crate::runtime::Running;
use crate::secret::Secret;
use crate::store::{self, Store};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::registry::RegisteredFamily;
use feeds::Feeds;
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
    let bound = bind(&configuration)?;
    let admin_listener = bind_admin(&configuration)?;
    let certificates = bound.iter().map(Bound::tls).collect();
    let edge = runtime("edge", threads)?;
    let store = open_store(&configuration, &control)?;
    exposure::warn(&configuration.settings);
    // Nobody else has asked for it: this is the process's first configuration.
    let writer = configuration.gate.revocations.writer();
    let writer = writer.ok_or_else(|| Failure::failed("the revocation list has a writer"))?;
    let opening = Opening::new(configuration);
    let in_force = opening.in_force();
    let feeds = Feeds::new(&store, writer, &in_force, &metrics);
    let endpoints = Endpoints::new(feeds.for_endpoints(store, &in_force, &metrics, descriptors));
    edge.spawn(endpoints.clone().watch());
    let services = Services {
        metrics: metrics.edge.clone(),
        route_metrics: metrics.routes.clone(),
        log: log.clone(),
        sessions: feeds.sessions.clone(),
        signing: feeds.signing.clone(),
        internal_tokens: Arc::default(),
        endpoints,
        in_flight: InFlight::new(&metrics.edge),
        descriptors,
    };
    let revocations = feeds.revocations.clone();
    let token = admin_token.clone();
    let counts =
        SupervisorMetrics { program: metrics.program.clone(), key_sets: metrics.key_sets.clone() };
    let supervisor = Supervisor::new(
        opening,
        token,
        certificates,
        services,
        revocations,
        counts,
        control.handle(),
    );
    let supervisor = control.block_on(supervisor);

    let stopping = Stopping::new(&in_force);
    let readiness = stopping.readiness();
    feeds.start(&control);
    let view = feeds.for_admin(admin_token, &in_force, metrics, readiness.clone());
    control.spawn(serve_admin(admin_listener, view, descriptors));
    {
        let _guard = edge.enter();
        listener::serve(bound, &supervisor.current(), stopping.drain(), threads)
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

/// Before anything that takes its time: until there is a handler, a SIGHUP kills.
fn hangup(control: &Runtime) -> Result<Signal, Failure> {
    let _guard = control.enter();
    signal(SignalKind::hangup()).map_err(Failure::failed)
}

/// The token that the admin API asks for.
fn admin_token(configuration: &Running) -> Result<Secret, Failure> {
    let settings = &configuration.settings.admin.token;
    let token = token::prepare(settings).map_err(Failure::Failed)?;
    if let AdminToken::Kept(file) = settings {
        tracing::info!("the admin API asks for the token in {}", file.display());
    }
    Ok(token)
}

fn open_store(configuration: &Running, control: &Runtime) -> Result<Store, Failure> {
    let settings = &configuration.settings.store;
    tracing::info!("the store is {settings}");
    control.block_on(store::open(settings)).map_err(Failure::Failed)
}

async fn serve_admin(listener: TcpListener, view: View, descriptors: Descriptors) {
    let Err(error) = admin::serve(listener, view, descriptors.admin_connections()).await;
    tracing::error!(%error, "the admin listener failed");
}

async fn become_ready(feeds: Feeds, readiness: Arc<Readiness>) {
    feeds.loaded().await;
    readiness.ready();
    tracing::info!("ready");
}

/// Both TLS users, Pingora and the HTTP client, take the process's default provider.
pub(super) fn install_crypto_provider() {
    // Fails only if one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn install_logging() {
    // Pingora tells at `error` what the access log tells better.
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,pingora_core=off,pingora_proxy=off,h2=off"));
    // https://no-color.org: set and not empty.
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

fn bind(configuration: &Running) -> Result<Vec<Bound>, Failure> {
    let mut all = Vec::new();
    let listeners = configuration.settings.listeners.iter().zip(&configuration.listener_tls);
    for (Listener { address, tls: _ }, tls) in listeners {
        let bound = Bound::bind(*address, tls.clone())
            .map_err(|error| Failure::Failed(format!("cannot listen on {address}: {error}")))?;
        let protocol = if tls.is_some() { "https" } else { "http" };
        tracing::info!("listening on {protocol}://{}", bound.address());
        all.push(bound);
    }
    Ok(all)
}

fn bind_admin(configuration: &Running) -> Result<TcpListener, Failure> {
    let address = configuration.settings.admin.address;
    let listener = TcpListener::bind(address)
        .map_err(|error| Failure::Failed(format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    tracing::info!("admin on http://{address}");
    Ok(listener)
}

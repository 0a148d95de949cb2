//! `portcullis serve`: start, keep current, stop.
//!
//! Two runtimes: requests have one to themselves, and everything else (admin, feeds, reload)
//! another, so that probes are answered and keys refreshed however busy the gate is.

mod exposure;
mod supervisor;

use std::io::IsTerminal;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{ConfigFile, Failure};
use crate::admin::{self, Readiness, View, token};
use crate::config::{AdminToken, Listener, ServerSettings};
use crate::edge::descriptors::Descriptors;
use crate::edge::drain::Drain;
use crate::edge::in_flight::InFlight;
use crate::edge::listener::{self, Bound};
use crate::edge::published::{Opening, Services};
use crate::endpoints::{EndpointServices, Endpoints};
use crate::feed::revocations::RevocationFeed;
use crate::feed::sessions::SessionFeed;
use crate::feed::signing::SigningFeed;
use crate::feed::tags::TagFeed;
use crate::runtime::Running;
use crate::store::{self, Store};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::families::Families;
use supervisor::Supervisor;

/// How long the last lines of the access log may take to be written.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the other gateways may take to be told that this one is gone.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) fn run(file: ConfigFile) -> Result<(), Failure> {
    install_logging();
    install_crypto_provider();
    let descriptors = Descriptors::raise();
    let control = runtime("control", 1)?;
    // Before anything that takes its time: until there is a handler, a SIGHUP kills.
    let hangup = {
        let _guard = control.enter();
        signal(SignalKind::hangup()).map_err(Failure::failed)?
    };
    let configuration = Running::load(&file.config, None)
        .map_err(|problems| Failure::BadInput(problems.to_string()))?;
    let ServerSettings { threads, .. } = configuration.settings.server;
    let families = Arc::new(Families::new().map_err(Failure::failed)?);
    let log = AccessLog::start(families.log_dropped.clone()).map_err(Failure::failed)?;

    let admin_token =
        token::prepare(&configuration.settings.admin.token).map_err(Failure::Failed)?;
    if let AdminToken::Kept(file) = &configuration.settings.admin.token {
        tracing::info!("the admin API asks for the token in {}", file.display());
    }
    let admin_token = Arc::new(ArcSwap::from_pointee(admin_token));
    let bound = bind(&configuration)?;
    let admin_listener = bind_admin(&configuration)?;
    let certificates = bound.iter().map(Bound::tls).collect();

    let edge = runtime("edge", threads)?;
    tracing::info!("the store is {}", configuration.settings.store);
    let store =
        control.block_on(store::open(&configuration.settings.store)).map_err(Failure::Failed)?;
    exposure::warn(&configuration.settings);
    // Nobody else has asked for it: this is the process's first configuration.
    let writer = configuration.gate.revocations.writer();
    let writer = writer.ok_or_else(|| Failure::failed("the revocation list has a writer"))?;
    let opening = Opening::new(configuration);
    let in_force = opening.in_force();
    let Store { sessions, attempts, families: refresh_families, keyring, .. } = store.clone();
    let tags = TagFeed::new(keyring.clone(), in_force.clone(), families.clone());
    let signing = SigningFeed::new(keyring, in_force.clone(), families.clone());
    let sessions = SessionFeed::new(sessions, in_force.clone(), families.clone());
    let revocations = RevocationFeed::new(store, writer, in_force.clone(), families.clone());
    let endpoints = Endpoints::new(EndpointServices {
        in_force: in_force.clone(),
        sessions: sessions.clone(),
        revocations: revocations.clone(),
        signing: signing.clone(),
        attempts,
        refresh_families,
        hand_offs_max: descriptors.hand_offs(),
        families: families.clone(),
    });
    edge.spawn(endpoints.clone().watch());
    let services = Services {
        families: families.clone(),
        log: log.clone(),
        sessions: sessions.clone(),
        signing: signing.clone(),
        internal_tokens: Arc::default(),
        endpoints,
        in_flight: InFlight::new(&families),
        descriptors,
    };
    let supervisor = Supervisor::new(
        opening,
        admin_token.clone(),
        certificates,
        services,
        revocations.clone(),
        control.handle(),
    );
    let supervisor = control.block_on(supervisor);

    let readiness = Arc::new(Readiness::default());
    let drain = Drain::new();
    let view = View {
        configuration: in_force.clone(),
        admin_token,
        families,
        readiness: readiness.clone(),
        revocations: revocations.clone(),
        sessions: sessions.clone(),
        signing: signing.clone(),
    };
    control.spawn(revocations.clone().run());
    control.spawn(sessions.clone().run());
    let (clock, keys) = (revocations.clone(), signing.clone());
    control.spawn(async move {
        // No key is made before; waiting a moment spares a warning. Keys of files need no store.
        clock.dated_soon().await;
        keys.run().await;
    });
    control.spawn(tags.clone().run());
    control.spawn(async move {
        let Err(error) = admin::serve(admin_listener, view, descriptors.admin_connections()).await;
        tracing::error!(%error, "the admin listener failed");
    });
    {
        let _guard = edge.enter();
        listener::serve(bound, &supervisor.current(), &drain, threads).map_err(Failure::failed)?;
    }
    control.spawn(supervisor.run(hangup));
    let (loads, becomes_ready) = (revocations.clone(), readiness.clone());
    control.spawn(async move {
        loads.loaded().await;
        // Before, no token of ours could be verified.
        signing.loaded().await;
        // Before, nobody could tell whose session it is.
        tags.asked().await;
        becomes_ready.ready();
        tracing::info!("ready");
    });

    control.block_on(async {
        stop_signal().await?;
        let grace = in_force.load().settings.server.shutdown_grace;
        tracing::info!(grace_s = grace.as_secs(), open = drain.open(), "stopping");
        readiness.stopping();
        drain.begin();
        tokio::select! {
            () = drain.emptied() => tracing::info!("stopped"),
            () = tokio::time::sleep(grace) => {
                tracing::warn!(open = drain.open(), "stopped with connections still open");
            }
            again = stop_signal() => {
                again?;
                tracing::warn!(open = drain.open(), "stopped at once");
            }
        }
        // Else a session might seem to have rested for longer than it has.
        drop(tokio::time::timeout(LEAVE_TIMEOUT, sessions.flush()).await);
        // Else the others would wait for this one to confirm, for a minute.
        drop(tokio::time::timeout(LEAVE_TIMEOUT, revocations.leave()).await);
        Ok(())
    })?;
    log.flush(LOG_FLUSH_TIMEOUT);
    edge.shutdown_background();
    control.shutdown_background();
    Ok(())
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

async fn stop_signal() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

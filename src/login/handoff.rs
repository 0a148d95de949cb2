//! Asks an identity service who a user is, and believes any answer that can be understood.
//!
//! | its answer | what it means |
//! | --- | --- |
//! | 2xx with what is expected | logged in |
//! | 429 | too many attempts |
//! | other 4xx | refused |
//! | anything else, or none in time | undecided |

mod identity;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::name_and_password::NameAndPassword;
use super::outcome::{LoginOutcome, RefusalMessage, Sender, ServiceRefusal};
use crate::config::login::{HandOff, OnFailure};
use crate::config::upstream::UpstreamTls;
use crate::fetch::{FetchError, Fetcher, Posted};
use crate::gate::denial::{Denial, RETRY_AFTER_S, Slug};
use crate::upstream::Upstream;
use identity::MalformedAnswer;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The longest that a service can make a user wait, in seconds.
const RETRY_AFTER_MAX_S: u32 = 24 * 3600;

/// The longest request id that is passed on, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Stands for a peer in URLs. The address to connect to does not come from it.
const HOST: &str = "identity.invalid";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An identity service: its settings, and its upstream.
#[derive(Clone, Copy)]
pub(super) struct Service<'a> {
    pub(super) settings: &'a HandOff,
    pub(super) upstream: &'a Arc<Upstream>,
}

/// Clients of identity services. Only the one that was used last is kept: reloads seldom change it.
#[derive(Debug)]
pub(super) struct ServiceClients {
    kept: Mutex<Option<KeptClient>>,
    places: Semaphore,
    open_max: usize,
}

#[derive(Debug)]
struct KeptClient {
    upstream: Arc<Upstream>,
    timeout: Duration,
    fetcher: Fetcher,
}

/// Why a login could not be decided.
#[derive(Debug, thiserror::Error)]
enum Undecided {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer is {0}")]
    Status(u16),
    #[error(transparent)]
    Malformed(#[from] MalformedAnswer),
    #[error("the certificate is for an address that the upstream does not have")]
    Address,
    #[error("{0} requests to the identity service are open already")]
    Busy(usize),
}

impl Undecided {
    fn slug(&self) -> Slug {
        match self {
            Self::Fetch(error) if error.is_timeout() => Slug::UpstreamTimeout,
            Self::Fetch(_) | Self::Status(_) | Self::Malformed(_) | Self::Address => {
                Slug::UpstreamUnavailable
            }
            Self::Busy(_) => Slug::Overloaded,
        }
    }

    fn denial(&self) -> Denial {
        let denial = Denial::new(self.slug());
        match self {
            Self::Busy(max) => {
                denial.because(format!("in flight already: {max} requests to identity services"))
            }
            Self::Fetch(_) | Self::Status(_) | Self::Malformed(_) | Self::Address => denial,
        }
    }
}

impl ServiceClients {
    /// No client yet. Later, at most `open_max` requests are open at once.
    pub(super) fn new(open_max: usize) -> Self {
        Self { kept: Mutex::default(), places: Semaphore::new(open_max), open_max }
    }

    /// Asks the service whose credentials these are.
    pub(super) async fn ask(
        &self,
        service: Service<'_>,
        credentials: &NameAndPassword,
        sender: Sender<'_>,
    ) -> LoginOutcome {
        match self.find(service, credentials, sender).await {
            Ok(outcome) => outcome,
            Err(undecided) => {
                let upstream = &*service.upstream.settings().name;
                tracing::warn!(
                    upstream, why = %undecided,
                    "the identity service could not decide on a login"
                );
                match undecided {
                    Undecided::Malformed(_) => LoginOutcome::Unintelligible(undecided.slug()),
                    Undecided::Fetch(_)
                    | Undecided::Status(_)
                    | Undecided::Address
                    | Undecided::Busy(_) => LoginOutcome::Undecided(undecided.denial()),
                }
            }
        }
    }

    async fn find(
        &self,
        service: Service<'_>,
        credentials: &NameAndPassword,
        sender: Sender<'_>,
    ) -> Result<LoginOutcome, Undecided> {
        let _place = self.places.try_acquire().map_err(|_| Undecided::Busy(self.open_max))?;
        let fetcher = self.client(service)?;
        let url = url(service).ok_or(Undecided::Address)?;
        let posted = fetcher.post(&url, fields(service, sender), body(credentials)).await?;
        let status = posted.status().as_u16();
        match status {
            200..=299 => {
                let answer = posted.body(ANSWER_BYTES_MAX).await?;
                Ok(LoginOutcome::LoggedIn(identity::parse(&answer, service.settings)?))
            }
            429 => Ok(LoginOutcome::Limited(retry_after(&posted))),
            400..=499 => Ok(LoginOutcome::Refused(match service.settings.on_failure {
                OnFailure::Own => RefusalMessage::Gateway,
                OnFailure::PassThrough => refusal_message(posted).await,
            })),
            other => Err(Undecided::Status(other)),
        }
    }

    /// The last client is kept, because making one reads all certificate authorities. It asks the
    /// upstream for an address each time.
    fn client(&self, service: Service<'_>) -> Result<Fetcher, FetchError> {
        let Service { settings: HandOff { timeout, .. }, upstream } = service;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept
            && Arc::ptr_eq(&kept.upstream, upstream)
            && kept.timeout == *timeout
        {
            return Ok(kept.fetcher.clone());
        }
        let tls = upstream.settings().tls.as_ref();
        let ca = tls.and_then(|tls| tls.ca.as_deref());
        let next = {
            let upstream = upstream.clone();
            Arc::new(move || upstream.next())
        };
        let fetcher = Fetcher::directed(*timeout, ca, next)?;
        let (upstream, timeout) = (upstream.clone(), *timeout);
        *kept = Some(KeptClient { upstream, timeout, fetcher: fetcher.clone() });
        Ok(fetcher)
    }
}

/// The URL of the service. If the certificate is for an address, the URL names just that address.
fn url(service: Service<'_>) -> Option<String> {
    let Service { settings: HandOff { path, .. }, upstream } = service;
    let Some(UpstreamTls { server_name, .. }) = &upstream.settings().tls else {
        return Some(format!("http://{HOST}{path}"));
    };
    match server_name.parse::<IpAddr>() {
        Err(_) => Some(format!("https://{server_name}{path}")),
        Ok(address) => {
            let addresses = upstream.addresses();
            let peer = addresses.iter().find(|peer| peer.ip() == address)?;
            Some(format!("https://{peer}{path}"))
        }
    }
}

fn fields(service: Service<'_>, sender: Sender<'_>) -> HeaderMap {
    let settings = service.upstream.settings();
    let host = match &settings.tls {
        Some(tls) => Some(&*tls.server_name),
        None => settings.peers.first().map(|peer| &**peer),
    };
    let host = host.and_then(|host| HeaderValue::from_str(host).ok());
    let client = sender.client.map(|client| client.to_canonical().to_string());
    let client = client.and_then(|client| HeaderValue::from_str(&client).ok());
    let id = sender.request_id.filter(|id| id.len() <= REQUEST_ID_BYTES_MAX).cloned();
    let json = HeaderValue::from_static("application/json");
    let all = [
        (header::HOST, host),
        (header::CONTENT_TYPE, Some(json.clone())),
        (header::ACCEPT, Some(json)),
        (FORWARDED_FOR, client),
        (REQUEST_ID, id),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The credentials as JSON, in memory that is wiped.
fn body(credentials: &NameAndPassword) -> Bytes {
    #[derive(Serialize)]
    struct ServiceQuery<'a> {
        username: &'a str,
        password: &'a str,
    }
    let NameAndPassword { name, password } = credentials;
    // Bodies are read as UTF-8.
    let asked = ServiceQuery {
        username: name,
        password: std::str::from_utf8(password.expose()).unwrap_or_default(),
    };
    // It never grows, so that no copy stays behind: an escape has six bytes.
    let room = 64 + 6 * (name.len() + password.expose().len());
    let mut json = Zeroizing::new(Vec::with_capacity(room));
    // Texts can always be written.
    drop(serde_json::to_writer(&mut *json, &asked));
    Bytes::from_owner(json)
}

/// The service's own refusal, or the gateway's if that is too large or does not arrive.
async fn refusal_message(posted: Posted) -> RefusalMessage {
    let status = posted.status().as_u16();
    let kind = posted.field(&header::CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream"));
    match posted.body(ANSWER_BYTES_MAX).await {
        Ok(body) => RefusalMessage::Service(ServiceRefusal { status, kind, body: body.into() }),
        Err(error) => {
            tracing::warn!(%error, "the answer of the identity service cannot be passed on");
            RefusalMessage::Gateway
        }
    }
}

fn retry_after(posted: &Posted) -> u32 {
    let seconds = posted.field(&header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|text| text.trim().parse::<u32>().ok());
    seconds.unwrap_or(RETRY_AFTER_S).clamp(1, RETRY_AFTER_MAX_S)
}

#[cfg(test)]
mod tests;

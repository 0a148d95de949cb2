//! The only HTTP client. It fetches small documents, within limits, only from the given address,
//! and never through a proxy that the environment names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use reqwest::{Certificate, Client, ClientBuilder, Response};
use serde_json::Value;

pub use reqwest::{Method, StatusCode};

/// The largest document that is read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 512 * 1024;

/// The largest answer of an API that is read, in bytes: a page of a thousand revocations.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The client cannot be set up, for lack of certificate authorities for example.
    #[error("no HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// No answer, or none in time, or one that could not be trusted.
    #[error("{}", chain(.0))]
    Transport(#[source] reqwest::Error),
    /// An answer other than 200. Redirects are not followed: keys come from the configured place.
    #[error("the answer was {0}")]
    Status(StatusCode),
    /// More than is read.
    #[error("the answer is larger than {0} bytes")]
    Oversized(usize),
}

/// A request to an API.
#[derive(Debug)]
pub struct Question<'q> {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: &'q str,
    /// The bearer token that the API requires.
    pub token: Option<&'q str>,
    /// The JSON body.
    pub body: Option<&'q Value>,
}

/// Returns the next address to connect to, if one is known.
pub type NextAddress = Arc<dyn Fn() -> Option<SocketAddr> + Send + Sync>;

/// Resolves every name to the next address of the configuration, with its port.
struct Directed(NextAddress);

impl Resolve for Directed {
    fn resolve(&self, _: Name) -> Resolving {
        let next = (self.0)();
        Box::pin(async move {
            let address = next.ok_or("no address of the upstream is known")?;
            Ok(Box::new(std::iter::once(address)) as Addrs)
        })
    }
}

/// The response to a POST: its head. The body has not been read yet.
#[derive(Debug)]
pub struct Posted(Response);

impl Posted {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// A header field that occurs exactly once.
    pub fn field(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let mut values = self.0.headers().get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    }

    /// The body.
    ///
    /// # Errors
    ///
    /// [`FetchError::Transport`], and [`FetchError::Oversized`] for one that is larger than
    /// `bytes_max`, or says that it will be.
    pub async fn body(self, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        let announced = self.0.content_length().unwrap_or(0);
        if usize::try_from(announced).is_ok_and(|announced| announced <= bytes_max) {
            return read(self.0, bytes_max).await;
        }
        Err(FetchError::Oversized(bytes_max))
    }
}

/// reqwest says little at the top and everything below.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// A client for one server.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
}

impl FetchError {
    /// Whether it took too long.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Client(error) | Self::Transport(error) => error.is_timeout(),
            Self::Status(_) | Self::Oversized(_) => false,
        }
    }
}

impl Fetcher {
    /// A client that gives up after `timeout` and trusts the authorities in `ca_pem` instead of
    /// the system's, if there are any.
    ///
    /// # Errors
    ///
    /// [`FetchError::Client`].
    pub fn new(timeout: Duration, ca_pem: Option<&[u8]>) -> Result<Self, FetchError> {
        let mut builder = bounded(timeout).pool_max_idle_per_host(1);
        if let Some(pem) = ca_pem {
            let authorities = Certificate::from_pem_bundle(pem).map_err(FetchError::Client)?;
            builder = builder.tls_certs_only(authorities);
        }
        Ok(Self { client: builder.build().map_err(FetchError::Client)? })
    }

    /// A client that connects to the address that `next` returns, anew for each request, whatever
    /// the host of the URL is. It does not if the host is an address or the URL names a port. It
    /// gives up after `timeout`, and trusts the authorities in `ca_der` instead of the system's, if
    /// there are any.
    ///
    /// # Errors
    ///
    /// [`FetchError::Client`].
    pub fn directed(
        timeout: Duration,
        ca_der: Option<&[Vec<u8>]>,
        next: NextAddress,
    ) -> Result<Self, FetchError> {
        let mut builder = bounded(timeout).pool_max_idle_per_host(0).dns_resolver(Directed(next));
        if let Some(ca_der) = ca_der {
            let authorities: Result<Vec<_>, _> =
                ca_der.iter().map(|der| Certificate::from_der(der)).collect();
            builder = builder.tls_certs_only(authorities.map_err(FetchError::Client)?);
        }
        Ok(Self { client: builder.build().map_err(FetchError::Client)? })
    }

    /// Posts `body`, with these header fields, and returns the head of whatever is answered.
    ///
    /// # Errors
    ///
    /// [`FetchError::Transport`].
    pub async fn post(
        &self,
        url: &str,
        fields: HeaderMap,
        body: Bytes,
    ) -> Result<Posted, FetchError> {
        let request = self.client.post(url).headers(fields).body(body);
        // The error leaves out the URL, because its host may be a stand-in.
        let response = request.send().await.map_err(|error| error.without_url());
        response.map(Posted).map_err(FetchError::Transport)
    }

    /// Fetches a document.
    ///
    /// # Errors
    ///
    /// Any [`FetchError`] but `Client`.
    pub async fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let response = self.client.get(url).send().await.map_err(FetchError::Transport)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        read(response, DOCUMENT_BYTES_MAX).await
    }

    /// Asks an API, and returns whatever status and body it answers with.
    ///
    /// # Errors
    ///
    /// [`FetchError::Transport`] and [`FetchError::Oversized`].
    pub async fn ask(&self, question: Question<'_>) -> Result<(StatusCode, Vec<u8>), FetchError> {
        let Question { method, url, token, body } = question;
        let mut request = self.client.request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let kind = ("content-type", "application/json");
            request = request.header(kind.0, kind.1).body(body.to_string());
        }
        let response = request.send().await.map_err(FetchError::Transport)?;
        let status = response.status();
        Ok((status, read(response, ANSWER_BYTES_MAX).await?))
    }
}

/// What all clients have in common.
fn bounded(timeout: Duration) -> ClientBuilder {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout)
        .redirect(redirect::Policy::none())
        // Keys come from the configured place; the environment has no say in the way there.
        .no_proxy()
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::Transport)? {
        if document.len() + chunk.len() > bytes_max {
            return Err(FetchError::Oversized(bytes_max));
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

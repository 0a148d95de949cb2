//! The only HTTP client: fetches small documents, within bounds, from where it was told and from
//! nowhere else: not through a proxy that the environment names either.

use std::time::Duration;

use reqwest::redirect;
use reqwest::{Certificate, Client, Method, Response};
use serde_json::Value;

pub use reqwest::StatusCode;

/// The largest document that is read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 512 * 1024;

/// The largest answer of an API that is read, in bytes: a page of a thousand revocations.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why a document could not be had.
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

/// What is asked of an API.
#[derive(Debug)]
pub struct Question<'q> {
    /// Where.
    pub url: &'q str,
    /// The bearer token that it wants to see.
    pub token: Option<&'q str>,
    /// What is posted; a question without it is a `GET`.
    pub body: Option<&'q Value>,
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

impl Fetcher {
    /// A client that gives up after `timeout` and trusts the authorities in `ca_pem` instead of
    /// the system's, if there are any.
    ///
    /// # Errors
    ///
    /// [`FetchError::Client`].
    pub fn new(timeout: Duration, ca_pem: Option<&[u8]>) -> Result<Self, FetchError> {
        let mut builder = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(redirect::Policy::none())
            // Keys come from the configured place; the environment has no say in the way there.
            .no_proxy()
            .pool_max_idle_per_host(1)
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = ca_pem {
            let authorities = Certificate::from_pem_bundle(pem).map_err(FetchError::Client)?;
            builder = builder.tls_certs_only(authorities);
        }
        Ok(Self { client: builder.build().map_err(FetchError::Client)? })
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
        let Question { url, token, body } = question;
        let method = if body.is_some() { Method::POST } else { Method::GET };
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

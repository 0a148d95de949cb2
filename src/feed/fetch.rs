//! The only HTTP client: fetches small documents, within bounds, from where it was told and from
//! nowhere else: not through a proxy that the environment names either.

use std::time::Duration;

use reqwest::redirect;
use reqwest::{Certificate, Client, StatusCode};

/// The largest document that is read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 512 * 1024;

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
    /// More than [`DOCUMENT_BYTES_MAX`].
    #[error("the answer is larger than {DOCUMENT_BYTES_MAX} bytes")]
    Oversized,
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
        let mut response = self.client.get(url).send().await.map_err(FetchError::Transport)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::Transport)? {
            if document.len() + chunk.len() > DOCUMENT_BYTES_MAX {
                return Err(FetchError::Oversized);
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document)
    }
}

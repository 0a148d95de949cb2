//! `portcullis echo`: an upstream for trials.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Json;
use clap::Args;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Failure;

/// How much of a body is read, in bytes.
const BODY_BYTES_MAX: usize = 16 << 20;

/// How many fields a head may have: those that a gateway forwards and those that it adds.
const HEADERS_MAX: usize = 1024;

#[derive(Debug, Args)]
pub(super) struct Echo {
    /// Address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:9001")]
    address: SocketAddr,
}

impl Echo {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::failed)?;
        runtime.block_on(async {
            let listener = TcpListener::bind(self.address).await.map_err(|error| {
                Failure::Failed(format!("cannot listen on {}: {error}", self.address))
            })?;
            let address = listener.local_addr().map_err(Failure::failed)?;
            eprintln!("echo listens on {address}");
            serve(listener).await
        })
    }
}

/// Serves for as long as connections can be accepted.
async fn serve(listener: TcpListener) -> Result<(), Failure> {
    let router = TowerToHyperService::new(Router::new().fallback(answer));
    loop {
        let (stream, _) = listener.accept().await.map_err(Failure::failed)?;
        let mut connection = http1::Builder::new();
        connection.max_headers(HEADERS_MAX);
        let connection = connection.serve_connection(TokioIo::new(stream), router.clone());
        // Whether the connection ended properly is for the client to report.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(request: Request<Body>) -> Json<Value> {
    let (parts, body) = request.into_parts();
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.to_string())
            .and_modify(|joined| joined.push_str(&format!(", {value}")))
            .or_insert_with(|| value.into_owned());
    }
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    Json(json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body_bytes": body.map(|body| body.len()).ok(),
    }))
}

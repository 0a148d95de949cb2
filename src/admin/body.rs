//! Reads the body of a request before the request is handled, within limits of time and size.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;

use super::problem::Problem;

/// The largest body that is read, in bytes: a token and what is said about it.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a body may take to arrive.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Passes a request on once its body has arrived.
pub(super) async fn read_in_time(request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let read = timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await;
    let body = read
        .map_err(|_| Problem::BodyLate)?
        .map_err(|error| Problem::BadRequest(format!("the body cannot be read: {error}")))?;
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

//! The first byte of a request's body: no upstream is dialled before it is there.
//!
//! A head is cheap to send. If it were enough for a connection to an upstream, a client could hold
//! as many of those as it may have streams, and never send anything else.

use std::time::Duration;

use http::{HeaderMap, Version, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use crate::edge::client_stream::inbound::fault::Fault;

/// Returns once a body that was announced has begun, or turned out to be empty.
///
/// # Errors
///
/// If the client leaves, sends what is no body, or lets `patience` pass.
pub(in crate::edge) async fn arrived(session: &mut Session, patience: Duration) -> Result<()> {
    // What is read here is kept there, and sent as soon as there is a connection to an upstream.
    session.as_mut().enable_retry_buffering();
    let has_arrived = tokio::select! {
        biased;
        read = first_piece(session) => read.map(|()| true)?,
        () = std::future::ready(()) => false,
    };
    if !has_arrived {
        if waits_to_continue(session.req_header()) {
            go_on(session).await?;
        }
        match tokio::time::timeout(patience, first_piece(session)).await {
            Ok(read) => read?,
            Err(_) => {
                let late = std::io::Error::other(Fault::Late);
                return Err(Error::because(ErrorType::ReadTimedout, "a body", late).into_down());
            }
        }
    }
    if session.as_ref().retry_buffer_truncated() {
        return Err(Error::explain(ErrorType::InternalError, "a body began with too much"));
    }
    Ok(())
}

/// Whether the client asks for a 100 (Continue) (RFC 9110 §10.1.1).
pub(in crate::edge) fn expects_continue(fields: &HeaderMap) -> bool {
    let expectation = fields.get(header::EXPECT).map(|value| value.as_bytes());
    expectation.is_some_and(|expectation| expectation.eq_ignore_ascii_case(b"100-continue"))
}

/// Whether the client sends no body before it gets a 100 (Continue).
pub(in crate::edge) fn waits_to_continue(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_11 && expects_continue(&request.headers)
}

async fn go_on(session: &mut Session) -> Result<()> {
    let session = session.as_mut();
    // Pingora closes the connection after an answer that comes before the body, but this is none.
    session.set_close_on_response_before_downstream_finish(false);
    let written = session.write_continue_response().await;
    session.set_close_on_response_before_downstream_finish(true);
    written.map_err(|error| error.into_down())
}

async fn first_piece(session: &mut Session) -> Result<()> {
    let session = session.as_mut();
    while let Some(piece) = session.read_request_body().await.map_err(|error| error.into_down())? {
        // HTTP/2 has frames without a byte.
        if !piece.is_empty() {
            break;
        }
    }
    Ok(())
}

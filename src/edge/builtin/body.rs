//! Reads the whole body of a request to a built-in endpoint, within bounds of size and time.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::proxy::Session;
use pingora::{Error, Result};

use crate::edge::client_stream::inbound::fault::Fault;
use crate::edge::context::Context;
use crate::edge::failure;
use crate::edge::limits::held_places::HeldPlaces;
use crate::edge::pingora_lane::body_start;
use crate::gate::denial::{Denial, Slug};
use crate::web::message::BODY_BYTES_MAX;

/// How long the body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is nothing to answer with.
pub(super) enum NoReply {
    /// The request is refused.
    Denied(Denial),
    /// The client left.
    Departed(Box<Error>),
}

impl<D: Into<Denial>> From<D> for NoReply {
    fn from(denial: D) -> Self {
        Self::Denied(denial.into())
    }
}

/// The whole body of a request.
///
/// Half a body is cheap to send, and must not keep others from logging in or out: who has one awaited
/// is counted among the requests to upstreams, whose bodies are awaited as well.
pub(super) async fn body_of(
    session: &mut Session,
    context: &mut Context,
) -> Result<Bytes, NoReply> {
    let request = session.req_header();
    let announced = request.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Slug::BodyTooLarge.into());
    }
    let read = {
        let mut reading = std::pin::pin!(read_whole(session));
        match poll_fn(|waker| Poll::Ready(reading.as_mut().poll(waker))).await {
            Poll::Ready(read) => Ok(read),
            Poll::Pending => {
                context.places.enter(&context.published, context.client_address())?;
                let read = tokio::time::timeout(BODY_TIMEOUT, reading).await;
                context.places = HeldPlaces::default();
                read
            }
        }
    };
    match read {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(Slug::BodyTooLarge.into()),
        // It cannot be known where the body ends and a next request would begin.
        Ok(Err(error)) => {
            session.set_keepalive(None);
            let error = error.into_down();
            if failure::is_departure(&error) {
                return Err(NoReply::Departed(error));
            }
            Err(Fault::of(&error).map_or(Slug::RequestBody.into(), Fault::denial).into())
        }
        Err(_) => {
            session.set_keepalive(None);
            Err(Slug::RequestTimeout.into())
        }
    }
}

/// Reads a body to its end; `None` if it is larger than it may be.
async fn read_whole(session: &mut Session) -> Result<Option<Bytes>> {
    if body_start::waits_to_continue(session.req_header()) {
        session.downstream_session.write_continue_response().await?;
    }
    let mut body = BytesMut::new();
    while let Some(piece) = session.downstream_session.read_request_body().await? {
        if body.len() + piece.len() > BODY_BYTES_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body.freeze()))
}

//! Serves requests to the built-in endpoints: reads them whole, within bounds; [`crate::endpoints`] answers.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use pingora::proxy::Session;
use pingora::{Error, Result};

use super::admission::authority_of;
use super::answer::{FinishedAnswer, client_kind};
use super::body_start;
use super::context::{Context, MissingSession};
use super::failure;
use super::inbound::Fault;
use super::places::HeldPlaces;
use crate::endpoints::table::{CallerAuthentication, Endpoint};
use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Slug};
use crate::gate::request::Request;
use crate::web::message::{BODY_BYTES_MAX, Caller, EndpointRequest, Reply};

/// How long the body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request to the gateway itself.
pub(super) async fn answer(session: &mut Session, context: &mut Context) -> Result<()> {
    context.record.route = Some(context.published.handles.own());
    let endpoint = match endpoint_of(session, context) {
        Ok(endpoint) => endpoint,
        Err(denial) => return context.refuse(session, &denial).await,
    };
    let reply = reply(session, context, &endpoint).await;
    // What is left is up to the client: how fast it sends the rest of a body, or takes its answer.
    context.places = HeldPlaces::default();
    match reply {
        Ok(Reply::Answer(answer)) => {
            let crate::web::message::Answer { status, mut fields, body, denial } = answer;
            context.record.denial = denial;
            context.record.status = Some(status);
            // RFC 9110 §8.6: not with 204.
            if status != 204 {
                fields.push((header::CONTENT_LENGTH, HeaderValue::from(body.len())));
            }
            FinishedAnswer { status, fields, body }.write(session).await
        }
        Ok(Reply::Denial(denial)) | Err(NoReply::Denied(denial)) => {
            let missing = match endpoint.authentication() {
                CallerAuthentication::Required if endpoint.is_page() => MissingSession::SentToLogin,
                CallerAuthentication::Required
                | CallerAuthentication::Optional
                | CallerAuthentication::None => MissingSession::Refused,
            };
            context.refuse_where(missing, session, &denial).await
        }
        Err(NoReply::Departed(error)) => Err(error),
    }
}

/// The endpoint that a request asks for.
fn endpoint_of(session: &Session, context: &Context) -> Result<Endpoint, Denial> {
    let request = session.req_header();
    let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
    let path = target.split('?').next().unwrap_or_default();
    Endpoint::find(path, &request.method, &context.published.configuration)
}

/// Why there is nothing to answer with.
enum NoReply {
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

async fn reply(
    session: &mut Session,
    context: &mut Context,
    endpoint: &Endpoint,
) -> Result<Reply, NoReply> {
    let published = context.published.clone();
    let configuration = &published.configuration;
    let reads_body = endpoint.reads_body();
    let body = if reads_body { body_of(session, context).await? } else { Bytes::new() };
    let request = session.req_header();
    context.places.enter_own(&published, context.client_address(), reads_body)?;
    let mut lost = None;
    let admitted = match endpoint.authentication() {
        CallerAuthentication::None => None,
        CallerAuthentication::Required => Some(context.admit_own(request, Charge::Client).await?),
        // That is, for a logout.
        CallerAuthentication::Optional => match context.admit_own(request, Charge::Logout).await {
            Ok(own) => Some(own),
            Err(denial) if denial.slug().is_want_of_login() => {
                if denial.slug() == Slug::SessionUnknown {
                    let sessions = &configuration.gate.sessions;
                    let cookie = &sessions.rules.terms().cookie;
                    let secret = cookie.find(&request.headers).ok().flatten();
                    lost = secret.and_then(|secret| sessions.perhaps_ours(&secret));
                }
                None
            }
            Err(denial) => return Err(denial.into()),
        },
    };
    let cookie = &configuration.gate.sessions.rules.terms().cookie;
    let caller = match admitted {
        None => None,
        Some(own) => {
            let secret = cookie.find(&request.headers).ok().flatten().ok_or(Slug::Internal)?;
            Some(Caller { session: own, secret })
        }
    };
    let authority = authority_of(request)?.ok_or(Slug::HostMissing)?;
    let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
    let head = Request {
        scheme: context.scheme(&request.headers),
        method: &request.method,
        authority: Some(&authority),
        target,
        headers: &request.headers,
        session: None,
    };
    let request = EndpointRequest {
        head: &head,
        body,
        request_id: context.request_id(),
        client: context.client_address(),
        client_kind: client_kind(&request.headers),
        caller,
        lost,
        keys: &*published,
    };
    // Boxed: a request that waits for its body does not hold what answering it takes.
    Ok(Box::pin(published.endpoints.answer(endpoint, request, configuration)).await)
}

/// The whole body of a request.
///
/// Half a body is cheap to send, and must not keep others from logging in or out: who has one awaited
/// is counted among the requests to upstreams, whose bodies are awaited as well.
async fn body_of(session: &mut Session, context: &mut Context) -> Result<Bytes, NoReply> {
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
        // Where the body ends, and a next request would begin, nobody knows.
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

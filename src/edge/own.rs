//! Requests to the gateway itself: read whole, within bounds, and answered by [`crate::login`].

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use pingora::Result;
use pingora::proxy::Session;

use super::answer::{Answer, Reader};
use super::body_start;
use super::context::{Context, Stranger, authority_of};
use super::inbound::Fault;
use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Slug};
use crate::gate::request::{Request, Scheme};
use crate::login::endpoint::{Endpoint, Wants};
use crate::login::{Asked, Asker, BODY_BYTES_MAX, Caller, Reply};

/// How long the body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request to the gateway itself.
pub(super) async fn answer(session: &mut Session, context: &mut Context) -> Result<()> {
    context.route = Some(context.published.handles.own());
    match reply(session, context).await {
        Ok(Reply::Answer(answer)) => {
            let crate::login::Answer { status, mut fields, body, denial } = answer;
            context.denial = denial;
            context.status = Some(status);
            // RFC 9110 §8.6: not with 204.
            if status != 204 {
                fields.push((header::CONTENT_LENGTH, HeaderValue::from(body.len())));
            }
            Answer { status, fields, body }.write(session).await
        }
        Ok(Reply::Denial(denial)) | Err(denial) => context.refuse(session, &denial).await,
    }
}

async fn reply(session: &mut Session, context: &mut Context) -> Result<Reply, Denial> {
    let published = context.published.clone();
    let configuration = &published.configuration;
    let request = session.req_header();
    let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
    let path = target.split('?').next().unwrap_or_default();
    let endpoint = Endpoint::find(path, &request.method, configuration)?;
    let client = context.client.and_then(|client| client.address);
    context.places.enter_own(&published, client)?;
    let admitted = match endpoint.wants() {
        Wants::Anybody => None,
        Wants::Caller => {
            if endpoint.is_page() {
                context.stranger = Stranger::SentToLogin;
            }
            context.admit_own(request, Charge::Client).await?;
            context.session.clone()
        }
        // That is, for a logout.
        Wants::CallerIfAny => match context.admit_own(request, Charge::Logout).await {
            Ok(()) => context.session.clone(),
            Err(denial) if denial.slug().is_want_of_login() => None,
            Err(denial) => return Err(denial),
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
    let body = if endpoint.reads_body() { body_of(session).await? } else { Bytes::new() };
    let request = session.req_header();
    let authority = authority_of(request)?.ok_or(Slug::HostMissing)?;
    let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
    let head = Request {
        scheme: context.client.map_or(Scheme::Http, |client| client.scheme_told(&request.headers)),
        method: &request.method,
        authority: Some(&authority),
        target,
        headers: &request.headers,
        session: None,
    };
    let asked = Asked {
        request: &head,
        body,
        request_id: context.request_id(),
        client: context.client.and_then(|client| client.address),
        asker: match Reader::of(&request.headers) {
            Reader::Person => Asker::Person,
            Reader::Program => Asker::Program,
        },
        caller,
        keys: &*published,
    };
    // Boxed: a request that waits for its body does not hold what answering it takes.
    Ok(Box::pin(published.endpoints.answer(&endpoint, asked, configuration)).await)
}

/// The whole body of a request.
async fn body_of(session: &mut Session) -> Result<Bytes, Denial> {
    let request = session.req_header();
    let announced = request.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Slug::BodyTooLarge.into());
    }
    let waits = body_start::waits_to_continue(request);
    let read = async {
        if waits {
            session.downstream_session.write_continue_response().await?;
        }
        let mut body = BytesMut::new();
        while let Some(piece) = session.downstream_session.read_request_body().await? {
            if body.len() + piece.len() > BODY_BYTES_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok::<_, Box<pingora::Error>>(Some(body.freeze()))
    };
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(Slug::BodyTooLarge.into()),
        // Where the body ends, and a next request would begin, nobody knows.
        Ok(Err(error)) => {
            session.set_keepalive(None);
            Err(Fault::of(&error).map_or(Slug::RequestBody.into(), Fault::denial))
        }
        Err(_) => {
            session.set_keepalive(None);
            Err(Slug::RequestTimeout.into())
        }
    }
}

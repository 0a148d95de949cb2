//! Serves requests to the built-in endpoints: reads them whole, within bounds; [`crate::endpoints`] answers.

mod body;

use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use self::body::{NoReply, body_of};
use super::answer::{FinishedAnswer, client_kind};
use super::authority::authority_of;
use super::context::{Context, MissingSession};
use super::limits::held_places::HeldPlaces;
use crate::endpoints::table::{CallerAuthentication, Endpoint};
use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Slug};
use crate::gate::request::Request;
use crate::gate::session::{SessionId, SessionSecret};
use crate::web::message::{Caller, EndpointRequest, Reply};

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

async fn reply(
    session: &mut Session,
    context: &mut Context,
    endpoint: &Endpoint,
) -> Result<Reply, NoReply> {
    let published = context.published.clone();
    let reads_body = endpoint.reads_body();
    let body = if reads_body { body_of(session, context).await? } else { Bytes::new() };
    let request = session.req_header();
    context.places.enter_own(&published, context.client_address(), reads_body)?;
    let Authenticated { caller, lost } =
        caller_of(request, context, endpoint.authentication()).await?;
    let authority = authority_of(request)?.ok_or(Slug::HostMissing)?;
    let head = head_of(request, context, &authority)?;
    let request = EndpointRequest {
        head: &head,
        body,
        request_id: context.request_id(),
        client: context.client_address(),
        client_kind: client_kind(head.headers),
        caller,
        lost,
        keys: &*published,
    };
    // Boxed: a request that waits for its body does not hold what answering it takes.
    Ok(Box::pin(published.endpoints.answer(endpoint, request, &published.configuration)).await)
}

/// What the credential of a request to the gateway itself comes to.
#[derive(Default)]
struct Authenticated {
    caller: Option<Caller>,
    /// The session of a cookie that may be ours, and that the store does not have.
    lost: Option<SessionId>,
}

/// Authenticates the caller of an endpoint, as far as the endpoint asks for it.
async fn caller_of(
    request: &RequestHeader,
    context: &mut Context,
    authentication: CallerAuthentication,
) -> Result<Authenticated, Denial> {
    let session = match authentication {
        CallerAuthentication::None => return Ok(Authenticated::default()),
        CallerAuthentication::Required => context.admit_own(request, Charge::Client).await?,
        // That is, for a logout.
        CallerAuthentication::Optional => match context.admit_own(request, Charge::Logout).await {
            Ok(session) => session,
            Err(denial) if denial.slug() == Slug::SessionUnknown => {
                let sessions = &context.published.configuration.gate.sessions;
                let secret = secret_of(request, context);
                let lost = secret.and_then(|secret| sessions.perhaps_ours(&secret));
                return Ok(Authenticated { caller: None, lost });
            }
            Err(denial) if denial.slug().is_want_of_login() => return Ok(Authenticated::default()),
            Err(denial) => return Err(denial),
        },
    };
    let secret = secret_of(request, context).ok_or(Slug::Internal)?;
    Ok(Authenticated { caller: Some(Caller { session, secret }), lost: None })
}

/// The secret of the session's cookie.
fn secret_of(request: &RequestHeader, context: &Context) -> Option<SessionSecret> {
    let cookie = &context.published.configuration.gate.sessions.rules.terms().cookie;
    cookie.find(&request.headers).ok().flatten()
}

/// The head of a request as endpoints read it.
fn head_of<'r>(
    request: &'r RequestHeader,
    context: &Context,
    authority: &'r str,
) -> Result<Request<'r>, Denial> {
    let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
    Ok(Request {
        scheme: context.scheme(&request.headers),
        method: &request.method,
        authority: Some(authority),
        target,
        headers: &request.headers,
        session: None,
    })
}

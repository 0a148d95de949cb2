//! Answers `POST login`: reads the request, counts the attempt, authenticates, creates a session.

use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use super::create_session::{NewSession, RequestedTokens, create_session};
use super::deliver::{Delivery, DeliveryPlan};
use super::login_request::{BodyFormat, LoginRequest, UnreadableLogin};
use super::outcome::{LoginOutcome, RefusalMessage, Sender, ServiceRefusal};
use super::page::LoginPage;
use super::return_to::ReturnTo;
use crate::clock;
use crate::gate::denial::{Denial, Detail, Outcome, Slug};
use crate::gate::session::{Origin, Session, SessionId, SessionRecord, StoredSession};
use crate::login::service::LoginContext;
use crate::password::attempts::Counted;
use crate::web::answers;
use crate::web::date::date;
use crate::web::message::{Answer, ClientKind, Reply};

/// What came of an attempt to log in, for the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoginResult {
    Ok,
    Refused,
    Limited,
    Malformed,
    Unavailable,
}

impl LoginResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Malformed => "malformed",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why there is no session.
enum LoginRefusal {
    Denial(Denial),
    ByService(ServiceRefusal),
    /// The request asks for a scope that the user or the client may not have.
    Scope,
}

impl LoginRefusal {
    fn result(&self) -> LoginResult {
        let slug = match self {
            Self::Denial(denial) => denial.slug(),
            Self::ByService(_) => Slug::LoginFailed,
            Self::Scope => Slug::TokenRequest,
        };
        match slug.outcome() {
            Outcome::Unavailable => LoginResult::Unavailable,
            Outcome::Denied if slug == Slug::RateLimited => LoginResult::Limited,
            Outcome::Denied | Outcome::Permitted => LoginResult::Refused,
        }
    }
}

impl<T: Into<Denial>> From<T> for LoginRefusal {
    fn from(denial: T) -> Self {
        Self::Denial(denial.into())
    }
}

/// Answers `POST login`.
pub(crate) async fn answer(here: &LoginContext<'_>, body: Bytes) -> Reply {
    let count = |result: LoginResult| {
        let labels = [here.settings.method.as_str(), result.as_str()];
        here.service.metrics.logins.with_label_values(&labels).inc();
    };
    let headers = here.request.head.headers;
    let login_request = match LoginRequest::parse(
        headers,
        body,
        here.settings,
        here.configuration.settings.tokens.as_deref(),
    ) {
        Ok(login_request) => login_request,
        Err(unreadable) => {
            count(LoginResult::Malformed);
            return answer_unreadable(here, unreadable);
        }
    };
    match log_in(here, &login_request).await {
        Ok(session) => {
            count(LoginResult::Ok);
            Reply::Answer(answer_success(here, session, login_request))
        }
        Err(refusal) => {
            count(refusal.result());
            answer_refusal(here, refusal, &login_request)
        }
    }
}

async fn log_in(
    here: &LoginContext<'_>,
    login_request: &LoginRequest,
) -> Result<NewSession, LoginRefusal> {
    let LoginContext { service, configuration, settings: login, request } = here;
    // A page of another site must not log its visitors in to an account that it chose.
    match configuration.gate.sessions.rules.terms().origins.origin(request.head) {
        Origin::Permitted | Origin::Unsaid => {}
        Origin::Foreign => return Err(Slug::Csrf.into()),
    }
    let plan = DeliveryPlan::of(here, &login_request.delivery)?;
    let credentials = &login_request.credentials;
    let ledger = &*service.attempts;
    let counted = Counted::count(ledger, login, &credentials.name, request.client).await?;
    let request_id = HeaderValue::from_str(request.request_id).ok();
    let sender = Sender { client: request.client, request_id: request_id.as_ref() };
    let upstreams = &configuration.upstreams;
    match service.methods.verify(&login.method, upstreams, credentials, sender).await {
        LoginOutcome::LoggedIn(identity) => {
            counted.succeeded().await;
            let tokens = match &plan {
                None => None,
                Some(plan) => {
                    let scopes = plan.scopes(&identity.scopes).ok_or(LoginRefusal::Scope)?;
                    Some(RequestedTokens { plan, scopes })
                }
            };
            Ok(create_session(here, &credentials.name, identity, tokens).await?)
        }
        LoginOutcome::Refused(RefusalMessage::Gateway) => {
            counted.failed().await;
            Err(Slug::LoginFailed.into())
        }
        LoginOutcome::Refused(RefusalMessage::Service(refusal)) => {
            counted.failed().await;
            Err(LoginRefusal::ByService(refusal))
        }
        LoginOutcome::Limited(seconds) => {
            counted.failed().await;
            Err(Denial::with(Slug::RateLimited, Detail::RetryAfter(seconds)).into())
        }
        // The service may refuse in this way: if this did not count, a guess would cost nothing.
        LoginOutcome::Unintelligible(slug) => {
            counted.failed().await;
            Err(slug.into())
        }
        LoginOutcome::Undecided(denial) => {
            counted.returned().await;
            Err(denial.into())
        }
    }
}

fn answer_success(
    here: &LoginContext<'_>,
    session: NewSession,
    login_request: LoginRequest,
) -> Answer {
    let NewSession { secret, id, record, delivered } = session;
    let LoginRequest { format, return_to, delivery, .. } = login_request;
    let return_to = return_to.unwrap_or_default();
    let described = || {
        Map::from_iter([
            ("subject".to_owned(), json!(record.subject)),
            ("session".to_owned(), describe(here, id, &record)),
            ("csrf_token".to_owned(), json!(secret.csrf_token())),
            ("return_to".to_owned(), json!(return_to.as_str())),
        ])
    };
    let mut answer = match (delivered, &delivery, format) {
        // The session's secret is dropped with this request and was given to no client.
        (Some(tokens), Delivery::Tokens(_), _) => return tokens.answer(here, Map::new()),
        (Some(tokens), Delivery::Both(_) | Delivery::Session, _) => {
            tokens.answer(here, described())
        }
        (None, _, BodyFormat::Form) => answers::see(return_to.as_str()),
        (None, _, BodyFormat::Json) => answers::found(&Value::Object(described())),
    };
    let cookie = &here.configuration.gate.sessions.rules.terms().cookie;
    answers::set_cookie(&mut answer, cookie, &secret);
    answer
}

/// The session, as its cookie uses it. Tokens of the same login may outlive it.
fn describe(here: &LoginContext<'_>, id: SessionId, record: &SessionRecord) -> Value {
    let stored = StoredSession { record: record.clone(), last_seen: record.created };
    let rules = &here.configuration.gate.sessions.rules;
    let session = Session::compile(id, &stored, rules, clock::steady());
    json!({
        "id": id.to_string(),
        "created_at": date(record.created),
        "expires_at": date(session.authentic().end()),
        "idle_expires_at": date(session.idle_ends()),
    })
}

fn answer_unreadable(here: &LoginContext<'_>, unreadable: UnreadableLogin) -> Reply {
    let UnreadableLogin { format, detail } = unreadable;
    let slug = Slug::RequestBody;
    match (format, here.request.client_kind) {
        (Some(BodyFormat::Form), ClientKind::Person) => {
            let return_to = ReturnTo::default();
            let page = LoginPage { message: Some(detail), name: "", return_to: &return_to };
            let mut answer = page.answer(slug.status(), here.settings);
            answer.denial = Some(slug);
            Reply::Answer(answer)
        }
        (
            Some(BodyFormat::Form | BodyFormat::Json) | None,
            ClientKind::Person | ClientKind::Program,
        ) => answers::problem(slug, detail, here.request.request_id),
    }
}

fn answer_refusal(
    here: &LoginContext<'_>,
    refusal: LoginRefusal,
    login_request: &LoginRequest,
) -> Reply {
    let denial = match (refusal, login_request.format) {
        (LoginRefusal::ByService(refusal), _) => {
            return Reply::Answer(answer_of_service(here, refusal));
        }
        (LoginRefusal::Scope, _) => {
            let detail = "`scope` holds a scope that this user and client cannot have";
            return answers::problem(Slug::TokenRequest, detail, here.request.request_id);
        }
        (LoginRefusal::Denial(denial), BodyFormat::Json) => return Reply::Denial(denial),
        (LoginRefusal::Denial(denial), BodyFormat::Form) => denial,
    };
    let message = message(&denial);
    let return_to = login_request.return_to.clone().unwrap_or_default();
    let name = &login_request.credentials.name;
    let page = LoginPage { message: Some(&message), name, return_to: &return_to };
    let slug = denial.slug();
    let mut answer = page.answer(slug.status(), here.settings);
    let challenge = denial.challenge(&here.configuration.settings.realm);
    answer.fields.extend(
        challenge.and_then(|challenge| answers::field(header::WWW_AUTHENTICATE, &challenge)),
    );
    match denial.detail() {
        Detail::RetryAfter(seconds) => {
            answer.fields.push((header::RETRY_AFTER, HeaderValue::from(*seconds)));
        }
        Detail::None | Detail::Scopes(_) | Detail::Allow(_) => {}
    }
    answer.denial = Some(slug);
    Reply::Answer(answer)
}

/// The service's answer without its header fields: cookies and challenges are up to the gateway.
fn answer_of_service(here: &LoginContext<'_>, refusal: ServiceRefusal) -> Answer {
    let ServiceRefusal { status, kind, body } = refusal;
    let mut answer = answers::with_body(status, kind, body);
    let slug = Slug::LoginFailed;
    answer.denial = Some(slug);
    // On our own origin it must not do anything.
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    answer.fields.push((header::CONTENT_SECURITY_POLICY, policy));
    if status == slug.status() {
        let challenge = Denial::new(slug).challenge(&here.configuration.settings.realm);
        answer.fields.extend(
            challenge.and_then(|challenge| answers::field(header::WWW_AUTHENTICATE, &challenge)),
        );
    }
    answer
}

/// What a person reads.
fn message(denial: &Denial) -> String {
    let slug = denial.slug();
    if slug.outcome() == Outcome::Unavailable {
        return "You cannot be logged in at the moment. Please try again in a while.".to_owned();
    }
    if slug == Slug::SessionRevoked {
        return "Nobody can log in to this account at the moment.".to_owned();
    }
    match denial.detail() {
        Detail::RetryAfter(seconds) => {
            format!("{}. Please try again in {}.", slug.title(), span(*seconds))
        }
        Detail::None | Detail::Scopes(_) | Detail::Allow(_) => format!("{}.", slug.title()),
    }
}

fn span(seconds: u32) -> String {
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        91..=5400 => format!("{} minutes", seconds.div_ceil(60)),
        5401.. => format!("{} hours", seconds.div_ceil(3600)),
    }
}

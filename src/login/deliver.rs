//! Decides what a login delivers: the cookie of a session, tokens, or both.

use http::header;
use serde_json::{Map, Value, json};

use crate::config::Tokens;
use crate::config::tokens::{Client, FIRST_PARTY_CLIENT};
use crate::gate::denial::{Denial, Slug};
use crate::gate::revocation::Scope;
use crate::gate::session::{SessionId, SessionRecord, SessionTerms};
use crate::gate::time::UnixTime;
use crate::issuer::refresh::{RefreshToken, family_key};
use crate::login::service::LoginContext;
use crate::oauth::issue::{AccessDraft, IssuedAccess, LoginDraft, access_token};
use crate::oauth::service::{GrantKind, TokenContext};
use crate::oauth::{issue, refresh_family};
use crate::session::service::unavailable;
use crate::store::family::Family;
use crate::web::answers;
use crate::web::message::Answer;
use crate::web::refresh_cookie::RefreshCookie;

/// What the login is asked to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// A cookie.
    Session,
    /// Tokens, and no cookie.
    Tokens(TokenRequest),
    /// Both.
    Both(TokenRequest),
}

/// The tokens that a login asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenRequest {
    client: Box<str>,
    /// `None`: all scopes that may be granted.
    scopes: Option<Vec<Box<str>>>,
}

/// What a login asks for, as its body has it.
#[derive(Debug, Default)]
pub(super) struct DeliveryFields {
    pub(super) deliver: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) scope: Option<String>,
}

/// The longest scope, in bytes.
const SCOPE_BYTES_MAX: usize = 4 * 1024;

impl DeliveryFields {
    /// Compiles the delivery. The error says in words why it is not possible.
    pub(super) fn compile(self, tokens: Option<&Tokens>) -> Result<Delivery, &'static str> {
        let Self { deliver, client_id, scope } = self;
        let deliver: fn(TokenRequest) -> Delivery = match deliver.as_deref() {
            None | Some("session") => {
                if client_id.is_some() || scope.is_some() {
                    return Err("`client_id` and `scope` need `deliver`: `tokens` or `both`");
                }
                return Ok(Delivery::Session);
            }
            Some("tokens") => Delivery::Tokens,
            Some("both") => Delivery::Both,
            Some(_) => return Err("`deliver` is `session`, `tokens` or `both`"),
        };
        let tokens = tokens.ok_or("Tokens are not issued here; `deliver` is `session`")?;
        let client = client_id.as_deref().unwrap_or(FIRST_PARTY_CLIENT);
        let client = tokens.clients.named(client);
        let client = client.filter(|client| client.authentication.is_public());
        let client = client.ok_or("`client_id` is not a client that users can log in to")?;
        let scopes = match scope {
            None => None,
            Some(scope) if scope.len() > SCOPE_BYTES_MAX => return Err("`scope` is too long"),
            Some(scope) => {
                Some(scope.split(' ').filter(|scope| !scope.is_empty()).map(Into::into).collect())
            }
        };
        Ok(deliver(TokenRequest { client: client.id.clone(), scopes }))
    }
}

/// Tokens that are about to be issued for a login.
pub(super) struct DeliveryPlan<'a> {
    issuing: TokenContext<'a>,
    client: &'a Client,
    requested: &'a TokenRequest,
    pub(super) cookie: SessionCookie,
}

/// Whether the login sets the session cookie, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionCookie {
    Set,
    NotSet,
}

/// Tokens that a login delivers.
pub(super) struct Delivered {
    access: IssuedAccess,
    refresh: RefreshToken,
}

impl<'a> DeliveryPlan<'a> {
    /// Prepares the delivery of tokens; `None` if none are requested.
    ///
    /// # Errors
    ///
    /// [`Slug::KeysUnavailable`] while no key can sign.
    pub(super) fn of(
        here: &LoginContext<'a>,
        delivery: &'a Delivery,
    ) -> Result<Option<Self>, Denial> {
        let (requested, cookie) = match delivery {
            Delivery::Session => return Ok(None),
            Delivery::Tokens(requested) => (requested, SessionCookie::NotSet),
            Delivery::Both(requested) => (requested, SessionCookie::Set),
        };
        let LoginContext { service, configuration, request, .. } = *here;
        let issuing =
            TokenContext::of(&service.tokens, configuration, request).ok_or(Slug::Internal)?;
        let client = issuing.settings.clients.named(&requested.client).ok_or(Slug::Internal)?;
        issuing.service.signing.signer(crate::clock::shared()).ok_or(Slug::KeysUnavailable)?;
        Ok(Some(Self { issuing, client, requested, cookie }))
    }

    /// The scopes of the tokens of a user who holds these. If the client is limited to some scopes,
    /// only those are permitted. Of the permitted scopes, the tokens get the requested ones. `None`
    /// if the request names others.
    pub(super) fn scopes(&self, held: &[Box<str>]) -> Option<Vec<Box<str>>> {
        let Self { client, requested, .. } = self;
        let is_for_client = |scope| client.scopes.is_empty() || client.scopes.contains(scope);
        let permitted = held.iter().filter(|scope| is_for_client(*scope));
        let permitted: Vec<Box<str>> = permitted.cloned().collect();
        match &requested.scopes {
            None => Some(permitted),
            Some(scopes) => {
                let requested: Vec<&str> = scopes.iter().map(|scope| &**scope).collect();
                issue::among(&permitted, &requested)
            }
        }
    }

    /// When the session of such a login ends, and how long it may be idle, in seconds: the later of
    /// its tokens and its cookie.
    pub(super) fn bounds(&self, created: UnixTime, terms: &SessionTerms) -> (UnixTime, i64) {
        let rules = &self.issuing.settings.refresh;
        let (lifetime_s, idle_s) = match self.cookie {
            SessionCookie::NotSet => (rules.absolute_s, rules.idle_s),
            SessionCookie::Set => {
                (rules.absolute_s.max(terms.lifetime_max_s), rules.idle_s.max(terms.idle_max_s))
            }
        };
        (created.plus(lifetime_s), idle_s)
    }

    /// Issues the tokens of a session that is in the store.
    ///
    /// # Errors
    ///
    /// [`Slug::StoreUnavailable`] if the family cannot be written, or the store has lost the
    /// session; [`Slug::SessionRevoked`] if the session has ended meanwhile; and the errors of
    /// [`access_token`].
    pub(super) async fn deliver(
        &self,
        id: SessionId,
        record: &SessionRecord,
        scopes: Vec<Box<str>>,
    ) -> Result<Delivered, Denial> {
        let Self { issuing, client, .. } = self;
        let rules = &issuing.settings.refresh;
        let family = Family {
            session: id,
            client: client.id.clone(),
            scopes,
            created: record.created,
            ends: record.created.plus(rules.absolute_s),
            idle_s: rules.idle_s,
            key: family_key().map_err(|_| Slug::Internal)?,
        };
        let login = LoginDraft { session: id, record, ends: family.ends };
        let draft = AccessDraft {
            client,
            audiences: &client.audiences,
            scopes: &family.scopes,
            login: Some(login),
        };
        let access = access_token(issuing, draft, GrantKind::Login, record.created)?;
        let tag_key = refresh_family::tag_key(issuing.settings, &family.key);
        let tags = &issuing.configuration.gate.sessions.tags;
        let first = RefreshToken::generate(id, 0, &tag_key, tags).map_err(|_| Slug::Internal)?;
        let service = issuing.service;
        let begun = service
            .refresh_families
            .begin(&family, refresh_family::known_by(issuing.settings, &first));
        if !service.store_metrics.timed("begin_family", begun).await.map_err(unavailable)? {
            let scope = Scope::Session(id.to_string().into());
            let is_ended = issuing.configuration.gate.revocations.names(&scope);
            // Either the session was ended meanwhile, or the store has lost it.
            return Err(if is_ended { Slug::SessionRevoked } else { Slug::StoreUnavailable }.into());
        }
        issuing.count_issued("refresh", GrantKind::Login);
        Ok(Delivered { access, refresh: first })
    }
}

impl Delivered {
    /// The answer (RFC 6749 §5.1), with `more`. A browser keeps the refresh token where no script
    /// can read it.
    pub(super) fn answer(self, here: &LoginContext<'_>, more: Map<String, Value>) -> Answer {
        let Self { access, refresh } = self;
        let mut members = issue::describe(&access);
        members.extend(more);
        let is_by_browser = is_by_browser(here.request.head.headers);
        if !is_by_browser {
            members.insert("refresh_token".to_owned(), json!(*refresh.expose()));
        }
        let mut answer = answers::private(200, &Value::Object(members));
        if let (true, Some(tokens)) = (is_by_browser, &here.configuration.settings.tokens) {
            let cookie = RefreshCookie::of(here.configuration);
            answers::add_cookie(&mut answer, &cookie.set(&refresh, tokens.refresh.idle_s));
        }
        answer
    }
}

/// Whether a request says that a browser sent it. A script there could read the answer, so the
/// answer may not contain a refresh token.
fn is_by_browser(headers: &http::HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

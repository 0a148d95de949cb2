//! What the endpoints about logins answer.

use serde::Serialize;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::oauth_answers::IssuedTokens;

/// Why a request was refused (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// `urn:portcullis:denial:` and the slug.
    pub r#type: String,
    /// A few words for people.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// The word for programs.
    pub slug: String,
    /// What was wrong, and what to do.
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// The id of the request in the logs.
    pub request_id: String,
}

/// The session that a login created.
#[derive(Serialize, ToSchema)]
pub struct CreatedSession {
    /// Its id, which is not the value of its cookie.
    pub id: String,
    /// When the user logged in.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it ends, however much it is used.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// When it ends if it is not used.
    #[schema(format = DateTime)]
    pub idle_expires_at: String,
}

/// A login that set the session cookie.
#[derive(Serialize, ToSchema)]
pub struct StartedSession {
    /// The user (`sub`).
    pub subject: String,
    /// Their session.
    pub session: CreatedSession,
    /// For `X-CSRF-Token`: requests with the session cookie that change something need it, if they
    /// come from no browser.
    pub csrf_token: String,
    /// Where to go now.
    pub return_to: String,
}

/// What a login delivers: a session, tokens, or both.
pub struct LoginAnswer;

impl PartialSchema for LoginAnswer {
    fn schema() -> RefOr<Schema> {
        let any = AnyOfBuilder::new()
            .description(Some(
                "What a login delivers: a session, tokens, or the members of both (`deliver`).",
            ))
            .item(Ref::from_schema_name(StartedSession::name()))
            .item(Ref::from_schema_name(IssuedTokens::name()));
        RefOr::T(any.build().into())
    }
}

impl ToSchema for LoginAnswer {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((StartedSession::name().into(), StartedSession::schema()));
        StartedSession::schemas(schemas);
        schemas.push((IssuedTokens::name().into(), IssuedTokens::schema()));
        IssuedTokens::schemas(schemas);
    }
}

/// The session of the caller.
#[derive(Serialize, ToSchema)]
pub struct CurrentSession {
    /// Its id, which is not the value of its cookie.
    pub id: String,
    /// When the user logged in.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last used.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
    /// When it ends, however much it is used.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// When it ends if it is not used.
    #[schema(format = DateTime)]
    pub idle_expires_at: String,
    /// What it shares with the sessions that it replaced: the id of the first one.
    pub family: String,
}

/// The caller.
#[derive(Serialize, ToSchema)]
pub struct LoggedInUser {
    /// The user (`sub`).
    pub subject: String,
    /// The issuer that vouches for them.
    pub issuer: String,
    /// How they logged in.
    pub method: String,
    /// Their roles.
    pub roles: Vec<String>,
    /// Their scopes.
    pub scopes: Vec<String>,
    /// Their other claims.
    #[schema(value_type = Object)]
    pub claims: (),
    /// Their session.
    pub session: CurrentSession,
    /// For `X-CSRF-Token`: requests with the session cookie that change something need it, if they
    /// come from no browser.
    pub csrf_token: String,
}

/// A session of the caller.
#[derive(Serialize, ToSchema)]
pub struct OwnSession {
    /// Its id, by which it is ended.
    pub id: String,
    /// When the user logged in.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last used.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
    /// When it ends, however much it is used.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// When it ends if it is not used.
    #[schema(format = DateTime)]
    pub idle_expires_at: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// The browser that logged in, as it called itself.
    pub user_agent: String,
    /// The address that it logged in from.
    pub address: String,
    /// How the user logged in.
    pub method: String,
}

/// The sessions of the caller.
#[derive(Serialize, ToSchema)]
pub struct OwnSessionList {
    /// Those that can be used.
    pub sessions: Vec<OwnSession>,
}

//! Requests of tests to the endpoints, and the responses.

use http::{HeaderName, HeaderValue};

use crate::endpoints::table::{Endpoint, LoginEndpoint, TokenEndpoint};
use crate::gate::denial::{Detail, Slug};
use crate::gate::session::{SessionId, SessionSecret};
use crate::web::message::{Answer, Reply};

#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) target: &'a str,
    pub(super) fields: Vec<(&'a str, &'a str)>,
    pub(super) body: String,
    pub(super) cookie: Option<String>,
}

impl<'a> Ask<'a> {
    pub(super) fn of(endpoint: LoginEndpoint, cookie: Option<&str>) -> Self {
        let endpoint = Endpoint::Login(endpoint);
        let cookie = cookie.map(str::to_owned);
        Self { endpoint, target: "/auth/x", fields: Vec::new(), body: String::new(), cookie }
    }

    pub(super) fn login(name: &str, password: &str) -> Self {
        let body = serde_json::json!({ "username": name, "password": password }).to_string();
        let fields = vec![("content-type", "application/json"), ("user-agent", "test/1")];
        Self { body, fields, ..Self::of(LoginEndpoint::Login, None) }
    }

    /// A login whose tokens go to a program.
    pub(super) fn for_tokens(name: &str, deliver: &str) -> Self {
        let body = format!("username={name}&password={}&deliver={deliver}", "correct+horse");
        let fields = vec![("content-type", "application/x-www-form-urlencoded")];
        Self { body, fields, ..Self::of(LoginEndpoint::Login, None) }
    }

    /// A request to a token endpoint.
    pub(super) fn token(endpoint: TokenEndpoint, body: String) -> Self {
        let fields = vec![("content-type", "application/x-www-form-urlencoded")];
        let endpoint = Endpoint::Token(endpoint);
        Self { body, fields, endpoint, ..Self::of(LoginEndpoint::Login, None) }
    }

    pub(super) fn form(body: &str) -> Self {
        let fields = vec![
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "text/html"),
            ("origin", "https://gateway.example"),
        ];
        Self { body: body.to_owned(), fields, ..Self::of(LoginEndpoint::Login, None) }
    }
}

/// A response or a denial, with the parts that tests check.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) slug: Option<&'static str>,
    pub(super) retry_after: Option<u32>,
    fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: String,
    /// The value of the cookie that is set, if one is; empty if it is cleared.
    pub(super) cookie: Option<String>,
}

impl Response {
    pub(super) fn of(reply: Reply, cookie: &str) -> Self {
        let mut told = match reply {
            Reply::Answer(Answer { status, fields, body, denial }) => Self {
                status,
                slug: denial.map(Slug::as_str),
                retry_after: None,
                fields,
                body: String::from_utf8(body.to_vec()).expect("text"),
                cookie: None,
            },
            Reply::Denial(denial) => Self {
                status: denial.slug().status(),
                slug: Some(denial.slug().as_str()),
                retry_after: match denial.detail() {
                    Detail::RetryAfter(seconds) => Some(*seconds),
                    Detail::None | Detail::Scopes(_) | Detail::Allow(_) => None,
                },
                fields: Vec::new(),
                body: String::new(),
                cookie: None,
            },
        };
        told.retry_after =
            told.retry_after.or(told.field("retry-after").and_then(|text| text.parse().ok()));
        let set = told.field("set-cookie");
        let value = set.as_deref().and_then(|set| set.strip_prefix(cookie)?.strip_prefix('='));
        told.cookie = value.and_then(|value| Some(value.split(';').next()?.to_owned()));
        told
    }

    pub(super) fn field(&self, name: &str) -> Option<String> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.to_str().expect("text").to_owned())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

pub(super) fn id_of(cookie: &str) -> SessionId {
    SessionSecret::parse(cookie.as_bytes()).expect("a secret").id()
}

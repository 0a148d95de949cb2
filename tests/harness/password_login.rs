//! A gateway with a password file, whose users log in as browsers do and as scripts do.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use url::form_urlencoded;

use crate::harness::client::{self, Answer};
use crate::harness::gateway::{self, Gateway};
use crate::harness::login;
use crate::harness::upstream::Upstream;

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Attempts that no test uses up, nor waits for.
pub(crate) const MANY: &str = "attempts: { per_account: 100000/1s, per_address: 100000/1s,
      successes_per_account: 100000/1s, successes_per_address: 100000/1s }";

/// What a browser says when it navigates within a site.
pub(crate) const NAVIGATION: [(&str, &str); 4] = [
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
];

/// A gateway with a password file, and what is behind it.
pub(crate) struct LoginGateway {
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
}

impl LoginGateway {
    pub(crate) fn open() -> Self {
        Self::open_with("", MANY)
    }

    /// With more sections, and a `login` section of a password file and these lines.
    pub(crate) fn open_with(sections: &str, login: &str) -> Self {
        Self::open_in(login::directory(), sections, login)
    }

    /// The same, in a directory with a password file of its own.
    pub(crate) fn open_in(directory: Arc<TempDir>, sections: &str, login: &str) -> Self {
        let upstream = Upstream::start();
        let login = format!("password_file: users.yaml\n  {login}");
        let text = configuration(&upstream, sections, &login);
        Self { gateway: Gateway::start_in(directory, &text), upstream }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Posts this body to the login.
    pub(crate) fn post(&self, fields: &[(&str, &str)], body: &str) -> Answer {
        post(self.address(), fields, body)
    }

    /// Asks to be logged in, in JSON.
    pub(crate) fn json(&self, body: &Value) -> Answer {
        self.post(&[("Content-Type", JSON)], &body.to_string())
    }

    /// Asks to be logged in as a browser does with the page's form.
    pub(crate) fn form(&self, pairs: &[(&str, &str)]) -> Answer {
        let fields = [&NAVIGATION[..], &[("Content-Type", FORM)]].concat();
        self.post(&fields, &encoded(pairs))
    }

    /// Navigates to a path.
    pub(crate) fn navigate(&self, path: &str, more: &[(&str, &str)]) -> Answer {
        self.gateway.exchange(client::get(path, &[&NAVIGATION[..], more].concat()))
    }
}

/// The standard configuration, these sections and a `login` section of these lines, and a route for
/// those who are logged in.
pub(crate) fn configuration(upstream: &Upstream, sections: &str, login: &str) -> String {
    let standard = gateway::standard(upstream);
    format!(
        "{sections}
login:
  {login}
{}
  - name: pages
    match: {{ path: '/pages/{{*rest}}' }}
    upstream: behind
    authenticate: [bearer, session]
",
        standard.trim_end()
    )
}

pub(crate) fn post(address: SocketAddr, fields: &[(&str, &str)], body: &str) -> Answer {
    client::exchange(address, client::request("POST", "/auth/login", fields, body))
}

pub(crate) fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A password that is not anybody's.
pub(crate) const WRONG: &str = "not the password";

/// Tries a name and a password, in JSON, with these fields.
pub(crate) fn guess(
    address: SocketAddr,
    name: &str,
    password: &str,
    fields: &[(&str, &str)],
) -> Answer {
    client::exchange(address, login::request(name, password, fields))
}

/// The cookie that an answer sets, as a browser sends it back.
#[track_caller]
pub(crate) fn cookie_of(answer: &Answer) -> String {
    let set = answer.field("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    set.split(';').next().expect("a pair").to_owned()
}

/// Refused with this slug; nobody is logged in, and nobody out.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, slug: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.slug(), slug, "{answer:?}");
    assert_eq!(answer.field("set-cookie"), None, "{answer:?}");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer:?}");
}

/// How long an answer says to wait.
#[track_caller]
pub(crate) fn retry_after(answer: &Answer) -> u64 {
    let text = answer.field("retry-after").unwrap_or_else(|| panic!("no Retry-After: {answer:?}"));
    text.parse().expect("seconds")
}

/// The value of the page's hidden field: where it will go.
#[track_caller]
pub(crate) fn hidden_return_to(page: &str) -> String {
    let value = page.split("name=\"return_to\" value=\"").nth(1).expect("a hidden field");
    let value = value.split('"').next().expect("a value");
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    plain.iter().fold(value.to_owned(), |text, (entity, letter)| text.replace(entity, letter))
}

//! People who log in with a password, and what their browsers hold.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use portcullis::gate::session::SessionSecret;
use serde_json::json;
use tempfile::TempDir;

use super::client::{self, Answer};
use super::gateway::{self, Gateway};
use super::upstream::Upstream;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Who may log in. Zoë's name has to be written with care wherever it goes.
pub(crate) const PEOPLE: [&str; 4] = ["alice", "bob", "carol", ZOE];

/// A name that means something in URLs.
pub(crate) const ZOE: &str = "zo\u{eb} & co/+1";

/// The path of a route for those who are logged in.
pub(crate) const HOME: &str = "/home";

/// What the browsers say they are.
pub(crate) const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101";

/// The standard configuration, `lines`, people who can log in, and a route for them.
pub(crate) fn configuration(upstream: &Upstream, lines: &str) -> String {
    let standard = gateway::standard(upstream);
    format!(
        "{lines}
login:
  password_file: users.yaml
  attempts: {{ per_account: 10000/1s, per_address: 10000/1s,
    successes_per_account: 10000/1s, successes_per_address: 10000/1s }}
{}
  - {{ name: home, match: {{ path: {HOME} }}, upstream: behind, authenticate: [session] }}
",
        standard.trim_end()
    )
}

/// A directory with what the configuration names.
pub(crate) fn directory() -> Arc<TempDir> {
    let directory = gateway::directory();
    let users: serde_json::Map<_, _> = PEOPLE
        .iter()
        .map(|name| {
            let user = json!({ "password": hash(), "roles": ["clerk"], "scopes": ["orders:read"] });
            ((*name).to_owned(), user)
        })
        .collect();
    // JSON is YAML.
    let users = serde_json::Value::Object(users).to_string();
    std::fs::write(directory.path().join("users.yaml"), users).expect("a file");
    directory
}

/// The cheapest hash that is accepted.
fn hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let params = Params::new(7 * 1024, 1, 1, None).expect("parameters");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let salt = SaltString::encode_b64(&[7; 16]).expect("a salt");
        argon2.hash_password(PASSWORD.as_bytes(), &salt).expect("a hash").to_string()
    })
}

/// Starts a gateway with these lines in its configuration.
pub(crate) fn start(upstream: &Upstream, lines: &str) -> Gateway {
    Gateway::start_in(directory(), &configuration(upstream, lines))
}

/// A browser that is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    /// Name and value of the cookie.
    pub(crate) cookie: String,
    /// The id of its session.
    pub(crate) id: String,
}

impl Browser {
    /// Logs somebody in.
    #[track_caller]
    pub(crate) fn log_in(gateway: &Gateway, name: &str) -> Self {
        let body = json!({ "username": name, "password": PASSWORD }).to_string();
        let fields = [
            ("Content-Type", "application/json"),
            ("Sec-Fetch-Site", "same-origin"),
            ("User-Agent", USER_AGENT),
        ];
        let answer = gateway.exchange(client::request("POST", "/auth/login", &fields, &body));
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.field("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("name and value").to_owned();
        let secret = cookie.split_once('=').expect("a value").1.as_bytes();
        let id = SessionSecret::parse(secret).expect("a secret").id().to_string();
        Self { cookie, id }
    }

    /// Goes home.
    pub(crate) fn go(&self, gateway: &Gateway) -> Answer {
        gateway.exchange(client::get(HOME, &[("Cookie", &self.cookie)]))
    }

    /// Whether it is let in; else it must have been logged out.
    #[track_caller]
    pub(crate) fn is_in(&self, gateway: &Gateway) -> bool {
        let answer = self.go(gateway);
        match answer.status {
            200 => true,
            401 => {
                // The cut-off, or nothing left to cut off.
                let slug = answer.slug();
                assert!(["session_revoked", "session_unknown"].contains(&&*slug), "{answer:?}");
                false
            }
            _ => panic!("neither in nor out: {answer:?}"),
        }
    }
}

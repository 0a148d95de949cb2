//! A password file, logins over JSON, and what a browser then holds.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{self, Answer};
use super::gateway;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The name of the cookie, by default.
pub(crate) const COOKIE: &str = "__Host-session";

/// A hash of a password, the cheapest that the gateway accepts.
pub(crate) fn hash(password: &str) -> String {
    let params = Params::new(7 * 1024, 1, 1, None).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::encode_b64(&fastrand::u128(..).to_be_bytes()).expect("a salt");
    argon2.hash_password(password.as_bytes(), &salt).expect("a hash").to_string()
}

/// The hash of [`PASSWORD`], made once.
pub(crate) fn common_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash(PASSWORD))
}

/// An entry of the password file: [`PASSWORD`], with these members changed or added.
pub(crate) fn user(changes: Value) -> Value {
    let mut user = json!({
        "password": common_hash(),
        "roles": ["clerk"],
        "scopes": ["orders:read"],
        "claims": { "email": "somebody@example.test", "tenant": "acme" },
    });
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    user.as_object_mut().expect("an object").extend(changes);
    user
}

/// Those whom [`directory`] knows: alice, whose subject is another, bob, carol and dave.
pub(crate) fn everybody() -> Value {
    json!({
        "alice": user(json!({ "subject": "u-17" })),
        "bob": user(json!({ "roles": ["admin"] })),
        "carol": user(json!({})),
        "dave": user(json!({ "roles": [], "scopes": [] })),
    })
}

/// Writes a password file in one stroke, as an editor would.
pub(crate) fn write_users(directory: &Path, users: &Value) {
    let (draft, file) = (directory.join("users.yaml.new"), directory.join("users.yaml"));
    // JSON is YAML.
    std::fs::write(&draft, users.to_string()).expect("a file");
    std::fs::rename(draft, file).expect("a file in its place");
}

/// A directory with the standard issuer's key and [`everybody`] in `users.yaml`.
pub(crate) fn directory() -> Arc<TempDir> {
    let directory = gateway::directory();
    write_users(directory.path(), &everybody());
    directory
}

/// The `login` section: `users.yaml`, and attempts that no test uses up, nor waits for.
pub(crate) const SECTION: &str = "
login:
  password_file: users.yaml
  attempts: { per_account: 100000/1s, per_address: 100000/1s,
      successes_per_account: 100000/1s, successes_per_address: 100000/1s }
";

/// Asks to be logged in, over JSON.
pub(crate) fn attempt(address: SocketAddr, name: &str, fields: &[(&str, &str)]) -> Answer {
    client::exchange(address, request(name, PASSWORD, fields))
}

/// A request to log in, over JSON, with these fields beside its own.
pub(crate) fn request(name: &str, password: &str, fields: &[(&str, &str)]) -> String {
    let body = json!({ "username": name, "password": password }).to_string();
    let fields = [&[("Content-Type", "application/json")], fields].concat();
    client::request("POST", "/auth/login", &fields, &body)
}

/// A session as its browser holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// `name=value`, for the `Cookie` field.
    pub(crate) cookie: String,
    /// The id that everybody else knows.
    pub(crate) id: String,
    /// For `X-CSRF-Token`.
    pub(crate) csrf: String,
}

impl Login {
    /// Logs somebody in, who must be let in.
    #[track_caller]
    pub(crate) fn new(address: SocketAddr, name: &str) -> Self {
        Self::read(&attempt(address, name, &[]))
    }

    /// Logs in again, with the cookie that there is.
    #[track_caller]
    pub(crate) fn again(&self, address: SocketAddr, name: &str) -> Self {
        Self::read(&attempt(address, name, &[("Cookie", &self.cookie)]))
    }

    /// What the answer to a login gave.
    #[track_caller]
    pub(crate) fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let set = answer.field("set-cookie").expect("a cookie");
        let told = answer.json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            cookie: set.split(';').next().expect("a pair").to_owned(),
            id: text(&told["session"]["id"]),
            csrf: text(&told["csrf_token"]),
        }
    }

    /// The secret that must not be anywhere but here.
    pub(crate) fn secret(&self) -> &str {
        self.cookie.split_once('=').expect("a value").1
    }

    /// A `GET` with the cookie.
    pub(crate) fn get(&self, path: &str) -> String {
        client::get(path, &[("Cookie", &self.cookie)])
    }

    /// A request with the cookie and the CSRF token.
    pub(crate) fn request(&self, method: &str, path: &str) -> String {
        client::request(method, path, &self.fields(), "")
    }

    /// The fields of such a request.
    pub(crate) fn fields(&self) -> [(&str, &str); 2] {
        [("Cookie", &self.cookie), ("X-CSRF-Token", &self.csrf)]
    }

    /// Gets a path, on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, address: SocketAddr, path: &str) -> Answer {
        client::exchange_safely(address, &self.get(path))
    }

    /// Sends such a request, on a connection of its own.
    #[track_caller]
    pub(crate) fn send(&self, address: SocketAddr, method: &str, path: &str) -> Answer {
        client::exchange(address, self.request(method, path))
    }

    /// Logs out, which must work.
    #[track_caller]
    pub(crate) fn log_out(&self, address: SocketAddr) {
        let answer = self.send(address, "POST", "/auth/logout");
        assert_eq!(answer.status, 204, "{answer:?}");
    }
}

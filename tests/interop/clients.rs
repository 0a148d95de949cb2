//! Authlib and openid-client get tokens, exchange them, revoke them and ask about them, at the
//! endpoints that the metadata names.

use serde_json::{Value, json};

use super::program::{Program, javascript, python};
use super::{KEY_FILE, PATH, Site, WITH_KEY, WITH_SECRET, log_in, text};
use crate::harness::eventually;
use crate::harness::login::PASSWORD;
use crate::harness::tokens::now;

/// How long access tokens live, in seconds.
const LIFETIME_S: i64 = 15 * 60;

/// A library that speaks OAuth 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    Authlib,
    OpenidClient,
}

impl Library {
    pub(super) const ALL: [Self; 2] = [Self::Authlib, Self::OpenidClient];
}

/// A script that does what it is asked to with one of them.
pub(super) struct Client(Program);

impl Client {
    /// One that knows an issuer's metadata.
    pub(super) fn start(library: Library, issuer: &str) -> Self {
        let mut command = match library {
            Library::Authlib => python("authlib_client.py"),
            Library::OpenidClient => javascript("openid_client.mjs"),
        };
        command.arg(issuer);
        Self(Program::start(command))
    }

    /// What an endpoint answers, as the library understands it; or its word for the error.
    #[track_caller]
    pub(super) fn ask(&mut self, question: &Value) -> Result<Value, String> {
        let told = self.0.ask(question);
        let error = &told["error"];
        if error.is_null() {
            return Ok(told["answer"].clone());
        }
        assert!(told["description"].is_string(), "without a word: {told}");
        Err(text(error))
    }

    #[track_caller]
    pub(super) fn refresh(&mut self, refresh_token: &str) -> Result<Value, String> {
        let client = first_party();
        self.ask(&json!({ "call": "refresh", "client": client, "refresh_token": refresh_token }))
    }

    #[track_caller]
    pub(super) fn grant(&mut self, client: &Value, scope: &str) -> Result<Value, String> {
        self.ask(&json!({ "call": "grant", "client": client, "scope": scope }))
    }

    #[track_caller]
    pub(super) fn revoke(&mut self, client: &Value, token: &str, hint: &str) {
        let question = json!({ "call": "revoke", "client": client, "token": token, "hint": hint });
        assert!(self.ask(&question).is_ok());
    }

    #[track_caller]
    fn introspect(&mut self, client: &Value, token: &str) -> Result<Value, String> {
        let hint = "access_token";
        self.ask(&json!({ "call": "introspect", "client": client, "token": token, "hint": hint }))
    }

    #[track_caller]
    pub(super) fn end(self) {
        self.0.end();
    }
}

/// The client of those who log in without naming one.
pub(super) fn first_party() -> Value {
    json!({ "client_id": "first-party", "method": "none" })
}

fn with_secret(method: &str, secret: &str) -> Value {
    json!({ "client_id": WITH_SECRET, "method": method, "secret": secret })
}

fn with_key(site: &Site) -> Value {
    let file = site.gateway.directory().join(KEY_FILE);
    json!({ "client_id": WITH_KEY, "method": "private_key_jwt", "key_file": file })
}

/// Whether the route opens; else the token must be cut off.
#[track_caller]
fn opens(site: &Site, access_token: &str) -> bool {
    let answer = site.gateway.get_as(PATH, access_token);
    match answer.status {
        200 => true,
        401 => {
            let slug = answer.slug();
            assert!(["token_revoked", "session_revoked"].contains(&&*slug), "{answer:?}");
            false
        }
        _ => panic!("neither in nor out: {answer:?}"),
    }
}

/// Does the same with each of the libraries.
#[track_caller]
fn with_each(site: &Site, play: impl Fn(&mut Client)) {
    for library in Library::ALL {
        let mut client = Client::start(library, &site.issuer);
        play(&mut client);
        client.end();
    }
}

#[test]
fn metadata_is_found_and_names_the_endpoints() {
    let site = Site::open();
    with_each(&site, |client| {
        let metadata = client.ask(&json!({ "call": "metadata" })).expect("metadata");
        let issuer = &site.issuer;
        assert_eq!(metadata["issuer"], *issuer);
        assert_eq!(metadata["jwks_uri"], format!("{issuer}/.well-known/jwks.json"));
        for (name, path) in
            [("token", "token"), ("revocation", "revoke"), ("introspection", "introspect")]
        {
            let endpoint = &metadata[format!("{name}_endpoint")];
            assert_eq!(*endpoint, format!("{issuer}/auth/{path}"));
        }
    });
}

#[test]
fn client_is_known_by_basic_by_post_and_by_its_key() {
    let site = Site::open();
    let known = [
        with_secret("client_secret_basic", PASSWORD),
        with_secret("client_secret_post", PASSWORD),
        with_key(&site),
    ];
    with_each(&site, |client| {
        for known in &known {
            let tokens = client.grant(known, "orders:read").expect("a token");
            assert_eq!(tokens["scope"], "orders:read", "{tokens}");
            assert_eq!(tokens["token_type"], "Bearer");
            assert!(tokens["refresh_token"].is_null(), "{tokens}");
            let left_s = tokens["expires_at"].as_i64().expect("a time") - now();
            assert!((LIFETIME_S - 30..=LIFETIME_S).contains(&left_s), "{tokens}");
            assert!(opens(&site, &text(&tokens["access_token"])), "{known}");
        }
    });
}

#[test]
fn refusals_are_understood() {
    let site = Site::open();
    let known = with_secret("client_secret_basic", PASSWORD);
    with_each(&site, |client| {
        for method in ["client_secret_basic", "client_secret_post"] {
            let refused = client.grant(&with_secret(method, "another"), "orders:read");
            assert_eq!(refused, Err("invalid_client".to_owned()), "{method}");
        }
        assert_eq!(client.grant(&known, "orders:delete"), Err("invalid_scope".to_owned()));
        let public = client.grant(&first_party(), "orders:read");
        assert_eq!(public, Err("unauthorized_client".to_owned()));
        assert_eq!(client.refresh("rt_unknown"), Err("invalid_grant".to_owned()));
        let asked = client.introspect(&with_key(&site), "any");
        assert!(asked.is_err(), "may not ask: {asked:?}");
    });
}

#[test]
fn refresh_tokens_are_exchanged_one_after_the_other() {
    let site = Site::open();
    with_each(&site, |client| {
        let mut tokens = log_in(&site.gateway);
        for _ in 0..3 {
            let next = client.refresh(&text(&tokens["refresh_token"])).expect("the next pair");
            assert_ne!(next["refresh_token"], tokens["refresh_token"]);
            assert_ne!(next["access_token"], tokens["access_token"]);
            assert!(opens(&site, &text(&next["access_token"])));
            tokens = next;
        }
    });
}

#[test]
fn authlib_refreshes_by_itself_and_keeps_the_new_pair() {
    let site = Site::open();
    let mut tokens = log_in(&site.gateway);
    // To Authlib the access token has expired.
    tokens["expires_at"] = json!(now() - 1);
    let mut client = Client::start(Library::Authlib, &site.issuer);
    let url = format!("{}{PATH}", site.issuer);
    let asked = json!({ "call": "fetch", "client": first_party(), "tokens": tokens, "url": url });
    let fetched = client.ask(&asked).expect("a page");
    assert_eq!(fetched["status"], 200);
    let [update] = fetched["updates"].as_array().expect("updates").as_slice() else {
        panic!("not one update: {fetched}")
    };
    assert_eq!(update["instead_of"], tokens["refresh_token"]);
    assert!(client.refresh(&text(&update["tokens"]["refresh_token"])).is_ok());
    client.end();
}

#[test]
fn revoked_refresh_token_ends_what_came_of_its_login() {
    let site = Site::open();
    with_each(&site, |client| {
        let tokens = log_in(&site.gateway);
        let (access, refresh) = (text(&tokens["access_token"]), text(&tokens["refresh_token"]));
        assert!(opens(&site, &access));
        client.revoke(&first_party(), &refresh, "refresh_token");
        assert_eq!(client.refresh(&refresh), Err("invalid_grant".to_owned()));
        eventually("the end of the access token", || (!opens(&site, &access)).then_some(()));
        // RFC 7009 §2.2: what is not good any more need not be revoked, and that is no error.
        client.revoke(&first_party(), &refresh, "refresh_token");
    });
}

#[test]
fn revoked_access_token_opens_nothing_and_is_not_active() {
    let site = Site::open();
    let known = with_secret("client_secret_basic", PASSWORD);
    with_each(&site, |client| {
        let tokens = client.grant(&known, "orders:read").expect("a token");
        let token = text(&tokens["access_token"]);
        assert!(opens(&site, &token));
        let told = client.introspect(&known, &token).expect("an answer");
        assert_eq!(told["active"], true, "{told}");
        assert_eq!((&told["client_id"], &told["sub"]), (&json!(WITH_SECRET), &json!(WITH_SECRET)));
        assert_eq!((&told["scope"], &told["iss"]), (&json!("orders:read"), &json!(site.issuer)));

        client.revoke(&known, &token, "access_token");
        eventually("the end of the access token", || (!opens(&site, &token)).then_some(()));
        for token in [&*token, "nonsense"] {
            assert_eq!(client.introspect(&known, token), Ok(json!({ "active": false })));
        }
    });
}

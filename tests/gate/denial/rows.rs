//! A row for each slug: a request that provokes it, and what is told.

use portcullis::gate::session::{ApiKey, SessionSecret};
use serde_json::{Value, json};

use crate::harness::client::{self, request};
use crate::harness::gateway::Gateway;
use crate::harness::people::HOME;
use crate::harness::tokens::{self, bearer, pair, signed, signing_key};

/// One slug: how it is provoked, and what is said.
pub(super) struct Row {
    pub(super) slug: &'static str,
    pub(super) status: u16,
    pub(super) outcome: &'static str,
    pub(super) challenge: Option<&'static str>,
    /// `Allow` or `Retry-After`; [`SOME_SECONDS`] stands for a number that depends on the time.
    pub(super) field: Option<(&'static str, &'static str)>,
    /// What the login says of the body.
    pub(super) detail: Option<&'static str>,
    /// Labels of the metric, members of the log line.
    pub(super) route: &'static str,
    pub(super) carrier: &'static str,
    pub(super) place: Place,
    pub(super) sent: Sent,
}

/// Which of the gateways is asked.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Usual,
    /// The one that never got to know who was cut off.
    Ignorant,
    /// The one on which sessions end and budgets are used up before one knows.
    Hasty,
}

/// What clients hold when the gateways have started.
#[derive(Default)]
pub(super) struct Held {
    pub(super) cookies: Ends,
    pub(super) api_keys: Ends,
}

/// What of a kind is good, has expired, and was revoked.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) alive: String,
    pub(super) expired: String,
    pub(super) revoked: String,
}

pub(super) enum Sent {
    /// A request whose framing is beyond doubt: the connection stays open.
    Sound {
        method: &'static str,
        path: &'static str,
        fields: Vec<(&'static str, String)>,
        /// What the slug is about, if it is about the body.
        body: String,
    },
    /// Bytes after which nobody can say where the next request begins.
    Unsound(String),
}

pub(super) const SOME_SECONDS: &str = "some seconds";

pub(super) const REALM: &str = "Bearer realm=\"portcullis\"";
/// What stands for a route where the gateway answers itself.
pub(super) const OWN: &str = "gateway:own";

pub(super) const INVALID_REQUEST: &str = "Bearer realm=\"portcullis\", error=\"invalid_request\"";
pub(super) const INVALID_TOKEN: &str = "Bearer realm=\"portcullis\", error=\"invalid_token\"";
pub(super) const INSUFFICIENT_SCOPE: &str =
    "Bearer realm=\"portcullis\", error=\"insufficient_scope\", scope=\"orders:read orders:list\"";

impl Row {
    /// `labels` are those of the metric: route and carrier.
    pub(super) fn new(
        slug: &'static str,
        status: u16,
        challenge: Option<&'static str>,
        labels: [&'static str; 2],
        sent: Sent,
    ) -> Self {
        let [route, carrier] = labels;
        let (outcome, field, detail, place) = ("denied", None, None, Place::Usual);
        Self { slug, status, outcome, challenge, field, detail, route, carrier, place, sent }
    }

    /// A session that is refused with 401.
    pub(super) fn session(slug: &'static str, challenge: &'static str, cookie: &str) -> Self {
        let fields = vec![("Cookie", cookie.to_owned())];
        Self::new(slug, 401, Some(challenge), ["home", "session"], Sent::with(fields, HOME))
    }

    /// An API key that is refused with 401.
    pub(super) fn api_key(slug: &'static str, challenge: &'static str, key: &str) -> Self {
        let sent = Sent::with(vec![("X-Api-Key", key.to_owned())], "/imports");
        Self::new(slug, 401, Some(challenge), ["imports", "api_key"], sent)
    }

    /// An attempt to log in that is refused.
    pub(super) fn login(
        slug: &'static str,
        status: u16,
        challenge: Option<&'static str>,
        name: &str,
    ) -> Self {
        let body = json!({ "username": name, "password": "wrong" }).to_string();
        let fields = vec![("Content-Type", "application/json".to_owned())];
        let sent = Sent::Sound { method: "POST", path: "/auth/login", fields, body };
        Self::new(slug, status, challenge, [OWN, "none"], sent)
    }

    /// A token that is refused with 401.
    pub(super) fn token(slug: &'static str, token: String) -> Self {
        let sent = Sent::get("/whoami", Some(bearer(&token)));
        Self::new(slug, 401, Some(INVALID_TOKEN), ["whoami", "bearer"], sent)
    }

    /// A good token that does not hold what `orders` requires.
    pub(super) fn forbidden(
        slug: &'static str,
        challenge: Option<&'static str>,
        claims: Value,
    ) -> Self {
        let sent = Sent::get("/orders/7", Some(bearer(&with_key("one", claims))));
        Self::new(slug, 403, challenge, ["orders", "bearer"], sent)
    }

    /// Bytes that never reach the gate.
    pub(super) fn unsound(slug: &'static str, status: u16, bytes: &str) -> Self {
        Self::new(slug, status, None, ["", "none"], Sent::Unsound(bytes.to_owned()))
    }

    pub(super) fn unavailable(self) -> Self {
        Self { outcome: "unavailable", ..self }
    }

    pub(super) fn on(self, place: Place) -> Self {
        Self { place, ..self }
    }

    pub(super) fn with_field(self, name: &'static str, value: &'static str) -> Self {
        Self { field: Some((name, value)), ..self }
    }

    pub(super) fn with_detail(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// The bytes to send, with more header lines and a body if the framing is sound.
    pub(super) fn bytes(&self, more: &[(&str, &str)], body: &str) -> String {
        match &self.sent {
            Sent::Unsound(bytes) => bytes.clone(),
            Sent::Sound { method, path, fields: own_fields, body: own } => {
                let mut fields = more.to_vec();
                fields.extend(own_fields.iter().map(|(name, value)| (*name, value.as_str())));
                request(method, path, &fields, if own.is_empty() { body } else { own })
            }
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        matches!(self.sent, Sent::Sound { .. })
    }

    /// Whether the gate permitted the request, and what is behind it failed.
    pub(super) fn is_about_the_upstream(&self) -> bool {
        self.slug.starts_with("upstream_")
    }

    /// Whether the request could as well have another body, or none.
    pub(super) fn takes_any_body(&self) -> bool {
        matches!(&self.sent, Sent::Sound { body, .. } if body.is_empty())
    }

    pub(super) fn is_get(&self) -> bool {
        matches!(&self.sent, Sent::Sound { method, .. } if *method == "GET")
    }

    /// Whether a browser that navigates is sent to the login page instead.
    pub(super) fn is_sent_to_login(&self) -> bool {
        self.is_get() && self.slug.starts_with("session_")
    }
}

impl Sent {
    pub(super) fn get(path: &'static str, authorization: Option<String>) -> Self {
        let fields = authorization.map(|value| ("Authorization", value));
        Self::with(fields.into_iter().collect(), path)
    }

    pub(super) fn with(fields: Vec<(&'static str, String)>, path: &'static str) -> Self {
        Self::Sound { method: "GET", path, fields, body: String::new() }
    }
}

/// The table. A slug that is not in it fails [`every_slug_but_internal_is_provoked`].
pub(super) fn rows(Held { cookies, api_keys }: &Held) -> Vec<Row> {
    let now = tokens::now();
    let good = |claims: Value| with_key("one", claims);
    let orders =
        |authorization: Option<&str>| Sent::get("/orders/7", authorization.map(str::to_owned));
    let no_one = |path| Sent::get(path, None);
    let delete = Sent::Sound {
        method: "DELETE",
        path: "/orders/7",
        fields: Vec::new(),
        body: String::new(),
    };
    // The route takes 50 bytes.
    let upload =
        Sent::Sound { method: "POST", path: "/uploads", fields: Vec::new(), body: "a".repeat(51) };
    let forged = Sent::Sound {
        method: "POST",
        path: HOME,
        fields: vec![
            ("Cookie", cookies.alive.clone()),
            ("Sec-Fetch-Site", "cross-site".to_owned()),
        ],
        body: String::new(),
    };
    let another_try = Sent::with(
        vec![("Cookie", unknown_cookie()), ("X-Forwarded-For", CURIOUS.to_owned())],
        HOME,
    );
    let no_object = Sent::Sound {
        method: "POST",
        path: "/auth/login",
        fields: vec![("Content-Type", "application/json".to_owned())],
        body: "zz".to_owned(),
    };
    let coded =
        "POST /public/a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    let too_many = format!("GET /public/a HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    let both = "POST /public/a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\
                Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    vec![
        Row::new("credential_absent", 401, Some(REALM), ["orders", "none"], orders(None)),
        Row::new(
            "credential_malformed",
            400,
            Some(INVALID_REQUEST),
            ["orders", "bearer"],
            orders(Some("Bearer\ta.b.c")),
        ),
        Row::token("token_malformed", "null".to_owned()),
        Row::token(
            "token_algorithm",
            tokens::forged(r#"{"alg":"none"}"#, &json!(tokens::claims()).to_string(), b""),
        ),
        Row::token("token_signature", with_key("two", json!({}))),
        Row::token("token_key_unknown", with_key("three", json!({}))),
        Row::token("token_issuer", good(json!({"iss": "https://other.test"}))),
        Row::token("token_audience", good(json!({"aud": "billing"}))),
        Row::token("token_expired", good(json!({"iat": now - 600, "exp": now - 60}))),
        Row::token("token_not_yet_valid", good(json!({"nbf": now + 300}))),
        Row::token("token_type", signed(&signing_key(pair(), None), "dpop+jwt", json!({}))),
        Row::token("token_lifetime", good(json!({"exp": now + 90_000}))),
        Row::token("token_claims", good(json!({"sub": null}))),
        Row::token(
            "token_critical",
            tokens::forged(
                r#"{"alg":"ES256","crit":["b64"]}"#,
                &json!(tokens::claims()).to_string(),
                b"a",
            ),
        ),
        Row::token("token_revoked", good(json!({"sid": REVOKED}))),
        Row::session("session_unknown", REALM, &unknown_cookie()),
        Row::session("session_expired", REALM, &cookies.expired).on(Place::Hasty),
        Row::session("session_revoked", INVALID_TOKEN, &cookies.revoked),
        Row::api_key("api_key_unknown", REALM, &unknown_api_key()),
        Row::api_key("api_key_expired", REALM, &api_keys.expired),
        Row::api_key("api_key_revoked", INVALID_TOKEN, &api_keys.revoked),
        Row::login("login_failed", 401, Some(REALM), "alice"),
        Row::forbidden("scope_missing", Some(INSUFFICIENT_SCOPE), json!({"scope": "orders:read"})),
        Row::forbidden("role_missing", None, json!({"roles": ["guest"]})),
        Row::forbidden("claim_mismatch", None, json!({"tenant": "initech"})),
        Row::new("csrf", 403, None, ["home", "session"], forged),
        Row::login("rate_limited", 429, None, "bob")
            .on(Place::Hasty)
            .with_field("retry-after", SOME_SECONDS),
        Row::new("verification_budget", 429, None, ["home", "session"], another_try)
            .on(Place::Hasty)
            .with_field("retry-after", SOME_SECONDS),
        Row {
            status: 503,
            challenge: None,
            ..Row::token("keys_unavailable", of_the_unreachable())
        }
        .unavailable()
        .with_field("retry-after", "5"),
        Row {
            status: 503,
            challenge: None,
            place: Place::Ignorant,
            ..Row::token("revocation_stale", good(json!({})))
        }
        .unavailable()
        .with_field("retry-after", "5"),
        Row {
            status: 503,
            challenge: None,
            ..Row::session("store_unavailable", REALM, &unknown_cookie())
        }
        .on(Place::Ignorant)
        .unavailable()
        .with_field("retry-after", "5"),
        Row::new("overloaded", 503, None, ["full", "none"], no_one("/full"))
            .unavailable()
            .with_field("retry-after", "5"),
        Row::new("route_unknown", 404, None, ["", "none"], no_one("/nowhere")),
        Row::new("method_not_allowed", 405, None, ["", "none"], delete)
            .with_field("allow", "GET, HEAD, POST"),
        Row::new("request_target", 400, None, ["", "none"], no_one("/orders/..%2fadmin")),
        Row::unsound("request_framing", 400, both),
        Row::unsound("transfer_coding", 501, coded),
        Row::unsound("request_timeout", 408, "GET /public/a HTTP/1.1\r\nHost: gateway"),
        Row::unsound("host_missing", 400, "GET /public/a HTTP/1.1\r\n\r\n"),
        Row::new("request_body", 400, None, [OWN, "none"], no_object)
            .with_detail("The body is not a JSON object, or repeats a member"),
        Row::new("body_too_large", 413, None, ["uploads", "none"], upload),
        Row::unsound("headers_too_large", 431, &too_many),
        Row::new(
            "identity_too_large",
            431,
            None,
            ["whoami", "bearer"],
            Sent::get("/whoami", Some(bearer(&good(json!({"roles": ["r".repeat(512)]}))))),
        ),
        Row::new("upstream_unavailable", 502, None, ["closed", "none"], no_one("/closed"))
            .unavailable(),
        Row::new("upstream_timeout", 504, None, ["silent", "none"], no_one("/silent"))
            .unavailable(),
    ]
}

/// The session that is cut off when a scene begins.
pub(super) const REVOKED: &str = "a-session-that-was-revoked";

/// From where the many cookies come that are none.
pub(super) const CURIOUS: &str = "192.0.2.66";

/// An API key that was never given out.
pub(super) fn unknown_api_key() -> String {
    ApiKey::from_random(&std::array::from_fn(|_| fastrand::u8(..))).expose().to_owned()
}

/// An API key that lives for so long, and its id.
pub(super) fn api_key(gateway: &Gateway, expires_in: &str) -> (String, String) {
    let wanted = json!({"subject": "importer", "expires_in": expires_in}).to_string();
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let made = client::exchange(gateway.admin(), request("POST", "/v1/api-keys", &fields, &wanted));
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("key"), text("id"))
}

/// A cookie that was never given out.
pub(super) fn unknown_cookie() -> String {
    let bits = std::array::from_fn(|_| fastrand::u8(..));
    format!("__Host-session={}", SessionSecret::from_random(bits).expose())
}

/// A token that the standard key signed under this id.
pub(super) fn with_key(id: &str, claims: Value) -> String {
    let mut all = json!({"scope": "orders:read orders:list", "tenant": "acme"});
    let changes = all.as_object_mut().expect("an object");
    changes.extend(claims.as_object().expect("an object").clone());
    signed(&signing_key(pair(), Some(id)), "at+jwt", all)
}

/// A token of the issuer whose keys cannot be had.
pub(super) fn of_the_unreachable() -> String {
    with_key("one", json!({"iss": "https://unreachable.test"}))
}

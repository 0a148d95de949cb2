//! The hand-off: another service says who somebody is, as long as it can be understood.

mod faults;

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::client::{self, Answer};
use crate::harness::eventually;
use crate::harness::gateway::{self, Gateway};
use crate::harness::identity::{IdentityReply, IdentityService};
use crate::harness::login::{self, Login};
use crate::harness::password_login::{LoginGateway, MANY, assert_refused, configuration, guess};
use crate::harness::upstream::Upstream;

/// A gateway that asks an identity service.
struct HandoffGateway {
    identity: IdentityService,
    site: LoginGateway,
}

/// What a good answer is.
fn alice() -> IdentityReply {
    IdentityReply::json(
        200,
        &json!({ "user": { "id": "u-1", "roles": ["clerk"], "email": "a@b.test" } }),
    )
}

impl HandoffGateway {
    fn open(lines: &str) -> Self {
        Self::open_with(lines, MANY)
    }

    /// With these lines in `handoff`, and these in `login`.
    fn open_with(lines: &str, login: &str) -> Self {
        let identity = IdentityService::start(alice());
        let peers = format!("{{ peers: ['{}'] }}", identity.address());
        Self { site: site(gateway::directory(), &peers, lines, login), identity }
    }

    fn try_as(&self, says: IdentityReply) -> Answer {
        self.identity.say(says);
        guess(self.site.address(), "alice", "secret", &[])
    }
}

/// A gateway whose identity service is this upstream.
fn site(directory: Arc<TempDir>, identity: &str, lines: &str, login: &str) -> LoginGateway {
    let upstream = Upstream::start();
    let lines = format!(
        "handoff:
    upstream: identity
    path: /verify?from=gateway
    subject: /user/id
    roles: /user/roles
    scopes: /user/scopes
    claims: {{ email: /user/email, tenant: /org/name }}
    {lines}
  {login}"
    );
    let text = configuration(&upstream, "", &lines);
    let text = text.replacen("upstreams:\n", &format!("upstreams:\n  identity: {identity}\n"), 1);
    LoginGateway { gateway: Gateway::start_in(directory, &text), upstream }
}

#[test]
fn service_says_who_it_is_by_the_pointers_of_the_configuration() {
    let desk = HandoffGateway::open("timeout: 20s");
    let address = desk.site.address();
    let answer = desk.try_as(IdentityReply::json(
        201,
        &json!({
            "user": {
                "id": "u-1", "roles": ["clerk", "a,b"], "scopes": "orders:read x", "email": "a@b.test",
                "admin": true,
            },
            "org": { "name": "acme" },
        }),
    ));
    let login = Login::read(&answer);
    let told = login.ask(address, "/auth/session").json();
    assert_eq!((&told["subject"], &told["method"]), (&json!("u-1"), &json!("handoff")));
    assert_eq!(told["roles"], json!(["clerk", "a,b"]));
    assert_eq!(told["scopes"], json!(["orders:read", "x"]));
    assert_eq!(told["claims"], json!({ "email": "a@b.test", "tenant": "acme" }));
    assert_eq!(login.ask(address, "/pages/x").status, 200);
    let received = desk.site.upstream.last();
    assert_eq!(received.values("x-auth-subject"), ["u-1"]);
    assert_eq!(received.values("x-auth-roles"), ["clerk,a%2Cb"]);
    assert_eq!(received.values("x-auth-tenant"), ["acme"]);
    let form =
        desk.site.form(&[("username", "alice"), ("password", "x"), ("return_to", "/pages/y")]);
    assert_eq!((form.status, form.field("location")), (303, Some("/pages/y")));
}

#[test]
fn service_gets_the_name_and_the_password_and_nothing_of_the_browser() {
    let desk = HandoffGateway::open("timeout: 20s");
    let fields = [
        ("Cookie", "other=secret"),
        ("Authorization", "Basic eDp5"),
        ("User-Agent", "browser"),
        ("X-Request-Id", "request-7"),
        ("X-Forwarded-For", "192.0.2.66"),
        ("X-Auth-Subject", "mallory"),
        ("Origin", "http://gateway.test"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Referer", "http://gateway.test/auth/login"),
    ];
    let password = "p\0 w\u{1f512}\"\\\u{7f}";
    let answer = guess(desk.site.address(), "zo\u{eb} \"", password, &fields);
    assert_eq!(answer.status, 200, "{answer:?}");
    let [received] = &desk.identity.received()[..] else { panic!("not one request") };
    assert_eq!(received.line(), "POST /verify?from=gateway HTTP/1.1");
    let body: serde_json::Value = serde_json::from_str(&received.body).expect("JSON");
    assert_eq!(body, json!({ "username": "zo\u{eb} \"", "password": password }));
    assert_eq!(received.values("content-type"), ["application/json"]);
    assert_eq!(received.values("host"), [desk.identity.address().to_string()]);
    assert_eq!(received.values("x-request-id"), ["request-7"]);
    assert_eq!(received.values("x-forwarded-for"), ["127.0.0.1"]);
    let mut names = received.names();
    names.sort();
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-forwarded-for",
        "x-request-id",
    ];
    assert_eq!(names, expected);
    assert_ne!(received.values("user-agent"), ["browser"]);
}

#[test]
fn subject_is_a_text_or_a_whole_number_of_a_sensible_length() {
    let desk = HandoffGateway::open("timeout: 20s");
    let of = |id: serde_json::Value| {
        desk.try_as(IdentityReply::json(200, &json!({ "user": { "id": id } })))
    };
    let long = "s".repeat(255);
    for (id, subject) in [
        (json!(42), "42"),
        (json!(-7), "-7"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(long), &long),
        (json!("zo\u{eb}"), "zo\u{eb}"),
    ] {
        assert_eq!(of(id).json()["subject"], subject);
    }
    let no = [
        json!(null),
        json!(""),
        json!(true),
        json!(1.5),
        json!(["u-1"]),
        json!({ "x": "u-1" }),
        json!(long.clone() + "s"),
        json!("s".repeat(60_000)),
    ];
    for id in no {
        assert_refused(&of(id), 502, "upstream_unavailable");
    }
}

/// Whoever can choose their subject must not be able to choose their roles.
#[test]
fn subject_cannot_break_out_of_its_header() {
    let desk = HandoffGateway::open("timeout: 20s");
    let id = "u\r\nX-Auth-Roles: root\n\0\u{e9}%";
    let answer = desk
        .try_as(IdentityReply::json(200, &json!({ "user": { "id": id, "roles": ["a\r\nb"] } })));
    if answer.status != 200 {
        assert_refused(&answer, 502, "upstream_unavailable");
        return;
    }
    let login = Login::read(&answer);
    assert_eq!(login.ask(desk.site.address(), "/pages/x").status, 200);
    let received = desk.site.upstream.last();
    assert_eq!(received.values("x-auth-roles"), ["a%0D%0Ab"]);
    assert_eq!(received.values("x-auth-subject"), ["u%0D%0AX-Auth-Roles:%20root%0A%00%C3%A9%25"]);
}

#[test]
fn refusal_of_the_service_is_told_in_our_own_words() {
    let desk = HandoffGateway::open("timeout: 20s");
    for status in [400, 401, 403, 404, 409, 422, 499] {
        let fields =
            "Content-Type: text/html\r\nSet-Cookie: __Host-session=evil\r\nLocation: /x\r\n";
        let answer = desk.try_as(IdentityReply::with(status, fields, "<b>told by the service</b>"));
        assert_refused(&answer, 401, "login_failed");
        assert!(!answer.body.contains("service") && answer.field("location").is_none());
    }
    let form = desk.site.form(&[("username", "alice"), ("password", "x")]);
    assert_eq!((form.status, form.field("set-cookie")), (401, None));
    assert!(form.body.contains("value=\"alice\""), "{form:?}");
}

#[test]
fn refusal_is_passed_through_without_the_services_header() {
    let desk = HandoffGateway::open("on_failure: pass_through\n    timeout: 20s");
    for status in [400, 401, 403, 422] {
        let fields = "Content-Type: application/vnd.test+json\r\nSet-Cookie: __Host-session=evil\r\n\
                      WWW-Authenticate: Basic realm=evil\r\nLocation: //evil.test\r\n\
                      Clear-Site-Data: \"*\"\r\nCache-Control: public\r\n\
                      Access-Control-Allow-Origin: *\r\nX-Auth-Subject: evil\r\n";
        let answer = desk.try_as(IdentityReply::with(status, fields, "{\"locked\":true}"));
        assert_eq!((answer.status, &*answer.body), (status, "{\"locked\":true}"), "{answer:?}");
        assert_eq!(answer.field("content-type"), Some("application/vnd.test+json"));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        let text = format!("{answer:?}");
        assert!(!text.contains("evil") && answer.field("set-cookie").is_none(), "{text}");
        for field in ["location", "clear-site-data", "access-control-allow-origin"] {
            assert_eq!(answer.field(field), None, "{answer:?}");
        }
    }
    desk.site.gateway.logged(|line| line["slug"] == "login_failed" && line["status"] == 422);
    // A success is ours to tell, and what it is not, too.
    assert_eq!(desk.try_as(alice()).status, 200);
    assert_refused(
        &desk.try_as(IdentityReply::with(500, "", "stack trace")),
        502,
        "upstream_unavailable",
    );
    assert_refused(
        &desk.try_as(IdentityReply::with(302, "Location: /x\r\n", "")),
        502,
        "upstream_unavailable",
    );
    // Too much to pass on, or never all there: our own words.
    let head = "HTTP/1.1 403 x\r\nContent-Length: 10000000000\r\n\r\n".to_owned();
    assert_refused(&desk.try_as(IdentityReply::Endless(head)), 401, "login_failed");
    let broken = "HTTP/1.1 403 x\r\nContent-Length: 100\r\n\r\nhalf".to_owned();
    assert_refused(&desk.try_as(IdentityReply::Bytes(broken)), 401, "login_failed");
}

/// While nobody knows, an attempt counts: otherwise a slow service could be asked without end.
#[test]
fn many_guesses_at_once_reach_the_service_within_the_budget() {
    let desk = HandoffGateway::open_with(
        "timeout: 3s",
        "attempts: { per_account: 2/1h, per_address: 9999/1s }",
    );
    desk.identity.say(IdentityReply::Nothing);
    let address = desk.site.address();
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..20).map(|_| scope.spawn(|| guess(address, "alice", "x", &[]))).collect();
        all.into_iter().map(|one| one.join().expect("an answer").status).collect()
    });
    let asked = desk.identity.received().len();
    assert!((1..=2).contains(&asked), "{asked} were asked");
    let undecided = statuses.iter().filter(|status| **status == 504).count();
    let limited = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((undecided, undecided + limited), (asked, 20), "{statuses:?}");
}

#[test]
fn no_password_and_no_answer_of_the_service_is_logged() {
    let desk = HandoffGateway::open("timeout: 20s");
    let address = desk.site.address();
    for says in [
        alice(),
        IdentityReply::with(403, "", "told-by-the-service"),
        IdentityReply::with(500, "", "told-by-the-service"),
        IdentityReply::with(200, "", "{\"user\":{\"id\":7.5,\"x\":\"told-by-the-service\"}}"),
        IdentityReply::Reset,
    ] {
        desk.identity.say(says);
        guess(address, "typed-as-a-name", "typed-as-a-password", &[]);
    }
    desk.site.gateway.exchange(client::get("/public/last", &[]));
    desk.site.gateway.logged(|line| line["path"] == "/public/last");
    let gateway = &desk.site.gateway;
    let written = [gateway.output(), gateway.errors()].concat().join("\n");
    assert!(written.contains("identity service"), "it is told that something was wrong: {written}");
    for secret in ["typed-as", "told-by"] {
        assert!(!written.contains(secret), "{secret} is in\n{written}");
    }
}

/// How many questions to a service may be open at once.
const OPEN_MAX: usize = 256;

#[test]
fn login_beyond_those_that_a_service_may_keep_waiting_is_overload() {
    let identity = IdentityService::start(IdentityReply::Nothing);
    let upstream = Upstream::start();
    let lines = format!(
        "handoff: {{ upstream: identity, path: /verify, subject: /user/id, timeout: 10s }}\n  {MANY}"
    );
    // A quarter of it is for one client.
    let limits = format!("limits: {{ in_flight_own: {} }}\n", OPEN_MAX * 8);
    let peers = format!("upstreams:\n  identity: {{ peers: ['{}'] }}\n", identity.address());
    let text = configuration(&upstream, &limits, &lines).replacen("upstreams:\n", &peers, 1);
    let gateway = Gateway::start_in(gateway::directory(), &text);
    let _waiting: Vec<_> = (0..OPEN_MAX)
        .map(|number| {
            let mut stream = std::net::TcpStream::connect(gateway.address()).expect("connects");
            let asking = login::request(&format!("user-{number}"), "secret", &[]);
            std::io::Write::write_all(&mut stream, asking.as_bytes()).expect("is sent");
            stream
        })
        .collect();
    eventually("all questions", || (identity.received().len() == OPEN_MAX).then_some(()));
    let answer = guess(gateway.address(), "alice", "secret", &[]);
    assert_refused(&answer, 503, "overloaded");
    assert!(answer.field("retry-after").is_some(), "{answer:?}");
    let line = gateway.logged(|line| line["slug"] == "overloaded");
    let reason = line["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("256 requests to identity services"), "{line}");
    // Once the first of them have been given up there is room.
    identity.say(alice());
    eventually("room", || {
        (guess(gateway.address(), "alice", "secret", &[]).status == 200).then_some(())
    });
}

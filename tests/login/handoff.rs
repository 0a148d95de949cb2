//! The hand-off: another service says who somebody is, as long as it can be understood.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::certificates::Authority;
use crate::harness::client::{self, Answer};
use crate::harness::eventually;
use crate::harness::gateway::{self, Gateway};
use crate::harness::identity::{IdentityReply, IdentityService};
use crate::harness::login::{self, Login};
use crate::harness::password_login::{
    LoginGateway, MANY, assert_refused, configuration, guess, retry_after,
};
use crate::harness::redis::free_port;
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

#[test]
fn service_that_has_had_enough_says_how_long_to_wait() {
    for lines in ["timeout: 20s", "on_failure: pass_through\n    timeout: 20s"] {
        let desk = HandoffGateway::open(lines);
        let limited = |fields: &str| {
            let answer = desk.try_as(IdentityReply::with(429, fields, "slow down"));
            assert_refused(&answer, 429, "rate_limited");
            retry_after(&answer)
        };
        assert_eq!(limited("Retry-After: 7\r\n"), 7);
        assert!((1..=60).contains(&limited("")));
        assert!((1..=60).contains(&limited("Retry-After: 0\r\n")));
        assert!((1..=60).contains(&limited("Retry-After: Wed, 21 Oct 2099 07:28:00 GMT\r\n")));
        assert!((1..=60).contains(&limited("Retry-After: -1\r\n")));
        assert!(limited("Retry-After: 4000000000\r\n") <= 24 * 3600);
    }
}

#[test]
fn answer_that_cannot_be_understood_decides_nothing() {
    let desk = HandoffGateway::open("timeout: 20s");
    let ok = |body: &str| IdentityReply::with(200, "", body);
    let chunk = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let answers = [
        IdentityReply::with(500, "", ""),
        IdentityReply::with(503, "Retry-After: 9\r\n", ""),
        IdentityReply::with(302, "Location: http://127.0.0.1/\r\n", ""),
        IdentityReply::with(304, "", ""),
        ok(""),
        ok("garbage"),
        ok("<html>"),
        ok("[]"),
        ok("{}"),
        ok("\"u-1\""),
        ok("{\"user\":null}"),
        ok("{\"user\":\"u-1\"}"),
        ok("{\"user\":{\"id\":\"u-1\"}"),
        ok("{\"user\":{\"id\":\"u-1\"}} {}"),
        ok("{\"user\":{\"id\":\"u-1\",\"id\":\"u-2\"}}"),
        ok("{\"user\":{\"id\":\"u-1\"},\"user\":{\"id\":\"u-2\"}}"),
        ok("{\"user\":{\"id\":\"u-1\",\"roles\":\"root\"}}"),
        ok("{\"user\":{\"id\":\"u-1\",\"roles\":[1]}}"),
        ok("{\"user\":{\"id\":\"u-1\",\"scopes\":7}}"),
        ok(&format!(
            "{{\"user\":{{\"id\":\"u-1\"}},\"x\":{}1{}}}",
            "[".repeat(100),
            "]".repeat(100)
        )),
        IdentityReply::Bytes(
            "HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\n{\"user\":{\"id\":\"u-1\"}}".into(),
        ),
        IdentityReply::Bytes(chunk + "5\r\n{\"use"),
        IdentityReply::Bytes("garbage\r\n\r\n".into()),
        IdentityReply::Bytes(String::new()),
        IdentityReply::Reset,
    ];
    for says in answers {
        let answer = desk.try_as(says.clone());
        assert_eq!((answer.status, &*answer.slug()), (502, "upstream_unavailable"), "{says:?}");
        assert_refused(&answer, 502, "upstream_unavailable");
    }
    let form = desk.site.form(&[("username", "alice"), ("password", "x")]);
    assert_eq!(form.status, 502);
    assert!(form.body.contains("try again in a while"), "{form:?}");
    // Where nothing is, nothing is granted.
    let bare = desk.try_as(ok("{\"user\":{\"id\":\"u-1\",\"roles\":null}}"));
    let told = Login::read(&bare).ask(desk.site.address(), "/auth/session").json();
    assert_eq!((&told["roles"], &told["claims"]), (&json!([]), &json!({})));
}

/// The largest that the gateway's memory has been, in KiB.
fn memory_peak_kib(gateway: &Gateway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid()));
    let status = status.expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn answer_without_end_is_cut_off_and_not_kept() {
    let desk = HandoffGateway::open("timeout: 20s");
    assert_eq!(desk.try_as(alice()).status, 200);
    let before = memory_peak_kib(&desk.site.gateway);
    for (says, head) in [
        ("announced", "HTTP/1.1 200 x\r\nContent-Length: 10000000000\r\n\r\n"),
        ("streamed", "HTTP/1.1 200 x\r\n\r\n"),
        ("chunked", "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n2540BE400\r\n"),
        ("refused", "HTTP/1.1 403 x\r\n\r\n"),
        ("a head", "HTTP/1.1 200 x\r\nX:"),
    ] {
        let sent = desk.identity.sent();
        let begun = Instant::now();
        let answer = desk.try_as(IdentityReply::Endless(head.to_owned()));
        match says {
            "refused" => assert_refused(&answer, 401, "login_failed"),
            _ => assert_refused(&answer, 502, "upstream_unavailable"),
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{says} took {:?}", begun.elapsed());
        // What the sockets on the way hold is most of it.
        let sent = desk.identity.sent() - sent;
        assert!(sent < 16 * 1024 * 1024, "{says}: {sent} bytes were taken");
    }
    let grown = memory_peak_kib(&desk.site.gateway) - before;
    assert!(grown < 32 * 1024, "{grown} KiB more");
}

#[test]
fn service_that_takes_too_long_is_a_timeout() {
    let desk = HandoffGateway::open("timeout: 1s");
    let body = "{\"user\":{\"id\":\"u-1\"}}";
    let whole = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for says in
        [IdentityReply::Nothing, IdentityReply::Drip(whole.clone(), Duration::from_millis(100))]
    {
        let begun = Instant::now();
        assert_refused(&desk.try_as(says), 504, "upstream_timeout");
        let seconds = begun.elapsed().as_secs_f32();
        assert!((0.9..6.0).contains(&seconds), "{seconds} s");
    }
    // Slow is not too slow.
    assert_eq!(desk.try_as(IdentityReply::Drip(whole, Duration::from_millis(1))).status, 200);
}

#[test]
fn service_that_is_not_there_is_unavailable() {
    let peers = format!("{{ peers: ['127.0.0.1:{}'] }}", free_port());
    let site = site(gateway::directory(), &peers, "timeout: 5s", MANY);
    assert_refused(&guess(site.address(), "alice", "x", &[]), 502, "upstream_unavailable");
    let count = "portcullis_logins_total{method=\"handoff\",result=\"unavailable\"}";
    assert_eq!(site.gateway.metric(count), 1.0);
}

#[test]
fn service_behind_tls_is_verified() {
    let authority = Authority::new();
    let certificates = [
        (authority.issue("identity.test"), 200),
        (authority.issue("other.test"), 502),
        (Authority::new().issue("identity.test"), 502),
    ];
    for (certificate, status) in certificates {
        let identity = IdentityService::start_tls(alice(), &certificate);
        let directory = gateway::directory();
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).expect("a file");
        let upstream = format!(
            "{{ peers: ['{}'], tls: {{ server_name: identity.test, ca_file: ca.pem }} }}",
            identity.address()
        );
        let site = site(directory, &upstream, "timeout: 20s", MANY);
        let answer = guess(site.address(), "alice", "x", &[]);
        assert_eq!(answer.status, status, "{answer:?}");
        match status {
            200 => assert_eq!(identity.received()[0].values("host"), ["identity.test"]),
            _ => assert!(identity.received().is_empty(), "it got a password"),
        }
    }
}

#[test]
fn attempt_that_nobody_could_decide_is_given_back() {
    let desk = HandoffGateway::open_with(
        "timeout: 1s",
        "attempts: { per_account: 1/1h, per_address: 1/24h }",
    );
    let cut_short = "HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\n{".to_owned();
    for says in [
        IdentityReply::with(500, "", ""),
        IdentityReply::with(302, "Location: /\r\n", ""),
        IdentityReply::Reset,
        IdentityReply::Nothing,
        IdentityReply::Bytes(cut_short),
    ] {
        for _ in 0..2 {
            let answer = desk.try_as(says.clone());
            assert!([502, 504].contains(&answer.status), "{answer:?}");
        }
    }
    // Success does not count either, and what is refused does.
    assert_eq!(desk.try_as(alice()).status, 200);
    assert_refused(&desk.try_as(IdentityReply::with(403, "", "")), 401, "login_failed");
    let asked = desk.identity.received().len();
    assert_refused(&desk.try_as(alice()), 429, "rate_limited");
    assert_eq!(desk.identity.received().len(), asked, "nobody is asked any more");
}

/// Some services refuse with 200 and an answer that has no subject in it.
#[test]
fn attempt_that_got_an_answer_counts_however_odd_the_answer_is() {
    for body in ["{}", "{\"error\":\"wrong password\"}", "garbage"] {
        let desk = HandoffGateway::open_with(
            "timeout: 20s",
            "attempts: { per_account: 1/1h, per_address: 9999/1s }",
        );
        assert_refused(
            &desk.try_as(IdentityReply::with(200, "", body)),
            502,
            "upstream_unavailable",
        );
        assert_refused(&desk.try_as(alice()), 429, "rate_limited");
        assert_eq!(desk.identity.received().len(), 1);
    }
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
    assert!(reason.contains("256 questions to identity services"), "{line}");
    // Once the first of them have been given up there is room.
    identity.say(alice());
    eventually("room", || {
        (guess(gateway.address(), "alice", "secret", &[]).status == 200).then_some(())
    });
}

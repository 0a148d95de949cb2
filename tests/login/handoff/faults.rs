//! Services that cannot decide: odd, endless, late or absent answers, and what an attempt costs then.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{HandoffGateway, alice, site};
use crate::harness::certificates::Authority;
use crate::harness::gateway::{self, Gateway};
use crate::harness::identity::{IdentityReply, IdentityService};
use crate::harness::login::Login;
use crate::harness::password_login::{MANY, assert_refused, guess, retry_after};
use crate::harness::redis::free_port;

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

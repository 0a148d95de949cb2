//! What a token says breaks no line of the log.

use super::*;

#[test]
fn what_a_token_says_breaks_no_line_of_the_log_and_does_not_make_it_long() {
    let upstream = Upstream::start();
    let text = format!("access_log: {{ format: text }}\n{}", standard(&upstream));
    let gateway = Gateway::start(&text);
    let nasty = "billing\n2026-01-01T00:00:00.000Z 200 forged\u{1b}[2J\u{202e}`";
    let long = "x".repeat(5000);
    for claims in [
        json!({ "aud": nasty }),
        json!({ "iss": nasty }),
        json!({ "aud": long }),
        json!({ "iss": long }),
    ] {
        assert_eq!(gateway.get_as("/whoami", &with(claims)).status, 401);
    }
    let header = json!({"alg": nasty, "kid": nasty, "typ": nasty});
    gateway.get_as("/whoami", &exact(&header, "{}"));
    gateway.exchange(get("/public/last", &[]));
    let lines = crate::harness::eventually("the last line", || {
        let lines = gateway.output();
        lines.iter().any(|line| line.contains("/public/last")).then_some(lines)
    });
    assert_eq!(lines.len(), 6, "{lines:#?}");
    for line in &lines {
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line}");
        assert!(line.len() < 2 * REASON_BYTES_MAX + 200, "{line}");
    }
}

#[test]
fn reason_is_bounded_and_holds_no_control_character() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for text in ["\u{1}".repeat(200), "\u{e9}".repeat(300), "a".repeat(1500)] {
        for claims in [json!({ "aud": [text, text, text] }), json!({ "iss": text })] {
            let (.., reason) = refusal(&gateway, "/whoami", &with(claims));
            assert!((20..=REASON_BYTES_MAX).contains(&reason.len()), "{reason}");
            assert!(!reason.contains(char::is_control), "{reason}");
        }
    }
}

/// A client that puts its token into the wrong place must not find it in the log.
#[test]
fn token_inside_a_claim_is_not_repeated() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let inner = token(json!({}));
    for claims in
        [json!({ "aud": inner }), json!({ "iss": inner }), json!({ "aud": format!("x {inner}") })]
    {
        let (_, detail, reason) = refusal(&gateway, "/whoami", &with(claims));
        assert!(!reason.contains(&inner[..20]) && !detail.contains(&inner[..20]), "{reason}");
    }
}

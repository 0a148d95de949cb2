//! Refusals of the token endpoint: the errors of RFC 6749, told, logged and counted under their slugs.

use serde_json::json;

use super::rows::OWN;
use crate::harness::client::Answer;
use crate::harness::oauth::{self, TokenPair, TokenService};

/// What clients are told in the words of RFC 6749 §5.2: slug, status, `error` and challenge.
pub(super) const OF_TOKENS: [(&str, u16, &str, Option<&str>); 4] = [
    ("client_invalid", 401, "invalid_client", Some(BASIC)),
    ("grant_invalid", 400, "invalid_grant", None),
    ("refresh_reused", 400, "invalid_grant", None),
    ("token_request", 400, "unsupported_grant_type", None),
];

pub(super) const BASIC: &str = "Basic realm=\"portcullis\", charset=\"UTF-8\"";

/// Provokes one of them.
pub(super) fn provoke(service: &TokenService, slug: &str) -> Answer {
    match slug {
        "client_invalid" => service.token(&[("grant_type", "client_credentials")]),
        "grant_invalid" => service.refresh("rt_x"),
        "refresh_reused" => {
            let first = service.tokens_of("alice");
            let second = TokenPair::of(&service.refresh(&first.refresh));
            TokenPair::of(&service.refresh(&second.refresh));
            service.refresh(&first.refresh)
        }
        _ => service.token(&[("grant_type", "password")]),
    }
}

#[test]
fn refusal_of_a_token_is_told_logged_and_counted_under_its_slug() {
    let service = TokenService::open_with(oauth::STRICT, "");
    for (slug, status, error, challenge) in OF_TOKENS {
        let answer = provoke(&service, slug);
        oauth::assert_error(&answer, status, error);
        assert_eq!(answer.field("www-authenticate"), challenge, "{slug}");
        assert_eq!(answer.json()["slug"], slug, "{answer:?}");
        let line = service.gateway.logged(|line| line["slug"] == slug);
        for (member, expected) in [
            ("status", json!(status)),
            ("outcome", json!("denied")),
            ("route", json!(OWN)),
            ("carrier", json!("none")),
        ] {
            assert_eq!(line[member], expected, "{slug}: {member} in {line}");
        }
        let series = format!(
            "portcullis_decisions_total{{carrier=\"none\",outcome=\"denied\",\
             route=\"{OWN}\",slug=\"{slug}\"}}"
        );
        assert_eq!(service.gateway.metric(&series), 1.0, "{slug}");
    }
}

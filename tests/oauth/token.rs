//! Requests to the endpoints: what they must hold, what they may hold, and how much of it.

use serde_json::json;

use crate::harness::client::{self, Connection};
use crate::harness::gateway::Gateway;
use crate::harness::oauth::{self, SECRET, TokenPair, TokenService, assert_error, basic};
use crate::harness::upstream::Upstream;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn raw(service: &TokenService, path: &str, fields: &[(&str, &str)], body: &str) -> client::Answer {
    service.gateway.exchange(client::request("POST", path, fields, body))
}

#[test]
fn each_endpoint_names_the_methods_that_it_knows() {
    let service = TokenService::open();
    for (path, allowed) in [
        ("/auth/token", "POST, DELETE"),
        ("/auth/revoke", "POST"),
        ("/auth/introspect", "POST"),
        ("/.well-known/jwks.json", "GET, HEAD"),
        ("/.well-known/oauth-authorization-server", "GET, HEAD"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
            if allowed.split(", ").any(|known| known == method) {
                continue;
            }
            let answer = service.gateway.exchange(client::request(method, path, &[], ""));
            assert_eq!((answer.status, &*answer.slug()), (405, "method_not_allowed"), "{path}");
            assert_eq!(answer.field("allow"), Some(allowed), "{method} {path}");
        }
    }
}

#[test]
fn without_tokens_there_are_none_of_these_endpoints() {
    let upstream = Upstream::start();
    let text = crate::harness::people::configuration(&upstream, "");
    let gateway = Gateway::start_in(crate::harness::people::directory(), &text);
    for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
        let answer = oauth::post(&gateway, path, &[], &[("grant_type", "refresh_token")]);
        assert_eq!((answer.status, &*answer.slug()), (404, "route_unknown"), "{path}");
    }
    for path in ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"] {
        assert_eq!(gateway.exchange(client::get(path, &[])).status, 404, "{path}");
    }
    let answer = oauth::log_in(&gateway, "alice", &[], json!({ "deliver": "tokens" }));
    assert_eq!((answer.status, &*answer.slug()), (400, "request_body"));
}

#[test]
fn without_a_login_tokens_are_issued_to_machines_all_the_same() {
    let upstream = Upstream::start();
    let standard = crate::harness::gateway::standard(&upstream);
    let text = format!("{}{}", oauth::section(oauth::LONG), standard.trim_start());
    let gateway = Gateway::start_in(oauth::directory(), &text);
    let fields = [("Authorization", &*basic("batch", SECRET))];
    let pairs = [("grant_type", "client_credentials")];
    assert_eq!(oauth::post(&gateway, "/auth/token", &fields, &pairs).status, 200);
    for path in ["/auth/login", "/auth/session"] {
        let answer = gateway.exchange(client::get(path, &[]));
        assert_eq!((answer.status, &*answer.slug()), (404, "route_unknown"), "{path}");
    }
}

#[test]
fn only_a_form_is_read() {
    let service = TokenService::open();
    let token = service.tokens_of("alice").refresh;
    let body = format!("grant_type=refresh_token&refresh_token={token}");
    let json = json!({ "grant_type": "refresh_token", "refresh_token": token }).to_string();
    for (kinds, body) in [
        (&[][..], &body),
        (&[("Content-Type", "text/plain")], &body),
        (&[("Content-Type", "application/json")], &json),
    ] {
        for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
            assert_error(&raw(&service, path, kinds, body), 400, "invalid_request");
        }
    }
    for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
        let answer = raw(&service, path, &[FORM, FORM], &body);
        assert_eq!((answer.status, &*answer.slug()), (400, "request_framing"), "{path}");
    }
    // In the target it is nobody's.
    let target = format!("/auth/token?{body}");
    assert_error(&raw(&service, &target, &[FORM], "a=b"), 400, "invalid_request");
    let kind = ("Content-Type", "Application/x-www-form-urlencoded; charset=UTF-8");
    assert_eq!(raw(&service, "/auth/token", &[kind], &body).status, 200);
}

#[test]
fn missing_and_repeated_parameters_are_refused_and_unknown_ones_ignored() {
    let service = TokenService::open();
    let token = service.tokens_of("alice").refresh;
    let refresh = format!("refresh_token={token}");
    for (body, error) in [
        ("a=b".to_owned(), "invalid_request"),
        (refresh.clone(), "invalid_request"),
        (format!("grant_type=&{refresh}"), "invalid_request"),
        ("grant_type=refresh_token".to_owned(), "invalid_request"),
        ("grant_type=refresh_token&refresh_token=".to_owned(), "invalid_request"),
        (format!("grant_type=refresh_token&{refresh}&{refresh}"), "invalid_request"),
        (format!("grant_type=refresh_token&grant_type=x&{refresh}"), "invalid_request"),
        (format!("grant_type=refresh_token&{refresh}&scope=a&scope=b"), "invalid_request"),
        (format!("grant_type=refresh_token&{refresh}&client_id=%00"), "invalid_request"),
        (format!("grant_type=refresh_token&{refresh}&scope=%zz"), "invalid_request"),
        (format!("grant_type=password&{refresh}"), "unsupported_grant_type"),
        (format!("grant_type=REFRESH_TOKEN&{refresh}"), "unsupported_grant_type"),
    ] {
        assert_error(&raw(&service, "/auth/token", &[FORM], &body), 400, error);
    }
    for endpoint in ["/auth/revoke", "/auth/introspect"] {
        let answer = service.post(endpoint, &[("Authorization", &basic("watcher", SECRET))], &[]);
        assert_error(&answer, 400, "invalid_request");
    }
    let logged = service.gateway.logged(|line| line["slug"] == "token_request");
    assert_eq!((&logged["status"], &logged["route"]), (&json!(400), &json!("gateway:own")));
    // Nothing of this has used the token up.
    let body = format!("grant_type=refresh_token&{refresh}&nonce=1&nonce=2&state=");
    TokenPair::of(&raw(&service, "/auth/token", &[FORM], &body));
}

#[test]
fn lengths_are_accepted_up_to_the_limit_and_refused_beyond() {
    let service = TokenService::open();
    for (name, max) in [("client_id", 128), ("scope", 4096), ("grant_type", 128)] {
        let refused = |length| {
            let body = format!("{name}={}", "a".repeat(length));
            let answer = raw(&service, "/auth/token", &[FORM], &body);
            answer.json()["error_description"] == "A parameter is too long"
        };
        assert!(!refused(max) && refused(max + 1), "{name}");
    }
    let whole = |length: usize| format!("x={}", "a".repeat(length - 2));
    assert_error(&raw(&service, "/auth/token", &[FORM], &whole(16 * 1024)), 400, "invalid_request");
    let answer = raw(&service, "/auth/token", &[FORM], &whole(16 * 1024 + 1));
    assert_eq!((answer.status, &*answer.slug()), (413, "body_too_large"));
}

#[test]
fn refusal_leaves_the_connection_open() {
    let service = TokenService::open();
    let mut connection = Connection::open(service.gateway.address());
    for _ in 0..3 {
        let request = client::request("POST", "/auth/token", &[FORM], "grant_type=x");
        assert_error(&connection.exchange(request), 400, "unsupported_grant_type");
    }
    assert_eq!(connection.exchange(client::get("/public/x", &[])).status, 200);
}

//! Who may use the admin API: who holds the token and, on a loopback address, is not a page in a
//! browser.

use super::*;
use crate::harness::client::{exchange, get, request};

const TOKEN: &str = "an-admin-token-of-some-length";

const EVERYBODY: &str = r#"{"scope":"everything"}"#;

const LOCAL: (&str, &str) = ("Host", "localhost");

/// Everything that the guard stands before.
const GUARDED: [&str; 3] = ["/metrics", "/v1/revocations", "/v1/gateways"];

fn with_token() -> AdminApi {
    with_token_on("127.0.0.1:0")
}

/// A gateway whose configuration gives the token, with its admin listener on this address.
fn with_token_on(address: &str) -> AdminApi {
    let upstream = Upstream::start();
    let open = "admin: { address: '127.0.0.1:0'";
    let given = format!("admin: {{ address: '{address}', token: {TOKEN}");
    let text = configuration(&upstream).replace(open, &given);
    AdminApi { gateway: Gateway::start_in(directory(), &text), _upstream: upstream }
}

impl AdminApi {
    /// The status of everything that is guarded, asked with these header lines; a revocation last.
    fn statuses(&self, fields: &[(&str, &str)]) -> Vec<u16> {
        let admin = self.gateway.admin();
        let mut statuses: Vec<_> =
            GUARDED.iter().map(|path| exchange(admin.clone(), get(path, fields)).status).collect();
        let json = [fields, &[("Content-Type", "application/json")]].concat();
        let draft = request("POST", "/v1/revocations", &json, EVERYBODY);
        statuses.push(exchange(admin, draft).status);
        statuses
    }
}

// ---- with a token

#[test]
fn whoever_does_not_present_the_token_is_401_and_changes_nothing() {
    let api = with_token();
    let good = mint(json!({}));
    for authorization in [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some("Bearer wrong".to_owned()),
        Some(TOKEN.to_owned()),
        Some(format!("Bearer {}", &TOKEN[..TOKEN.len() - 1])),
        Some(format!("Bearer {}", &TOKEN[1..])),
        Some(format!("Bearer {TOKEN}x")),
        Some(format!("Bearer  {TOKEN}")),
        Some(format!("Bearer {}", TOKEN.to_uppercase())),
        Some(format!("Basic {TOKEN}")),
        Some(format!("Bearer\t{TOKEN}")),
        Some(format!("Bearer {good}")),
    ] {
        let shown = authorization.iter().map(|value| ("Authorization", &**value));
        let fields: Vec<_> = shown.chain([LOCAL]).collect();
        assert_eq!(api.statuses(&fields), [401; 4], "{authorization:?}");
        let answer = exchange(api.gateway.admin(), get("/v1/revocations", &fields));
        let challenge = answer.field("www-authenticate");
        assert_eq!(challenge, Some("Bearer realm=\"portcullis-admin\""), "{authorization:?}");
        assert_eq!(answer.body, "the admin token is required\n");
    }
    assert!(api.accepts(&good));
    assert!(api.gateway.log().iter().all(|line| line.get("audit").is_none()));
}

#[test]
fn scheme_of_the_token_is_read_in_any_case() {
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let api = with_token();
        let authorization = format!("{scheme} {TOKEN}");
        let fields = [("Authorization", authorization.as_str()), LOCAL];
        assert_eq!(api.statuses(&fields), [200, 200, 200, 201], "{scheme}");
        assert!(!api.accepts(&mint(json!({"iat": now() - 5}))));
    }
}

/// Whoever holds the token says where they come from, or does not: no page can make a browser send it.
#[test]
fn token_opens_a_listener_that_others_reach_whatever_the_host_and_the_origin_are() {
    let api = with_token_on("0.0.0.0:0");
    let authorization = format!("Bearer {TOKEN}");
    let fields = [
        ("Authorization", authorization.as_str()),
        ("Host", "admin.example:9901"),
        ("Origin", "https://console.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    assert_eq!(api.statuses(&fields), [200, 200, 200, 201]);
}

/// Only a browser asks this machine for another name.
#[test]
fn token_does_not_lift_what_keeps_pages_off_a_loopback_address() {
    let api = with_token();
    let authorization = format!("Bearer {TOKEN}");
    let shown = ("Authorization", authorization.as_str());
    for foreign in [("Host", "admin.example:9901"), ("Origin", "https://console.example")] {
        let host = if foreign.0 == "Host" { &[][..] } else { &[LOCAL] };
        let fields = [&[shown, foreign], host].concat();
        assert_eq!(api.statuses(&fields), [421; 4], "{foreign:?}");
    }
    assert_eq!(api.statuses(&[shown, LOCAL]), [200, 200, 200, 201]);
}

#[test]
fn token_in_the_first_of_two_headers_does_not_hide_in_the_second() {
    let api = with_token();
    let right = format!("Bearer {TOKEN}");
    let fields = [("Authorization", "Bearer wrong"), ("Authorization", right.as_str()), LOCAL];
    assert_eq!(api.statuses(&fields), [401; 4]);
}

// ---- with the one that the gateway has made

/// DNS rebinding: the page's own name points here, so the browser asks for that.
#[test]
fn request_for_the_name_of_another_machine_is_421() {
    let api = AdminApi::start();
    for host in [
        "evil.example",
        "evil.example:9901",
        "localhost.evil.example",
        "evil.localhost.example",
        "127.0.0.1.evil.example:9901",
        "localhost:9901@evil.example",
        "evil.example:80:80",
        "127.0.0.1:9901.evil.example",
        "10.0.0.1:9901",
        "0.0.0.0",
        "128.0.0.1",
        "[::2]",
        "",
    ] {
        assert_eq!(api.statuses(&[("Host", host)]), [421; 4], "{host:?}");
    }
    assert!(api.accepts(&mint(json!({}))));
    assert_eq!(api.total(), 0);
}

#[test]
fn request_without_a_host_is_refused() {
    let api = AdminApi::start();
    let bytes = "GET /metrics HTTP/1.0\r\n\r\n";
    assert_eq!(exchange(api.gateway.admin(), bytes).status, 421);
}

#[test]
fn request_of_a_page_in_a_browser_is_421() {
    let api = AdminApi::start();
    let host = api.gateway.admin().to_string();
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:8080"),
        ("Origin", ""),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "nonsense"),
    ] {
        assert_eq!(api.statuses(&[("Host", &host), (name, value)]), [421; 4], "{name}: {value}");
    }
    assert_eq!(api.total(), 0);
}

#[test]
fn request_for_this_machine_by_any_of_its_names_is_answered() {
    for host in
        ["localhost", "LocalHost:9901", "127.0.0.1", "127.255.255.254:1", "[::1]", "[::1]:9901"]
    {
        let api = AdminApi::start();
        assert_eq!(api.statuses(&[("Host", host)]), [200, 200, 200, 201], "{host}");
    }
    // Typed into the address line of a browser.
    let api = AdminApi::start();
    let typed = [("Host", "localhost"), ("Sec-Fetch-Site", "none")];
    assert_eq!(api.statuses(&typed), [200, 200, 200, 201]);
}

/// What a form or a simple request of a page can send is no JSON by its type, should it get past
/// the guard in some browser.
#[test]
fn what_a_page_can_post_without_asking_first_revokes_nobody() {
    let api = AdminApi::start();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let answer = post(&api.gateway, &[("Content-Type", kind)], EVERYBODY);
        assert!(refused(&answer).contains("application/json"), "{kind}: {answer:?}");
        let from = [("Content-Type", kind), ("Origin", "https://evil.example")];
        assert_eq!(post(&api.gateway, &from, EVERYBODY).status, 421, "{kind}");
    }
    assert!(refused(&post(&api.gateway, &[], EVERYBODY)).contains("application/json"));
    assert_eq!(api.total(), 0);
}

/// A page that asks first is told nothing that would let it go on.
#[test]
fn preflight_is_not_answered_with_permission() {
    for api in [AdminApi::start(), with_token()] {
        let fields = [
            ("Host", "localhost"),
            ("Origin", "https://evil.example"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type"),
        ];
        let bytes = request("OPTIONS", "/v1/revocations", &fields, "");
        let answer = exchange(api.gateway.admin(), bytes);
        assert!(answer.status >= 400, "{answer:?}");
        let permits = |name: &str| name.starts_with("access-control-");
        assert!(!answer.fields.iter().any(|(name, _)| permits(name)), "{answer:?}");
    }
}

// ---- both

#[test]
fn probes_are_open_to_everybody() {
    for api in [AdminApi::start(), with_token()] {
        let foreign = [("Host", "evil.example"), ("Origin", "https://evil.example")];
        for path in ["/livez", "/readyz"] {
            assert_eq!(exchange(api.gateway.admin(), get(path, &foreign)).status, 200, "{path}");
        }
    }
}

#[test]
fn other_methods_are_405_and_name_those_that_are_known() {
    let api = AdminApi::start();
    for (method, path, allowed) in [
        ("PUT", "/v1/revocations", "GET,HEAD,POST,DELETE"),
        ("PATCH", "/v1/revocations", "GET,HEAD,POST,DELETE"),
        ("GET", "/v1/revocations/1", "DELETE"),
        ("POST", "/v1/gateways", "GET,HEAD"),
        ("DELETE", "/v1/gateways", "GET,HEAD"),
        ("POST", "/metrics", "GET,HEAD"),
        ("POST", "/livez", "GET,HEAD"),
    ] {
        let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
        let answer = exchange(api.gateway.admin(), request(method, path, &fields, EVERYBODY));
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.field("allow"), Some(allowed), "{method} {path}");
    }
    assert_eq!(api.total(), 0);
}

#[test]
fn nothing_else_is_there() {
    let api = AdminApi::start();
    for path in ["/v1", "/v1/", "/v1/revocations/", "/v1/revocations/1/2", "/v2/revocations"] {
        let answer = exchange(api.gateway.admin(), get(path, &[("Host", "localhost")]));
        assert_eq!(answer.status, 404, "{path}");
    }
}

/// Nobody can cut off through a listener that clients use.
#[test]
fn public_listeners_know_nothing_of_the_admin_api() {
    let api = AdminApi::start();
    for path in GUARDED {
        assert_eq!(api.gateway.exchange(get(path, &[])).slug(), "route_unknown", "{path}");
    }
    let fields = [("Content-Type", "application/json")];
    let draft = request("POST", "/v1/revocations", &fields, EVERYBODY);
    assert_eq!(api.gateway.exchange(draft).slug(), "route_unknown");
    assert_eq!(api.total(), 0);
}

#[test]
fn token_that_is_replaced_by_a_reload_opens_nothing_any_more() {
    let api = with_token();
    let text = std::fs::read_to_string(api.gateway.file()).expect("the configuration");
    let changed = text.replace(TOKEN, "another-admin-token");
    std::fs::write(api.gateway.file(), changed).expect("a file");
    api.gateway.signal("HUP");
    let status =
        |token: &str| api.statuses(&[("Authorization", &format!("Bearer {token}")), LOCAL])[1];
    crate::harness::eventually("the new token", || {
        (status("another-admin-token") == 200).then_some(())
    });
    assert_eq!(status(TOKEN), 401);
}

//! A sibling host that plants a refresh cookie: the browser must not go on with an attacker's login.

use serde_json::json;

use super::*;
use crate::harness::oauth::{TokenService, cookies};
use crate::harness::tokens::payload;

/// A host of the site, for which browsers ask nobody (RFC 6761 §6.3) and which they trust like HTTPS.
const GATEWAY: &str = "gateway.site.localhost";
const SIBLING: &str = "sibling.site.localhost";

/// What the page's own script says.
const BROWSER: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// Asks for tokens with whatever cookie the browser has.
const REFRESH: &str = "return fetch('/auth/token', {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'refresh_token' }),
}).then(async answer => [answer.status, await answer.json()])";

/// RFC 6265bis §4.1.3: a prefix is a promise that the browser keeps for us.
#[test]
fn refresh_cookie_of_a_sibling_host_logs_nobody_in() {
    let leave = BrowserSlots::to_run(1);
    let (service, browser) = (TokenService::open(), start(&leave));
    let login = |name| {
        let answer = service.log_in(name, &[BROWSER], json!({ "deliver": "tokens" }));
        let set = cookies(&answer)[0].to_owned();
        set.split(['=', ';']).nth(1).expect("a value").to_owned()
    };
    let (mallory, alice) = (login("bob"), login("alice"));
    let page = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\
         Set-Cookie: __Host-refresh={mallory}; Domain=site.localhost; Path=/; Secure\r\n\
         Set-Cookie: __Host-refresh={mallory}; Path=/; Secure\r\n\
         Set-Cookie: refresh={mallory}; Domain=site.localhost; Path=/; Secure\r\n\
         Set-Cookie: __Secure-refresh={mallory}; Domain=site.localhost; Path=/auth/token; \
         Secure\r\n\r\n<hr>"
    );
    let sibling = Upstream::start_with(Behaviour::Bytes(page));
    browser.open(&format!("http://{SIBLING}:{}/", sibling.address().port()));
    let gateway = format!("http://{GATEWAY}:{}/public/x", service.gateway.address().port());
    browser.open(&gateway);
    // The browser took what a sibling may set, and what has the prefix it keeps from us.
    let held = browser.cookies();
    let held: Vec<&str> = held.iter().filter_map(|cookie| cookie["name"].as_str()).collect();
    assert_eq!(held, ["refresh"]);
    let refused = browser.run(REFRESH);
    assert_eq!(refused[0], 400, "{refused}");
    assert_eq!(refused[1]["error"], "invalid_request", "{refused}");
    // Beside the browser's own it does no harm.
    browser.run(&format!("document.cookie = '__Host-refresh={alice}; Path=/; Secure'"));
    let tokens = browser.run(REFRESH);
    assert_eq!(tokens[0], 200, "{tokens}");
    let access = tokens[1]["access_token"].as_str().expect("a token");
    assert_eq!(payload(access)["sub"], "u-17");
    // What was planted is a live token all the same: it was the name that was refused.
    let cookie = format!("__Host-refresh={mallory}");
    let answer = service.post(
        "/auth/token",
        &[("Cookie", &cookie), BROWSER],
        &[("grant_type", "refresh_token")],
    );
    assert_eq!(answer.status, 200, "{answer:?}");
}

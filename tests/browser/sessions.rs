//! The cookie, as a browser keeps it and as scripts and other sites do not get it.

use serde_json::json;

use super::*;
use crate::harness::login::COOKIE;

#[test]
fn cookie_is_kept_for_this_machine_without_tls_and_hidden_from_scripts() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    // By name and by number alike: browsers trust the way to their own machine.
    for host in ["localhost", "127.0.0.1"] {
        let url = |path: &str| site.url(path).replace("localhost", host);
        browser.open(&url("/pages/x"));
        type_login(&browser, "alice", PASSWORD);
        browser.await_url(&url("/pages/x"));
        await_protected(&browser);
        let [cookie] = &browser.cookies()[..] else { panic!("not one cookie: {host}") };
        assert_eq!(cookie["name"], COOKIE);
        assert_eq!((&cookie["httpOnly"], &cookie["secure"]), (&json!(true), &json!(true)));
        assert_eq!((&cookie["sameSite"], &cookie["path"]), (&json!("Lax"), &json!("/")));
        assert_eq!(cookie["domain"], host, "for this host alone");
        assert!(cookie.get("expiry").is_none(), "it ends with the browser: {cookie}");
        assert_eq!(browser.run("return document.cookie"), "");
        // A script can neither take its place nor take it away.
        let tried = format!(
            "document.cookie = '{COOKIE}=x; Path=/; Secure';
             document.cookie = '{COOKIE}=; Path=/; Secure; Max-Age=0';
             return document.cookie"
        );
        assert_eq!(browser.run(&tried), "");
        browser.reload();
        await_protected(&browser);
    }
}

#[test]
fn cookie_of_one_user_gives_way_to_that_of_the_next() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    site.log_in(&browser, "alice", "/pages/x");
    let before = browser.cookies();
    // The login page is there for whoever wants it.
    browser.open(&site.url("/auth/login?return_to=/pages/y"));
    type_login(&browser, "bob", PASSWORD);
    browser.await_url(&site.url("/pages/y"));
    assert_eq!(site.upstream.last().values("x-auth-subject"), ["bob"]);
    let after = browser.cookies();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before[0]["value"], after[0]["value"]);
}

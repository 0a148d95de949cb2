//! In and out: what the README walks through.

use super::*;
use crate::harness::certificates::Authority;
use crate::harness::login::COOKIE;

#[test]
fn whoever_is_sent_to_log_in_comes_back_and_after_the_logout_sees_nothing_any_more() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    let path = "/pages/a%20b?c=d&e=%2F%26";
    browser.open(&site.url(path));
    let there = "/auth/login?return_to=/pages/a%2520b%3Fc%3Dd%26e%3D%252F%2526";
    assert_eq!(browser.url(), site.url(there));
    assert_eq!(browser.title(), LOGIN_TITLE);
    assert_eq!(site.reached("/pages"), 0);
    type_login(&browser, "alice", PASSWORD);
    browser.await_url(&site.url(path));
    await_protected(&browser);
    assert_eq!(site.upstream.last().line(), format!("GET {path} HTTP/1.1"));
    assert_eq!(site.upstream.last().values("x-auth-subject"), ["u-17"]);

    // Another tab is logged in, too.
    let (first, second) = browser.open_tab();
    browser.open(&site.url("/pages/second"));
    await_protected(&browser);

    // It logs out; the way back shows nothing that was there.
    let button = log_out_button(&site, &browser, "Log out");
    browser.click(&button);
    browser.await_url(&site.url("/auth/login"));
    await_login(&browser);
    let reached = site.reached("/pages");
    for _ in 0..2 {
        browser.back();
        browser.eventually("something to see", || (!browser.page().is_empty()).then_some(()));
        await_login(&browser);
    }
    assert_eq!(site.reached("/pages"), reached, "somebody was let in");

    // Nor does the other tab, as soon as it is used.
    browser.go_to_tab(&first);
    browser.reload();
    await_login(&browser);
    assert_eq!(browser.url(), site.url(there));
    browser.go_to_tab(&second);
    browser.open(&site.url("/pages/second"));
    await_login(&browser);
    assert_eq!(site.reached("/pages"), reached);
    assert!(browser.cookies().is_empty(), "the cookie was taken back");
    // Until somebody logs in again.
    type_login(&browser, "bob", PASSWORD);
    browser.await_url(&site.url("/pages/second"));
    assert_eq!(site.upstream.last().values("x-auth-subject"), ["bob"]);
}

/// Goes to the list of sessions, and finds one of its buttons.
fn log_out_button(
    site: &Site,
    browser: &Browser,
    label: &str,
) -> crate::harness::webdriver::Element {
    browser.open(&site.url("/auth/sessions"));
    assert_eq!(browser.title(), "Your sessions");
    let action = if label == "Log out" { "logout" } else { "logout-everywhere" };
    let button = browser.find(&format!("form[action='/auth/{action}'] button"));
    assert_eq!(browser.announced(&button), label);
    button
}

#[test]
fn logging_out_everywhere_sends_the_other_browser_to_log_in() {
    let leave = BrowserSlots::to_run(2);
    let site = Site::open();
    let (here, there) = (start(&leave), start(&leave));
    site.log_in(&here, "alice", "/pages/here");
    site.log_in(&there, "alice", "/pages/there");
    let button = log_out_button(&site, &here, "Log out everywhere");
    // Both are listed, and each says which it is.
    assert!(here.page().contains("u-17"), "{}", here.page());
    assert_eq!(here.run("return document.querySelectorAll('tbody tr').length"), 2);
    here.click(&button);
    here.await_url(&site.url("/auth/login"));

    let reached = site.reached("/pages");
    there.run("location.href = '/pages/next'");
    await_login(&there);
    assert_eq!(there.url(), site.url("/auth/login?return_to=/pages/next"));
    assert_eq!(site.reached("/pages"), reached);
    type_login(&there, "alice", PASSWORD);
    there.await_url(&site.url("/pages/next"));
    await_protected(&there);
}

/// What the upstream let the browser keep is gone with the logout, too.
#[test]
fn page_that_the_browser_kept_is_forgotten_with_the_logout() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    let kept = html(&format!("<!doctype html><title>Kept</title><h1>{PROTECTED}</h1>"));
    let kept = kept.replacen("\r\n", "\r\nCache-Control: private, max-age=3600\r\n", 1);
    site.upstream.behave(Behaviour::Bytes(kept));
    site.log_in(&browser, "alice", "/pages/kept");
    let reached = site.reached("/pages/kept");
    browser.open(&site.url("/auth/sessions"));
    browser.open(&site.url("/pages/kept"));
    await_protected(&browser);
    assert_eq!(site.reached("/pages/kept"), reached, "the browser does not keep it at all");
    let button = log_out_button(&site, &browser, "Log out");
    browser.click(&button);
    browser.await_url(&site.url("/auth/login"));
    for _ in 0..2 {
        browser.back();
        browser.eventually("something to see", || (!browser.page().is_empty()).then_some(()));
        await_login(&browser);
    }
    browser.open(&site.url("/pages/kept"));
    await_login(&browser);
}

/// Browsers would apply `form-action` to where the answer to a form leads in the end.
#[test]
fn page_that_was_asked_for_may_lead_on_to_another_site() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    let there = Upstream::start_with(Behaviour::Bytes(html("<title>There</title>")));
    let url = format!("http://{}:{}/", crate::harness::webdriver::OTHER, there.address().port());
    let onward = format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n");
    site.upstream.behave(Behaviour::Bytes(onward));
    browser.open(&site.url("/pages/onward"));
    type_login(&browser, "alice", PASSWORD);
    browser.await_url(&url);
    assert_eq!(browser.title(), "There");
}

/// Where the list of sessions sends somebody who is not logged in, they come back to.
#[test]
fn list_of_sessions_is_returned_to() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    browser.open(&site.url("/auth/sessions"));
    type_login(&browser, "alice", PASSWORD);
    browser.await_url(&site.url("/auth/sessions"));
    browser.find("table");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn script_of_an_own_page_logs_out_and_is_told_so() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    site.log_in(&browser, "alice", "/pages/x");
    let fetch = |path: &str, method: &str| {
        browser.run(&format!(
            "return fetch('{path}', {{ method: '{method}', redirect: 'manual' }})\
             .then(answer => [answer.status, answer.type])"
        ))
    };
    assert_eq!(fetch("/auth/session", "GET"), serde_json::json!([200, "basic"]));
    assert_eq!(fetch("/auth/logout", "POST"), serde_json::json!([204, "basic"]));
    // A script is not sent to a page.
    assert_eq!(fetch("/pages/x", "GET"), serde_json::json!([401, "basic"]));
    assert_eq!(fetch("/auth/session", "GET"), serde_json::json!([401, "basic"]));
    browser.reload();
    await_login(&browser);
}

#[test]
fn certificate_of_its_own_making_is_no_hindrance() {
    let leave = BrowserSlots::to_run(1);
    let directory = login::directory();
    let certificate = Authority::new().issue("localhost");
    std::fs::write(directory.path().join("site.pem"), &certificate.chain).expect("a file");
    std::fs::write(directory.path().join("site.key"), &certificate.key).expect("a file");
    let tls = "tls: { certificates: [{ certificate_file: site.pem, key_file: site.key }] }";
    let listener = format!("{{ address: '127.0.0.1:0', {tls} }}");
    let site = Site::open_in(directory, &listener, "https");
    let browser = Browser::start(&leave, Setup::InsecureCertificates);
    site.log_in(&browser, "alice", "/pages/x?y=z");
    let protocol =
        browser.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol");
    assert_eq!(protocol, "h2");
    let [cookie] = &browser.cookies()[..] else { panic!("not one cookie") };
    assert_eq!((&cookie["name"], &cookie["secure"]), (&COOKIE.into(), &true.into()));
    let button = log_out_button(&site, &browser, "Log out");
    browser.click(&button);
    browser.await_url(&site.url("/auth/login"));
    browser.open(&site.url("/pages/x"));
    await_login(&browser);
}

//! Pages of another site, visited by somebody who is logged in here.

use serde_json::json;

use super::*;
use crate::harness::eventually;
use crate::harness::webdriver::OTHER;

/// Another site's server, and the URL of a page of its that does harm.
fn evil(page: &str) -> (Upstream, String) {
    let upstream = Upstream::start_with(Behaviour::Bytes(html(page)));
    let url = format!("http://{OTHER}:{}/", upstream.address().port());
    (upstream, url)
}

/// Visits a page that sends a form to `path` by itself, and returns what the browser then shows.
fn visit_form(site: &Site, browser: &Browser, path: &str, fields: &str) -> String {
    let (_server, url) = evil(&format!(
        "<!doctype html><title>Evil</title>
         <form method=post action='{}'>{fields}</form><script>document.forms[0].submit()</script>",
        site.url(path)
    ));
    browser.open(&url);
    browser.await_url(&site.url(path));
    browser.eventually("an answer", || Some(browser.page()).filter(|page| !page.is_empty()))
}

#[test]
fn form_of_another_site_does_nothing_here() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    site.log_in(&browser, "alice", "/pages/x");
    let reached = site.reached("/pages");
    // SameSite=Lax keeps the cookie at home, so that nobody is known to ask.
    let page = visit_form(&site, &browser, "/pages/transfer", "<input name=to value=mallory>");
    assert!(page.contains("credential_absent"), "{page}");
    assert_eq!(site.reached("/pages"), reached);
    // Nor does it log anybody in as somebody else, or out.
    let fields = format!(
        "<input name=username value=bob><input name=password value='{PASSWORD}'>\
         <input name=return_to value=/pages/y>"
    );
    let page = visit_form(&site, &browser, "/auth/login", &fields);
    assert!(!page.contains(PROTECTED), "{page}");
    site.gateway.logged(|line| line["slug"] == "csrf" && line["path"] == "/auth/login");
    visit_form(&site, &browser, "/auth/logout-everywhere", "");
    browser.open(&site.url("/pages/x"));
    await_protected(&browser);
    assert_eq!(site.upstream.last().values("x-auth-subject"), ["u-17"]);
    // A link leads in: that is what Lax is for.
    let (_server, url) = evil(&format!("<a href='{}'>click</a>", site.url("/pages/linked")));
    browser.open(&url);
    let link = browser.find("a");
    browser.click(&link);
    browser.await_url(&site.url("/pages/linked"));
    await_protected(&browser);
}

/// A logout without a session to end is nothing to forge, but it must not end one either.
#[test]
fn form_of_another_site_does_not_log_anybody_out() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    site.log_in(&browser, "alice", "/pages/x");
    let (_server, url) = evil(&format!(
        "<!doctype html><title>Evil</title>
         <form method=post action='{}'></form><script>document.forms[0].submit()</script>",
        site.url("/auth/logout")
    ));
    browser.open(&url);
    site.gateway.logged(|line| line["path"] == "/auth/logout" && line["method"] == "POST");
    browser.open(&site.url("/pages/x"));
    await_protected(&browser);
}

#[test]
fn page_of_the_same_host_on_another_port_is_another_origin() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    site.log_in(&browser, "alice", "/pages/x");
    // The browser sends the cookie along: ports are of one site.
    let page = format!(
        "<!doctype html><title>Neighbour</title>
         <form method=post action='{}'></form><script>document.forms[0].submit()</script>",
        site.url("/pages/transfer")
    );
    let neighbour = Upstream::start_with(Behaviour::Bytes(html(&page)));
    let reached = site.reached("/pages");
    browser.open(&format!("http://localhost:{}/", neighbour.address().port()));
    browser.await_url(&site.url("/pages/transfer"));
    browser.eventually("a refusal", || browser.page().contains("csrf").then_some(()));
    assert_eq!(site.reached("/pages"), reached);
    browser.open(&site.url("/pages/x"));
    await_protected(&browser);
}

#[test]
fn scripts_and_websockets_of_other_origins_get_nowhere() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    site.log_in(&browser, "alice", "/pages/x");
    let neighbour = Upstream::start_with(Behaviour::Bytes(html("<title>Neighbour</title>")));
    let port = neighbour.address().port();
    let socket = site.url("/pages/socket").replacen("http", "ws", 1);
    let reached = site.reached("/pages");
    for (url, slug) in [
        // Here the cookie comes along, there it does not.
        (format!("http://localhost:{port}/"), "csrf"),
        (format!("http://{OTHER}:{port}/"), "credential_absent"),
    ] {
        browser.open(&url);
        let opened = browser.run(&format!(
            "return new Promise(done => {{
                const socket = new WebSocket('{socket}');
                socket.onopen = () => done('opened');
                socket.onerror = () => done('refused');
            }})"
        ));
        assert_eq!(opened, "refused", "{url}");
        site.gateway.logged(|line| line["path"] == "/pages/socket" && line["slug"] == slug);
        // What a script sends without being able to read the answer is refused all the same.
        let sent = browser.run(&format!(
            "return fetch('{}', {{ method: 'POST', mode: 'no-cors', credentials: 'include' }})
                .then(answer => answer.type, () => 'failed')",
            site.url("/pages/sent")
        ));
        assert!([json!("opaque"), json!("failed")].contains(&sent), "{sent}");
        // What it may not read, it does not.
        let read = browser.run(&format!(
            "return fetch('{}', {{ credentials: 'include' }}).then(() => 'read', () => 'failed')",
            site.url("/auth/session")
        ));
        assert_eq!(read, "failed");
    }
    assert_eq!(site.reached("/pages"), reached);
    // From a page of our own it is opened, or at least let through.
    browser.open(&site.url("/pages/x"));
    await_protected(&browser);
    browser.run(&format!("new WebSocket('{socket}'); return true"));
    eventually("a WebSocket that is let through", || {
        (site.reached("/pages/socket") == 1).then_some(())
    });
}

#[test]
fn login_page_is_not_shown_inside_another() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    let (_server, url) =
        evil(&format!("<!doctype html><iframe src='{}'></iframe>", site.url("/auth/login")));
    browser.open(&url);
    let console = browser.eventually("a refusal", || {
        let console = browser.console();
        console.iter().any(|line| line.contains("frame")).then_some(console)
    });
    assert!(
        console.iter().any(|line| line.contains("frame-ancestors") || line.contains("X-Frame")),
        "{console:?}"
    );
}

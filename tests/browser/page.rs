//! The login page, for everybody: by keyboard, without scripts, and when one mistypes.

use serde_json::json;

use super::*;
use crate::harness::webdriver::TAB;

#[test]
fn wrong_password_is_told_and_the_name_stays() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    browser.open(&site.url("/pages/x?y=1"));
    let nasty = "zo\u{eb} \"><script>document.title='hacked'</script>";
    type_login(&browser, nasty, "wrong");
    let problem = browser.find("[role=alert]");
    assert_eq!(browser.property(&problem, "textContent"), "The name or the password is wrong.");
    assert_eq!(browser.title(), "Error: Log in");
    let (name, password) = (browser.find("#username"), browser.find("#password"));
    assert_eq!(browser.property(&name, "value"), nasty);
    assert_eq!(browser.property(&password, "value"), "");
    let described =
        browser.run("return document.querySelector('#password').getAttribute('aria-describedby')");
    assert_eq!(described, browser.property(&problem, "id"));
    // The mistake can be mended there and then, and leads where it was to lead.
    let cleared = browser.run("document.querySelector('#username').value = ''; return true");
    assert_eq!(cleared, true);
    type_login(&browser, "alice", PASSWORD);
    browser.await_url(&site.url("/pages/x?y=1"));
    await_protected(&browser);
}

#[test]
fn page_is_used_by_keyboard_alone_and_tells_what_its_fields_are() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    browser.open(&site.url("/pages/x"));
    browser.find("#password");
    let focus = |name: &str| {
        browser.eventually(&format!("the focus on {name}"), || {
            (browser.announced(&browser.focused()) == name).then_some(())
        });
    };
    focus("User name");
    browser.press("alice");
    browser.press(TAB);
    focus("Password");
    browser.press(PASSWORD);
    browser.press(TAB);
    focus("Log in");
    // What has the focus can be seen to have it.
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.run(outline), "solid");
    browser.press(ENTER);
    browser.await_url(&site.url("/pages/x"));
    await_protected(&browser);
}

#[test]
fn label_that_is_clicked_leads_into_its_field() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    browser.open(&site.url("/auth/login"));
    let label = browser.find("label[for=password]");
    browser.click(&label);
    assert_eq!(browser.property(&browser.focused(), "name"), "password");
    // An empty form is not sent.
    browser.press(ENTER);
    assert_eq!(browser.url(), site.url("/auth/login"));
    assert_eq!(site.gateway.log().iter().filter(|line| line["method"] == "POST").count(), 0);
}

#[test]
fn page_needs_no_script() {
    let leave = BrowserSlots::to_run(1);
    let site = Site::open();
    let browser = Browser::start(&leave, Setup::WithoutJavaScript);
    let proof = "data:text/html,<title>quiet</title><script>document.title='loud'</script>";
    browser.open(proof);
    assert_eq!(browser.title(), "quiet", "scripts do run");
    browser.open(&site.url("/pages/x?y=1"));
    type_login(&browser, "alice", "wrong");
    browser.find("[role=alert]");
    let field = browser.find("#password");
    browser.type_into(&field, &format!("{PASSWORD}{ENTER}"));
    browser.await_url(&site.url("/pages/x?y=1"));
    await_protected(&browser);
    browser.open(&site.url("/auth/sessions"));
    let button = browser.find("form[action='/auth/logout'] button");
    browser.click(&button);
    browser.await_url(&site.url("/auth/login"));
    browser.open(&site.url("/pages/x"));
    await_login(&browser);
}

/// The policy is tight, and the page keeps to it: the style is in force, the console is silent.
#[test]
fn policy_lets_the_style_pass_and_nothing_else() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    for path in ["/auth/login", "/auth/login?return_to=/a%3Cb", "/pages/x"] {
        browser.open(&site.url(path));
        browser.find("#password");
        let weight =
            browser.run("return getComputedStyle(document.querySelector('label')).fontWeight");
        assert_eq!(weight, "600", "the style is not in force");
        assert_eq!(browser.console(), [""; 0], "{path}");
    }
    type_login(&browser, "alice", "wrong");
    browser.find("[role=alert]");
    let console = browser.console();
    // The status of the answer is all that there is to tell.
    assert!(console.iter().all(|line| line.contains("401")), "{console:?}");
    // What is smuggled in has no effect.
    let smuggled = "
        const script = document.createElement('script');
        script.textContent = 'document.title = \"hacked\"';
        document.body.append(script);
        const style = document.createElement('style');
        style.textContent = 'label{font-weight:100!important}';
        document.body.append(style);
        return [document.title, getComputedStyle(document.querySelector('label')).fontWeight]";
    assert_eq!(browser.run(smuggled), json!(["Error: Log in", "600"]));
    assert!(!browser.console().is_empty(), "violations are told of, if there are any");
}

#[test]
fn page_fits_on_a_small_screen_and_in_the_dark() {
    let leave = BrowserSlots::to_run(1);
    let (site, browser) = (Site::open(), start(&leave));
    browser.resize(320, 640);
    browser.open(&site.url("/auth/login"));
    browser.find("#password");
    let wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(browser.run(wide), false, "it has to be scrolled sideways");
    browser.prefer_dark();
    let colour = browser.run("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(colour, "rgb(18, 18, 18)");
}

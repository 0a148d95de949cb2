//! A real browser in front of the real gateway: what somebody sees who logs in and out.
//!
//! Chromium and chromedriver come from Debian; `scripts/install.sh test` brings them.

mod forgery;
mod page;
mod planted;
mod sessions;
mod walk;

use std::net::SocketAddr;
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, PASSWORD};
use crate::harness::upstream::{Behaviour, Upstream};
use crate::harness::webdriver::{Browser, BrowserSlots, ENTER, Setup};

/// What nobody may see who is not logged in.
const PROTECTED: &str = "the protected page";

/// What everybody may see.
const LOGIN_TITLE: &str = "Log in";

/// A gateway for browsers, and an upstream that serves the same page everywhere.
struct Site {
    upstream: Upstream,
    gateway: Gateway,
    scheme: &'static str,
}

impl Site {
    fn open() -> Self {
        Self::open_in(login::directory(), "{ address: '127.0.0.1:0' }", "http")
    }

    fn open_in(directory: Arc<TempDir>, listener: &str, scheme: &'static str) -> Self {
        let page = format!("<!doctype html><title>Inside</title><h1>{PROTECTED}</h1>");
        let upstream = Upstream::start_with(Behaviour::Bytes(html(&page)));
        let standard = gateway::standard(&upstream);
        let text = format!(
            "{}{}
  - name: pages
    match: {{ path: '/pages/{{*rest}}' }}
    upstream: behind
    authenticate: [session]
",
            login::SECTION,
            standard.replacen("{ address: '127.0.0.1:0' }", listener, 1).trim_end(),
        );
        Self { gateway: Gateway::start_in(directory, &text), upstream, scheme }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// A URL of the gateway, by the name that browsers give this machine.
    fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address().port())
    }

    /// How often the upstream was asked for something below this path.
    fn reached(&self, path: &str) -> usize {
        let received = self.upstream.received();
        received.iter().filter(|one| one.line().contains(path)).count()
    }

    /// Asks for a protected page, and logs in on the way to it.
    #[track_caller]
    fn log_in(&self, browser: &Browser, name: &str, path: &str) {
        browser.open(&self.url(path));
        type_login(browser, name, PASSWORD);
        browser.await_url(&self.url(path));
        await_protected(browser);
    }
}

/// An answer with this page. It may be kept for as long as a browser likes.
fn html(page: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    )
}

/// Fills the form in as people do: types, and presses Enter.
fn type_login(browser: &Browser, name: &str, password: &str) {
    let field = browser.find("#username");
    browser.type_into(&field, name);
    let field = browser.find("#password");
    browser.type_into(&field, &format!("{password}{ENTER}"));
}

#[track_caller]
fn await_protected(browser: &Browser) {
    browser.eventually("the protected page", || browser.page().contains(PROTECTED).then_some(()));
}

/// Waits for the login page, with nothing of the protected one on it.
#[track_caller]
fn await_login(browser: &Browser) {
    browser.find("#password");
    assert!(!browser.page().contains(PROTECTED), "{}", browser.page());
}

fn start(leave: &BrowserSlots) -> Browser {
    Browser::start(leave, Setup::Usual)
}

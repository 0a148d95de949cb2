//! Browsers that are not logged in are sent to log in, and come back to where they wanted to go.

use serde_json::json;

use crate::harness::client::{self, Answer};
use crate::harness::gateway::Gateway;
use crate::harness::login::{self, COOKIE, Login, PASSWORD};
use crate::harness::password_login::{
    LoginGateway, MANY, NAVIGATION, WRONG, assert_refused, configuration, cookie_of,
    hidden_return_to,
};
use crate::harness::tokens::{bearer, token};
use crate::harness::upstream::Upstream;

/// Follows a navigation through the login, as a browser does; where that leads.
#[track_caller]
fn through_the_login(site: &LoginGateway, target: &str) -> String {
    let sent = site.navigate(target, &[]);
    assert_eq!(sent.status, 302, "{target}: {sent:?}");
    assert_eq!(sent.field("cache-control"), Some("no-store"));
    assert_eq!(sent.field("set-cookie"), None);
    let page = site.navigate(sent.field("location").expect("a place"), &[]);
    assert_eq!(page.status, 200, "{page:?}");
    // A mistake on the way does not make it forget.
    let typed = |password: &str, page: &Answer| {
        let return_to = hidden_return_to(&page.body);
        site.form(&[("username", "alice"), ("password", password), ("return_to", &return_to)])
    };
    let again = typed(WRONG, &page);
    assert_eq!(again.status, 401);
    let answer = typed(PASSWORD, &again);
    assert_eq!(answer.status, 303, "{answer:?}");
    let place = answer.field("location").expect("a place").to_owned();
    let there = site.navigate(&place, &[("Cookie", &cookie_of(&answer))]);
    assert_eq!(there.body, "from behind!");
    place
}

#[test]
fn navigation_comes_back_to_the_same_path_and_query() {
    let site = LoginGateway::open();
    for target in [
        "/pages/",
        "/pages/a?",
        "/pages/a?b=c&d=e",
        "/pages/a%20b/%C3%A9?q=%20+%2B%26%3D%25",
        "/pages/a?return_to=/b&return_to=//c",
        "/pages/a?b=%2e%2e/%2f&c=https://d.test/?e",
        "/pages/(a)'!*,:@$&=~[]{}|^?/?:@!$&'()*,;=[]{}|^~",
        "/pages/a?b=%0d%0a%00",
        "/pages/a?%ff%zz%",
        "/pages/a?b='c'&amp;=&lt;",
    ] {
        assert_eq!(through_the_login(&site, target), target);
        assert_eq!(site.upstream.last().line(), format!("GET {target} HTTP/1.1"));
    }
}

#[test]
fn whoever_had_a_session_is_sent_to_log_in_and_keeps_his_cookie() {
    let site = LoginGateway::open();
    let gone = Login::new(site.address(), "alice");
    gone.log_out(site.address());
    let unknown = format!("{COOKIE}={}", "A".repeat(43));
    for cookie in [&gone.cookie, &unknown] {
        let answer = site.navigate("/pages/x", &[("Cookie", cookie)]);
        assert_eq!(answer.status, 302, "{answer:?}");
        assert_eq!(answer.field("location"), Some("/auth/login?return_to=/pages/x"));
        assert_eq!(answer.field("set-cookie"), None);
    }
    // What cannot be read may be a trick, and logging in does not help against it.
    let odd = site.navigate("/pages/x", &[("Cookie", "__Host-session=x")]);
    assert_eq!((odd.status, odd.field("location")), (400, None), "{odd:?}");
}

#[test]
fn whoever_is_no_navigating_browser_is_told_so_and_sent_nowhere() {
    let site = LoginGateway::open();
    let [accept, site_, _, _] = NAVIGATION;
    let ask = |method: &str, path: &str, fields: &[(&str, &str)]| {
        site.gateway.exchange(client::request(method, path, fields, ""))
    };
    for fields in [
        &[][..],
        &[("Accept", "application/json")],
        &[("Accept", "*/*")],
        &[accept, site_, ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")],
        &[accept, site_, ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")],
        &[accept, site_, ("Sec-Fetch-Mode", "same-origin")],
        &[accept, site_, ("Sec-Fetch-Mode", "websocket")],
    ] {
        let answer = ask("GET", "/pages/x", fields);
        assert_refused(&answer, 401, "credential_absent");
        assert_eq!(answer.field("location"), None, "{fields:?}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = ask(method, "/pages/x", &NAVIGATION);
        assert_eq!((answer.status, answer.field("location")), (401, None), "{method}: {answer:?}");
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    }
    // Tokens are not had by logging in.
    let answer = site.navigate("/whoami", &[]);
    assert_eq!((answer.status, answer.field("location")), (401, None), "{answer:?}");
    // Nor is one that was refused mended by it.
    let expired = bearer(&token(json!({ "exp": 1000, "iat": 900 })));
    let answer = site.navigate("/pages/x", &[("Authorization", &expired)]);
    assert_eq!((answer.status, answer.field("location")), (401, None), "{answer:?}");
}

#[test]
fn old_browsers_that_do_not_tell_how_they_ask_are_sent_to_log_in() {
    let site = LoginGateway::open();
    let answer = site.gateway.exchange(client::get("/pages/x", &NAVIGATION[..1]));
    assert_eq!(answer.field("location"), Some("/auth/login?return_to=/pages/x"));
}

#[test]
fn own_pages_that_want_a_session_send_nobody_in_circles() {
    let site = LoginGateway::open();
    for path in ["/auth/session", "/auth/sessions"] {
        let answer = site.navigate(path, &[]);
        match answer.status {
            401 => assert_eq!(answer.field("location"), None, "{answer:?}"),
            // The page for people comes back to itself.
            302 => {
                assert_eq!(path, "/auth/sessions", "{answer:?}");
                let there = format!("/auth/login?return_to={path}");
                assert_eq!(answer.field("location"), Some(&*there));
                let page = site.navigate(&there, &[]);
                assert_eq!(hidden_return_to(&page.body), path);
            }
            _ => panic!("{answer:?}"),
        }
    }
}

#[test]
fn whoever_is_logged_in_and_may_not_is_not_sent_to_log_in() {
    let upstream = Upstream::start();
    let text = configuration(&upstream, "", &format!("password_file: users.yaml\n  {MANY}"));
    let route = "  - name: admin
    match: { path: /admin }
    upstream: behind
    authenticate: [session]
    require: { any_role: [admin] }
";
    let gateway = Gateway::start_in(login::directory(), &(text + route));
    let login = Login::new(gateway.address(), "carol");
    let fields = [&NAVIGATION[..], &[("Cookie", &login.cookie)]].concat();
    let answer = gateway.exchange(client::get("/admin", &fields));
    assert_eq!((answer.status, answer.field("location")), (403, None), "{answer:?}");
}

//! Methods and paths of the gateway's own endpoints: each exactly as it is written.

use std::process::Command;

use crate::harness::certificates::Authority;
use crate::harness::client::{self, Connection};
use crate::harness::gateway::Gateway;
use crate::harness::login::{self, Login, PASSWORD};
use crate::harness::password_login::{
    FORM, LoginGateway, MANY, assert_refused, configuration, encoded,
};
use crate::harness::upstream::Upstream;

const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn each_endpoint_names_the_methods_that_it_knows() {
    let site = LoginGateway::open();
    let login = Login::new(site.address(), "alice");
    let end = format!("/auth/sessions/{ID}");
    let endpoints = [
        ("/auth/login", "GET, HEAD, POST"),
        ("/auth/logout", "POST"),
        ("/auth/logout-everywhere", "POST"),
        ("/auth/session", "GET, HEAD"),
        ("/auth/sessions", "GET, HEAD"),
        (&end, "DELETE"),
    ];
    for (path, allowed) in endpoints {
        let known: Vec<_> = allowed.split(", ").collect();
        for method in
            ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"]
        {
            if known.contains(&method) {
                continue;
            }
            // Whoever asks, logged in or not.
            for fields in [&login.fields()[..], &[]] {
                let answer = site.gateway.exchange(client::request(method, path, fields, ""));
                assert_refused(&answer, 405, "method_not_allowed");
                assert_eq!(answer.field("allow"), Some(allowed), "{method} {path}");
            }
        }
    }
    assert!(login.ask(site.address(), "/pages/x").status == 200, "still logged in");
}

#[test]
fn head_is_answered_like_get_without_a_body() {
    let site = LoginGateway::open();
    let login = Login::new(site.address(), "alice");
    for path in ["/auth/login", "/auth/session", "/auth/sessions"] {
        let whole = login.ask(site.address(), path);
        let mut connection = Connection::open(site.address());
        connection.send(client::request("HEAD", path, &login.fields(), ""));
        let head = connection.head_answer();
        assert_eq!(head.status, whole.status);
        for field in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.field(field), whole.field(field), "{path}: {field}");
        }
        // Had there been a body, it would be read for this answer.
        assert_eq!(connection.exchange(client::get("/public/x", &[])).body, "from behind!");
    }
}

/// Another spelling is never an endpoint, and never an upstream's to answer in our name.
#[test]
fn other_spellings_lead_neither_to_an_endpoint_nor_to_an_upstream() {
    let upstream = Upstream::start();
    let login = format!("password_file: users.yaml\n  {MANY}");
    let text = configuration(&upstream, "", &login);
    let open = "  - { name: all, match: { path: '/{*rest}' }, upstream: behind, public: true }\n";
    let gateway = Gateway::start_in(login::directory(), &(text + open));
    let body = encoded(&[("username", "alice"), ("password", PASSWORD)]);
    for path in [
        "/auth",
        "/auth/",
        "/auth/login/",
        "/auth/login/x",
        "/auth/loginx",
        "/auth/Login",
        "/auth/logi",
        "/auth//login",
        "/auth/./login",
        "/auth/x/../login",
        "/auth/login;x=1",
        "/auth;x/login",
        "/auth/%6cogin",
        "/%61uth/login",
        "/auth%2flogin",
        "/auth%2Flogin",
        "//auth/login",
        "/%2561uth/login",
        "/auth/sessions/",
        "/auth/login%00",
        "/auth\\login",
    ] {
        for (method, fields, body) in
            [("GET", &[][..], ""), ("POST", &[("Content-Type", FORM)][..], &*body)]
        {
            let answer = gateway.exchange(client::request(method, path, fields, body));
            // Doubly encoded it is a path like any other to whoever decodes once.
            if path.contains("%25") && answer.status == 200 {
                assert_eq!(answer.body, "from behind!");
                continue;
            }
            assert!([400, 404].contains(&answer.status), "{method} {path}: {answer:?}");
            assert_eq!(answer.field("set-cookie"), None, "{method} {path}");
        }
    }
    let reached: Vec<_> = upstream.received().iter().map(|one| one.line().to_owned()).collect();
    assert!(reached.iter().all(|line| line.contains("%25")), "{reached:?}");
    // Case counts in paths: these are others.
    for path in ["/Auth/login", "/AUTH/LOGIN", "/authority", "/auth-login"] {
        assert_eq!(gateway.exchange(client::get(path, &[])).body, "from behind!", "{path}");
    }
    // A query does not make it another endpoint.
    assert_eq!(gateway.exchange(client::get("/auth/login?x=%2f&y#", &[])).status, 400);
    assert_eq!(gateway.exchange(client::get("/auth/login?x=%2f&y", &[])).status, 200);
}

#[test]
fn base_can_be_elsewhere() {
    let site = LoginGateway::open_with("", &format!("base: /a/b-c\n  {MANY}"));
    assert_eq!(site.gateway.exchange(client::get("/auth/login", &[])).status, 404);
    let page = site.gateway.exchange(client::get("/a/b-c/login", &[]));
    assert!(page.status == 200 && page.body.contains("action=\"/a/b-c/login\""), "{page:?}");
    let sent = site.navigate("/pages/x", &[]);
    assert_eq!(sent.field("location"), Some("/a/b-c/login?return_to=/pages/x"));
}

#[test]
fn no_endpoint_is_there_without_a_login_section() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for path in ["/auth/login", "/auth/session", "/auth/logout"] {
        assert_refused(&gateway.exchange(client::get(path, &[])), 404, "route_unknown");
    }
}

/// Runs curl, which has to succeed, and returns what it printed.
fn curl(directory: &std::path::Path, arguments: &[&str]) -> String {
    let quiet = ["--silent", "--show-error", "--insecure", "--noproxy", "*", "--max-time", "20"];
    let mut command = Command::new("curl");
    command.current_dir(directory).args(quiet).args(arguments);
    let ran = command.output().expect("curl runs");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn http2_logs_in_and_out_alike() {
    let upstream = Upstream::start();
    let directory = login::directory();
    let certificate = Authority::new().issue("gateway.test");
    std::fs::write(directory.path().join("site.pem"), &certificate.chain).expect("a file");
    std::fs::write(directory.path().join("site.key"), &certificate.key).expect("a file");
    let plain = "{ address: '127.0.0.1:0' }";
    let tls = "tls: { certificates: [{ certificate_file: site.pem, key_file: site.key }] }";
    let text = configuration(&upstream, "", &format!("password_file: users.yaml\n  {MANY}"));
    let text = text.replacen(plain, &format!("{{ address: '127.0.0.1:0', {tls} }}"), 1);
    let gateway = Gateway::start_in(directory, &text);
    let url = |path: &str| format!("https://{}{path}", gateway.address());
    let jar = ["--http2", "--include", "--cookie", "jar", "--cookie-jar", "jar"];
    let ask = |path: &str, more: &[&str]| {
        curl(gateway.directory(), &[&jar[..], more, &[&url(path)]].concat())
    };
    let password = format!("password={PASSWORD}");
    let login = ["--data", "username=alice", "--data-urlencode", &password];
    let answer = ask("/auth/login", &login);
    assert!(answer.starts_with("HTTP/2 303"), "{answer}");
    assert!(ask("/pages/x", &[]).starts_with("HTTP/2 200"));
    assert!(ask("/auth/session", &[]).contains("\"subject\":\"u-17\""));
    let large = format!("@{}", "large.txt");
    std::fs::write(gateway.directory().join("large.txt"), [b'x'; 16385]).expect("a file");
    let answer = ask("/auth/login", &["--data-binary", &large]);
    assert!(answer.starts_with("HTTP/2 413"), "{answer}");
    let origin = format!("Origin: {}", url(""));
    let answer =
        ask("/auth/logout", &["--request", "POST", "--header", "Origin: https://evil.test"]);
    assert!(answer.starts_with("HTTP/2 403") && answer.contains("\"csrf\""), "{answer}");
    let answer = ask("/auth/logout", &["--request", "POST", "--header", &origin]);
    assert!(answer.starts_with("HTTP/2 204"), "{answer}");
    assert!(ask("/pages/x", &[]).starts_with("HTTP/2 401"));
}

//! Names that some servers take for a host and others do not, and requests that name none.

use crate::harness::client::{Answer, Connection};
use crate::harness::gateway::{self, Gateway};
use crate::harness::upstream::{Behaviour, Upstream};

const PROMPTLY: std::time::Duration = std::time::Duration::from_secs(5);

struct Site {
    upstream: Upstream,
    gateway: Gateway,
}

impl Site {
    /// A route that is protected on one host and public on the others.
    fn open() -> Self {
        let upstream = Upstream::start_with(Behaviour::Mirror);
        let routes = "
  - { name: intern, match: { path: '/wiki', hosts: [intern.test] }, upstream: behind, authenticate: [bearer] }
  - { name: anywhere, match: { path: '/wiki' }, upstream: behind, public: true }
  - { name: root, match: { path: '/' }, upstream: behind, public: true }
  - { name: shop, match: { path: '/shop', hosts: [shop.test, '*.test'] }, upstream: behind, public: true }
";
        let gateway = Gateway::start(&(gateway::standard(&upstream) + routes));
        Self { upstream, gateway }
    }

    fn ask(&self, head: &str) -> (Answer, Connection) {
        let mut connection = Connection::open(self.gateway.address());
        let answer = connection.exchange(format!("{head}\r\n\r\n"));
        (answer, connection)
    }
}

#[test]
fn host_with_one_dot_behind_it_is_the_same_host() {
    let site = Site::open();
    for host in ["intern.test", "intern.test.", "INTERN.Test.", "intern.test.:80"] {
        let (answer, _) = site.ask(&format!("GET /wiki HTTP/1.1\r\nHost: {host}"));
        assert_eq!((answer.status, answer.slug().as_str()), (401, "credential_absent"), "{host}");
    }
    for host in ["intern.test.x", "xintern.test", "test", "test."] {
        let (answer, _) = site.ask(&format!("GET /wiki HTTP/1.1\r\nHost: {host}"));
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(site.upstream.last().values("host"), [host]);
    }
}

#[test]
fn host_with_an_empty_label_is_refused() {
    let site = Site::open();
    for host in [
        "intern.test..",
        "intern.test...",
        "intern..test",
        ".intern.test",
        "..",
        ".",
        "",
        "intern.test..:80",
        ".:80",
        "intern.test:80.",
    ] {
        for version in ["1.0", "1.1"] {
            let (answer, _) = site.ask(&format!("GET /wiki HTTP/{version}\r\nHost: {host}"));
            let said = (answer.status, answer.slug());
            assert_eq!(said, (400, "host_missing".to_owned()), "{host:?} HTTP/{version}");
        }
    }
    assert!(site.upstream.received().is_empty());
}

/// HAProxy's `option httpchk` asks like this.
#[test]
fn http10_without_host_is_answered_on_routes_for_any_host_and_closed() {
    let site = Site::open();
    for line in
        ["OPTIONS / HTTP/1.0", "GET / HTTP/1.0", "GET /wiki HTTP/1.0", "GET /public/x HTTP/1.0"]
    {
        let (answer, mut connection) = site.ask(line);
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
        assert!(connection.is_closed_within(PROMPTLY), "{line} was left open");
    }
    let (answer, _) = site.ask("GET /shop HTTP/1.0");
    assert_eq!((answer.status, answer.slug().as_str()), (404, "route_unknown"));
    let (answer, _) = site.ask("GET /whoami HTTP/1.0");
    assert_eq!((answer.status, answer.slug().as_str()), (401, "credential_absent"));
    let (answer, _) = site.ask("GET /shop HTTP/1.0\r\nHost: shop.test");
    assert_eq!(answer.status, 200);
    let line = site.gateway.logged(|line| line["path"] == "/wiki");
    assert_eq!((&line["host"], &line["route"]), (&"".into(), &"anywhere".into()));
}

/// The upstream speaks HTTP/1.1, which requires a host: it is told its own.
#[test]
fn upstream_is_told_its_own_name_where_the_client_named_none() {
    let site = Site::open();
    let own = site.upstream.address().to_string();
    let (answer, _) = site
        .ask("GET /wiki HTTP/1.0\r\nX-Forwarded-Host: intern.test\r\nForwarded: host=intern.test");
    assert_eq!(answer.status, 200);
    let received = site.upstream.last();
    assert_eq!(received.values("host"), [own]);
    assert_eq!(received.values("x-forwarded-host"), [""; 0]);
    assert!(!received.head.contains("intern.test"), "{}", received.head);
}

#[test]
fn host_is_required_of_http11_and_of_a_target_that_names_one() {
    let site = Site::open();
    let (answer, _) = site.ask("GET / HTTP/1.1\r\nX: y");
    assert_eq!((answer.status, answer.slug().as_str()), (400, "host_missing"));
    for head in ["GET / HTTP/1.0\r\nHost: a.test\r\nHost: a.test", "GET / HTTP/1.0\r\nHost:"] {
        let (answer, _) = site.ask(head);
        assert_eq!((answer.status, answer.slug().as_str()), (400, "host_missing"), "{head}");
    }
    let (answer, _) = site.ask("GET http://intern.test/wiki HTTP/1.0");
    assert_eq!((answer.status, answer.slug().as_str()), (400, "request_target"));
    assert!(site.upstream.received().is_empty());
}

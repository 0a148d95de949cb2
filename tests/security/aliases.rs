//! Spellings that some upstreams read as a path of a stricter route than the one that would serve them.

use serde_json::json;

use crate::harness::client::{self, Answer, get};
use crate::harness::gateway::Gateway;
use crate::harness::tokens::{self, AUDIENCE, ISSUER, bearer, token};
use crate::harness::upstream::{Behaviour, Upstream};

const TARGET: &str = "request_target";

/// A gateway in front of an upstream that answers whatever it is asked.
struct Site {
    upstream: Upstream,
    gateway: Gateway,
}

impl Site {
    fn open(routes: &str) -> Self {
        let upstream = Upstream::start_with(Behaviour::Mirror);
        let gateway = Gateway::start(&configuration(&upstream.address().to_string(), routes));
        Self { upstream, gateway }
    }

    fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let mut connection = client::Connection::open(self.gateway.address());
        connection.send(client::request(method, target, fields, ""));
        match method {
            "HEAD" => connection.head_answer(),
            _ => connection.answer().expect("an answer"),
        }
    }

    #[track_caller]
    fn serves(&self, target: &str) {
        let answer = self.gateway.exchange(get(target, &[]));
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert_eq!(self.upstream.last().line(), format!("GET {target} HTTP/1.1"));
    }

    #[track_caller]
    fn denies(&self, target: &str, status: u16, slug: &str) {
        let reached = self.upstream.received().len();
        let answer = self.gateway.exchange(get(target, &[]));
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        assert_eq!(answer.slug(), slug, "{target}");
        assert_eq!(self.upstream.received().len(), reached, "{target} was forwarded");
    }
}

fn configuration(upstream: &str, routes: &str) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ threads: 2 }}
issuers:
  - name: test
    issuer: {ISSUER}
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
    keys: {{ public_key_file: issuer.pem }}
upstreams: {{ behind: {{ peers: ['{upstream}'] }} }}
routes:
{routes}"
    )
}

/// What is protected in several ways, beside a route for the rest that is public.
const OPEN: &str = "
  - { name: open, match: { path: '/{*rest}' }, upstream: behind, public: true }
  - name: admin
    match: { path: /admin }
    upstream: behind
    authenticate: [bearer]
    require: { any_role: [admin] }
  - { name: tree, match: { path: '/tree/{*rest}' }, upstream: behind, authenticate: [bearer] }
  - { name: item, match: { path: '/items/{id}/edit' }, upstream: behind, authenticate: [bearer] }
  - { name: reports, match: { path: /Reports }, upstream: behind, authenticate: [bearer] }
  - { name: inbox, match: { path: /inbox/ }, upstream: behind, authenticate: [bearer] }
  - { name: desk, match: { path: /kiosk-desk }, upstream: behind, authenticate: [bearer] }
";

#[test]
fn protected_path_in_another_case_is_refused_beside_a_public_route() {
    let site = Site::open(OPEN);
    for path in ["/admin", "/tree/x", "/tree/X/Y", "/tree", "/items/7/edit", "/items/A/edit"] {
        site.denies(path, 401, "credential_absent");
    }
    for path in [
        "/Admin",
        "/ADMIN",
        "/aDMIN",
        "/TREE/x",
        "/Tree/X",
        "/Tree",
        "/Tree/",
        "/ITEMS/7/edit",
        "/items/A/Edit",
        "/reports",
        "/REPORTS",
        "/%41dmin",
        "/adm%49n",
        "/adm%C4%B0n",
        "/ADM%c4%b1N",
        "/kio%c5%bfk-desk",
        "/%E2%84%AAiosk-desk",
        "/kios%E2%84%AA-DESK",
    ] {
        site.denies(path, 400, TARGET);
    }
    for path in ["/Administrator", "/admins", "/A/admin", "/treeX", "/Items/7", "/caf%C3%89", "/X"]
    {
        site.serves(path);
    }
    let line = site.gateway.logged(|line| line["path"] == "/Admin");
    let reason = "`/Admin` is a path of route `admin` to upstreams that ignore case";
    assert_eq!((&line["reason"], &line["route"]), (&json!(reason), &json!("")));
}

#[test]
fn protected_path_with_another_end_is_refused_beside_a_public_route() {
    let site = Site::open(OPEN);
    for path in ["/tree/", "/tree/x/", "/inbox/"] {
        site.denies(path, 401, "credential_absent");
    }
    for path in ["/admin/", "/items/7/edit/", "/inbox", "/Inbox", "/Admin/", "/admin%2F"] {
        site.denies(path, 400, TARGET);
    }
    for path in ["/open/", "/admin/x", "/items/7/", "/inbox/x", "/"] {
        site.serves(path);
    }
}

/// IIS and Windows take these for `/admin`.
#[test]
fn protected_path_with_dots_spaces_or_a_stream_behind_it_is_refused_beside_a_public_route() {
    let site = Site::open(OPEN);
    for path in [
        "/admin.",
        "/admin..",
        "/admin...",
        "/admin%2e",
        "/admin%2E",
        "/admin.%2e",
        "/admin%20",
        "/admin%20%20.",
        "/admin.%20",
        "/admin./",
        "/admin%20/",
        "/Admin.",
        "/admin/...",
        "/admin::$DATA",
        "/admin::$data",
        "/admin%3a%3a%24DATA",
        "/admin.::$DATA.",
        "/admin:$i30:$INDEX_ALLOCATION",
        "/admin::$INDEX_ALLOCATION",
        "/tree./x",
        "/tree%20/x",
        "/TREE::$DATA/x",
        "/tree./",
        "/tree.",
        "/items/7/edit.",
        "/items/7/edit%20/",
    ] {
        site.denies(path, 400, TARGET);
    }
    // Nor is the parent, or the directory itself, by another name.
    for path in [
        "/x/..%20/admin",
        "/x/%2e%2e%20/admin",
        "/x/..%20./admin",
        "/x/..%20%20/tree/y",
        "/x/..::$DATA/admin",
        "/x/..%3a%3a$data/y",
        "/z/..%20/items/1/edit",
        "/x/.%20/y",
        "/x/y/..%20",
    ] {
        site.denies(path, 400, TARGET);
    }
    for path in [
        "/admin.html",
        "/.admin",
        "/%20admin",
        "/x/...",
        "/x/%20/y",
        "/ad.min",
        "/admin:data",
        "/x.",
        "/x%20",
    ] {
        site.serves(path);
    }
    site.denies("/items/7./edit", 401, "credential_absent");
}

#[test]
fn protected_path_is_refused_beside_a_route_that_asks_for_less() {
    let site = Site::open(
        "
  - { name: rest, match: { path: '/{*rest}' }, upstream: behind, authenticate: [bearer] }
  - name: admin
    match: { path: /admin }
    upstream: behind
    authenticate: [bearer]
    require: { any_role: [admin] }
  - { name: login, match: { path: /login }, upstream: behind, public: true }
  - name: clerks
    match: { path: /desk }
    upstream: behind
    authenticate: [bearer]
    require: { any_role: [clerk] }
  - name: auditors
    match: { path: /desk/ }
    upstream: behind
    authenticate: [bearer]
    require: { any_role: [auditor] }
",
    );
    for role in ["clerk", "admin"] {
        let token = token(json!({ "roles": [role] }));
        for path in ["/Admin", "/admin/", "/admin%2e"] {
            let answer = site.gateway.get_as(path, &token);
            assert_eq!((answer.status, answer.slug().as_str()), (400, TARGET), "{path}");
        }
        assert_eq!(site.gateway.get_as("/Other/", &token).status, 200);
    }
    // What asks for more may serve what asks for less.
    site.serves("/login");
    for path in ["/Login", "/login/", "/login."] {
        site.denies(path, 401, "credential_absent");
    }
    // Two that ask for different things are each stricter than the other.
    let clerk = token(json!({ "roles": ["clerk"] }));
    for path in ["/desk", "/desk/", "/Desk"] {
        assert_eq!(site.gateway.get_as(path, &clerk).status, 400, "{path}");
    }
}

#[test]
fn alias_is_looked_for_with_the_method_and_host_of_the_request() {
    let site = Site::open(
        "
  - { name: open, match: { path: '/{*rest}' }, upstream: behind, public: true }
  - { name: write, match: { path: /notes, methods: [POST] }, upstream: behind, authenticate: [bearer] }
  - { name: read, match: { path: /notes, methods: [GET] }, upstream: behind, public: true }
  - { name: intern, match: { path: /wiki, hosts: [intern.test, '*.intern.test'] }, upstream: behind, authenticate: [bearer] }
",
    );
    for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 400), ("DELETE", 400)] {
        assert_eq!(site.ask(method, "/Notes", &[]).status, status, "{method}");
    }
    assert_eq!(site.ask("DELETE", "/notes", &[]).status, 405);
    for (host, status) in [
        ("intern.test", 400),
        ("INTERN.test.:80", 400),
        ("a.b.intern.test", 400),
        ("gateway.test", 200),
        ("xintern.test", 200),
    ] {
        let mut lines = format!("GET /Wiki HTTP/1.1\r\nHost: {host}\r\n");
        lines.push_str("Connection: close\r\n\r\n");
        assert_eq!(site.gateway.exchange(lines).status, status, "{host}");
    }
}

#[test]
fn path_that_no_route_is_for_stays_unknown_in_every_spelling() {
    let site = Site::open(
        "  - { name: admin, match: { path: /admin }, upstream: behind, authenticate: [bearer] }\n",
    );
    for path in ["/Admin", "/admin/", "/admin.", "/admin%20", "/other"] {
        site.denies(path, 404, "route_unknown");
    }
    site.denies("/admin", 401, "credential_absent");
}

#[test]
fn route_serves_the_spellings_that_its_upstream_tells_apart() {
    for (names, served) in [
        ("case", ["/Admin"].as_slice()),
        ("trailing_slash", &["/admin/"]),
        ("trailing_dot", &["/admin.", "/admin%20", "/admin::$DATA"]),
        ("case, trailing_slash", &["/Admin", "/admin/", "/Admin/"]),
    ] {
        let site = Site::open(&OPEN.replace(
            "match: { path: '/{*rest}' }",
            &format!("match: {{ path: '/{{*rest}}', dangerous_path: [{names}] }}"),
        ));
        for path in ["/Admin", "/admin/", "/admin.", "/admin%20", "/admin::$DATA"] {
            match served.contains(&path) {
                true => site.serves(path),
                false => site.denies(path, 400, TARGET),
            }
        }
        served.iter().for_each(|path| site.serves(path));
        site.denies("/admin", 401, "credential_absent");
        let metric = "portcullis_dangerous_options{option=\"dangerous_path\"}";
        assert_eq!(site.gateway.metric(metric), 1.0);
    }
}

#[test]
fn start_tells_which_paths_are_refused() {
    let site = Site::open(OPEN);
    let told = site.gateway.errors().join("\n");
    let warning = "routes[0].match.path: `/Admin`, `/admin.` and `/admin/` are refused: to upstreams that \
                   ignore case and a slash at the end and dots and spaces at the end of a name they are \
                   `/admin`, which is route `admin`, and this route is public, and so on for 5 more routes";
    assert!(told.contains(warning), "{told}");
    let credential = bearer(&tokens::token(json!({ "roles": ["admin"] })));
    assert_eq!(site.ask("GET", "/admin", &[("Authorization", &credential)]).status, 200);
}

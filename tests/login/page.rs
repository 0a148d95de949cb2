//! The login page, as a browser and as an attacker's markup find it.

use std::io::Write;
use std::process::{Command, Stdio};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::harness::client::{self, Answer};
use crate::harness::login::{self, Login};
use crate::harness::password_login::{JSON, LoginGateway, WRONG, encoded, retry_after};

/// Reads a page, complains of what is not well-formed, and prints what is in it.
const READER: &str = r#"
import html.parser, json, sys
VOID = {"meta", "input", "link", "br", "hr", "img"}
class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.found, self.texts = [], [], {}
    def handle_decl(self, decl): self.found.append(["!" + decl.lower(), {}])
    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"repeated attribute in <{tag}>"
        self.found.append([tag, {name: value or "" for name, value in attrs}])
        if tag not in VOID: self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open}"
        self.open.pop()
    def handle_data(self, data):
        if data.strip(): self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)
    def handle_comment(self, data): raise AssertionError("a comment")
page = Reader()
page.feed(sys.stdin.buffer.read().decode("utf-8", "strict"))
page.close()
assert not page.open, f"left open: {page.open}"
print(json.dumps({"found": page.found, "texts": page.texts}))
"#;

/// What Python's parser finds in a page: each element with its attributes, and texts by element.
fn read(page: &str) -> Value {
    let mut child = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    child.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("a page");
    let ran = child.wait_with_output().expect("it ends");
    assert!(ran.status.success(), "{}\n{page}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

/// The attributes of all elements of a kind.
fn elements<'p>(read: &'p Value, tag: &str) -> Vec<&'p Value> {
    let found = read["found"].as_array().expect("elements");
    found.iter().filter(|one| one[0] == tag).map(|one| &one[1]).collect()
}

#[track_caller]
fn only<'p>(read: &'p Value, tag: &str) -> &'p Value {
    let [one] = elements(read, tag)[..] else { panic!("not one <{tag}>: {read}") };
    one
}

/// Everything that is true of our pages.
#[track_caller]
fn assert_a_page(answer: &Answer) -> Value {
    assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.field("x-frame-options"), Some("DENY"));
    assert_eq!(answer.field("referrer-policy"), Some("same-origin"));
    let policy = answer.field("content-security-policy").expect("a policy");
    let style = answer.body.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next());
    let hash = digest::digest(&digest::SHA256, style.expect("a style").as_bytes());
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{}'; frame-ancestors 'none'; \
         base-uri 'none'",
        STANDARD.encode(hash)
    );
    assert_eq!(policy, expected);

    let read = read(&answer.body);
    assert_eq!(read["found"][0][0], "!doctype html");
    assert_eq!(only(&read, "html")["lang"], "en");
    for tag in ["head", "title", "style", "body", "main", "h1"] {
        only(&read, tag);
    }
    for tag in ["script", "img", "link", "iframe", "a", "base", "object", "svg"] {
        assert!(elements(&read, tag).is_empty(), "<{tag}>: {read}");
    }
    for element in read["found"].as_array().expect("elements") {
        let attributes = element[1].as_object().expect("attributes");
        let active = attributes.keys().find(|name| name.starts_with("on") || *name == "style");
        assert_eq!(active, None, "{read}");
    }
    read
}

/// Everything that is true of the login page, whatever it shows.
#[track_caller]
fn assert_sound(answer: &Answer) -> Value {
    let read = assert_a_page(answer);
    let form = only(&read, "form");
    assert_eq!((&form["method"], &form["action"]), (&"post".into(), &"/auth/login".into()));
    assert_eq!(only(&read, "button")["type"], "submit");

    let inputs = elements(&read, "input");
    let names: Vec<_> = inputs.iter().map(|input| &input["name"]).collect();
    assert_eq!(names, ["username", "password", "return_to"]);
    let kinds: Vec<_> = inputs.iter().map(|input| &input["type"]).collect();
    assert_eq!(kinds, ["text", "password", "hidden"]);
    let complete: Vec<_> = inputs[..2].iter().map(|input| &input["autocomplete"]).collect();
    assert_eq!(complete, ["username", "current-password"]);
    let labelled: Vec<_> = elements(&read, "label").iter().map(|label| &label["for"]).collect();
    let ids: Vec<_> = inputs[..2].iter().map(|input| &input["id"]).collect();
    assert_eq!(labelled, ids);
    assert_eq!(read["texts"]["label"], serde_json::json!(["User name", "Password"]));
    assert!(inputs[1].get("value").is_none(), "a password is not shown again");
    read
}

#[test]
fn page_is_well_formed_and_has_nothing_active() {
    let site = LoginGateway::open();
    let answer = site.gateway.exchange(client::get("/auth/login", &[]));
    assert_eq!((answer.status, answer.field("set-cookie")), (200, None));
    let read = assert_sound(&answer);
    assert_eq!(read["texts"]["title"], serde_json::json!(["Log in"]));
    assert!(only(&read, "button").get("disabled").is_none());
    assert!(elements(&read, "input")[0].get("autofocus").is_some());
}

const NASTY: [&str; 6] = [
    "\"><script>alert(1)</script>",
    "' onfocus='alert(1)' autofocus='",
    "</title></style><svg onload=alert(1)>",
    "<!-- &quot;&lt;&#x3c;",
    "{{7*7}}${7*7}\0\u{202e}",
    "zo\u{eb} & co",
];

#[test]
fn name_that_was_typed_is_shown_again_and_means_nothing() {
    let site = LoginGateway::open();
    for name in NASTY {
        let answer = site.form(&[("username", name), ("password", WRONG), ("return_to", "/a")]);
        assert_eq!(answer.status, 401, "{answer:?}");
        let read = assert_sound(&answer);
        let inputs = elements(&read, "input");
        assert_eq!(inputs[0]["value"], name.replace('\0', "\u{fffd}"));
        assert_eq!(inputs[2]["value"], "/a");
        let [problem] = elements(&read, "p")
            .into_iter()
            .filter(|p| p["role"] == "alert")
            .collect::<Vec<_>>()[..]
        else {
            panic!("no alert: {read}")
        };
        for input in &inputs[..2] {
            assert_eq!(input["aria-describedby"], problem["id"]);
        }
        assert!(read["texts"]["title"][0].as_str().expect("a title").starts_with("Error"));
        assert!(!answer.body.contains(WRONG));
    }
}

#[test]
fn place_to_return_to_is_kept_and_means_nothing() {
    let site = LoginGateway::open();
    for place in [
        "/a?b=\"><script>alert(1)</script>",
        "/a?b='onfocus='alert(1)'&c=&lt;",
        "/a?b=%22%3E&amp;c=%00",
    ] {
        let path = format!("/auth/login?{}", encoded(&[("return_to", place)]));
        let answer = site.gateway.exchange(client::get(&path, &[]));
        let read = assert_sound(&answer);
        assert_eq!(elements(&read, "input")[2]["value"], place);
    }
}

/// Whatever is wrong, a person gets the page again; a program gets problem details.
#[test]
fn page_tells_what_is_wrong_with_the_status_of_the_denial() {
    let site =
        LoginGateway::open_with("", "attempts: { per_account: 1/1h, per_address: 100000/1s }");
    let typed = [("username", "alice"), ("password", WRONG)];
    let problem = |answer: &Answer| {
        let read = assert_sound(answer);
        read["texts"]["p"][0].as_str().expect("a text").to_owned()
    };
    let answer = site.form(&typed);
    assert_eq!(answer.status, 401);
    assert!(
        answer.field("www-authenticate").is_none_or(|challenge| !challenge.starts_with("Basic"))
    );
    assert_eq!(problem(&answer), "The name or the password is wrong.");
    let answer = site.form(&typed);
    assert_eq!(answer.status, 429);
    let seconds = retry_after(&answer);
    assert!((3590..=3600).contains(&seconds), "{seconds}");
    assert!(problem(&answer).contains("60 minutes"), "{}", problem(&answer));
    let answer = site.form(&typed[..1]);
    assert_eq!((answer.status, problem(&answer)), (400, "`password` is missing".to_owned()));
}

#[test]
fn list_of_sessions_is_a_page_for_people_and_as_sound() {
    let site = LoginGateway::open();
    let agent = "<script>alert(1)</script>\"'&amp; \t caf\u{e9}";
    let login = Login::read(&login::attempt(site.address(), "alice", &[("User-Agent", agent)]));
    let answer = site.navigate("/auth/sessions", &[("Cookie", &login.cookie)]);
    assert_eq!((answer.status, answer.field("set-cookie")), (200, None), "{answer:?}");
    let read = assert_a_page(&answer);
    let cells = read["texts"]["td"].as_array().expect("cells");
    assert!(cells.contains(&agent.replace('\t', "").into()), "{cells:?}");
    assert_eq!(read["texts"]["strong"], serde_json::json!(["u-17"]));
    let actions: Vec<_> = elements(&read, "form").iter().map(|form| &form["action"]).collect();
    assert_eq!(actions, ["/auth/logout", "/auth/logout-everywhere"]);
    assert!(elements(&read, "form").iter().all(|form| form["method"] == "post"));
    for secret in [login.secret(), &login.csrf] {
        assert!(!answer.body.contains(secret));
    }
    // A program gets the same as JSON.
    let answer = login.ask(site.address(), "/auth/sessions");
    assert_eq!(answer.field("content-type"), Some(JSON));
}

//! A store that answers wrongly once: something else than it was asked for, nothing at all, or what
//! another question was about. Nobody is logged out by it, and nobody becomes somebody else.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::client::{self, Answer, get};
use crate::harness::eventually;
use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, Login};
use crate::harness::oauth::{self, TokenPair};
use crate::harness::outcome::outcome;
use crate::harness::redis::{RedisOptions, RedisServer};
use crate::harness::upstream::Upstream;

/// Stands between a gateway and its server, and answers one question itself.
struct TamperingProxy {
    port: u16,
    plan: Arc<Mutex<Option<WrongAnswer>>>,
}

/// Which question is answered wrongly, and how.
struct WrongAnswer {
    /// What the question has in it.
    about: String,
    answer: Vec<u8>,
}

impl TamperingProxy {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plan: Arc<Mutex<Option<WrongAnswer>>> = Arc::default();
        let shared = plan.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(("127.0.0.1", server)).expect("the server accepts");
                stand_between(near, far, shared.clone());
            }
        });
        Self { port, plan }
    }

    /// From now on the next question about this is answered so.
    fn plan(&self, about: &str, answer: &[u8]) {
        let plan = WrongAnswer { about: about.to_owned(), answer: answer.to_vec() };
        *self.plan.lock().expect("the plan") = Some(plan);
    }

    /// Whether there was such a question.
    fn is_done(&self) -> bool {
        self.plan.lock().expect("the plan").is_none()
    }
}

fn stand_between(mut near: TcpStream, mut far: TcpStream, plan: Arc<Mutex<Option<WrongAnswer>>>) {
    let wrong: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let copy = |stream: &TcpStream| stream.try_clone().expect("a copy");
    let (mut asking, mut to_server) = (copy(&near), copy(&far));
    let planned = wrong.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = asking.read(&mut buffer) {
            let mut plan = plan.lock().expect("the plan");
            let is_meant = |plan: &WrongAnswer| {
                let about = plan.about.as_bytes();
                buffer[..length].windows(about.len()).any(|window| window == about)
            };
            if plan.as_ref().is_some_and(is_meant) {
                *planned.lock().expect("the answer") = plan.take().map(|plan| plan.answer);
            }
            drop(plan);
            if to_server.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = far.read(&mut buffer) {
            let answer = wrong.lock().expect("the answer").take();
            if near.write_all(answer.as_deref().unwrap_or(&buffer[..length])).is_err() {
                break;
            }
        }
        let _ = near.shutdown(Shutdown::Both);
    });
}

/// A server, a gateway that sees it as it is, and one that sees it through a proxy that tampers.
struct Site {
    server: RedisServer,
    proxy: TamperingProxy,
    honest: Gateway,
    misled: Gateway,
    upstream: Upstream,
}

/// A gateway whose server is at this port.
fn start(upstream: &Upstream, port: u16) -> Gateway {
    let store = format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{port}' }} }}\n");
    let directory = oauth::directory();
    let key = "a key-encryption key of more than 32 bytes";
    std::fs::write(directory.path().join("kek"), key).expect("a file");
    let text = oauth::configuration(upstream, oauth::LONG, &store);
    let sealed = "\ntokens:\n  signing: { encryption_key_file: kek }";
    Gateway::start_in(directory, &text.replace("\ntokens:", sealed))
}

impl Site {
    fn open() -> Self {
        let server = RedisServer::start();
        let (upstream, proxy) = (Upstream::start(), TamperingProxy::start(server.port()));
        let honest = start(&upstream, server.port());
        let misled = start(&upstream, proxy.port);
        Self { server, proxy, honest, misled, upstream }
    }

    /// Another gateway behind that proxy.
    fn join_misled(&self) -> Gateway {
        start(&self.upstream, self.proxy.port)
    }

    /// Somebody who is logged in, and whom the gateway that is misled does not know yet.
    fn log_in(&self, name: &str) -> Login {
        Login::new(self.honest.address(), name)
    }
}

/// Answers that are none: absence where a record, a list or a number would be, errors, other types.
const WRONG: [&[u8]; 9] = [
    b"$-1\r\n",
    b"$-1\r\n$-1\r\n",
    b"_\r\n_\r\n",
    b"+OK\r\n",
    b"*0\r\n",
    b":0\r\n:0\r\n",
    b"$7\r\ngarbage\r\n$-1\r\n",
    b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    b"-ERR on purpose\r\n-ERR on purpose\r\n",
];

#[test]
fn wrong_answer_about_a_session_is_no_absence_and_is_forgotten_at_once() {
    let site = Site::open();
    for wrong in WRONG {
        let alice = site.log_in("alice");
        let ask = || outcome(&alice.ask(site.misled.address(), "/pages"));
        site.proxy.plan(&alice.id, wrong);
        let text = String::from_utf8_lossy(wrong);
        assert_eq!(ask(), (503, "store_unavailable".to_owned()), "{text:?}");
        assert!(site.proxy.is_done(), "{text:?}");
        assert_eq!(ask(), (200, String::new()), "{text:?}");
    }
}

/// Answers that have come out of step are about what somebody else asked.
#[test]
fn answer_about_another_session_makes_nobody_somebody_else() {
    let site = Site::open();
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let key = format!("portcullis:{{revocations}}:session:{}", bob.id);
    let record = site.server.cli(&["get", &key]);
    let record = record.trim_end_matches('\n');
    let text = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let of_bob = [
        // As two commands are answered, and as one is that says what it is about.
        format!("{}{}", text(record), text("1800000000")),
        format!("*3\r\n{}{}{}", text(&bob.id), text(record), text("1800000000")),
    ];
    for wrong in of_bob {
        site.proxy.plan(&alice.id, wrong.as_bytes());
        let answer = alice.ask(site.misled.address(), "/auth/session");
        assert_eq!(outcome(&answer), (503, "store_unavailable".to_owned()), "{answer:?}");
    }
    let answer = alice.ask(site.misled.address(), "/auth/session");
    assert_eq!(answer.json()["subject"], "u-17", "{answer:?}");
}

#[test]
fn wrong_answer_about_a_refresh_token_ends_nothing() {
    let site = Site::open();
    for wrong in [&b"$-1\r\n"[..], b"*0\r\n", b":0\r\n", b"+OK\r\n"] {
        let answer = oauth::log_in(&site.honest, "alice", &[], json!({ "deliver": "tokens" }));
        let pair = TokenPair::of(&answer);
        let exchange = || {
            let pairs = [("grant_type", "refresh_token"), ("refresh_token", &*pair.refresh)];
            oauth::post(&site.misled, "/auth/token", &[], &pairs)
        };
        site.proxy.plan(&format!("family:{}", pair.session()), wrong);
        let answer = exchange();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(site.proxy.is_done());
        TokenPair::of(&exchange());
    }
}

/// Answers to what ends in a list. Of a session that is written down it would be the list of those that it
/// displaced.
const NO_LIST: [&[u8]; 6] = [
    b"$-1\r\n",
    b"_\r\n",
    b"*0\r\n",
    b"+OK\r\n",
    b"*2\r\n$7\r\ngarbage\r\n*0\r\n",
    b"*1\r\n*2\r\n$7\r\ngarbage\r\n$1\r\n1\r\n",
];

#[test]
fn wrong_answer_to_a_login_is_no_login() {
    let site = Site::open();
    for wrong in NO_LIST {
        let log_in = || login::attempt(site.misled.address(), "alice", &[]);
        site.proxy.plan("\"u-17\"", wrong);
        let text = String::from_utf8_lossy(wrong);
        let answer = log_in();
        assert_eq!(outcome(&answer), (503, "store_unavailable".to_owned()), "{text:?}");
        assert_eq!(answer.field("set-cookie"), None, "{text:?}");
        assert!(site.proxy.is_done(), "{text:?}");
        assert_eq!(outcome(&log_in()), (200, String::new()), "{text:?}");
    }
}

#[test]
fn wrong_answer_about_a_family_that_begins_does_not_say_that_the_login_has_ended() {
    let site = Site::open();
    for wrong in [&b"$-1\r\n"[..], b"_\r\n", b"*0\r\n", b"+OK\r\n"] {
        let log_in = || oauth::log_in(&site.misled, "alice", &[], json!({ "deliver": "tokens" }));
        // With what the record of a family begins.
        site.proxy.plan("{\"version\":1,\"client\":", wrong);
        let text = String::from_utf8_lossy(wrong);
        assert_eq!(outcome(&log_in()), (503, "store_unavailable".to_owned()), "{text:?}");
        assert!(site.proxy.is_done(), "{text:?}");
        TokenPair::of(&log_in());
    }
}

#[test]
fn wrong_answer_about_a_subject_does_not_say_that_there_are_no_sessions() {
    let site = Site::open();
    for wrong in NO_LIST {
        let alice = site.log_in("alice");
        let list = || alice.ask(site.misled.address(), "/auth/sessions");
        site.proxy.plan("portcullis:{revocations}:subject:", wrong);
        let text = String::from_utf8_lossy(wrong);
        assert_eq!(outcome(&list()), (503, "store_unavailable".to_owned()), "{text:?}");
        assert!(site.proxy.is_done(), "{text:?}");
        let ids = list().json()["sessions"].to_string();
        assert!(ids.contains(&alice.id), "{ids}");
    }
}

/// What a gateway reads when it starts is whom it refuses.
#[test]
fn wrong_answer_about_the_snapshot_lets_nobody_back_in() {
    let site = Site::open();
    let pair =
        TokenPair::of(&oauth::log_in(&site.honest, "alice", &[], json!({ "deliver": "tokens" })));
    let revoking = json!({ "scope": "subject", "subject": "u-17" }).to_string();
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let asking = client::request("POST", "/v1/revocations", &fields, &revoking);
    assert_eq!(client::exchange(site.honest.admin(), asking).status, 201);
    let ask = |gateway: &Gateway| gateway.get_as("/whoami", &pair.access).slug();
    assert_eq!(ask(&site.honest), "token_revoked");
    for wrong in [&b"$-1\r\n"[..], b"_\r\n", b"+OK\r\n", b"*0\r\n"] {
        site.proxy.plan("ZRANGE", wrong);
        let gateway = site.join_misled();
        assert!(site.proxy.is_done());
        assert_eq!(ask(&gateway), "token_revoked");
    }
}

/// Whoever is not on the roster is not waited for when a revocation is confirmed.
#[test]
fn wrong_answer_about_the_roster_hides_no_gateway() {
    let site = Site::open();
    let ask =
        || client::exchange(site.misled.admin(), get("/v1/gateways", &[("Host", "localhost")]));
    let all_follow = |answer: &Answer| {
        let told = answer.json();
        let gateways = told["gateways"].as_array().expect("gateways");
        gateways.len() == 2 && gateways.iter().all(|gateway| gateway["follows"] == true)
    };
    eventually("both gateways", || all_follow(&ask()).then_some(()));
    for wrong in ["*2\r\n$-1\r\n$-1\r\n", "*1\r\n$2\r\n{}\r\n", "*2\r\n:1\r\n$-1\r\n"] {
        let wrong = format!("*4\r\n:1800000000000\r\n:0\r\n:0\r\n{wrong}");
        // The gateway reads the roster by itself, too, and may be the one that is misled.
        eventually("the roster to be refused", || {
            site.proxy.plan("portcullis:{revocations}:live\r\n$5\r\n60000", wrong.as_bytes());
            let answer = ask();
            assert!(answer.status == 503 || all_follow(&answer), "{wrong:?}: {answer:?}");
            (answer.status == 503).then(|| assert_eq!(answer.slug(), "store_unavailable"))
        });
    }
}

/// At a server that does not tell of changes: all that is known is what was read.
#[test]
fn absence_is_forgotten_with_the_connection_on_which_it_was_told() {
    let rules = "on >secret ~* &* +@all -client|tracking";
    let user = Some(("mute".to_owned(), rules.to_owned()));
    let options = RedisOptions { user, ..RedisOptions::default() };
    let (server, upstream) = (RedisServer::start_with(options), Upstream::start());
    let port = server.port();
    let text = format!(
        "store: {{ redis: {{ url: 'redis://127.0.0.1:{port}', username: mute, password: secret }} }}
{}{}
  - {{ name: pages, match: {{ path: /pages }}, upstream: behind, authenticate: [session] }}
",
        login::SECTION,
        gateway::standard(&upstream).trim_end()
    );
    let start = || Gateway::start_in(login::directory(), &text);
    let (first, second) = (start(), start());
    let alice = Login::new(first.address(), "alice");
    let key = format!("portcullis:{{revocations}}:session:{}", alice.id);
    let ask = || {
        outcome(&client::exchange(second.address(), get("/pages", &[("Cookie", &alice.cookie)])))
    };
    // A replica that has not got it yet, say.
    assert_eq!(server.cli(&["rename", &key, "elsewhere"]).trim(), "OK");
    assert_eq!(ask(), (401, "session_unknown".to_owned()));
    assert_eq!(server.cli(&["rename", "elsewhere", &key]).trim(), "OK");
    server.cli(&["client", "kill", "type", "normal"]);
    // Asked by itself, the gateway notices that its connections are gone.
    let begun = std::time::Instant::now();
    eventually("the session", || (ask() == (200, String::new())).then_some(()));
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
}

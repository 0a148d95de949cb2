//! What is being served to a session ends with it.

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::client::{self, Connection, get};
use crate::harness::gateway::{self, Gateway};
use crate::harness::login::{self, Login};
use crate::harness::outcome::accepted;
use crate::harness::redis::RedisServer;
use crate::harness::script::script;
use crate::harness::sessions::{ROUTES, SessionFleet};
use crate::harness::upstream::Upstream;
use crate::harness::{PATIENCE, eventually};

/// An upstream that repeats what a socket says, and that begins streams and does not end them.
fn endless() -> SocketAddr {
    script(|_, mut line| {
        while let Some(head) = line.read_head() {
            match head.split(' ').nth(1).unwrap_or_default() {
                "/home/socket" => {
                    line.switch();
                    while let Some(message) = line.read_until("!") {
                        line.send(format!("<{message}>"));
                    }
                    return;
                }
                "/home/events" => {
                    line.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
                    line.send("Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
                    line.read_to_end();
                    return;
                }
                _ => line.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"),
            }
        }
    })
}

fn configuration(lines: &str) -> String {
    let nobody = Upstream::start();
    let standard = gateway::standard(&nobody);
    let text = format!("{lines}{}{}{ROUTES}", login::SECTION, standard.trim_end());
    text.replace(&nobody.address().to_string(), &endless().to_string())
}

fn open_socket(address: SocketAddr, login: &Login) -> Connection {
    let fields = [
        ("Cookie", &*login.cookie),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    eventually("a socket that works", || {
        let mut connection = Connection::open(address);
        assert_eq!(connection.exchange(get("/home/socket", &fields)).status, 101);
        connection.send("hello!");
        // On a busy machine Pingora sometimes ends an upgraded connection at once, whoever asks.
        let mut stream = connection.into_stream();
        let mut echo = [0; 8];
        stream.read_exact(&mut echo).ok()?;
        assert_eq!(&echo, b"<hello!>");
        Some(Connection::over(stream))
    })
}

fn open_events(address: SocketAddr, login: &Login) -> Connection {
    let mut connection = Connection::open(address);
    connection.send(login.get("/home/events"));
    connection.read_through("first");
    connection
}

/// Asserts that they end, all within a second of `begun`.
fn assert_end(connections: Vec<Connection>, begun: Instant) {
    for connection in connections {
        let mut stream = connection.into_stream();
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut left = Vec::new();
        match stream.read_to_end(&mut left) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("it is still open: {error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(String::from_utf8_lossy(&left), "", "something came after the end");
    }
}

#[test]
fn streams_of_a_session_end_with_it_on_every_gateway_and_others_do_not() {
    let server = RedisServer::start();
    let text = configuration(&crate::harness::fleet::redis(&server.settings()));
    let gateways = [(); 2].map(|()| Gateway::start_in(login::directory(), &text));
    let [first, second] = gateways.each_ref().map(Gateway::address);
    for path in ["/auth/logout", "/auth/logout-everywhere"] {
        let (alice, bob) = (Login::new(first, "alice"), Login::new(first, "bob"));
        let mut others = Vec::new();
        let mut hers = Vec::new();
        for address in [first, second] {
            hers.push(open_socket(address, &alice));
            hers.push(open_events(address, &alice));
            others.push(open_socket(address, &bob));
        }
        assert_eq!(alice.send(first, "POST", path).status, 204);
        assert_end(hers, Instant::now());
        for mut other in others {
            other.send("still!");
            other.read_through("<still!>");
        }
    }
    let line = ended_line(&gateways[0], "session_revoked");
    assert_eq!((&line["carrier"], &line["subject"]), (&"session".into(), &"u-17".into()), "{line}");
}

/// The line of the access log about a stream that was ended.
fn ended_line(gateway: &Gateway, slug: &str) -> serde_json::Value {
    gateway.logged(|line| line["path"] == "/home/socket" && line["slug"] == slug)
}

#[test]
fn streams_end_at_the_absolute_end_of_their_session() {
    let lines = "sessions: { idle_timeout: 3s, absolute_timeout: 3s }\n";
    let gateway = Gateway::start_in(login::directory(), &configuration(lines));
    let alice = Login::new(gateway.address(), "alice");
    let open = vec![open_socket(gateway.address(), &alice), open_events(gateway.address(), &alice)];
    for connection in open {
        let mut left = Vec::new();
        let _ = connection.into_stream().read_to_end(&mut left);
        assert_eq!(String::from_utf8_lossy(&left), "");
    }
    let line = ended_line(&gateway, "session_expired");
    assert_eq!(line["status"], 101, "{line}");
}

#[test]
fn deleting_a_session_by_hand_leaves_its_streams_alone() {
    // SECURITY.md says so: requests in flight go on.
    let server = RedisServer::start();
    let text = configuration(&crate::harness::fleet::redis(&server.settings()));
    let gateway = Gateway::start_in(login::directory(), &text);
    let alice = Login::new(gateway.address(), "alice");
    let mut socket = open_socket(gateway.address(), &alice);
    crate::harness::sessions::delete(&server, &alice);
    eventually("a refusal", || {
        let answer = client::exchange(gateway.address(), alice.get("/home/x"));
        (answer.status == 401).then_some(())
    });
    socket.send("still!");
    socket.read_through("<still!>");
}

#[test]
fn session_of_a_stream_that_ended_by_itself_goes_on() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    site.upstream.behave(crate::harness::upstream::Behaviour::Upgrade);
    let mut socket = Connection::open(site.gateway(1).address());
    let fields = [
        ("Cookie", &*alice.cookie),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("X-CSRF-Token", &*alice.csrf),
    ];
    assert_eq!(socket.exchange(get("/home/x", &fields)).status, 101);
    drop(socket);
    site.upstream.behave(crate::harness::upstream::Behaviour::Answer);
    assert_eq!(site.ask(1, &alice), accepted());
}

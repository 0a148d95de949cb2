//! Answers of the store that are lost: what was done is made up for, and no login is invalid.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::PATIENT;
use crate::harness::eventually;
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, ask, assert_unavailable, log_in, refresh,
};
use crate::harness::outcome::accepted;
use crate::harness::redis::RedisServer;
use crate::harness::redis::monitor::Monitor;

/// Stands between a gateway and a server. Once something is asked in which a text occurs, what is
/// asked arrives, and what is answered does not.
struct OneWayRelay {
    port: u16,
    is_deaf: Arc<AtomicBool>,
    text: Arc<Mutex<Option<String>>>,
}

impl OneWayRelay {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let is_deaf = Arc::new(AtomicBool::new(false));
        let text = Arc::new(Mutex::new(None::<String>));
        let (shared, watched) = (is_deaf.clone(), text.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(("127.0.0.1", server)).expect("the server accepts");
                let copies = |stream: &TcpStream| stream.try_clone().expect("a copy");
                let (asked, asks) = (copies(&near), copies(&far));
                let (is_deaf, watched) = (shared.clone(), watched.clone());
                let begins_it = is_deaf.clone();
                std::thread::spawn(move || {
                    pass_on(asked, asks, |bytes| {
                        let text = watched.lock().expect("the text");
                        if text.as_ref().is_some_and(|text| mentions(bytes, text.as_str())) {
                            begins_it.store(true, Ordering::SeqCst);
                        }
                        true
                    });
                });
                std::thread::spawn(move || {
                    pass_on(far, near, |_| !is_deaf.load(Ordering::SeqCst));
                });
            }
        });
        Self { port, is_deaf, text }
    }

    /// From the next time on that something is asked in which this occurs.
    fn deaf_from(&self, text: &str) {
        *self.text.lock().expect("the text") = Some(text.to_owned());
    }

    fn hears_again(&self) {
        *self.text.lock().expect("the text") = None;
        self.is_deaf.store(false, Ordering::SeqCst);
    }
}

fn mentions(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Passes on what is `wanted`. Whatever was swallowed once spoils the connection: it ends.
fn pass_on(mut from: TcpStream, mut to: TcpStream, wanted: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 64 * 1024];
    let mut swallowed = false;
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if !wanted(&buffer[..bytes]) {
            swallowed = true;
            continue;
        }
        if swallowed || to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

#[test]
fn exchange_whose_answer_the_store_could_not_give_is_made_up_for() {
    let server = RedisServer::start();
    let relay = OneWayRelay::start(server.port());
    let lines =
        format!("{PATIENT}store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", relay.port);
    let site = IssuingFleet::start(&lines, 1);
    let granted = Granted::log_in(site.at(1), "alice");
    let family = server.cli(&["--scan", "--pattern", "*famil*"]).trim().to_owned();
    let current = || server.cli(&["hget", &family, "current"]);
    let monitor = Monitor::start(&server);
    let granted = granted.next(site.at(1));
    // The one script that is about the family is the exchange.
    let commands = monitor.about(&family);
    let script = commands.iter().find(|line| line.contains("EVALSHA")).expect("an exchange");
    let exchange = script.split('"').nth(3).expect("the name of a script").to_owned();
    drop(monitor);
    let before = current();
    relay.deaf_from(&exchange);
    let answer = refresh(site.at(1), &granted.refresh);
    relay.hears_again();
    assert_unavailable(&answer);
    assert_ne!(current(), before, "it was exchanged");
    let next = eventually("the successor", || {
        let answer = refresh(site.at(1), &granted.refresh);
        if answer.status != 200 {
            assert_unavailable(&answer);
            return None;
        }
        Some(Granted::read(&answer))
    });
    let last = next.next(site.at(1));
    assert_eq!(ask(site.at(1), HOME, &last.access), accepted());
}

#[test]
fn login_whose_answer_the_store_could_not_give_is_refused_with_503() {
    let server = RedisServer::start();
    let relay = OneWayRelay::start(server.port());
    let lines =
        format!("{PATIENT}store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", relay.port);
    let site = IssuingFleet::start(&lines, 1);
    relay.is_deaf.store(true, Ordering::SeqCst);
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "tokens" }), &[]);
    relay.hears_again();
    assert_unavailable(&answer);
    eventually("a login", || {
        let answer = log_in(site.at(1), "alice", json!({ "deliver": "tokens" }), &[]);
        (answer.status == 200).then_some(())
    });
}

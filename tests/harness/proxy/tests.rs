//! What the proxy does to bytes, with a server that echoes lines behind a name.

use std::io::{BufRead, BufReader};

use super::*;

/// A server that answers each line with its name and the line; what it has heard.
fn echo(name: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let shared = heard.clone();
    let address = crate::harness::script::script(move |_, mut line| {
        while let Some(text) = line.read_until("\n") {
            shared.lock().expect("the lines").push(text.trim().to_owned());
            line.send(format!("{name} {text}"));
        }
    });
    (address.port(), heard)
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn of(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port())).expect("it accepts");
        Self(BufReader::new(stream))
    }

    fn say(&mut self, text: &str) {
        let _ = self.0.get_mut().write_all(format!("{text}\n").as_bytes());
    }

    /// The next line; `None` once the connection has ended.
    fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.0.read_line(&mut line).unwrap_or(0);
        (length > 0).then(|| line.trim().to_owned())
    }

    fn ask(&mut self, text: &str) -> Option<String> {
        self.say(text);
        self.hear()
    }
}

fn told(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn what_is_held_arrives_when_it_is_let_through_though_the_client_has_left() {
    let (server, heard) = echo("one");
    let proxy = Proxy::start(server);
    let (mut held, mut other) = (Client::of(&proxy), Client::of(&proxy));
    proxy.hold_at("secret");
    assert_eq!(held.ask("a"), told("one a"));
    held.say("a secret");
    let link = proxy.await_held();
    held.say("b");
    assert_eq!(other.ask("secret"), told("one secret"), "once");
    drop(held);
    link.deliver();
    eventually("all of it", || {
        (*heard.lock().expect("the lines") == ["a", "secret", "a secret", "b"]).then_some(())
    });
}

#[test]
fn what_is_cut_is_lost_and_the_other_links_live() {
    let (server, heard) = echo("one");
    let proxy = Proxy::start(server);
    let (mut cut, mut other) = (Client::of(&proxy), Client::of(&proxy));
    assert_eq!((cut.ask("a"), other.ask("b")), (told("one a"), told("one b")));
    proxy.hold_at("c");
    cut.say("c");
    proxy.await_held().cut();
    assert_eq!(cut.hear(), None);
    assert_eq!(other.ask("d"), told("one d"));
    assert_eq!(*heard.lock().expect("the lines"), ["a", "b", "d"]);
}

#[test]
fn answers_are_held_and_delayed_too() {
    let (server, heard) = echo("one");
    let proxy = Proxy::start(server);
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("a"), told("one a"));
    let link = proxy.links().remove(0);
    link.hold(Direction::ToClient);
    client.say("b");
    eventually("the answer", || (link.received(Direction::ToClient) > 6).then_some(()));
    assert_eq!(*heard.lock().expect("the lines"), ["a", "b"]);
    link.let_through(Direction::ToClient);
    assert_eq!(client.hear(), told("one b"));
    let delay = Duration::from_millis(30);
    link.delay(Direction::ToClient, delay);
    let begun = Instant::now();
    assert_eq!(client.ask("c"), told("one c"));
    assert!(begun.elapsed() >= delay);
    proxy.delay_new(delay);
    let begun = Instant::now();
    assert_eq!(Client::of(&proxy).ask("d"), told("one d"));
    assert!(begun.elapsed() >= 2 * delay, "there and back");
}

#[test]
fn what_is_duplicated_is_heard_twice_and_answered_once() {
    let (server, heard) = echo("one");
    let proxy = Proxy::start(server);
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("a"), told("one a"));
    proxy.links()[0].duplicate();
    assert_eq!((client.ask("b"), client.ask("c")), (told("one b"), told("one c")));
    eventually("both", || {
        let mut heard = heard.lock().expect("the lines").clone();
        heard.sort();
        (heard == ["a", "b", "b", "c", "c"]).then_some(())
    });
}

#[test]
fn another_server_gets_the_links_that_are_made_later() {
    let (proxy, other) = (Proxy::start(echo("one").0), echo("other").0);
    let mut before = Client::of(&proxy);
    assert_eq!(before.ask("a"), told("one a"));
    proxy.swap(other);
    assert_eq!(Client::of(&proxy).ask("b"), told("other b"));
    assert_eq!(before.ask("c"), told("one c"));
    proxy.swap(crate::harness::redis::free_port());
    assert_eq!(Client::of(&proxy).ask("d"), None, "nobody is there");
}

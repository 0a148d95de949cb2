//! How long a session rests, and how long it lives.

use std::time::{Duration, Instant};

use crate::harness::client::Connection;
use crate::harness::login::Login;
use crate::harness::outcome::accepted;
use crate::harness::proxy::{Direction, Proxy};
use crate::harness::redis::monitor::Monitor;
use crate::harness::redis::{RedisServer, free_port};
use crate::harness::sessions::{SessionFleet, ask_on, denied};
use crate::harness::{eventually, fleet};

/// Uses a session for so long, on one connection.
fn use_for(site: &SessionFleet, number: usize, login: &Login, span: Duration) {
    let mut connection = Connection::open(site.gateway(number).address());
    let begun = Instant::now();
    while begun.elapsed() < span {
        assert_eq!(ask_on(&mut connection, login), accepted(), "after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn session_that_rests_ends_and_not_before() {
    let server = RedisServer::start();
    let lines = "sessions: { idle_timeout: 3s }\n";
    for site in [SessionFleet::embedded(lines), SessionFleet::on(&server, lines, 1)] {
        let (early, late) = (site.log_in("alice"), site.log_in("bob"));
        // Seconds are whole: one that began late in its second is used up to one second earlier.
        std::thread::sleep(Duration::from_millis(1000));
        assert_eq!(site.ask(1, &early), accepted());
        std::thread::sleep(Duration::from_millis(2100));
        assert_eq!(site.ask(1, &late), denied("session_expired"));
        assert_eq!(site.ask(1, &late), denied("session_expired"), "and it stays so");
    }
}

#[test]
fn use_keeps_a_session_on_all_gateways_and_the_end_of_use_ends_it() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "sessions: { idle_timeout: 3s }\n", 2);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    // The second gateway knows both, and is asked about neither for a while.
    site.assert_in(&alice);
    site.assert_in(&bob);
    use_for(&site, 1, &alice, Duration::from_millis(3700));
    // In use elsewhere: it asks before it says that the session has rested for too long.
    assert_eq!(site.ask(2, &alice), accepted());
    for number in [1, 2] {
        assert_eq!(site.ask(number, &bob), denied("session_expired"));
    }
    std::thread::sleep(Duration::from_millis(3100));
    for number in [1, 2] {
        assert_eq!(site.ask(number, &alice), denied("session_expired"));
    }
}

/// Whoever was served by a gateway that could tell nobody is not logged out by those who could not know.
#[test]
fn use_at_a_gateway_that_is_cut_off_ends_no_session_elsewhere() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let settings = "sessions: { idle_timeout: 10s }\n";
    let through = format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{}' }} }}\n", proxy.port());
    let mut site = SessionFleet::start(&(through + settings), 1);
    site.lines = fleet::redis(&server.settings()) + settings;
    site.join();
    let alice = site.log_in("alice");
    // What is told of the login is told by then.
    for _ in 0..2 {
        site.assert_in(&alice);
        std::thread::sleep(Duration::from_millis(500));
    }
    for link in proxy.links() {
        link.hold(Direction::ToServer);
    }
    proxy.swap(free_port());
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(site.ask_for(1, &alice, "/open"), accepted(), "it knows the session");
    // By what the second one can know, it rests for too long.
    std::thread::sleep(Duration::from_millis(3600));
    let elsewhere = site.ask(2, &alice);
    assert_eq!((elsewhere.0, &*elsewhere.1), (503, "store_unavailable"));
    for link in proxy.links() {
        link.cut();
    }
    proxy.swap(server.port());
    eventually("what the first one knows", || {
        let told = site.ask(2, &alice);
        assert_ne!(told, denied("session_expired"));
        (told == accepted()).then_some(())
    });
}

#[test]
fn use_is_written_down_before_a_gateway_stops() {
    let mut site = SessionFleet::embedded("sessions: { idle_timeout: 4s }\n");
    let (alice, begun) = (site.log_in("alice"), Instant::now());
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(site.ask(1, &alice), accepted());
    site.restart(1, "TERM");
    // Four seconds after the login, and two after it was last used.
    std::thread::sleep(Duration::from_millis(4100).saturating_sub(begun.elapsed()));
    assert_eq!(site.ask(1, &alice), accepted());
}

#[test]
fn session_ends_however_busy_it_is() {
    let site = SessionFleet::embedded("sessions: { idle_timeout: 3s, absolute_timeout: 3s }\n");
    let (alice, begun) = (site.log_in("alice"), Instant::now());
    let mut connection = Connection::open(site.gateway(1).address());
    assert_eq!(ask_on(&mut connection, &alice), accepted());
    eventually("the end", || {
        let told = ask_on(&mut connection, &alice);
        (told != accepted()).then(|| assert_eq!(told, denied("session_expired")))
    });
    let took = begun.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_millis(3500)).contains(&took), "{took:?}");
}

#[test]
fn use_is_written_down_once_in_a_tenth_of_the_time() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "sessions: { idle_timeout: 100s }\n", 1);
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let monitor = Monitor::start(&server);
    use_for(&site, 1, &alice, Duration::from_millis(2500));
    for _ in 0..500 {
        assert_eq!(site.ask(1, &bob), accepted());
    }
    for login in [&alice, &bob] {
        let noted = monitor.count("ZADD", &login.id);
        assert!(noted <= 1, "{noted}: {:?}", monitor.about(&login.id));
    }
}

#[test]
fn rests_that_a_reload_shortens_hold_for_sessions_that_there_are() {
    let site = SessionFleet::embedded("sessions: { idle_timeout: 1h }\n");
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    assert_eq!(site.ask(1, &alice), accepted());
    std::thread::sleep(Duration::from_millis(1100));
    site.reload(1, "sessions: { idle_timeout: 1s }\n");
    assert_eq!(site.ask(1, &bob), denied("session_expired"));
    site.reload(1, "sessions: { idle_timeout: 1h }\n");
    // It has not ended for those who have it longer.
    assert_eq!(site.ask(1, &bob), accepted());
    site.reload(1, "sessions: { idle_timeout: 1s, absolute_timeout: 1s }\n");
    assert_eq!(site.ask(1, &bob), denied("session_expired"));
    assert_eq!(site.ask(1, &alice), denied("session_expired"));
}

#[test]
fn rests_that_a_reload_lengthens_do_not_hold_for_sessions_that_there_are() {
    let site = SessionFleet::embedded("sessions: { idle_timeout: 1s }\n");
    let alice = site.log_in("alice");
    site.reload(1, "sessions: { idle_timeout: 1h }\n");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(site.ask(1, &alice), denied("session_expired"));
}

#[test]
fn identity_headers_and_required_claims_of_a_reload_hold_for_sessions_in_memory() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    assert_eq!(site.ask(1, &alice), accepted());
    assert_eq!(site.upstream.last().values("x-auth-tenant"), ["acme"]);
    let gateway = site.gateway(1);
    let text = std::fs::read_to_string(gateway.file()).expect("a file");
    let reload = |from: &str, to: &str| {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        gateway.reload(&changed);
    };
    reload("tenant: X-Auth-Tenant", "tenant: X-Org");
    assert_eq!(site.ask(1, &alice), accepted());
    assert_eq!(site.upstream.last().values("x-org"), ["acme"]);
    assert_eq!(site.upstream.last().values("x-auth-tenant"), [""; 0]);
    reload("tenant: [acme]", "email: [nobody@example.test]");
    assert_eq!(site.ask_for(1, &alice, "/tenants"), (403, "claim_mismatch".to_owned()));
    reload("tenant: [acme]", "email: [somebody@example.test]");
    assert_eq!(site.ask_for(1, &alice, "/tenants"), accepted());
}

#[test]
fn reload_that_renames_the_cookie_leaves_the_sessions() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    site.reload(1, "sessions: { cookie: { name: __Host-sid } }\n");
    assert_eq!(site.ask(1, &alice), denied("credential_absent"));
    let renamed = Login { cookie: format!("__Host-sid={}", alice.secret()), ..alice };
    assert_eq!(site.ask(1, &renamed), accepted());
}

//! Whatever is served ends when whoever it is served to is cut off.

use super::*;

fn assert_ended_by_revocation(kind: Kind) {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let alice = kind.open(&gateway, &paused, "orders", &bearer(&token(json!({}))));
    let bob = kind.open(&gateway, &paused, "orders", &long_lived());
    let public = kind.open(&gateway, &paused, "public", &bearer(&token(json!({}))));
    let revoked = revoke(&gateway, "alice");
    let (at, bytes) = closed(alice);
    let late = i64::try_from(at).expect("a time") - i64::try_from(revoked).expect("a time");
    assert!(late < LATE_MAX_US, "it was {late} µs late");
    assert_eq!(bytes, b"", "something came after the end");
    paused.go_on();
    kind.assert_open(bob);
    kind.assert_open(public);
    assert_eq!(ended(&gateway, "revoked"), 1.0);
    assert_eq!(ended(&gateway, "expired"), 0.0);
    gateway.logged(|line| line["slug"] == "token_revoked");
    let lines = lines(&gateway, &format!("/orders/{}", kind.name()), "token_revoked");
    let [line] = &lines[..] else { panic!("not one line: {lines:?}") };
    assert_eq!(line["status"], kind.status(), "{line}");
    assert_eq!((&line["route"], &line["subject"]), (&json!("orders"), &json!("alice")));
}

#[test]
fn idle_websocket_ends_when_its_subject_is_revoked() {
    assert_ended_by_revocation(Kind::Socket);
}

#[test]
fn idle_event_stream_ends_when_its_subject_is_revoked() {
    assert_ended_by_revocation(Kind::Events);
}

#[test]
fn long_poll_ends_when_its_subject_is_revoked() {
    assert_ended_by_revocation(Kind::Poll);
}

#[test]
fn streams_opened_while_the_subject_is_revoked_do_not_survive() {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let credential = bearer(&token(json!({})));
    let fields = [("Authorization", &*credential)];
    let revoked = std::thread::scope(|scope| {
        let opened: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut opened = Vec::new();
                    loop {
                        let mut connection = Connection::open(gateway.address());
                        connection.send(get("/orders/events", &fields));
                        if connection.first_line().contains("401") {
                            return opened;
                        }
                        opened.push(connection);
                    }
                })
            })
            .collect();
        paused.wait_for("/orders/events", 20);
        let revoked = revoke(&gateway, "alice");
        let opened = opened.into_iter().flat_map(|opened| opened.join().expect("a thread"));
        for connection in opened.collect::<Vec<_>>() {
            closed(connection);
        }
        revoked
    });
    let late = clock::micros() - revoked;
    assert!(late < LATE_MAX_US.unsigned_abs(), "it was {late} µs late");
}

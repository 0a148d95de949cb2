//! Whatever is served ends when the credential behind it expires.

use super::*;

/// Asserts that a stream ends with the token that it was opened with, and that those of others and
/// of nobody do not.
fn assert_ended_by_expiry(kind: Kind) {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let long = kind.open(&gateway, &paused, "orders", &long_lived());
    let public = kind.open(&gateway, &paused, "public", &long_lived());
    let (credential, end) = short_lived();
    let short = kind.open(&gateway, &paused, "orders", &credential);
    let (at, bytes) = closed(short);
    assert_in_time(at, end);
    assert_eq!(bytes, b"", "something came after the end");
    paused.go_on();
    kind.assert_open(long);
    kind.assert_open(public);
    assert_eq!(ended(&gateway, "expired"), 1.0);
    assert_eq!(ended(&gateway, "revoked"), 0.0);
    let path = format!("/orders/{}", kind.name());
    gateway.logged(|line| line["slug"] == "token_expired");
    let lines = lines(&gateway, &path, "token_expired");
    let [line] = &lines[..] else { panic!("not one line: {lines:?}") };
    assert_eq!(line["status"], kind.status(), "{line}");
    assert_eq!((&line["route"], &line["subject"]), (&json!("orders"), &json!("alice")));
    assert_eq!((&line["outcome"], &line["host"]), (&json!("denied"), &json!("gateway.test")));
    assert_eq!((&line["client"], &line["carrier"]), (&json!("127.0.0.1"), &json!("bearer")));
    assert_eq!(line["request_id"].as_str().map(str::len), Some(32), "{line}");
    let decisions = "portcullis_decisions_total{carrier=\"bearer\",outcome=\"denied\",\
                     route=\"orders\",slug=\"token_expired\"}";
    assert_eq!(metric(&gateway, decisions), 1.0);
    let class = kind.status() / 100;
    let requests =
        format!("portcullis_requests_total{{route=\"orders\",status_class=\"{class}xx\"}}");
    assert!(metric(&gateway, &requests) >= 1.0, "{}", metrics(&gateway));
}

#[test]
fn idle_websocket_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Socket);
}

#[test]
fn idle_event_stream_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Events);
}

#[test]
fn answer_that_stalls_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Download);
}

#[test]
fn long_poll_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Poll);
}

#[test]
fn request_whose_body_stalls_ends_when_its_credential_expires() {
    assert_ended_by_expiry(Kind::Upload);
}

#[test]
fn answer_that_nobody_reads_ends_when_its_credential_expires() {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let (credential, end) = short_lived();
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/orders/flood", &[("Authorization", &credential)]));
    connection.read_through("\r\n\r\n");
    eventually("the end", || (ended(&gateway, "expired") == 1.0).then_some(()));
    assert_in_time(clock::micros(), end);
    eventually("one connection less", || {
        (metric(&gateway, "portcullis_connections_open") == 0.0).then_some(())
    });
    let line = gateway.logged(|line| line["path"] == "/orders/flood");
    assert_eq!((&line["status"], &line["slug"]), (&json!(200), &json!("token_expired")));
    assert!(line["bytes_out"].as_u64() > Some(0), "{line}");
    let (_, bytes) = closed(connection);
    assert!(bytes.len() < FLOOD_BYTES, "all of it arrived");
}

#[test]
fn websocket_in_use_ends_when_its_credential_expires() {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let (credential, end) = short_lived();
    let mut connection = Kind::Socket.open(&gateway, &paused, "orders", &credential);
    let mut stream = loop {
        connection.send("ping!");
        if clock::micros() > u64::try_from(end * 1_000_000 - 200_000).expect("a time") {
            break connection.into_stream();
        }
        connection.read_through("<ping!>");
    };
    // A message is under way; whether it is still answered is nobody's promise.
    let mut left = Vec::new();
    let read = stream.read_to_end(&mut left);
    assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert_in_time(clock::micros(), end);
}

#[test]
fn connection_whose_requests_are_finished_outlives_their_credential() {
    let paused = PausedUpstream::default();
    let gateway = Gateway::start(&configuration(paused.open()));
    let (credential, end) = short_lived();
    let fields = [("Authorization", &*credential)];
    let mut idle = Connection::open(gateway.address());
    for _ in 0..3 {
        assert_eq!(idle.exchange(get("/orders/x", &fields)).body, "done");
    }
    // The same connection serves nobody's stream when the credential of before expires.
    let mut busy = Connection::open(gateway.address());
    assert_eq!(busy.exchange(get("/orders/x", &fields)).body, "done");
    busy.send(get("/public/events", &[]));
    busy.read_through("first");
    let (at, _) = closed(Kind::Events.open(&gateway, &paused, "orders", &credential));
    assert_in_time(at, end);
    assert_eq!(idle.exchange(get("/orders/x", &fields)).slug(), "token_expired");
    let fresh = long_lived();
    assert_eq!(idle.exchange(get("/orders/x", &[("Authorization", &fresh)])).body, "done");
    paused.go_on();
    busy.read_through("0\r\n\r\n");
    assert_eq!(busy.exchange(get("/public/x", &[])).body, "done");
    assert_eq!(ended(&gateway, "expired"), 1.0);
}

#[test]
fn upstream_connection_ends_with_its_stream() {
    let (tells, seen) = std::sync::mpsc::channel();
    let tells = Mutex::new(tells);
    let address = script(move |_, mut line| {
        line.read_head();
        line.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        line.read_to_end();
        // Nobody listens any more if the test has failed.
        let _ = tells.lock().expect("the sender").send(clock::micros());
    });
    let gateway = Gateway::start(&configuration(address));
    let (credential, end) = short_lived();
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/orders/events", &[("Authorization", &credential)]));
    connection.read_through("first");
    let at = seen.recv_timeout(PATIENCE).expect("the upstream sees the end");
    assert_in_time(at, end);
}

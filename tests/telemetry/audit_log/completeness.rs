//! Nothing that was done is missing, and nobody who reads nothing stops the gate.

use super::*;

/// Whoever hangs up has asked nevertheless.
#[test]
fn change_of_a_client_that_leaves_at_once_is_logged_if_it_is_made() {
    const COUNT: usize = 50;
    let (gateway, file) = writing_to("audit.jsonl", "");
    for number in 0..COUNT {
        let draft = format!("{{\"scope\":\"session\",\"session\":\"s-{number}\"}}");
        let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
        let mut connection = client::Connection::open(gateway.admin());
        connection.send_request(request("POST", "/v1/revocations", &fields, &draft));
        // Some leave before it is read, some while it is written.
        std::thread::sleep(Duration::from_micros(50 * number as u64));
        drop(connection);
    }
    revoke(&gateway, "the last");
    let written = eventually("as many lines as revocations", || {
        let told = fleet::admin(&gateway, "/v1/revocations")?;
        let total = usize::try_from(told["total"].as_u64()?).expect("a number");
        (total == lines(&file).len()).then_some(total)
    });
    assert!(written > 1, "none of them got through");
}

/// A gateway whose standard output nobody reads, as if whoever collects the log stood still.
struct UnreadOutput {
    child: Child,
    address: SocketAddr,
    admin: AdminListener,
}

impl UnreadOutput {
    fn start(directory: &std::path::Path, configuration: &str) -> Self {
        let file = directory.join("gateway.yaml");
        std::fs::write(&file, configuration).expect("a file");
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut next = |marker: &str| loop {
            let line = errors.next().expect("a line").expect("text");
            if let Some((_, rest)) = line.split_once(marker) {
                return rest.trim_start_matches("http://").to_owned();
            }
        };
        let address = next("listening on ").parse().expect("an address");
        let admin = next("admin on ").parse().expect("an address");
        let admin = AdminListener::at(admin, directory);
        next(" ready");
        // Nobody must be told that the pipe is gone.
        std::thread::spawn(move || errors.for_each(drop));
        Self { child, address, admin }
    }
}

impl Drop for UnreadOutput {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whoever follows the revocation log must not wait for whoever reads the audit log.
#[test]
fn standard_output_that_nobody_reads_does_not_stop_the_gate() {
    let upstream = Upstream::start();
    let directory = directory();
    let text = format!("revocation: {{ max_staleness: 1s }}\n{}", standard(&upstream));
    let unread = UnreadOutput::start(directory.path(), &text);
    // A pipe holds 64 KiB, a line some hundred bytes.
    let mut connection = client::Connection::open(unread.address);
    for _ in 0..500 {
        assert_eq!(connection.exchange(get("/public/x", &[])).status, 200);
    }
    let body = r#"{"scope":"subject","subject":"alice"}"#;
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let mut asking = client::Connection::open(unread.admin.clone());
    asking.send_request(request("POST", "/v1/revocations", &fields, body));
    let whoami = |subject: &str| {
        let authorization = bearer(&fleet::token_of(subject));
        let bytes = get("/whoami", &[("Authorization", &authorization)]);
        fleet::said(&client::exchange(unread.address, bytes))
    };
    eventually("the revocation", || (whoami("alice") == fleet::Verdict::Revoked).then_some(()));
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        assert_eq!(whoami("bob"), fleet::Verdict::Accepted, "the list is followed all along");
    }
    let probe = client::exchange(unread.admin.clone(), get("/readyz", &[]));
    assert_eq!(probe.status, 200);
    // That nobody has taken the line is told.
    let answer = asking.answer().expect("an answer");
    assert_eq!((answer.status, answer.slug().as_str()), (500, "audit_log"), "{answer:?}");
}

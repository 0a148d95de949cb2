//! `portcullis health`.

use std::time::Duration;

use crate::harness::client::{Connection, get};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::jwks::{JwksEndpoint, JwksReply};
use crate::harness::program::{Ran, run, run_with};
use crate::harness::upstream::{Behaviour, Upstream};

/// Asks the admin listener at this address.
fn ask(address: impl std::fmt::Display) -> Ran {
    run(&std::env::temp_dir(), &["health", "--admin", &format!("http://{address}")])
}

/// Something that answers everything with this status.
fn answering(status: u16, fields: &str) -> String {
    let serves = JwksReply::Raw { status, fields: fields.to_owned(), body: "ready\n".to_owned() };
    address(&JwksEndpoint::start(serves))
}

fn address(endpoint: &JwksEndpoint) -> String {
    let url = endpoint.url();
    url.trim_start_matches("http://").split('/').next().expect("an address").to_owned()
}

#[test]
fn gateway_that_is_ready_is_healthy() {
    let gateway = Gateway::standard(&Upstream::start());
    let ran = ask(gateway.admin());
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
}

#[test]
fn slash_at_the_end_of_the_url_makes_no_difference() {
    let gateway = Gateway::standard(&Upstream::start());
    assert_eq!(ask(format!("{}/", gateway.admin())).code, 0);
}

/// Puts a configuration into a directory of its own that says where the admin listener is.
fn ask_by_configuration(admin: &str) -> Ran {
    let directory = directory();
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", admin);
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    run(directory.path(), &["health", "--config", "gateway.yaml"])
}

#[test]
fn admin_listener_is_found_through_the_configuration() {
    let gateway = Gateway::standard(&Upstream::start());
    let ran = ask_by_configuration(&format!("admin: {{ address: '{}' }}", gateway.admin()));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn admin_listener_on_any_address_is_asked_on_this_machine_and_without_its_token() {
    let directory = directory();
    std::fs::write(directory.path().join("token"), "a long random value").expect("a file");
    let any = "admin: { address: '0.0.0.0:0', token_file: token }";
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", any);
    let gateway = Gateway::start_in(directory.clone(), &text);
    let text = text.replace("0.0.0.0:0", &format!("0.0.0.0:{}", gateway.admin().port()));
    std::fs::write(directory.path().join("health.yaml"), text).expect("a file");
    let ran = run(directory.path(), &["health", "--config", "health.yaml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn option_goes_before_the_configuration() {
    let gateway = Gateway::standard(&Upstream::start());
    let admin = format!("http://{}", gateway.admin());
    let arguments = ["health", "--config", "nowhere.yaml", "--admin", &admin];
    assert_eq!(run(&std::env::temp_dir(), &arguments).code, 0);
}

#[test]
fn gateway_that_is_not_there_is_not_healthy() {
    // Bound, but nobody listens: nobody else can take the port meanwhile.
    let gateway = Gateway::standard(&Upstream::start());
    let admin = gateway.admin();
    drop(gateway);
    for ran in [ask(&admin), ask_by_configuration(&format!("admin: {{ address: '{admin}' }}"))] {
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        assert!(ran.stderr.starts_with("portcullis: not ready: "), "{ran:?}");
        assert!(ran.stderr.contains("is `portcullis serve` running"), "{ran:?}");
    }
}

#[test]
fn gateway_that_is_stopping_is_not_healthy() {
    let upstream = Upstream::start_with(Behaviour::Silent);
    let gateway = Gateway::standard(&upstream);
    let mut connection = Connection::open(gateway.address());
    connection.send(get("/public/a", &[]));
    eventually("the request in flight", || (!upstream.received().is_empty()).then_some(()));
    gateway.signal("TERM");
    let ran = eventually("another answer", || {
        let ran = ask(gateway.admin());
        (ran.code != 0).then_some(ran)
    });
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("portcullis: not ready: the answer was 503 "), "{ran:?}");
}

#[test]
fn only_an_answer_of_200_is_healthy() {
    assert_eq!(ask(answering(200, "")).code, 0);
    let elsewhere = format!("Location: http://{}/\r\n", answering(200, ""));
    for (status, fields) in [(204, ""), (302, elsewhere.as_str()), (401, ""), (404, ""), (503, "")]
    {
        let ran = ask(answering(status, fields));
        assert_eq!(ran.code, 1, "{status}");
        let told = format!("portcullis: not ready: the answer was {status}");
        assert!(ran.stderr.starts_with(&told), "{ran:?}");
    }
}

#[test]
fn gateway_that_does_not_answer_is_not_healthy() {
    let endpoint = JwksEndpoint::start(JwksReply::Hang(Duration::from_secs(60)));
    let begun = std::time::Instant::now();
    assert_eq!(ask(address(&endpoint)).code, 1);
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
}

#[test]
fn configuration_that_does_not_compile_is_bad_input() {
    let ran = ask_by_configuration("colour: red");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("error: colour: "), "{ran:?}");
}

#[test]
fn gateway_is_asked_past_any_proxy() {
    // Many containers are told of a proxy; it cannot reach the gateway beside this program.
    let gateway = Gateway::standard(&Upstream::start());
    let proxy = format!("http://{}", answering(503, ""));
    let environment =
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, &*proxy));
    let admin = format!("http://{}", gateway.admin());
    let ran = run_with(&std::env::temp_dir(), &["health", "--admin", &admin], &environment);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

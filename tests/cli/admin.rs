//! Where commands find the gateway, and to whom they show its token.

use super::revocations::{TOKEN, run, start};
use crate::harness::gateway::{Gateway, directory, standard};
use crate::harness::jwks;
use crate::harness::program::{bad_input, done, failed, operate, run_with};
use crate::harness::upstream::Upstream;

#[test]
fn gateway_is_found_through_the_configuration_with_its_token() {
    let directory = directory();
    std::fs::write(directory.path().join("token"), format!("{TOKEN}\n")).expect("a file");
    let section = "admin: { address: '127.0.0.1:0', token_file: token }";
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", section);
    let gateway = Gateway::start_in(directory.clone(), &text);
    let address = format!("address: '{}'", gateway.admin());
    let text =
        text.replace("address: '127.0.0.1:0', token_file", &format!("{address}, token_file"));
    std::fs::write(directory.path().join("found.yaml"), text).expect("a file");
    let file = directory.path().join("found.yaml").display().to_string();
    let found = |arguments: &[&str]| {
        let arguments = [arguments, &["--config", &file]].concat();
        done(run_with(&std::env::temp_dir(), &arguments, &[]))
    };
    assert_eq!(found(&["revoke", "--everything"]), "revoked everything (position 1)\n");
    assert!(found(&["revocations", "list"]).ends_with("\n1 of 1 revocations\n"));
    assert_eq!(found(&["gateways"]).lines().count(), 2);
}

#[test]
fn token_is_read_from_the_file_that_is_named() {
    let section = format!("admin: {{ address: '127.0.0.1:0', token: {TOKEN} }}");
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", &section);
    let gateway = Gateway::start(&text);
    let file = |name: &str, token: &str| {
        let file = gateway.directory().join(name);
        std::fs::write(&file, token).expect("a file");
        file.display().to_string()
    };
    let (right, wrong) = (file("right", &format!("{TOKEN}\n")), file("wrong", "wrong"));
    let odd = file("odd", "two\nlines");
    let with = |token_file: &str| {
        run(&gateway, &["revoke", "--everything", "--admin-token-file", token_file])
    };
    done(with(&right));
    let required = "portcullis: the admin token is required. Name the gateway's configuration with \
                    --config, or a file that holds the token with --admin-token-file (the gateway's \
                    own is `admin.token` in its data directory)\n";
    let shown = required
        .replace("the admin token is required", "the gateway does not accept the admin token");
    assert_eq!(failed(with(&wrong)), shown);
    assert_eq!(failed(run(&gateway, &["revocations", "list"])), required);
    assert!(!failed(with(&odd)).contains("lines"), "a token is not repeated");
    let told = bad_input(with("/nowhere/token"));
    assert_eq!(told, "/nowhere/token: No such file or directory (os error 2)\n");
    // As the environment of a container names it.
    let admin = format!("http://{}/", gateway.admin());
    let environment = [("PORTCULLIS_ADMIN_TOKEN_FILE", right.as_str())];
    let arguments = ["gateways", "--admin", &admin];
    done(run_with(&std::env::temp_dir(), &arguments, &environment));
}

/// The configuration's token is for the configuration's gateway.
#[test]
fn token_of_the_configuration_is_sent_nowhere_else() {
    let directory = directory();
    let section = format!("admin: {{ address: '127.0.0.1:0', token: {TOKEN} }}");
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", &section);
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let stranger = Upstream::start();
    let admin = format!("http://{}", stranger.address());
    let arguments = ["gateways", "--config", "gateway.yaml", "--admin", &admin];
    assert_eq!(run_with(directory.path(), &arguments, &[]).code, 1);
    assert!(stranger.last().values("authorization").is_empty(), "{:?}", stranger.last());
}

#[test]
fn gateway_that_is_not_there_is_a_failure_that_says_where_it_was_looked_for() {
    let (_upstream, gateway) = start();
    let (admin, directory) = (gateway.admin(), gateway.shared_directory());
    drop(gateway);
    let text = standard(&Upstream::start());
    let text = text
        .replace("admin: { address: '127.0.0.1:0' }", &format!("admin: {{ address: '{admin}' }}"));
    std::fs::write(directory.path().join("gateway.yaml"), text).expect("a file");
    let told = format!("portcullis: no gateway answers at http://{admin}: ");
    for command in [
        vec!["revoke", "--everything"],
        vec!["revoke", "--everything", "--wait"],
        vec!["revocations", "list"],
        vec!["gateways"],
    ] {
        let by_configuration = run_with(directory.path(), &command, &[]);
        let url = format!("http://{admin}");
        let by_url = [command, vec!["--admin", &url]].concat();
        for ran in [by_configuration, run_with(directory.path(), &by_url, &[])] {
            let printed = failed(ran);
            assert!(printed.starts_with(&told) && printed.contains("refused"), "{printed}");
        }
    }
}

#[test]
fn configuration_that_is_not_there_is_bad_input() {
    let told = bad_input(run_with(
        &std::env::temp_dir(),
        &["revoke", "--everything", "--config", "nowhere.yaml"],
        &[],
    ));
    assert!(told.starts_with("nowhere.yaml: error: the file cannot be read: "), "{told}");
}

#[test]
fn what_is_no_url_is_bad_input() {
    for admin in ["", "nonsense", "127.0.0.1:9901", "ftp://127.0.0.1:9901", "http://"] {
        let arguments = ["gateways", "--admin", admin];
        let told = bad_input(run_with(&std::env::temp_dir(), &arguments, &[]));
        let expected = format!("`{admin}` is not a URL: write http://127.0.0.1:9901\n");
        assert_eq!(told, expected);
    }
}

#[test]
fn whoever_answers_without_being_a_gateway_is_a_failure() {
    for (status, body) in
        [(200, "<html>"), (200, "{}"), (200, "[]"), (404, "not here"), (302, ""), (500, "")]
    {
        let serves = jwks::JwksReply::Raw { status, fields: String::new(), body: body.to_owned() };
        let other = jwks::JwksEndpoint::start(serves);
        let url = other.url();
        let admin = url.rsplit_once('/').expect("a path").0;
        for command in
            [vec!["revoke", "--everything"], vec!["revocations", "list"], vec!["gateways"]]
        {
            let arguments = [command, vec!["--admin", admin]].concat();
            let told = failed(run_with(&std::env::temp_dir(), &arguments, &[]));
            let expected = match (status, body) {
                (200, _) => format!("the server at {admin} is not a gateway"),
                (_, "") => format!("the answer was {status} "),
                (_, text) => text.to_owned(),
            };
            assert!(
                told.starts_with(&format!("portcullis: {expected}")),
                "{status} {body}: {told}"
            );
        }
    }
}

#[test]
fn gateway_is_asked_past_any_proxy() {
    let (_upstream, gateway) = start();
    let environment = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        .map(|name| (name, "http://127.0.0.1:1"));
    done(operate(&gateway, &std::env::temp_dir(), &["gateways"], &environment));
}

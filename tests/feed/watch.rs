//! Files that change: the configuration, and what it names, are noticed however they were replaced.

use serde_json::json;

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, standard};
use crate::harness::tokens::{self, signed, signing_key, token};
use crate::harness::upstream::Upstream;
use crate::runtime::{FAILED, GENERATION, RELOADED, refused};

#[test]
fn changed_file_is_noticed_without_a_signal() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let moved = standard(&upstream).replace("/public/{*rest}", "/moved/{*rest}");
    std::fs::write(gateway.file(), &moved).expect("a file");
    eventually("the new route", || {
        (gateway.exchange(get("/moved/x", &[])).status == 200).then_some(())
    });
    assert_eq!(gateway.metric(RELOADED), 1.0);
}

#[test]
fn file_that_was_replaced_by_renaming_is_noticed() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let moved = standard(&upstream).replace("/public/{*rest}", "/moved0/{*rest}");
    for number in 0..2 {
        let beside = gateway.directory().join("gateway.yaml.new");
        let text = moved.replace("/moved0/", &format!("/moved{number}/"));
        std::fs::write(&beside, text).expect("a file");
        std::fs::rename(&beside, gateway.file()).expect("a file");
        eventually("the new route", || {
            let path = format!("/moved{number}/x");
            (gateway.exchange(get(&path, &[])).status == 200).then_some(())
        });
    }
}

#[test]
fn changed_key_file_is_noticed_without_a_signal() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let old = token(json!({}));
    assert_eq!(gateway.get_as("/orders/7", &old).status, 200);
    let pair =
        portcullis::issuer::key_pairs::generate(portcullis::issuer::key_pairs::KeyKind::P256)
            .expect("a key pair");
    let new = signed(&signing_key(&pair, None), "at+jwt", json!({}));
    assert_eq!(gateway.get_as("/orders/7", &new).slug(), "token_signature");
    std::fs::write(gateway.directory().join("issuer.pem"), &pair.public).expect("a file");
    eventually("the new key", || (gateway.get_as("/orders/7", &new).status == 200).then_some(()));
    // What the old key signed was verified before, and is refused now nevertheless.
    assert_eq!(gateway.get_as("/orders/7", &old).slug(), "token_signature");
}

#[test]
fn symbolic_link_that_was_turned_is_noticed() {
    let upstream = Upstream::start();
    let directory = crate::harness::gateway::directory();
    let pair =
        portcullis::issuer::key_pairs::generate(portcullis::issuer::key_pairs::KeyKind::P256)
            .expect("a key pair");
    // As mounted secrets are: a link to a directory, which is replaced as a whole.
    for (name, key) in [("one", &tokens::pair().public), ("two", &pair.public)] {
        std::fs::create_dir(directory.path().join(name)).expect("a directory");
        std::fs::write(directory.path().join(name).join("key.pem"), key).expect("a file");
    }
    let link = |to: &str| {
        let beside = directory.path().join("new");
        std::os::unix::fs::symlink(to, &beside).expect("a link");
        std::fs::rename(&beside, directory.path().join("current")).expect("a link");
    };
    link("one");
    let configuration = standard(&upstream).replace("issuer.pem", "current/key.pem");
    let gateway = Gateway::start_in(directory.clone(), &configuration);
    let new = signed(&signing_key(&pair, None), "at+jwt", json!({}));
    assert_eq!(gateway.get_as("/orders/7", &new).slug(), "token_signature");
    link("two");
    eventually("the new key", || (gateway.get_as("/orders/7", &new).status == 200).then_some(()));
}

#[test]
fn file_that_the_new_configuration_misses_is_noticed_when_it_appears() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let told = refused(&gateway, &standard(&upstream).replace("issuer.pem", "later.pem"));
    assert!(told.contains("later.pem"), "{told}");
    let pair =
        portcullis::issuer::key_pairs::generate(portcullis::issuer::key_pairs::KeyKind::P256)
            .expect("a key pair");
    let new = signed(&signing_key(&pair, None), "at+jwt", json!({}));
    std::fs::write(gateway.directory().join("later.pem"), &pair.public).expect("a file");
    eventually("the new key", || (gateway.get_as("/orders/7", &new).status == 200).then_some(()));
}

#[test]
fn deleted_file_keeps_the_configuration_in_force() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::standard(&upstream);
    std::fs::remove_file(gateway.file()).expect("a file");
    eventually("a refusal", || (gateway.metric(FAILED) >= 1.0).then_some(()));
    assert_eq!(gateway.exchange(get("/public/x", &[])).status, 200);
    assert!(gateway.is_running());
    // And once it is back it is read again.
    let moved = standard(&upstream).replace("/public/{*rest}", "/moved/{*rest}");
    std::fs::write(gateway.file(), &moved).expect("a file");
    eventually("the new route", || {
        (gateway.exchange(get("/moved/x", &[])).status == 200).then_some(())
    });
}

#[test]
fn unchanged_files_are_not_reloaded() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    // Three looks at the files: time itself is the subject.
    std::thread::sleep(portcullis::feed::watch::LOOK_EVERY * 3);
    assert_eq!((gateway.metric(GENERATION), gateway.metric(RELOADED)), (1.0, 0.0));
}

//! Files that a configuration names.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn files_are_found_beside_the_configuration_and_not_beside_the_caller() {
    let directory = directory();
    std::fs::create_dir(directory.path().join("elsewhere")).expect("a directory");
    put(directory.path(), "gateway.yaml", BASE);
    let elsewhere = directory.path().join("elsewhere");
    let ran = run_with(&elsewhere, &["check", "--config", "../gateway.yaml"], &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn file_by_its_whole_path_is_read() {
    let directory = directory();
    let file = directory.path().join("idp.pem");
    let text = BASE.replace("idp.pem", &format!("'{}'", file.display()));
    let ran = examine_in(directory.path(), text, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

/// Every field that names a file, on line 6 or the line told.
fn naming(file: &str) -> Vec<(String, &'static str)> {
    let key = |source: &str, algorithm: &str| {
        with_issuer(&format!("algorithms: [{algorithm}], keys: {{ {source}: {file} }}"))
    };
    let url = "jwks_url: https://idp.test/keys";
    let redis = |tls: &str| with(&format!("store: {{ redis: {{ url: rediss://h, {tls} }} }}"));
    vec![
        (with(&format!("admin: {{ token_file: {file} }}")), "6: error: admin.token_file"),
        (
            with(&format!("access_log: {{ subject: hashed, subject_key_file: {file} }}")),
            "6: error: access_log.subject_key_file",
        ),
        (redis(&format!("password_file: {file}")), "6: error: store.redis.password_file"),
        (with(&format!("login: {{ password_file: {file} }}")), "6: error: login.password_file"),
        (redis(&format!("tls: {{ ca_file: {file} }}")), "6: error: store.redis.tls.ca_file"),
        (
            redis(&format!("tls: {{ certificate_file: {file}, key_file: idp.pem }}")),
            "6: error: store.redis.tls.certificate_file",
        ),
        (
            redis(&format!("tls: {{ certificate_file: idp.pem, key_file: {file} }}")),
            "6: error: store.redis.tls.key_file",
        ),
        (key("public_key_file", "ES256"), "3: error: issuers[0].keys.public_key_file"),
        (key("jwks_file", "ES256"), "3: error: issuers[0].keys.jwks_file"),
        (key("secret_file", "HS256"), "3: error: issuers[0].keys.secret_file"),
        (key(&format!("{url}, ca_file"), "ES256"), "3: error: issuers[0].keys.ca_file"),
        (
            with_upstream(&format!(
                "peers: ['127.0.0.1:1'], tls: {{ server_name: a.test, ca_file: {file} }}"
            )),
            "2: error: upstreams.behind.tls.ca_file",
        ),
        (
            replace_line(
                1,
                &format!(
                    "listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: \
                     [{{ certificate_file: {file}, key_file: idp.pem }}] }} }}]"
                ),
            ),
            "1: error: listeners[0].tls.certificates[0].certificate_file",
        ),
    ]
}

#[track_caller]
fn cannot_be_read(directory: &Path, file: &str, why: &str) {
    for (text, place) in naming(file) {
        let told = format!(
            "{place}: `{file}` cannot be read: {why}. \
             Name a readable file; paths are relative to this one."
        );
        assert_eq!(problems_of(&examine_in(directory, &text, &[])), [told], "{text}");
    }
}

#[test]
fn missing_files_are_told_with_field_and_line() {
    cannot_be_read(directory().path(), "missing", "No such file or directory (os error 2)");
}

#[test]
fn directories_in_the_place_of_files_are_refused() {
    let directory = directory();
    std::fs::create_dir(directory.path().join("inside")).expect("a directory");
    cannot_be_read(directory.path(), "inside", "Is a directory (os error 21)");
}

#[test]
fn files_that_cannot_be_opened_are_refused() {
    let directory = directory();
    symlink("itself", directory.path().join("itself")).expect("a link");
    cannot_be_read(directory.path(), "itself", "Too many levels of symbolic links (os error 40)");
}

#[test]
fn files_over_a_mebibyte_are_refused() {
    let directory = directory();
    put(directory.path(), "large", vec![b'k'; (1 << 20) + 1]);
    cannot_be_read(directory.path(), "large", "it is larger than 1 MiB");
}

#[test]
fn file_of_a_mebibyte_is_read() {
    let directory = directory();
    put(directory.path(), "large", vec![b'k'; 1 << 20]);
    let text = with("admin: { token_file: large }");
    let ran = examine_in(directory.path(), text, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn endless_file_is_refused() {
    cannot_be_read(directory().path(), "/dev/zero", "it is larger than 1 MiB");
}

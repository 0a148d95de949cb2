//! Secrets come from files and from the environment, and are not told to anybody.

use super::*;

const SECRET: &str = "thirty-two-bytes-of-pure-entropy";

fn keys(keys: &str) -> String {
    with_issuer(&format!("algorithms: [HS256], keys: {{ {keys} }}"))
}

#[test]
fn secret_in_the_file_is_a_warning_and_loads() {
    assert_eq!(
        warnings(keys(&format!("secret: {SECRET}"))),
        ["3: warning: issuers[0].keys.secret: a secret is written in the file. \
          Use `secret_file`, or `${NAME}` for the environment."]
    );
    assert_eq!(
        warnings(with("admin: { token: hunter2 }")),
        ["6: warning: admin.token: a secret is written in the file. \
          Use `token_file`, or `${NAME}` for the environment."]
    );
}

#[test]
fn warnings_do_not_end_up_in_the_table() {
    let ran = examine(with("admin: { token: hunter2 }"));
    assert!(!ran.stdout.contains("warning"), "{ran:?}");
}

#[test]
fn secret_from_the_environment_is_nothing_to_warn_of() {
    let text = keys("secret: '${IDP_SECRET}'");
    let ran = examine_in(directory().path(), text, &[("IDP_SECRET", SECRET)]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn variables_are_filled_in_wherever_text_stands() {
    let text = with("realm: 'the ${WHAT} realm'\ntrusted_proxies: ['${NETWORK}']");
    let environment = [("WHAT", "first"), ("NETWORK", "10.0.0.0/8")];
    let ran = examine_in(directory().path(), &text, &environment);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let ran = examine_in(directory().path(), &text, &[("WHAT", "first"), ("NETWORK", "ten")]);
    let told = "7: error: trusted_proxies[0]: `ten` is not a network. \
                Write an address or a network, such as 10.0.0.0/8.";
    assert_eq!(problems_of(&ran), [told]);
}

#[test]
fn variable_is_not_read_as_yaml() {
    // What is in the environment cannot add fields.
    let text = with("realm: ${WHAT}");
    let ran = examine_in(directory().path(), text, &[("WHAT", "a\nadmin: { address: 0.0.0.0:1 }")]);
    let told =
        "6: error: realm: the realm cannot be quoted. Use visible ASCII without `\"` and `\\`.";
    assert_eq!(problems_of(&ran), [told]);
}

#[test]
fn variable_that_is_not_set_is_refused() {
    each_is_refused([(
        with("realm: ${PORTCULLIS_TEST_UNSET}"),
        "6: error: realm: the environment variable `PORTCULLIS_TEST_UNSET` is not set. \
         Set it, or write `$${…}` for the characters themselves.",
    )]);
}

#[test]
fn every_variable_that_is_not_set_is_named() {
    let text = with(
        "realm: ${PORTCULLIS_TEST_A}\ntrusted_proxies: [10.0.0.0/8]\ndata_directory: a/${PORTCULLIS_TEST_B}/c",
    );
    let problems = problems(text);
    let places: Vec<_> = problems.iter().map(|problem| problem.split(": the ").next()).collect();
    assert_eq!(places, [Some("6: error: realm"), Some("8: error: data_directory")]);
}

#[test]
fn doubled_dollar_stands_for_itself() {
    all_compile([with("realm: 'a $${PORTCULLIS_TEST_UNSET} b'")]);
}

#[test]
fn empty_secret_is_refused() {
    let told = "the secret is empty. Put a long random value there.";
    let text = keys("secret: '${IDP_SECRET}'");
    for value in ["", " ", "\n"] {
        let ran = examine_in(directory().path(), &text, &[("IDP_SECRET", value)]);
        assert_eq!(problems_of(&ran), [format!("3: error: issuers[0].keys.secret: {told}")]);
    }
    let directory = directory();
    put(directory.path(), "token", " \n");
    let text = with("admin: { token_file: token }");
    let ran = examine_in(directory.path(), text, &[]);
    assert_eq!(problems_of(&ran), [format!("6: error: admin.token_file: {told}")]);
}

#[test]
fn secret_given_twice_is_refused() {
    let directory = directory();
    put(directory.path(), "key", SECRET);
    let text = keys(&format!("secret_file: key, secret: {SECRET}"));
    let ran = examine_in(directory.path(), text, &[]);
    let told = "3: error: issuers[0].keys.secret: both `secret` and `secret_file` are given. \
                Keep one of them.";
    assert_eq!(problems_of(&ran), [told]);
}

/// However wrong the configuration is, this text is not repeated.
#[track_caller]
fn keeps_to_itself(secret: &str, ran: &Ran) {
    assert!(!ran.stdout.contains(secret), "{}", ran.stdout);
    assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
}

#[test]
fn secret_in_its_place_is_not_repeated() {
    keeps_to_itself("hunter2", &examine(with("admin: { token: hunter2 }")));
    keeps_to_itself("hunter2", &examine(keys("secret: hunter2")));
    keeps_to_itself(SECRET, &examine(keys(&format!("secret: {SECRET}, secret_file: key"))));
    keeps_to_itself("hunter2", &examine(keys("secret: [hunter2]")));
}

#[test]
fn secret_of_digits_is_not_repeated() {
    // YAML takes it for a number, which the field is not.
    let digits = "1234567890123456789";
    let ran = examine(with(&format!("admin: {{ token: {digits} }}")));
    assert_eq!(ran.code, 2);
    keeps_to_itself(digits, &ran);
    keeps_to_itself(digits, &examine(keys(&format!("secret: {digits}"))));
}

#[test]
fn secret_from_the_environment_in_the_wrong_place_is_not_repeated() {
    for text in [
        with("admin: ${ADMIN_TOKEN}"),
        with_issuer("algorithms: [HS256], keys: '${ADMIN_TOKEN}'"),
        keys("secret: { value: '${ADMIN_TOKEN}' }"),
    ] {
        let ran = examine_in(directory().path(), &text, &[("ADMIN_TOKEN", "hunter2-hunter2")]);
        assert_eq!(ran.code, 2, "{text}");
        keeps_to_itself("hunter2-hunter2", &ran);
    }
}

#[test]
fn password_in_a_url_is_not_repeated() {
    for url in ["http://me:hunter2@idp.test/keys", "ftp://me:hunter2@idp.test/keys"] {
        let keys = format!("algorithms: [ES256], keys: {{ jwks_url: '{url}' }}");
        let ran = examine(with_issuer(&keys));
        assert_eq!(ran.code, 2, "{url}");
        keeps_to_itself("hunter2", &ran);
    }
}

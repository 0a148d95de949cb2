//! Issuers: algorithms and keys must fit each other, and keys must not be anybody's.

use super::*;

#[test]
fn secret_must_be_as_long_as_the_hash() {
    for (algorithm, bytes) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let text = with_issuer(&format!("algorithms: [{algorithm}], keys: {{ secret_file: key }}"));
        let directory = directory();
        put(directory.path(), "key", "k".repeat(bytes));
        assert_eq!(warnings_of(&examine_in(directory.path(), &text, &[])), [""; 0]);
        put(directory.path(), "key", "k".repeat(bytes - 1));
        let problem = format!(
            "3: error: issuers[0].keys: the secret has {} bytes, {algorithm} needs at least \
             {bytes}. Correct the key or `algorithms`.",
            bytes - 1
        );
        assert_eq!(problems_of(&examine_in(directory.path(), &text, &[])), [problem]);
    }
}

#[test]
fn secret_must_be_as_long_as_the_longest_hash() {
    let text = with_issuer("algorithms: [HS256, HS512], keys: { secret_file: key }");
    let directory = directory();
    put(directory.path(), "key", "k".repeat(63));
    let problem = "3: error: issuers[0].keys: the secret has 63 bytes, HS512 needs at least 64. \
                   Correct the key or `algorithms`.";
    assert_eq!(problems_of(&examine_in(directory.path(), &text, &[])), [problem]);
}

#[test]
fn white_space_does_not_make_a_secret_longer() {
    let text = with_issuer("algorithms: [HS256], keys: { secret_file: key }");
    let directory = directory();
    put(directory.path(), "key", format!("{}\n\n", "k".repeat(30)));
    let problem = "3: error: issuers[0].keys: the secret has 30 bytes, HS256 needs at least 32. \
                   Correct the key or `algorithms`.";
    assert_eq!(problems_of(&examine_in(directory.path(), &text, &[])), [problem]);
}

#[test]
fn algorithm_that_no_key_can_serve_is_refused() {
    let remedy = "Remove it, or add a key for it.";
    for (keys, algorithms, index, unserved) in [
        ("public_key_file: idp.pem", "ES256, RS256", 1, "RS256"),
        ("public_key_file: idp.pem", "EdDSA, ES256", 0, "EdDSA"),
        ("public_key_file: rsa.pem", "RS256, PS512, ES384", 2, "ES384"),
        ("jwks_url: https://idp.test/keys", "RS256, HS256", 1, "HS256"),
        ("jwks_url: https://idp.test/keys", "HS512, ES256", 0, "HS512"),
    ] {
        let text = with_issuer(&format!("algorithms: [{algorithms}], keys: {{ {keys} }}"));
        let problem = format!(
            "3: error: issuers[0].algorithms[{index}]: no key of the issuer can verify {unserved}. \
             {remedy}"
        );
        each_is_refused([(text, problem.as_str())]);
    }
}

#[test]
fn key_that_serves_no_algorithm_is_refused() {
    let fit = "Correct the key or `algorithms`.";
    for (file, algorithm, could) in [
        ("idp.pem", "ES384", "[ES256]"),
        ("idp.pem", "HS256", "[ES256]"),
        ("rsa.pem", "ES256", "[RS256, RS384, RS512, PS256, PS384, PS512]"),
    ] {
        let keys = format!("keys: {{ public_key_file: {file} }}");
        let text = with_issuer(&format!("algorithms: [{algorithm}], {keys}"));
        let problem = format!(
            "3: error: issuers[0].keys.public_key_file: none of the permitted algorithms fits this \
             kind of key, which can verify {could}. {fit}"
        );
        each_is_refused([(text, problem.as_str())]);
    }
}

/// The public half of an RSA key of 1024 bits.
const WEAK: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCl1cDBrkQ9bxKWb8F1c+2/WC85
mo87B0q41HaVbT/94bAsSFRyHxnuVl2rwOvDvSLeYztXOMnTTn+73PzCGJglMhxH
RGkhHSIrNu1xa9Seh96OAzwdmJ7+HBdG6j1C3jL/jwLl7wNf9cfRvW84FULDS2Ra
7T7Pc3kYpYyglPQkEwIDAQAB
-----END PUBLIC KEY-----
";

#[test]
fn rsa_key_below_2048_bits_is_refused() {
    let directory = directory();
    put(directory.path(), "weak.pem", WEAK);
    let text = with_issuer("algorithms: [RS256], keys: { public_key_file: weak.pem }");
    let problem = "3: error: issuers[0].keys.public_key_file: the RSA key has 1024 bits, at least \
                   2048 are required. Correct the key or `algorithms`.";
    assert_eq!(problems_of(&examine_in(directory.path(), text, &[])), [problem]);
}

#[test]
fn private_key_in_the_place_of_a_public_one_is_refused() {
    let directory = directory();
    put(directory.path(), "private.pem", pair().private.as_bytes());
    let text = with_issuer("algorithms: [ES256], keys: { public_key_file: private.pem }");
    let problems = problems_of(&examine_in(directory.path(), text, &[]));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(
        problems[0].starts_with("3: error: issuers[0].keys.public_key_file: "),
        "{problems:#?}"
    );
}

#[test]
fn algorithms_that_do_not_exist_are_refused() {
    for name in ["none", "None", "es256", "ES512", "RS1", "''"] {
        let keys = "keys: { public_key_file: idp.pem }";
        let problems = problems(with_issuer(&format!("algorithms: [{name}], {keys}")));
        let bare = name.trim_matches('\'');
        let told = format!(
            "3: error: issuers[0].algorithms[0]: there is no algorithm `{bare}`. \
             Write one of: HS256, HS384, HS512, RS256, "
        );
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&told), "{problems:#?}");
    }
}

#[test]
fn issuer_without_algorithms_is_refused() {
    let problem = "3: error: issuers[0].algorithms: no algorithm is permitted. \
                   List the algorithms that the issuer signs with, such as [RS256].";
    each_is_refused([
        (with_issuer("keys: { public_key_file: idp.pem }"), problem),
        (with_issuer("algorithms: [], keys: { public_key_file: idp.pem }"), problem),
    ]);
}

#[test]
fn issuer_without_audiences_is_refused() {
    each_is_refused([(
        BASE.replace("audiences: [a]", "audiences: []"),
        "3: error: issuers[0].audiences: no audience is accepted. \
         List the `aud` values that mean this service.",
    )]);
}

fn fetched(url: &str) -> String {
    with_issuer(&format!("algorithms: [ES256], keys: {{ jwks_url: '{url}' }}"))
}

#[test]
fn keys_are_not_fetched_in_the_clear() {
    for url in [
        "http://idp.test/keys",
        "http://10.0.0.1/keys",
        "http://0.0.0.0/keys",
        "http://localhost.idp.test/keys",
        "http://127.0.0.1.idp.test/keys",
        "http://127.0.0.1@idp.test/keys",
        "http://localhost:80@idp.test/keys",
        "HTTP://idp.test/keys",
    ] {
        let problem = "3: error: issuers[0].keys.jwks_url: keys must not be fetched without TLS. \
                       Write https://host/path; http:// is for loopback addresses only.";
        each_is_refused([(fetched(url), problem)]);
    }
}

#[test]
fn keys_may_be_fetched_in_the_clear_from_this_machine() {
    all_compile(
        ["http://localhost/keys", "http://127.0.0.1:8000/keys", "http://[::1]:8000/keys"]
            .map(fetched),
    );
}

#[test]
fn what_is_not_a_url_is_refused() {
    for url in [
        "",
        "idp.test",
        "/keys",
        "idp.test/keys",
        "file:///keys.json",
        "ftp://idp.test/keys",
        "https://",
        "https:///keys",
        "https://idp.test/a b",
        "http://127.0.0.1\\idp.test/",
    ] {
        let problem = format!(
            "3: error: issuers[0].keys.jwks_url: `{url}` is not a URL. \
             Write https://host/path; http:// is for loopback addresses only."
        );
        each_is_refused([(fetched(url), problem.as_str())]);
    }
}

#[test]
fn keys_must_outlive_the_refresh() {
    let keys = |stale: &str| {
        let url = "jwks_url: https://idp.test/keys";
        with_issuer(&format!(
            "algorithms: [ES256], keys: {{ {url}, refresh: 1h, max_stale: {stale} }}"
        ))
    };
    all_compile([keys("1h"), keys("60m")]);
    each_is_refused([(
        keys("3599s"),
        "3: error: issuers[0].keys.max_stale: keys would be too old before they are fetched again. \
         Make it several times as long as `refresh`.",
    )]);
}

#[test]
fn exactly_one_source_of_keys_is_accepted() {
    let problem = "3: error: issuers[0].keys: there must be exactly one source of keys. Name one \
                   of jwks_url, jwks_file, public_key_file, secret_file or secret: ${NAME}.";
    for keys in [
        "",
        "refresh: 1m",
        "jwks_url: https://idp.test/keys, public_key_file: idp.pem",
        "jwks_file: set.json, secret_file: key",
        "public_key_file: idp.pem, secret: x",
    ] {
        let text = with_issuer(&format!("algorithms: [ES256], keys: {{ {keys} }}"));
        each_is_refused([(text, problem)]);
    }
}

#[test]
fn issuer_without_keys_is_refused() {
    each_is_refused([(
        with_issuer("algorithms: [ES256]"),
        "3: error: issuers[0].keys: the field is missing. Name one of jwks_url, jwks_file, \
         public_key_file, secret_file or secret: ${NAME}.",
    )]);
}

#[test]
fn options_of_a_fetch_only_go_with_a_url() {
    for option in ["refresh: 1m", "max_stale: 1h", "timeout: 1s", "ca_file: idp.pem"] {
        let (name, _) = option.split_once(':').expect("a name");
        let problem = format!(
            "3: error: issuers[0].keys.{name}: `{name}` only goes with jwks_url. Remove it."
        );
        let keys = format!("public_key_file: idp.pem, {option}");
        let text = with_issuer(&format!("algorithms: [ES256], keys: {{ {keys} }}"));
        each_is_refused([(text, problem.as_str())]);
    }
}

#[test]
fn authorities_that_are_none_are_refused() {
    let keys = "jwks_url: https://idp.test/keys, ca_file: idp.pem";
    let text = with_issuer(&format!("algorithms: [ES256], keys: {{ {keys} }}"));
    let problem = "3: error: issuers[0].keys.ca_file: the file holds no certificate in PEM. \
                   Name a PEM file with certificates.";
    each_is_refused([(text, problem)]);
}

fn with_set(set: &str) -> Ran {
    let directory = directory();
    put(directory.path(), "set.json", set);
    let text = with_issuer("algorithms: [ES256], keys: { jwks_file: set.json }");
    examine_in(directory.path(), text, &[])
}

#[test]
fn text_that_is_no_key_set_is_refused() {
    for set in ["", "{}", "[]", "{\"keys\": {}}", "{\"keys\": []"] {
        let problems = problems_of(&with_set(set));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("3: error: issuers[0].keys.jwks_file: "), "{problems:#?}");
        assert!(problems[0].ends_with(". Name a JWKS (RFC 7517)."), "{problems:#?}");
    }
}

#[test]
fn key_in_the_wrong_field_is_refused_with_the_right_one() {
    let directory = directory();
    let public = std::fs::read_to_string(directory.path().join("idp.pem")).expect("a file");
    let private = public.replace("PUBLIC KEY", "PRIVATE KEY");
    for (field, content, problem) in [
        ("jwks_file", &*public, "A PEM file goes into `public_key_file`."),
        (
            "public_key_file",
            "{\"keys\": []}",
            "is JSON, and not PEM. A JWKS goes into `jwks_file`.",
        ),
        (
            "public_key_file",
            &*private,
            "holds a private key. Name the public one; `openssl pkey -in FILE -pubout` prints it.",
        ),
    ] {
        put(directory.path(), "named", content);
        let text = with_issuer(&format!("algorithms: [ES256], keys: {{ {field}: named }}"));
        let problems = problems_of(&examine_in(directory.path(), text, &[]));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        let start = format!("3: error: issuers[0].keys.{field}: named");
        assert!(problems[0].starts_with(&start) && problems[0].ends_with(problem), "{problems:#?}");
    }
}

const UNSERVED: &str = "3: warning: issuers[0].algorithms[0]: no key of the issuer can verify \
                        ES256: its tokens are refused. Remove it, or add a key for it.";

/// The issuer withdrew its keys. A gateway that is restarted goes on like one that was not.
#[test]
fn key_set_without_a_key_for_an_algorithm_is_warned_of() {
    assert_eq!(warnings_of(&with_set("{\"keys\": []}")), [UNSERVED]);
    let directory = directory();
    let other = crate::harness::jwks::jwk(pair(), "a");
    put(directory.path(), "set.json", serde_json::json!({"keys": [other]}).to_string());
    let text = with_issuer("algorithms: [RS256, ES256], keys: { jwks_file: set.json }");
    let told = UNSERVED.replace("ES256", "RS256");
    assert_eq!(warnings_of(&examine_in(directory.path(), text, &[])), [told]);
}

#[test]
fn secret_in_a_key_set_is_refused_even_where_secrets_are_permitted() {
    let secret = "dGhpcnR5LXR3by1ieXRlcy1vZi1wdXJlLWVudHJvcHk";
    let set = serde_json::json!({"keys": [{"kty": "oct", "alg": "HS256", "k": secret}]});
    let directory = directory();
    put(directory.path(), "set.json", set.to_string());
    let text = with_issuer("algorithms: [HS256], keys: { jwks_file: set.json }");
    let problems = problems_of(&examine_in(directory.path(), text, &[]));
    assert_eq!(
        problems,
        [
            "3: error: issuers[0].algorithms[0]: no key of the issuer can verify HS256. \
             Remove it, or add a key for it.",
            "3: warning: issuers[0].keys.jwks_file: a key of the set is left out: key 1 of the set, \
             which has no `kid`: the key is meant for something else (kty oct is a secret). \
             Remove it, or permit its algorithm."
        ]
    );
}

#[test]
fn key_that_is_left_out_of_a_set_is_warned_of_by_its_id() {
    let usable = crate::harness::jwks::jwk(pair(), "a");
    let set = serde_json::json!({"keys": [usable, {"kty": "oct", "k": "c2VjcmV0", "kid": "b"}]});
    let warnings = warnings_of(&with_set(&set.to_string()));
    assert_eq!(
        warnings,
        [
            "3: warning: issuers[0].keys.jwks_file: a key of the set is left out: key `b`: the key is \
             meant for something else (kty oct is a secret). Remove it, or permit its algorithm."
        ]
    );
}

#[test]
fn names_and_urls_of_issuers_are_their_own() {
    let second = |name: &str, issuer: &str| {
        let fields = "audiences: [a], algorithms: [ES256], keys: { public_key_file: idp.pem }";
        let first = format!("{{ name: idp, issuer: 'https://idp.test', {fields} }}");
        let second = format!("{{ name: {name}, issuer: '{issuer}', {fields} }}");
        replace_line(3, &format!("issuers: [{first}, {second}]"))
    };
    all_compile([second("other", "https://other.test"), second("other", "https://idp.test/")]);
    each_is_refused([(
        second("idp", "https://other.test"),
        "3: error: issuers[1].name: there already is an issuer `idp`. Give each a different name.",
    )]);
    let problems = problems(second("other", "https://idp.test"));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let told = "3: error: issuers[1].issuer: there already is an issuer for `https://idp.test`. ";
    assert!(problems[0].starts_with(told), "{problems:#?}");
}

#[test]
fn roles_are_found_by_a_json_pointer() {
    let text = |roles: &str| {
        with_issuer(&format!(
            "algorithms: [ES256], keys: {{ public_key_file: idp.pem }}, roles: {roles}"
        ))
    };
    all_compile([text("/roles"), text("/realm_access/roles")]);
    each_is_refused([(
        text("realm_access.roles"),
        "3: error: issuers[0].roles: `realm_access.roles` is not a JSON pointer. \
         Write `/realm_access.roles`, or `/realm_access/roles` and the like.",
    )]);
}

#[test]
fn claims_that_name_the_client_are_names_or_pointers_each_once() {
    let text = |names: &str| {
        with_issuer(&format!(
            "algorithms: [ES256], keys: {{ public_key_file: idp.pem }}, claims: {{ client: {names} }}"
        ))
    };
    all_compile([text("[azp]"), text("[cid, /act/client_id]"), text("[]")]);
    each_is_refused([
        (
            text("[azp, '']"),
            "3: error: issuers[0].claims.client[1]: this names no claim. \
             Write a name such as azp, or a JSON pointer such as /act/client_id.",
        ),
        (
            text("[azp, cid, azp]"),
            "3: error: issuers[0].claims.client[2]: `azp` is listed twice. Remove one.",
        ),
    ]);
}

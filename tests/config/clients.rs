//! Who may ask for tokens: in the configuration, and in a file of its own.

use super::*;

const TOKENS: &str = "tokens: { issuer: https://gateway.test, access: { audiences: [a, b] } }\n";

/// A list of clients, on line 7.
fn clients(list: &str) -> String {
    with(&format!("{TOKENS}clients: [{list}]"))
}

/// One client with a secret, and these fields.
fn client(fields: &str) -> String {
    clients(&format!("{{ id: batch, secret_hash: '{HASH}', {fields} }}"))
}

/// One client that shows who it is in this way.
fn shown_by(fields: &str) -> String {
    clients(&format!("{{ id: batch, {fields} }}"))
}

#[test]
fn client_shows_who_it_is_in_exactly_one_way() {
    let hash = format!("secret_hash: '{HASH}'");
    let pem = "public_key_file: idp.pem, algorithms: [ES256]";
    all_compile([
        shown_by(&hash),
        shown_by(pem),
        shown_by("public: true"),
        shown_by(&format!("{hash}, public: false")),
    ]);
    let told = "7: error: clients[0]: there must be exactly one way to authenticate: secret_hash, \
                public_key_file, jwks_file or public. Add `secret_hash`, with the output of `portcullis password hash`.";
    each_is_refused([
        (shown_by(""), told),
        (shown_by("public: false"), told),
        (shown_by(&format!("{hash}, public: true")), told),
        (shown_by(&format!("{hash}, {pem}")), told),
        (shown_by(&format!("{pem}, public: true")), told),
    ]);
    // What was there but could not be read is not missing.
    each_is_refused([(
        shown_by("public: perhaps"),
        "7: error: clients[0].public: found string \"perhaps\". Write a boolean.",
    )]);
}

#[test]
fn client_without_tokens_is_refused() {
    let told = "clients need tokens, and the gateway issues none. \
                Add `tokens: { issuer: https://gateway.example, … }`, or remove this.";
    each_is_refused([(
        with("clients: [{ id: a, public: true }]"),
        format!("6: error: clients: {told}").as_str(),
    )]);
    let directory = directory();
    put(directory.path(), "clients.yaml", "- { id: a, public: true }");
    let ran = examine_in(directory.path(), with("clients_file: clients.yaml"), &[]);
    assert_eq!(problems_of(&ran), [format!("6: error: clients_file: {told}")]);
    // What is wrong with the tokens is told, and nothing else.
    let problems = problems(with("tokens: 7\nclients: [{ id: a, public: true }]"));
    assert_eq!(problems.len(), 1, "{problems:#?}");
}

#[test]
fn id_of_a_client_is_up_to_128_visible_characters_without_colon() {
    let place = |id: &str| clients(&format!("{{ id: '{id}', public: true }}"));
    let longest = "i".repeat(128);
    all_compile(["a", "orders-service", "https//a?b#c", "!~", &longest].map(place));
    for id in ["", "a b", "a:b", "zo\u{eb}", "a\tb", &"i".repeat(129)] {
        let told = format!(
            "7: error: clients[0].id: `{}` cannot be the id of a client. \
             Use up to 128 visible ASCII characters, without spaces and `:`.",
            id.escape_debug()
        );
        each_is_refused([(place(id), told.as_str())]);
    }
    each_is_refused([
        (
            clients("{ public: true }"),
            "7: error: clients[0].id: the field is missing. Give the client an id, such as reports.",
        ),
        (
            place("first-party"),
            "7: error: clients[0].id: `first-party` is the client of logins that name none. \
             Choose another id.",
        ),
    ]);
}

#[test]
fn ids_of_clients_are_told_apart_over_both_lists() {
    let told =
        "7: error: clients[1].id: there already is a client `a`. Give each a different name.";
    each_is_refused([(clients("{ id: a, public: true }, { id: a, public: true }"), told)]);
    let directory = directory();
    put(directory.path(), "clients.yaml", "- { id: b, public: true }\n- { id: a, public: true }\n");
    let text = clients("{ id: a, public: true }") + "clients_file: clients.yaml\n";
    let told = problems_of(&examine_in(directory.path(), text, &[]));
    let expected = "8: error: clients_file: `clients.yaml` line 2: [1].id: there already is a \
                    client `a`. Give each a different name.";
    assert_eq!(told, [expected]);
}

/// `sub` is the one or the other, and nobody could tell which.
#[test]
fn client_cannot_have_the_id_of_a_user() {
    let login = "login: { password_file: users.yaml }\n";
    let told = "7: error: clients[0].id: `alice` is also the subject of a user: their tokens \
                would look the same. Choose another id.";
    let of = |id: &str| clients(&format!("{{ id: {id}, secret_hash: '{HASH}' }}")) + login;
    each_is_refused([(of("alice"), told)]);
    all_compile([of("alicia")]);
}

#[test]
fn secret_of_a_client_is_told_by_its_hash_only() {
    let place = |hash: &str| shown_by(&format!("secret_hash: '{hash}'"));
    let remedy = "Write the output of `portcullis password hash` for the secret.";
    for (hash, why) in [
        ("hunter2-hunter2", "is not a PHC string"),
        ("", "is not a PHC string"),
        (&HASH.replace("argon2id", "argon2i"), "is hashed with argon2i, not with argon2id"),
        (&HASH.replace("m=19456", "m=7167"), "is hashed with less than 7168 KiB of memory"),
        (&HASH.replace("t=2", "t=101"), "has a hash that takes too much memory or time"),
    ] {
        let told = format!("7: error: clients[0].secret_hash: the secret {why}. {remedy}");
        each_is_refused([(place(hash), told.as_str())]);
    }
    all_compile([place(&HASH.replace("m=19456", "m=7168"))]);
    let told = problems(shown_by("secret_hash: 4711"));
    assert!(!format!("{told:?}").contains("4711"), "{told:#?}");
    let told = problems(shown_by("secret: hunter2, public: true"));
    assert!(!format!("{told:?}").contains("hunter2"), "{told:#?}");
}

#[test]
fn keys_of_a_client_are_public_and_say_what_they_are_for() {
    let pem = |algorithms: &str| {
        shown_by(&format!("public_key_file: idp.pem, algorithms: [{algorithms}]"))
    };
    each_is_refused([
        (
            shown_by("public_key_file: idp.pem"),
            "7: error: clients[0].algorithms: no algorithm is permitted. \
             List the algorithms that the client signs with, such as [RS256].",
        ),
        (
            pem("ES256, HS256"),
            "7: error: clients[0].algorithms[1]: HS256 needs a secret, and this key is public. \
             Write ES256 or the like.",
        ),
        (
            pem("ES256, RS256"),
            "7: error: clients[0].algorithms[1]: no key of the client can verify RS256. \
             Remove it, or add a key for it.",
        ),
        (
            shown_by("public: true, algorithms: [ES256]"),
            "7: error: clients[0].algorithms: `algorithms` only goes with public_key_file and \
             jwks_file. Remove it.",
        ),
    ]);
    for fields in ["public_key_file: missing.pem", "jwks_file: missing.json"] {
        let told = problems(shown_by(&format!("{fields}, algorithms: [ES256]")));
        let (field, file) = fields.split_once(": ").expect("a field");
        let start = format!("7: error: clients[0].{field}: `{file}` cannot be read: ");
        assert!(told.len() == 1 && told[0].starts_with(&start), "{told:#?}");
    }
}

/// A client may withdraw its last key of an algorithm like an issuer.
#[test]
fn key_set_of_a_client_without_a_key_for_an_algorithm_is_warned_of() {
    let directory = directory();
    let set = serde_json::json!({"keys": [crate::harness::jwks::jwk(pair(), "a")]});
    put(directory.path(), "set.json", set.to_string());
    let text = shown_by("jwks_file: set.json, algorithms: [ES256, RS256]");
    assert_eq!(
        warnings_of(&examine_in(directory.path(), text, &[])),
        [
            "7: warning: clients[0].algorithms[1]: no key of the client can verify RS256: its tokens are refused. Remove it, or add a key for it."
        ]
    );
}

#[test]
fn scopes_of_clients_are_words() {
    all_compile([client("scopes: []"), client("scopes: ['orders:read', \"!#[]~\"]")]);
    for scope in ["", "a b", "a\"b", "a\\b", "zo\u{eb}"] {
        let told = format!(
            "7: error: clients[0].scopes[1]: `{scope}` is not a scope. \
             Use visible ASCII without space, `\"` and `\\`."
        );
        each_is_refused([(client(&format!("scopes: [a, '{scope}']")), told.as_str())]);
    }
}

/// A client may get tokens for others, who look at them themselves.
#[test]
fn audience_that_the_gateway_does_not_accept_is_a_warning() {
    all_compile([client("audiences: [a]"), client("audiences: [b, a]")]);
    let told = "7: warning: clients[0].audiences[1]: the gateway itself does not accept tokens for \
                `elsewhere`. Add it to `tokens.access.audiences` if it should.";
    assert_eq!(warnings(client("audiences: [a, elsewhere]")), [told]);
    let told = "7: error: clients[0].audiences[0]: the audience is empty. \
                Write the name of a service.";
    each_is_refused([(client("audiences: ['']"), told)]);
}

#[test]
fn tokens_of_clients_live_for_a_day_at_most() {
    all_compile(["1s", "24h"].map(|time| client(&format!("lifetime: {time}"))));
    let told = "7: error: clients[0].lifetime: the time is longer than a day. Write 24h or less.";
    each_is_refused([(client("lifetime: 1441m"), told)]);
    let told =
        "7: error: clients[0].lifetime: the time is shorter than a second. Write 1s or more.";
    each_is_refused([(client("lifetime: 999ms"), told)]);
}

#[test]
fn client_that_keeps_no_secret_cannot_ask_about_tokens() {
    all_compile([
        client("introspection: true"),
        shown_by("public_key_file: idp.pem, algorithms: [ES256], introspection: true"),
        shown_by("public: true, introspection: false"),
    ]);
    let told = "7: error: clients[0].introspection: a public client has no secret, so anybody \
                could introspect tokens. Remove it, or give the client a `secret_hash`.";
    each_is_refused([(shown_by("public: true, introspection: true"), told)]);
}

// ---- in a file of its own

/// What is said of clients in a file.
fn examine_file(contents: impl AsRef<[u8]>, environment: &[(&str, &str)]) -> Ran {
    let directory = directory();
    put(directory.path(), "clients.yaml", contents);
    let text = with(&format!("{TOKENS}clients_file: clients.yaml"));
    examine_in(directory.path(), text, environment)
}

#[test]
fn clients_may_be_in_a_file_of_their_own() {
    let hash = format!("- id: batch\n  secret_hash: {HASH}\n- {{ id: mobile, public: true }}\n");
    for contents in [hash.as_str(), "[]", "", "# nobody yet\n"] {
        let ran = examine_file(contents, &[]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{contents}");
    }
    // Like anything else, from the environment.
    let ran = examine_file("- { id: batch, secret_hash: '${HASH}' }", &[("HASH", HASH)]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn everything_that_is_wrong_with_a_file_of_clients_is_told_with_its_line() {
    let contents = "\
- id: a
  public: true
  colour: red
- id: b
  secret_hash: hunter2
- 7
- id: a:c
  public: true
- id: d
  public: yes please
- { id: e, secret_hash: '${UNSET}' }
";
    let told = problems_of(&examine_file(contents, &[]));
    let place = |told: &str| {
        let rest = told.strip_prefix("7: error: clients_file: `clients.yaml` line ");
        let rest = rest.unwrap_or_else(|| panic!("{told}"));
        rest.splitn(3, ": ").take(2).collect::<Vec<_>>().join(" ")
    };
    let mut places: Vec<_> = told.iter().map(|told| place(told)).collect();
    places.sort_unstable();
    let expected = [
        "10 [4].public",
        "11 [5].secret_hash",
        "3 [0].colour",
        "5 [1].secret_hash",
        "6 [2]",
        "7 [3].id",
    ];
    assert_eq!(places, expected, "{told:#?}");
    assert!(!format!("{told:?}").contains("hunter2"), "{told:#?}");
}

#[test]
fn file_of_clients_that_is_no_list_is_refused() {
    for (contents, fact) in [
        (&b"- {\n"[..], "`clients.yaml` line 2: the file is not YAML: "),
        (b"a: { public: true }", "`clients.yaml` line 1: found a mapping"),
        (b"\xff", "`clients.yaml` is not UTF-8"),
    ] {
        let told = problems_of(&examine_file(contents, &[]));
        let start = format!("7: error: clients_file: {fact}");
        assert!(told.len() == 1 && told[0].starts_with(&start), "{told:#?}");
    }
    let told = problems(with(&format!("{TOKENS}clients_file: missing.yaml")));
    let start = "7: error: clients_file: `missing.yaml` cannot be read: ";
    assert!(told.len() == 1 && told[0].starts_with(start), "{told:#?}");
}

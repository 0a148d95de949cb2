//! The password file: who it lets in, and what is told of one that makes no sense.

use super::*;

const REMEDY: &str = "Make hashes with `portcullis password hash`.";
const SHAPE: &str = "Write `alice: { password: \"$argon2id$…\", roles: [admin] }`, with a hash that \
                     `portcullis password hash` makes.";

/// Runs `check` with these users.
fn examine_users(users: impl AsRef<[u8]>) -> Ran {
    let directory = directory();
    put(directory.path(), "users.yaml", users);
    examine_in(directory.path(), with("login: { password_file: users.yaml }"), &[])
}

#[track_caller]
fn is_accepted(users: &str) {
    let ran = examine_users(users);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{users}");
}

/// What is told of the file.
#[track_caller]
fn told(users: impl AsRef<[u8]>) -> String {
    let problems = problems_of(&examine_users(users));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let told = problems[0].strip_prefix("6: error: login.password_file: `users.yaml`");
    told.unwrap_or_else(|| panic!("{problems:#?}")).to_owned()
}

/// What is told of alice's password.
#[track_caller]
fn told_of_password(password: &str) -> String {
    let told = told(format!("alice: {{ password: '{password}' }}"));
    let told = told.strip_prefix(": the password of `alice` ").map(str::to_owned);
    let told = told.unwrap_or_else(|| panic!("{password}: another problem"));
    told.strip_suffix(&format!(". {REMEDY}")).expect("the remedy").to_owned()
}

#[test]
fn user_has_a_password_and_whatever_else_is_known() {
    is_accepted(&format!("alice: {{ password: '{HASH}' }}"));
    is_accepted(&format!(
        "alice:\n  password: {HASH}\n  subject: u-17\n  roles: [admin, clerk]\n  \
         scopes: [orders:read]\n  claims: {{ email: a@b.test, level: 7, groups: [a, b], \
         org: {{ id: 1, active: true }}, nothing: ~ }}\n\
         bob: {{ password: '{HASH}', roles: [] }}\n'zo\u{eb} & co': {{ password: '{HASH}' }}\n"
    ));
    // JSON is YAML.
    is_accepted(&format!(r#"{{"alice": {{"password": "{HASH}", "roles": ["a"]}}}}"#));
}

#[test]
fn file_without_users_is_a_warning() {
    for users in ["{}", "", "# nobody yet\n", "---\n"] {
        assert_eq!(
            warnings_of(&examine_users(users)),
            ["6: warning: login.password_file: `users.yaml` has no users, so nobody can log in. \
              Add one: `alice: { password: … }`."],
            "{users}"
        );
    }
}

#[test]
fn file_that_is_no_yaml_is_refused() {
    for users in ["alice: {", "alice: [a\nbob: }", "a: b: c", "\talice: {}", "alice: *anchor"] {
        let told = told(users);
        assert!(told.starts_with(" cannot be understood: "), "{told}");
        assert!(told.ends_with(&format!(". {SHAPE}")), "{told}");
    }
    for users in [&b"\xff\xfe"[..], b"alice: { password: '\xff' }", b"\0"] {
        assert!(told(users).starts_with(" cannot be understood: "), "{users:?}");
    }
}

#[test]
fn what_stands_where_nothing_is_expected_is_named_with_its_line() {
    for (users, what) in [
        ("- alice", "line 1: expected a mapping of names to users"),
        ("alice", "line 1: expected a mapping of names to users"),
        ("alice: secret", "line 1: alice: expected a mapping with named fields"),
        ("\nalice: [a]", "line 2: alice: expected a mapping with named fields"),
        ("alice: { password: {} }", "line 1: alice.password: expected a string"),
        ("alice:\n  password: [a]", "line 2: alice.password: expected a string"),
        ("alice:\n  roles: admin", "line 2: alice.roles: expected a sequence"),
        ("alice: { claims: [a] }", "line 1: alice.claims: expected a map"),
    ] {
        assert_eq!(told(users), format!(" cannot be understood: {what}. {SHAPE}"), "{users}");
    }
}

#[test]
fn unknown_field_of_a_user_is_refused() {
    for field in ["pasword", "role", "hash", "email", "disabled"] {
        let told = told(format!("alice: {{ password: '{HASH}', {field}: a }}"));
        let field = format!("unknown field `{field}`");
        assert!(told.contains("alice: ") && told.contains(&field), "{told}");
        for known in ["password", "subject", "roles", "scopes", "claims"] {
            assert!(told.contains(&format!("`{known}`")), "{told}");
        }
    }
}

/// The later one would win, and whoever looks at the earlier one would not know.
#[test]
fn user_or_field_that_is_there_twice_is_refused() {
    let user = format!("{{ password: '{HASH}' }}");
    for users in [
        format!("alice: {user}\nbob: {user}\nalice: {user}\n"),
        format!("alice: {{ password: '{HASH}', password: '{HASH}' }}"),
        format!("alice: {{ password: '{HASH}', claims: {{ a: 1, a: 2 }} }}"),
    ] {
        let told = told(&users);
        assert!(
            told.starts_with(" cannot be understood: ") && told.contains("duplicate"),
            "{told}"
        );
    }
}

#[test]
fn user_without_a_password_is_refused() {
    for users in ["alice: {}", "alice:", "alice: { roles: [admin] }", "alice: { password: ~ }"] {
        let expected = format!(": `alice` has no password. {REMEDY}");
        assert_eq!(told(users), expected, "{users}");
    }
}

#[test]
fn password_that_is_not_hashed_is_refused() {
    for password in ["hunter2", "", " ", "$", "$$", &HASH[1..]] {
        assert_eq!(told_of_password(password), "is not a PHC string", "{password}");
    }
    // As a database or a copied line may have it.
    for password in
        [&format!("{HASH} "), &format!(" {HASH}"), &format!("{HASH}\\n"), &HASH.to_uppercase()]
    {
        assert_eq!(told_of_password(password), "is not a PHC string", "{password}");
    }
}

#[test]
fn password_that_is_hashed_with_something_else_is_refused() {
    for kind in ["argon2i", "argon2d", "scrypt", "pbkdf2-sha256"] {
        let expected = format!("is hashed with {kind}, not with argon2id");
        assert_eq!(told_of_password(&HASH.replace("argon2id", kind)), expected);
    }
    // What htpasswd and crypt(3) write is no PHC string, or none of argon2id.
    for password in [
        "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc",
        "$apr1$saltsalt$HqT3hbZIVlm4bUUpc6gLS1",
        "{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3",
    ] {
        let told = told_of_password(password);
        let is_told = told == "is not a PHC string" || told.ends_with("not with argon2id");
        assert!(is_told, "{password}: {told}");
    }
}

#[test]
fn hash_that_was_cut_off_is_refused() {
    let without_hash = HASH.rsplit_once('$').expect("a hash").0;
    let without_salt = without_hash.rsplit_once('$').expect("a salt").0;
    for password in [without_hash, without_salt, "$argon2id$v=19", "$argon2id"] {
        let told = told_of_password(password);
        let is_told =
            ["lacks its salt or its hash", "is not a PHC string"].contains(&told.as_str());
        assert!(is_told, "{password}: {told}");
    }
    for kept in [1, 5, 12] {
        let password = format!("{without_hash}${}", &HASH[HASH.len() - kept..]);
        assert_eq!(told_of_password(&password), "is not a PHC string", "{password}");
    }
    // A character less is no whole number of bytes.
    assert_eq!(told_of_password(&HASH[..HASH.len() - 2]), "is not a PHC string");
}

/// A login would find out that it cannot be verified, and call that a wrong password.
#[test]
fn hash_that_could_never_be_verified_is_refused() {
    let version = "is hashed with a version of argon2 that is not known";
    assert_eq!(told_of_password(&HASH.replace("v=19", "v=18")), version);
    assert_eq!(told_of_password(&HASH.replace("v=19", "v=99")), version);
    let salt = |salt: &str| HASH.replace("c29tZXNhbHRzb21lc2FsdA", salt);
    assert_eq!(told_of_password(&salt("c29tZXM")), "has a salt that is too short");
    is_accepted(&format!("alice: {{ password: '{}' }}", salt("c29tZXNhbHQ")));
    is_accepted(&format!("alice: {{ password: '{}' }}", HASH.replace("v=19", "v=16")));
}

#[test]
fn hash_costs_neither_too_little_nor_too_much() {
    let with = |cost: &str| HASH.replace("m=19456,t=2,p=1", cost);
    for cost in ["m=7168,t=5,p=1", "m=65536,t=3,p=4", "m=1048576,t=1,p=1", "m=19456,t=100,p=16"] {
        is_accepted(&format!("alice: {{ password: '{}' }}", with(cost)));
    }
    let weak = "is hashed with less than 7168 KiB of memory";
    for cost in ["m=7167,t=10,p=1", "m=4096,t=3,p=1", "m=8,t=1,p=1"] {
        assert_eq!(told_of_password(&with(cost)), weak, "{cost}");
    }
    let endless = "has a hash that takes too much memory or time";
    for cost in [
        "m=1048577,t=1,p=1",
        "m=4294967295,t=1,p=1",
        "m=19456,t=101,p=1",
        "m=19456,t=4294967295,p=1",
        "m=19456,t=2,p=17",
    ] {
        assert_eq!(told_of_password(&with(cost)), endless, "{cost}");
    }
}

#[test]
fn odd_parameters_are_refused() {
    for cost in [
        "m=19456,t=0,p=1",
        "m=19456,t=2,p=0",
        "m=1,t=2,p=1",
        "m=19456,t=2,p=1,x=1",
        "m=many,t=2,p=1",
        "m=4294967296,t=2,p=1",
    ] {
        let told = told_of_password(&HASH.replace("m=19456,t=2,p=1", cost));
        let is_told = told.starts_with("has invalid parameters: ") || told == "is not a PHC string";
        assert!(is_told, "{cost}: {told}");
    }
}

#[test]
fn names_and_subjects_are_not_empty() {
    let user = format!("{{ password: '{HASH}' }}");
    let longest = "n".repeat(256);
    is_accepted(&format!("{longest}: {user}"));
    let expected = format!(": a name has from 1 to 256 bytes. {REMEDY}");
    for name in ["''", &"n".repeat(257), &"\u{e9}".repeat(129)] {
        assert_eq!(told(format!("{name}: {user}")), expected, "{name}");
    }
    let text = format!("alice: {{ password: '{HASH}', subject: '' }}");
    assert_eq!(told(text), format!(": the subject of `alice` is empty. {REMEDY}"));
}

#[test]
fn every_user_that_makes_no_sense_is_named() {
    let users = format!("alice: {{}}\nbob: {{ password: '{HASH}' }}\ncarol: {{ password: a }}\n");
    let problems = problems_of(&examine_users(users));
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].contains("`alice`") && problems[1].contains("`carol`"), "{problems:#?}");
}

/// Who writes a password where a hash belongs finds it in no log.
#[test]
fn what_may_be_a_password_is_not_repeated() {
    let secret = "hunter2-hunter2";
    for users in [
        format!("alice: {secret}"),
        secret.to_owned(),
        format!("alice:{secret}"),
        format!("alice: [{secret}]"),
        format!("alice: {{ password: {secret} }}"),
        format!("alice: {{ password: [{secret}] }}"),
        format!("alice: {{ roles: {secret} }}"),
        format!("alice: {{ password: '$argon2i$v=19$m=8,t=1,p=1${secret}' }}"),
        format!("- alice: {secret}"),
    ] {
        let ran = examine_users(&users);
        assert_eq!(ran.code, 2, "{users}");
        assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{}", ran.stderr);
    }
    // YAML takes some of them for numbers.
    for digits in ["1234567890", "12345678.9", "0x123456789"] {
        for users in [format!("alice: {digits}"), format!("alice: {{ password: {digits} }}")] {
            let ran = examine_users(&users);
            assert_eq!(ran.code, 2, "{users}");
            assert!(!ran.stderr.contains("23456789"), "{}", ran.stderr);
        }
    }
}

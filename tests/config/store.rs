//! Where revocations are kept: a file beside the gateway, or Redis in one of its forms.

use super::*;
use crate::harness::certificates::Authority;

const URL_REMEDY: &str = "Write redis://host:6379, or rediss://host:6379 for TLS, and the password \
                          in `password_file`.";

fn store(fields: &str) -> String {
    with(&format!("store: {{ {fields} }}"))
}

fn redis(fields: &str) -> String {
    store(&format!("redis: {{ {fields} }}"))
}

/// Each of these is refused with one problem, at this field of `store.redis`, for this reason.
#[track_caller]
fn redis_is_refused<'t>(cases: impl IntoIterator<Item = (&'t str, &'t str, &'t str)>) {
    for (fields, field, told) in cases {
        let problem = format!("6: error: store.redis{field}: {told}");
        each_is_refused([(redis(fields), problem.as_str())]);
    }
}

#[test]
fn store_is_a_file_or_redis_in_one_of_its_forms() {
    let texts = [
        "embedded: {}",
        "embedded: { path: elsewhere.redb }",
        "embedded: { path: /var/lib/portcullis/store.redb }",
        "redis: { url: 'redis://127.0.0.1:6379/0' }",
        "redis: { url: redis://cache, prefix: 'team:orders' }",
        "redis: { url: 'rediss://[::1]:6380', tls: { ca_file: redis-ca.pem } }",
        "redis: { sentinel: { master: main, nodes: [redis://10.0.0.1, 'redis://10.0.0.2:26380'] } }",
        "redis: { cluster: ['redis://10.0.0.1:7000', 'redis://10.0.0.2:7000/0'] }",
    ];
    let directory = directory();
    put(directory.path(), "redis-ca.pem", Authority::new().pem());
    for text in texts.map(store).into_iter().chain([with("store: {}"), with("store:")]) {
        let ran = examine_in(directory.path(), &text, &[]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{text}");
    }
}

#[test]
fn two_stores_are_one_too_many_and_hide_no_other_mistake() {
    let text = store("embedded: {}, redis: { url: 'redis://h', prefix: '' }");
    assert_eq!(
        problems(text),
        [
            "6: error: store: both `embedded` and `redis` are given. Keep `embedded` or `redis`.",
            "6: error: store.redis.prefix: `` cannot be the prefix of keys. \
             Use up to 64 characters, without braces and spaces.",
        ]
    );
}

#[test]
fn redis_is_in_exactly_one_place() {
    let told = "there must be exactly one of url, sentinel and cluster. \
                Write `url: redis://127.0.0.1:6379`.";
    redis_is_refused([
        ("", "", told),
        ("prefix: mine", "", told),
        ("url: redis://h, cluster: [redis://h]", "", told),
        ("url: redis://h, sentinel: { master: m, nodes: [redis://h] }", "", told),
        ("sentinel: { master: m, nodes: [redis://h] }, cluster: [redis://h]", "", told),
    ]);
}

#[test]
fn place_that_cannot_be_read_is_not_called_missing_as_well() {
    each_is_refused([
        (redis("url: 6379"), "6: error: store.redis.url: found integer `6379`. Write a string."),
        (
            redis("url: '${PORTCULLIS_TEST_UNSET}'"),
            "6: error: store.redis.url: the environment variable `PORTCULLIS_TEST_UNSET` is not \
             set. Set it, or write `$${…}` for the characters themselves.",
        ),
        (
            redis("url: redis://h, username: us, password: '${PORTCULLIS_TEST_UNSET}'"),
            "6: error: store.redis.password: the environment variable `PORTCULLIS_TEST_UNSET` is \
             not set. Set it, or write `$${…}` for the characters themselves.",
        ),
    ]);
}

#[test]
fn what_is_no_redis_url_is_refused() {
    let told = format!("the value is not a Redis URL. {URL_REMEDY}");
    for url in [
        "",
        "localhost",
        "localhost:6379",
        "http://localhost:6379",
        "REDIS://localhost",
        "redis://",
        "redis://:6379",
        "redis://localhost:0",
        "redis://localhost:65536",
        "redis://localhost/cache",
        "redis://localhost/-1",
        "redis://local host",
        "unix:///run/redis.sock",
    ] {
        let quoted = format!("url: '{url}'");
        redis_is_refused([(quoted.as_str(), ".url", told.as_str())]);
    }
    redis_is_refused([
        ("cluster: ['redis://a', 'b:6379']", ".cluster[1]", told.as_str()),
        ("sentinel: { master: m, nodes: ['a:1'] }", ".sentinel.nodes[0]", told.as_str()),
    ]);
}

#[test]
fn list_of_servers_that_is_empty_is_refused() {
    let told = format!("there is no server. {URL_REMEDY}");
    redis_is_refused([
        ("cluster: []", ".cluster", told.as_str()),
        ("sentinel: { master: m }", ".sentinel.nodes", told.as_str()),
        ("sentinel: { master: m, nodes: [] }", ".sentinel.nodes", told.as_str()),
        (
            "sentinel: { nodes: [redis://h] }",
            ".sentinel.master",
            "the field is missing. Write the name of the primary that the Sentinels watch.",
        ),
    ]);
}

#[test]
fn servers_that_differ_in_more_than_their_place_are_refused() {
    let encryption = "some of the URLs use TLS and some do not. \
                      Write rediss:// or redis:// for all of them.";
    let others = "the URLs name different databases, users or passwords. \
                  Name them in one of the URLs: they hold for all.";
    redis_is_refused([
        ("cluster: ['redis://a', 'rediss://b']", ".cluster", encryption),
        (
            "sentinel: { master: m, nodes: ['redis://a/1', 'redis://b/2'] }",
            ".sentinel.nodes",
            others,
        ),
        (
            "cluster: ['redis://a', 'redis://b/3']",
            ".cluster",
            "Redis Cluster has database 0 only. Remove the number.",
        ),
    ]);
    let environment = [("ONE", "one-password"), ("OTHER", "other-password")];
    let text = redis("cluster: ['redis://:${ONE}@a', 'redis://:${OTHER}@b']");
    let ran = examine_in(directory().path(), text, &environment);
    assert_eq!(problems_of(&ran), [format!("6: error: store.redis.cluster: {others}")]);
    // What one of them says holds for all.
    let text = redis("cluster: ['redis://:${ONE}@a', 'redis://b']");
    assert_eq!(examine_in(directory().path(), text, &environment).stderr, "");
}

#[test]
fn prefix_is_short_and_has_no_hash_tag_of_its_own() {
    let place = |prefix: &str| redis(&format!("url: redis://h, prefix: \"{prefix}\""));
    let longest = "p".repeat(64);
    all_compile(["portcullis", "a:b/c", "é", &longest].map(place));
    let too_long = "p".repeat(65);
    for prefix in ["", "a b", "{a}", "a}", "a\\nb", "a\\tb", "a\\0", &too_long] {
        let problem = format!(
            "6: error: store.redis.prefix: `{}` cannot be the prefix of keys. \
             Use up to 64 characters, without braces and spaces.",
            prefix.replace("\\\\", "\\")
        );
        each_is_refused([(place(prefix), problem.as_str())]);
    }
}

// ---- who we are there

#[test]
fn user_without_a_password_is_refused() {
    let told = "there is a username and no password. Add `password_file`.";
    redis_is_refused([("url: redis://h, username: us", "", told), ("url: redis://us@h", "", told)]);
}

#[test]
fn password_is_named_once() {
    let directory = directory();
    put(directory.path(), "password", "hunter2");
    let twice = "both the URL and other fields name a user or a password. \
                 Keep `username` and `password_file`.";
    for (fields, field, told) in [
        ("url: 'redis://us:${PW}@h', username: us", "", twice),
        ("url: 'redis://:${PW}@h', password_file: password", "", twice),
        (
            "url: redis://h, password: '${PW}', password_file: password",
            ".password",
            "both `password` and `password_file` are given. Keep one of them.",
        ),
    ] {
        let ran = examine_in(directory.path(), redis(fields), &[("PW", "hunter2")]);
        assert_eq!(problems_of(&ran), [format!("6: error: store.redis{field}: {told}")]);
    }
    for fields in [
        "url: redis://h, username: us, password_file: password",
        "url: redis://h, password: '${PW}'",
        "url: 'redis://us:${PW}@h'",
    ] {
        let ran = examine_in(directory.path(), redis(fields), &[("PW", "hunter2")]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{fields}");
    }
}

#[test]
fn password_in_the_file_is_a_warning() {
    assert_eq!(
        warnings(redis("url: redis://h, password: hunter2")),
        ["6: warning: store.redis.password: a secret is written in the file. \
          Use `password_file`, or `${NAME}` for the environment."]
    );
    for (fields, field) in [
        ("url: 'redis://:hunter2@h'", "url"),
        ("cluster: ['redis://a', 'redis://us:hunter2@b']", "cluster[1]"),
        ("sentinel: { master: m, nodes: ['redis://:hunter2@a'] }", "sentinel.nodes[0]"),
    ] {
        assert_eq!(
            warnings(redis(fields)),
            [format!(
                "6: warning: store.redis.{field}: a secret is written in the file. \
                 Use `password_file`, or `${{NAME}}` for the environment."
            )]
        );
    }
}

/// Not even of a URL that cannot be read, where nobody knows which part of it is the password.
#[test]
fn password_of_redis_is_never_repeated() {
    for (fields, code) in [
        ("url: 'redis://:hunter2@h'", 0),
        ("url: redis://h, password: hunter2", 0),
        ("url: redis://h, password: [hunter2]", 2),
        ("url: 'redis://:hunter2/x@h'", 2),
        ("url: 'redis://:x/hunter2@h'", 2),
        ("url: 'redis://:hunter2#@h'", 0),
        ("url: 'redis://us:hunter2@h:port'", 2),
        ("url: 'redis://us:hunter2%zz@h'", 2),
        ("url: 'redis://:hunter2'", 2),
        ("url: 'redi://us:hunter2@h'", 2),
        ("url: 'us:hunter2@h'", 2),
        ("cluster: ['redis://:hunter2@a', 'redis://:hunter2x@b']", 2),
        ("url: 'redis://:hunter2@h', tls: { ca_file: missing }", 2),
    ] {
        let ran = examine(redis(fields));
        assert_eq!(ran.code, code, "{fields}: {ran:?}");
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains("hunter2"), "{fields}: {text}");
        }
    }
    // YAML takes it for a number, which the field is not.
    let ran = examine(redis("url: redis://h, password: 12345678901234"));
    assert_eq!(ran.code, 2);
    assert!(!ran.stderr.contains("12345678901234"), "{}", ran.stderr);
}

#[test]
fn empty_password_is_refused() {
    let directory = directory();
    put(directory.path(), "password", "\n");
    let ran = examine_in(directory.path(), redis("url: redis://h, password_file: password"), &[]);
    let told = "the secret is empty. Put a long random value there.";
    assert_eq!(problems_of(&ran), [format!("6: error: store.redis.password_file: {told}")]);
}

// ---- TLS

#[test]
fn tls_of_a_store_without_tls_is_refused() {
    let told = "the fields of `tls` have no effect without TLS. Write rediss:// in the URL, or remove them.";
    redis_is_refused([
        ("url: redis://h, tls: { ca_file: idp.pem }", ".tls", told),
        ("cluster: [redis://h], tls: { key_file: idp.pem }", ".tls", told),
    ]);
}

#[test]
fn certificates_of_redis_are_read_when_the_configuration_is() {
    let directory = directory();
    let (authority, other) = (Authority::new(), Authority::new());
    let (ours, theirs) = (authority.issue("us.test"), other.issue("them.test"));
    put(directory.path(), "ca.pem", authority.pem());
    put(directory.path(), "us.pem", &ours.chain);
    put(directory.path(), "us.key", &ours.key);
    put(directory.path(), "their.key", &theirs.key);
    let ran = |tls: &str| {
        let text = redis(&format!("url: rediss://h, tls: {{ {tls} }}"));
        examine_in(directory.path(), text, &[])
    };
    for tls in ["", "ca_file: ca.pem", "certificate_file: us.pem, key_file: us.key"] {
        assert_eq!((ran(tls).code, ran(tls).stderr.as_str()), (0, ""), "{tls}");
    }
    let together = "Name a certificate chain and its key.";
    for (tls, start, end) in [
        ("ca_file: us.key", ".ca_file: the file holds no certificate in PEM", "with certificates."),
        (
            "certificate_file: us.pem",
            ": only one of certificate_file and key_file is given",
            "Name both certificate_file and key_file.",
        ),
        (
            "certificate_file: us.pem, key_file: their.key",
            ".certificate_file: certificate and key do not go together",
            together,
        ),
        (
            "certificate_file: us.key, key_file: us.key",
            ".certificate_file: the file holds no certificate in PEM",
            together,
        ),
        (
            "certificate_file: us.pem, key_file: us.pem",
            ".key_file: the key file holds no private key in PEM",
            "Name the private key of the certificate, in PEM.",
        ),
    ] {
        let problems = problems_of(&ran(tls));
        assert_eq!(problems.len(), 1, "{tls}: {problems:#?}");
        let start = format!("6: error: store.redis.tls{start}");
        assert!(problems[0].starts_with(&start) && problems[0].ends_with(end), "{problems:#?}");
    }
    let both = problems_of(&ran("ca_file: missing, certificate_file: absent, key_file: away"));
    assert_eq!(both.len(), 3, "each file that cannot be read is named: {both:#?}");
}

#[test]
fn bad_url_hides_nothing_else_that_is_wrong_with_redis() {
    let fields = "url: nowhere, password: [a], tls: { ca_file: missing }, prefix: ''";
    let problems = problems(redis(fields));
    let fields: Vec<_> = problems.iter().map(|problem| problem.split(": ").nth(2)).collect();
    let expected = ["password", "prefix", "tls.ca_file", "url"];
    let expected = expected.map(|field| format!("store.redis.{field}"));
    assert_eq!(fields, expected.each_ref().map(|field| Some(field.as_str())), "{problems:#?}");
}

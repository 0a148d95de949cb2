//! Addresses, durations, sizes, numbers and words: the last that is accepted and the first that is
//! not.

use super::*;

/// A configuration with this value in one place.
type Place = fn(&str) -> String;

/// Each of these values compiles in this place.
#[track_caller]
fn accepts(place: impl Fn(&str) -> String, values: &[&str]) {
    all_compile(values.iter().map(|value| place(value)));
}

/// None of these does, and the one problem says so of this field.
#[track_caller]
fn refuses(place: impl Fn(&str) -> String, field: &str, values: &[&str]) {
    for value in values {
        let problems = problems(place(value));
        assert_eq!(problems.len(), 1, "{value}: {problems:#?}");
        assert!(problems[0].contains(&format!(" error: {field}: ")), "{value}: {problems:#?}");
    }
}

fn peer(fields: &str) -> String {
    with_upstream(&format!("peers: ['127.0.0.1:1'], {fields}"))
}

#[test]
fn durations_are_whole_numbers_with_a_unit() {
    let place = |value: &str| peer(&format!("timeouts: {{ read: '{value}' }}"));
    accepts(place, &["1ms", "250ms", "30s", "15m", "12h", "7d", "36500d"]);
    let wrong = ["", "30", "s", "0s", "-1s", "1.5s", "1 s", "1S", "1w", "1h30m", "36501d", "1µs"];
    refuses(place, "upstreams.behind.timeouts.read", &wrong);
}

#[test]
fn sizes_are_whole_numbers_with_a_unit() {
    let place = |value: &str| with(&format!("token_cache: {{ size: '{value}' }}"));
    accepts(place, &["1B", "512B", "64KiB", "1MiB", "2GiB"]);
    let wrong =
        ["", "64", "0B", "64KB", "64kib", "1.5MiB", "1 MiB", "-1B", "1TiB", "99999999999GiB"];
    refuses(place, "token_cache.size", &wrong);
}

#[test]
fn every_duration_is_read_as_one() {
    let cases: [(&str, Place); 14] = [
        ("server.shutdown_grace", |value| with(&format!("server: {{ shutdown_grace: {value} }}"))),
        ("revocation.max_staleness", |value| {
            with(&format!("revocation: {{ max_staleness: {value} }}"))
        }),
        ("limits.header_timeout", |value| with(&format!("limits: {{ header_timeout: {value} }}"))),
        ("limits.keepalive_timeout", |value| {
            with(&format!("limits: {{ keepalive_timeout: {value} }}"))
        }),
        ("limits.body_timeout", |value| with(&format!("limits: {{ body_timeout: {value} }}"))),
        ("limits.send_timeout", |value| with(&format!("limits: {{ send_timeout: {value} }}"))),
        ("limits.body_deadline", |value| with(&format!("limits: {{ body_deadline: {value} }}"))),
        ("upstreams.behind.timeouts.connect", |value| {
            peer(&format!("timeouts: {{ connect: {value} }}"))
        }),
        ("upstreams.behind.timeouts.write", |value| {
            peer(&format!("timeouts: {{ write: {value} }}"))
        }),
        ("upstreams.behind.timeouts.idle", |value| peer(&format!("timeouts: {{ idle: {value} }}"))),
        ("issuers[0].clock_skew", |value| issuer(&format!("clock_skew: {value}"))),
        ("issuers[0].max_lifetime", |value| issuer(&format!("max_lifetime: {value}"))),
        ("issuers[0].keys.refresh", |value| fetched(&format!("refresh: {value}"))),
        ("issuers[0].keys.timeout", |value| fetched(&format!("timeout: {value}"))),
    ];
    for (field, place) in cases {
        accepts(place, &["10m"]);
        let told = format!(
            "{field}: `soon` is not a duration. \
             Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d."
        );
        let problems = problems(place("soon"));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].ends_with(&told), "{problems:#?}");
    }
}

fn issuer(fields: &str) -> String {
    with_issuer(&format!("algorithms: [ES256], keys: {{ public_key_file: idp.pem }}, {fields}"))
}

fn fetched(fields: &str) -> String {
    with_issuer(&format!(
        "algorithms: [ES256], keys: {{ jwks_url: https://idp.test/keys, {fields} }}"
    ))
}

#[test]
fn life_of_keys_below_a_second_is_refused() {
    // The gate counts in seconds: keys that live for none would never be believed.
    let place = |value: &str| fetched(&format!("refresh: 100ms, max_stale: {value}"));
    accepts(place, &["1s", "1000ms"]);
    refuses(place, "issuers[0].keys.max_stale", &["999ms", "100ms"]);
}

#[test]
fn life_of_tokens_below_a_second_is_refused() {
    // The same: every token would live too long.
    let place = |value: &str| issuer(&format!("max_lifetime: {value}"));
    accepts(place, &["1s", "1000ms"]);
    refuses(place, "issuers[0].max_lifetime", &["999ms", "1ms"]);
}

#[test]
fn numbers_have_their_range() {
    accepts(|value| with(&format!("server: {{ threads: {value} }}")), &["1", "1024"]);
    refuses(
        |value| with(&format!("server: {{ threads: {value} }}")),
        "server.threads",
        &["0", "1025", "-1"],
    );
    accepts(|value| with(&format!("limits: {{ header_count: {value} }}")), &["1", "256"]);
    refuses(
        |value| with(&format!("limits: {{ header_count: {value} }}")),
        "limits.header_count",
        &["0", "257"],
    );
    accepts(|value| with(&format!("limits: {{ connections: {value} }}")), &["1", "1000000"]);
    refuses(
        |value| with(&format!("limits: {{ connections: {value} }}")),
        "limits.connections",
        &["0"],
    );
    accepts(|value| with(&format!("limits: {{ connections_per_address: {value} }}")), &["1"]);
    refuses(
        |value| with(&format!("limits: {{ connections_per_address: {value} }}")),
        "limits.connections_per_address",
        &["0"],
    );
    for field in ["in_flight", "in_flight_per_client", "in_flight_own"] {
        let place = |value: &str| with(&format!("limits: {{ {field}: {value} }}"));
        accepts(place, &["1", "1000000"]);
        refuses(place, &format!("limits.{field}"), &["0"]);
    }
    let streams = |value: &str| with(&format!("limits: {{ http2_streams: {value} }}"));
    accepts(streams, &["1", "1000"]);
    refuses(streams, "limits.http2_streams", &["0", "1001"]);
    let at_once = |value: &str| peer(&format!("limits: {{ in_flight: {value} }}"));
    accepts(at_once, &["1", "1000000"]);
    refuses(at_once, "upstreams.behind.limits.in_flight", &["0"]);
    accepts(|value| peer(&format!("retries: {value}")), &["0", "5"]);
    refuses(|value| peer(&format!("retries: {value}")), "upstreams.behind.retries", &["6"]);
}

#[test]
fn rates_are_sizes_in_a_second() {
    for field in ["body_rate", "send_rate"] {
        let place = |value: &str| with(&format!("limits: {{ {field}: {value} }}"));
        accepts(place, &["0B/s", "500B/s", "8KiB/s"]);
        let wrong = ["500", "500B", "500/s", "0KiB/s", "fast", "500B/m"];
        refuses(place, &format!("limits.{field}"), &wrong);
    }
}

#[test]
fn sizes_have_their_range() {
    for field in ["header_bytes", "token_bytes"] {
        let place = |value: &str| with(&format!("limits: {{ {field}: {value} }}"));
        accepts(place, &["1B", "256KiB"]);
        refuses(place, &format!("limits.{field}"), &["262145B", "2MiB"]);
    }
}

#[test]
fn listeners_are_addresses_with_a_port() {
    let place = |value: &str| replace_line(1, &format!("listeners: [{{ address: '{value}' }}]"));
    accepts(place, &["127.0.0.1:8080", "0.0.0.0:8080", "[::]:8080", "[::1]:0"]);
    let wrong = ["", "localhost:8080", "127.0.0.1", ":8080", "*:8080", "127.0.0.1:65536", "::1:80"];
    refuses(place, "listeners[0].address", &wrong);
}

#[test]
fn listener_on_an_address_that_is_taken_is_refused() {
    let place = |first: &str, second: &str| {
        let listeners = [first, second].map(|address| format!("{{ address: '{address}' }}"));
        replace_line(1, &format!("listeners: [{}]", listeners.join(", ")))
    };
    each_is_refused([(
        place("127.0.0.1:8080", "127.0.0.1:8080"),
        "1: error: listeners[1].address: there already is a listener on 127.0.0.1:8080. \
         Choose another port.",
    )]);
    all_compile([
        place("127.0.0.1:8080", "127.0.0.1:8081"),
        place("127.0.0.1:8080", "127.0.0.2:8080"),
        place("127.0.0.1:8080", "[::1]:8080"),
    ]);
}

#[test]
fn listeners_that_leave_the_port_to_the_system_are_not_the_same() {
    all_compile([replace_line(
        1,
        "listeners: [{ address: '127.0.0.1:0' }, { address: '127.0.0.1:0' }]",
    )]);
}

#[test]
fn admin_listener_on_the_address_of_another_is_refused() {
    let text = BASE.replace("127.0.0.1:0", "127.0.0.1:9901");
    let problems = problems(text + "admin: { address: '127.0.0.1:9901' }\n");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with("6: error: admin.address: "), "{problems:#?}");
}

#[test]
fn admin_listener_that_others_can_reach_needs_a_token() {
    let place = |value: &str| with(&format!("admin: {{ address: '{value}' }}"));
    accepts(place, &["127.0.0.1:9901", "127.9.9.9:9901", "[::1]:9901"]);
    for address in ["0.0.0.0:9901", "[::]:9901", "10.0.0.1:9901"] {
        each_is_refused([(
            place(address),
            "6: error: admin.token_file: an admin listener that others can reach needs a token. \
             Add `token_file`, or listen on a loopback address.",
        )]);
    }
    let directory = directory();
    put(directory.path(), "token", "a long random value");
    let text = with("admin: { address: '0.0.0.0:9901', token_file: token }");
    let ran = examine_in(directory.path(), text, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn peers_are_hosts_with_a_port() {
    let place = |value: &str| with_upstream(&format!("peers: ['{value}']"));
    accepts(
        place,
        &["127.0.0.1:1", "10.0.0.7:65535", "[::1]:80", "orders:80", "orders.internal:80", "a_b:80"],
    );
    let wrong = [
        "",
        "orders",
        "10.0.0.7",
        ":80",
        "orders:",
        "orders:0",
        "orders:65536",
        "http://orders:80",
        "orders:80/x",
        "a b:80",
        "::1:80",
    ];
    refuses(place, "upstreams.behind.peers[0]", &wrong);
}

#[test]
fn peer_at_port_zero_is_refused() {
    let place = |value: &str| with_upstream(&format!("peers: ['{value}']"));
    refuses(place, "upstreams.behind.peers[0]", &["127.0.0.1:0", "[::1]:0"]);
}

#[test]
fn upstream_without_peers_is_refused() {
    each_is_refused([(
        with_upstream("peers: []"),
        "2: error: upstreams.behind.peers: there is no peer. Add `peers: [127.0.0.1:9001]`.",
    )]);
}

#[test]
fn upstream_with_tls_but_without_a_name_is_refused() {
    let remedy = "Write the name that the upstream's certificate carries.";
    let missing =
        format!("2: error: upstreams.behind.tls.server_name: the field is missing. {remedy}");
    each_is_refused([(peer("tls: {}"), missing.as_str())]);
    let empty = format!("2: error: upstreams.behind.tls.server_name: `` is not a host. {remedy}");
    each_is_refused([(peer("tls: { server_name: '' }"), empty.as_str())]);
    let place = |value: &str| peer(&format!("tls: {{ server_name: '{value}' }}"));
    accepts(place, &["orders.internal", "10.0.0.7"]);
    refuses(
        place,
        "upstreams.behind.tls.server_name",
        &["a b", "*.internal", "orders.internal:443"],
    );
}

#[test]
fn proxies_are_addresses_or_networks() {
    let place = |value: &str| with(&format!("trusted_proxies: ['{value}']"));
    accepts(place, &["10.0.0.0/8", "10.0.0.1", "::1", "fd00::/8", "0.0.0.0/0"]);
    refuses(
        place,
        "trusted_proxies[0]",
        &["", "10.0.0.0/33", "proxy.test", "10.0.0", "10.0.0.1:80"],
    );
}

#[test]
fn realm_can_be_quoted() {
    let place = |value: &str| with(&format!("realm: '{value}'"));
    accepts(place, &["portcullis", "the realm of Zog", ""]);
    refuses(place, "realm", &["a\"b", "a\\b", "é"]);
}

#[test]
fn words_are_the_known_ones() {
    let place = |value: &str| with(&format!("access_log: {{ format: {value} }}"));
    accepts(place, &["auto", "json", "text"]);
    refuses(place, "access_log.format", &["xml", "JSON", "off"]);
    let place = |value: &str| with(&format!("access_log: {{ subject: {value} }}"));
    accepts(place, &["plain", "omitted"]);
    refuses(place, "access_log.subject", &["clear", "Plain"]);
}

#[test]
fn subjects_are_hashed_with_a_key_only() {
    each_is_refused([(
        with("access_log: { subject: hashed }"),
        "6: error: access_log.subject_key_file: hashed subjects need a key. \
         Name a file with a long random value, the same on every gateway.",
    )]);
}

#[test]
fn identity_headers_must_not_carry_the_connection_the_frame_or_the_way() {
    for name in ["Transfer-Encoding", "content_length", "KEEP.ALIVE", "X_Forwarded_For", "host"] {
        let problem = format!(
            "6: error: identity_headers.subject: `{name}` is a header that HTTP or the gateway \
             uses itself. Choose a name such as X-Auth-Email."
        );
        let text = with(&format!("identity_headers: {{ subject: {name} }}"));
        each_is_refused([(text, problem.as_str())]);
    }
}

#[test]
fn identity_headers_must_not_be_alike() {
    for (subject, scopes) in [("X-User", "X-User"), ("X-User", "x_user"), ("X.User", "X-USER")] {
        let problem = format!(
            "6: error: identity_headers.scopes: `{scopes}` already carries another part of the \
             identity. Choose another name."
        );
        let text = with(&format!("identity_headers: {{ subject: {subject}, scopes: {scopes} }}"));
        each_is_refused([(text, problem.as_str())]);
    }
}

#[test]
fn identity_header_of_a_claim_must_not_be_that_of_the_session() {
    // Although nothing is sent under it yet.
    let problem = "6: error: identity_headers.claims.sid: `X_Auth_Session` already carries another \
                   part of the identity. Choose another name.";
    each_is_refused([(with("identity_headers: { claims: { sid: X_Auth_Session } }"), problem)]);
}

#[test]
fn dangerous_option_is_allowed_where_it_is_named() {
    all_compile([with(
        "  - { name: a, match: { path: /a, dangerous_path: [semicolon] }, upstream: behind, public: true }",
    )]);
}

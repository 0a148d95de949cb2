//! Fields that do not exist, and values that are not what a field takes, at every level.

use super::*;

/// A place in the configuration where named fields stand.
struct Level {
    /// As in a problem.
    path: &'static str,
    line: usize,
    /// A configuration with one more field there.
    text: fn(&str) -> String,
}

const ROUTE: &str = "  - { name: a, match: { path: /a }, upstream: behind, authenticate: [bearer]";

/// Every mapping with named fields.
const LEVELS: [Level; 39] = [
    Level { path: "", line: 6, text: |field| with(field) },
    Level { path: "listeners[0].", line: 1, text: |field| listener(field) },
    Level {
        path: "listeners[0].tls.",
        line: 1,
        text: |field| listener(&format!("tls: {{ certificates: [{{}}], {field} }}")),
    },
    Level {
        path: "listeners[0].tls.certificates[0].",
        line: 1,
        text: |field| listener(&format!("tls: {{ certificates: [{{ {field} }}] }}")),
    },
    Level { path: "admin.", line: 6, text: |field| with(&format!("admin: {{ {field} }}")) },
    Level { path: "server.", line: 6, text: |field| with(&format!("server: {{ {field} }}")) },
    Level { path: "limits.", line: 6, text: |field| with(&format!("limits: {{ {field} }}")) },
    Level {
        path: "access_log.",
        line: 6,
        text: |field| with(&format!("access_log: {{ {field} }}")),
    },
    Level { path: "store.", line: 6, text: |field| with(&format!("store: {{ {field} }}")) },
    Level {
        path: "store.embedded.",
        line: 6,
        text: |field| with(&format!("store: {{ embedded: {{ {field} }} }}")),
    },
    Level {
        path: "store.redis.",
        line: 6,
        text: |field| with(&format!("store: {{ redis: {{ url: redis://h, {field} }} }}")),
    },
    Level {
        path: "store.redis.sentinel.",
        line: 6,
        text: |field| with(&format!("store: {{ redis: {{ sentinel: {{ {field} }} }} }}")),
    },
    Level {
        path: "store.redis.tls.",
        line: 6,
        text: |field| {
            with(&format!("store: {{ redis: {{ url: rediss://h, tls: {{ {field} }} }} }}"))
        },
    },
    Level {
        path: "revocation.",
        line: 6,
        text: |field| with(&format!("revocation: {{ {field} }}")),
    },
    Level { path: "sessions.", line: 6, text: |field| with(&format!("sessions: {{ {field} }}")) },
    Level {
        path: "sessions.cookie.",
        line: 6,
        text: |field| with(&format!("sessions: {{ cookie: {{ {field} }} }}")),
    },
    Level {
        path: "login.",
        line: 6,
        text: |field| with(&format!("login: {{ password_file: users.yaml, {field} }}")),
    },
    Level {
        path: "login.handoff.",
        line: 6,
        text: |field| with(&format!("login: {{ handoff: {{ {field} }} }}")),
    },
    Level {
        path: "login.attempts.",
        line: 6,
        text: |field| {
            with(&format!("login: {{ password_file: users.yaml, attempts: {{ {field} }} }}"))
        },
    },
    Level { path: "tokens.", line: 6, text: |field| with(&format!("tokens: {{ {field} }}")) },
    Level {
        path: "tokens.signing.",
        line: 6,
        text: |field| with(&format!("tokens: {{ signing: {{ {field} }} }}")),
    },
    Level {
        path: "tokens.access.",
        line: 6,
        text: |field| with(&format!("tokens: {{ access: {{ {field} }} }}")),
    },
    Level {
        path: "tokens.refresh.",
        line: 6,
        text: |field| with(&format!("tokens: {{ refresh: {{ {field} }} }}")),
    },
    Level {
        path: "clients[0].",
        line: 6,
        text: |field| with(&format!("clients: [{{ id: a, {field} }}]")),
    },
    Level { path: "api_keys.", line: 6, text: |field| with(&format!("api_keys: {{ {field} }}")) },
    Level {
        path: "token_cache.",
        line: 6,
        text: |field| with(&format!("token_cache: {{ {field} }}")),
    },
    Level {
        path: "issuers[0].",
        line: 3,
        text: |field| {
            with_issuer(&format!(
                "algorithms: [ES256], keys: {{ public_key_file: idp.pem }}, {field}"
            ))
        },
    },
    Level {
        path: "issuers[0].claims.",
        line: 3,
        text: |field| {
            with_issuer(&format!(
                "algorithms: [ES256], keys: {{ public_key_file: idp.pem }}, claims: {{ {field} }}"
            ))
        },
    },
    Level {
        path: "issuers[0].keys.",
        line: 3,
        text: |field| {
            with_issuer(&format!(
                "algorithms: [ES256], keys: {{ public_key_file: idp.pem, {field} }}"
            ))
        },
    },
    Level {
        path: "upstreams.behind.",
        line: 2,
        text: |field| with_upstream(&format!("peers: ['127.0.0.1:1'], {field}")),
    },
    Level {
        path: "upstreams.behind.tls.",
        line: 2,
        text: |field| {
            with_upstream(&format!(
                "peers: ['127.0.0.1:1'], tls: {{ server_name: a.test, {field} }}"
            ))
        },
    },
    Level {
        path: "upstreams.behind.forward.",
        line: 2,
        text: |field| with_upstream(&format!("peers: ['127.0.0.1:1'], forward: {{ {field} }}")),
    },
    Level {
        path: "upstreams.behind.timeouts.",
        line: 2,
        text: |field| with_upstream(&format!("peers: ['127.0.0.1:1'], timeouts: {{ {field} }}")),
    },
    Level {
        path: "identity_headers.",
        line: 6,
        text: |field| with(&format!("identity_headers: {{ {field} }}")),
    },
    Level { path: "routes[1].", line: 6, text: |field| with(&format!("{ROUTE}, {field} }}")) },
    Level {
        path: "routes[1].require.",
        line: 6,
        text: |field| with(&format!("{ROUTE}, require: {{ {field} }} }}")),
    },
    Level {
        path: "routes[1].forward.",
        line: 6,
        text: |field| with(&format!("{ROUTE}, forward: {{ {field} }} }}")),
    },
    Level {
        path: "routes[1].forward.internal_token.",
        line: 6,
        text: |field| with(&format!("{ROUTE}, forward: {{ internal_token: {{ {field} }} }} }}")),
    },
    Level {
        path: "routes[1].limits.",
        line: 6,
        text: |field| with(&format!("{ROUTE}, limits: {{ {field} }} }}")),
    },
];

fn listener(field: &str) -> String {
    replace_line(1, &format!("listeners: [{{ address: '127.0.0.1:0', {field} }}]"))
}

#[test]
fn unknown_field_is_refused_at_every_level() {
    for Level { path, line, text } in LEVELS {
        let text = text("colour: red");
        let problems = problems(&text);
        let start =
            format!("{line}: error: {path}colour: there is no field `colour` here. Known are: `");
        assert!(problems.iter().any(|problem| problem.starts_with(&start)), "{problems:#?}");
    }
}

#[test]
fn unknown_field_of_a_match_is_refused() {
    let text =
        with("  - { name: a, match: { path: /a, method: GET }, upstream: behind, public: true }");
    let problem = "6: error: routes[1].match.method: there is no field `method` here. \
                   Did you mean `methods`? Known are: `hosts`, `path`, `methods`, `dangerous_path`.";
    each_is_refused([(text, problem)]);
}

#[test]
fn unknown_field_of_the_audit_log_is_refused() {
    let problem = "6: error: audit_log.path: there is no field `path` here. Known are: `file`.";
    each_is_refused([(with("audit_log: { path: audit.jsonl }"), problem)]);
}

#[test]
fn unknown_field_of_forward_is_refused() {
    let problem = "6: error: routes[1].forward.headers: there is no field `headers` here. \
                   Known are: `credential` or `internal_token`.";
    each_is_refused([(with(&format!("{ROUTE}, forward: {{ headers: all }} }}")), problem)]);
}

#[test]
fn text_instead_of_a_section_is_refused_everywhere() {
    for field in [
        "listeners",
        "admin",
        "server",
        "limits",
        "access_log",
        "trusted_proxies",
        "store",
        "revocation",
        "sessions",
        "login",
        "tokens",
        "clients",
        "api_keys",
        "audit_log",
        "token_cache",
        "issuers",
        "upstreams",
        "identity_headers",
        "routes",
    ] {
        let kept: String = BASE
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("  - ") && !line.starts_with(&format!("{field}:")))
            .filter(|line| *line != "routes:\n")
            .collect();
        let problems = problems(format!("{field}: 5s\n{kept}"));
        let start = format!("1: error: {field}: found string \"5s\". Write a ");
        assert!(
            problems.iter().any(|problem| problem.starts_with(&start)),
            "{field}: {problems:#?}"
        );
    }
}

#[test]
fn value_of_the_wrong_type_is_refused_everywhere() {
    let keys = "algorithms: [ES256], keys:";
    for (text, problem) in [
        (listener("tls: yes"), "1: error: listeners[0].tls: found string \"yes\""),
        (
            replace_line(1, "listeners: [{ address: [127.0.0.1] }]"),
            "1: error: listeners[0].address: found a list",
        ),
        (with("admin: { address: 9901 }"), "6: error: admin.address: found integer `9901`"),
        (with("server: { threads: two }"), "6: error: server.threads: found string \"two\""),
        (with("server: { threads: -1 }"), "6: error: server.threads: "),
        (with("server: { threads: 1.5 }"), "6: error: server.threads: "),
        (with("limits: { header_count: 1KiB }"), "6: error: limits.header_count: found string"),
        (with("limits: { token_bytes: 8192 }"), "6: error: limits.token_bytes: found integer"),
        (with("access_log: { enabled: 'on' }"), "6: error: access_log.enabled: found string"),
        (with("trusted_proxies: [10]"), "6: error: trusted_proxies[0]: found integer `10`"),
        (with("realm: { a: b }"), "6: error: realm: found a mapping"),
        (with("data_directory: []"), "6: error: data_directory: found a list"),
        (with("store: redis"), "6: error: store: found string \"redis\""),
        (
            with("store: { redis: 'redis://h' }"),
            "6: error: store.redis: found string \"redis://h\"",
        ),
        (with("store: { embedded: a.redb }"), "6: error: store.embedded: found string \"a.redb\""),
        (
            with("store: { redis: { sentinel: { master: m, nodes: redis://h } } }"),
            "6: error: store.redis.sentinel.nodes: found string",
        ),
        (with("revocation: deny"), "6: error: revocation: found string \"deny\""),
        (with("sessions: 30m"), "6: error: sessions: found string \"30m\""),
        (with("sessions: { cookie: sid }"), "6: error: sessions.cookie: found string \"sid\""),
        (
            with("sessions: { idle_timeout: 30 }"),
            "6: error: sessions.idle_timeout: found integer `30`",
        ),
        (
            with("sessions: { allowed_origins: https://app.test }"),
            "6: error: sessions.allowed_origins: found string \"https://app.test\"",
        ),
        (
            with("sessions: { cookie: { dangerous_insecure: perhaps } }"),
            "6: error: sessions.cookie.dangerous_insecure: found string \"perhaps\"",
        ),
        (with("login: users.yaml"), "6: error: login: found string \"users.yaml\""),
        (with("login: { handoff: behind }"), "6: error: login.handoff: found string \"behind\""),
        (
            with("login: { handoff: { claims: [email] } }"),
            "6: error: login.handoff.claims: found a list",
        ),
        (
            with("login: { password_file: users.yaml, attempts: 10/15m }"),
            "6: error: login.attempts: found string \"10/15m\"",
        ),
        (
            with("login: { password_file: users.yaml, attempts: { per_account: 10 } }"),
            "6: error: login.attempts.per_account: found integer `10`",
        ),
        (with("tokens: yes"), "6: error: tokens: found string \"yes\""),
        (with("tokens: { signing: ES256 }"), "6: error: tokens.signing: found string \"ES256\""),
        (
            with("tokens: { signing: { key_files: a.pem } }"),
            "6: error: tokens.signing.key_files: found string \"a.pem\"",
        ),
        (
            with("tokens: { access: { audiences: a } }"),
            "6: error: tokens.access.audiences: found string \"a\"",
        ),
        (with("tokens: { refresh: 7d }"), "6: error: tokens.refresh: found string \"7d\""),
        (with("clients: { a: {} }"), "6: error: clients: found a mapping"),
        (
            with("clients: [{ id: a, public: perhaps }]"),
            "6: error: clients[0].public: found string \"perhaps\"",
        ),
        (with("clients_file: [a]"), "6: error: clients_file: found a list"),
        (with("api_keys: X-Api-Key"), "6: error: api_keys: found string \"X-Api-Key\""),
        (
            with(&format!("{ROUTE}, forward: {{ internal_token: orders }} }}")),
            "6: error: routes[1].forward.internal_token: found string \"orders\"",
        ),
        (with("audit_log: a.jsonl"), "6: error: audit_log: found string \"a.jsonl\""),
        (with("server: { name: 1 }"), "6: error: server.name: found integer `1`"),
        (with("token_cache: { size: 1 }"), "6: error: token_cache.size: found integer"),
        (with_issuer("algorithms: ES256"), "3: error: issuers[0].algorithms: found string"),
        (with_issuer(&format!("{keys} idp.pem")), "3: error: issuers[0].keys: found string"),
        (
            with_issuer(&format!("{keys} {{ jwks_file: [a] }}")),
            "3: error: issuers[0].keys.jwks_file: found a list",
        ),
        (with_upstream("peers: 127.0.0.1:1"), "2: error: upstreams.behind.peers: found string"),
        (
            with_upstream("peers: ['127.0.0.1:1'], retries: many"),
            "2: error: upstreams.behind.retries: found string \"many\"",
        ),
        (
            with_upstream("peers: ['127.0.0.1:1'], timeouts: 3s"),
            "2: error: upstreams.behind.timeouts: found string \"3s\"",
        ),
        (
            with("identity_headers: { claims: [email] }"),
            "6: error: identity_headers.claims: found a list",
        ),
        (with("  - a route"), "6: error: routes[1]: found string \"a route\""),
        (
            with(&format!("{ROUTE}, require: {{ scopes: a }} }}")),
            "6: error: routes[1].require.scopes: found string \"a\"",
        ),
        (
            with(&format!("{ROUTE}, limits: {{ body: 5 }} }}")),
            "6: error: routes[1].limits.body: found integer `5`",
        ),
        (
            with("  - { name: a, match: /a, upstream: behind, public: true }"),
            "6: error: routes[1].match: found string \"/a\"",
        ),
    ] {
        let problems = problems(&text);
        assert!(
            problems.iter().any(|found| found.starts_with(problem)),
            "{problem} is not among {problems:#?}"
        );
    }
}

#[test]
fn remedies_speak_of_the_file_and_not_of_the_program() {
    let jargon = ["usize", "identifier", "unit value", "struct ", "enum ", "borrowed"];
    for text in [
        with("server: { threads: two }"),
        with("server: { threads: -1 }"),
        with("7: x"),
        with("~: x"),
        with("admin: { ? [a] : b }"),
        with("  - ~"),
        with("  - { name: a, match: { path: /a, hosts: [~] }, upstream: behind, public: true }"),
    ] {
        for problem in problems(&text) {
            let found = jargon.iter().find(|word| problem.contains(*word));
            assert_eq!(found, None, "{problem}");
        }
    }
}

#[test]
fn several_wrong_items_of_one_list_are_named_with_their_own_places() {
    let text = with(
        "  - 1\n  - { name: a, match: { path: /a }, upstream: behind, public: true, x: 1 }\n  - 2\n  \
         - { name: b, match: { path: /b }, upstream: nowhere, public: true }",
    );
    let problems = problems(text);
    let places: Vec<_> = problems.iter().map(|problem| problem.split(": ").nth(2)).collect();
    let expected = ["routes[1]", "routes[2].x", "routes[3]", "routes[4].upstream"];
    assert_eq!(places, expected.map(Some), "{problems:#?}");
}
